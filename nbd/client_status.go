package nbd

import (
	"errors"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// AppendExtents implements block.Extenter by base:allocation.
func (c *Client) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := c.gate.Enter(); err != nil {
		return dst, err
	}
	defer c.gate.Leave()
	if err := block.CheckRange(off, n, c.Size()); err != nil {
		return dst, err
	}
	if !c.extent {
		return dst, errors.ErrUnsupported
	}
	for n > 0 {
		q := call{req: wire.Request{Command: wire.CmdBlockStatus, Offset: uint64(off), Length: uint64(min(n, c.maxEffect()))}}
		if err := c.do(&q); err != nil {
			return dst, err
		}
		// The last descriptor may reach past what was asked for.
		for _, d := range q.extents {
			m := int64(min(d.Length, uint64(n)))
			if m == 0 {
				break
			}
			dst = append(dst, block.Extent{Off: off, Len: m, Flags: block.ExtentFlags(d.Status) & (block.Hole | block.Zero)})
			off, n = off+m, n-m
		}
	}
	return dst, nil
}
