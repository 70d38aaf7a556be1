package nbd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/nbd/wire"
)

var (
	_ block.Device    = (*Client)(nil)
	_ block.Zeroer    = (*Client)(nil)
	_ block.Discarder = (*Client)(nil)
	_ block.FUAWriter = (*Client)(nil)
	_ block.Extenter  = (*Client)(nil)
	_ block.Limiter   = (*Client)(nil)
)

// Client is the export of a server as a device. Calls that run at the same
// time are sent one behind the other without waiting, over as many connections as
// there are.
type Client struct {
	dialer Dialer
	target target
	name   string
	info   wire.ExportInfo
	sizes  wire.BlockSizes
	text   string
	mode   wire.Mode
	extent bool // base:allocation was selected

	gate   block.Gate
	links  []*link
	turn   atomic.Uint32
	closed chan struct{} // ends waits for the server
	stop   sync.Once

	ledger ledger
}

// closeGrace is how long Close waits for answers of the server.
const closeGrace = 10 * time.Second

// open connects to t.
func (d *Dialer) open(ctx context.Context, t target, uri string) (*Client, error) {
	first, err := d.connect(ctx, &t)
	if err != nil {
		return nil, err
	}
	c := &Client{
		dialer: *d, target: t, name: uri,
		info: first.info, sizes: first.sizes, text: first.text, mode: first.mode, extent: first.allocation,
		closed: make(chan struct{}),
	}
	count := 1
	if c.info.Flags&wire.CanMultiConn != 0 {
		count = max(1, d.Connections)
	}
	c.links = append(c.links, newLink(c, first))
	for len(c.links) < count {
		s, err := d.connect(ctx, &t)
		if err != nil && ctx.Err() == nil {
			break // a server may allow several connections and yet not so many
		}
		if err == nil {
			err = c.same(s)
		}
		if err != nil {
			c.abandon()
			return nil, err
		}
		c.links = append(c.links, newLink(c, s))
	}
	return c, nil
}

// same checks that a further connection leads to the same export and offers
// the same, and closes it otherwise.
func (c *Client) same(s *session) error {
	if s.info == c.info && s.mode == c.mode && s.sizes == c.sizes && s.allocation == c.extent {
		return nil
	}
	s.raw.Close()
	return fmt.Errorf("nbd: %s: the export is another than before (%d bytes, flags %#x; it had %d bytes, flags %#x)",
		c.name, s.info.Size, uint16(s.info.Flags), c.info.Size, uint16(c.info.Flags))
}

// abandon breaks all connections.
func (c *Client) abandon() {
	c.stop.Do(func() { close(c.closed) })
	for _, l := range c.links {
		l.close()
	}
}

// Description is what the server tells people about the export; may be empty.
func (c *Client) Description() string { return c.text }

// Size implements block.Device.
func (c *Client) Size() int64 { return int64(c.info.Size) }

// Limits implements block.Limiter.
func (c *Client) Limits() block.Limits {
	f := c.info.Flags
	return block.Limits{
		ReadOnly:       f&wire.ReadOnly != 0,
		MinBlock:       int(c.sizes.Minimum),
		PreferredBlock: int(c.sizes.Preferred),
		Discard:        f&wire.SendTrim != 0,
		Zero:           f&wire.SendWriteZeroes != 0,
		FastZero:       f&wire.SendFastZero != 0,
		FUA:            f&wire.SendFUA != 0,
		Extents:        c.extent,
	}
}

// maxTransfer is the longest read or write that is sent at once, in bytes.
func (c *Client) maxTransfer() int {
	return int(min(c.sizes.Maximum, wire.PortablePayload) / c.sizes.Minimum * c.sizes.Minimum)
}

// ReadAt implements block.Device.
func (c *Client) ReadAt(p []byte, off int64) (n int, err error) {
	if err := c.gate.Enter(); err != nil {
		return 0, err
	}
	defer c.gate.Leave()
	if off < 0 {
		return 0, diskerr.ErrOutOfRange
	}
	if off > c.Size() {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > c.Size()-off {
		p, end = p[:c.Size()-off], io.EOF
	}
	for n < len(p) {
		m := min(len(p)-n, c.maxTransfer())
		q := call{req: wire.Request{Command: wire.CmdRead, Offset: uint64(off) + uint64(n), Length: uint64(m)}, data: p[n : n+m]}
		if err := c.do(&q); err != nil {
			return n, err
		}
		n += m
	}
	return n, end
}

// WriteAt implements block.Device.
func (c *Client) WriteAt(p []byte, off int64) (int, error) { return c.write(p, off, 0) }

// WriteAtFUA implements block.FUAWriter.
func (c *Client) WriteAtFUA(p []byte, off int64) (int, error) {
	if c.info.Flags&wire.SendFUA == 0 {
		return 0, errors.ErrUnsupported
	}
	return c.write(p, off, wire.FlagFUA)
}

func (c *Client) write(p []byte, off int64, f wire.CommandFlags) (n int, err error) {
	if err := c.enterWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer c.gate.Leave()
	for n < len(p) {
		m := min(len(p)-n, c.maxTransfer())
		q := call{req: wire.Request{Command: wire.CmdWrite, Flags: f, Offset: uint64(off) + uint64(n), Length: uint64(m)}, data: p[n : n+m]}
		if err := c.do(&q); err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// enterWrite begins a call that changes [off, off+n). After nil the caller
// leaves the gate.
func (c *Client) enterWrite(off, n int64) error {
	if err := c.gate.Enter(); err != nil {
		return err
	}
	err := block.CheckRange(off, n, c.Size())
	if c.info.Flags&wire.ReadOnly != 0 {
		err = diskerr.ErrReadOnly
	} else if err == nil {
		err = c.ledger.check()
	}
	if err != nil {
		c.gate.Leave()
	}
	return err
}

// Flush implements block.Device. It covers all connections, since there are
// several only where the server says that one flush does.
func (c *Client) Flush() error {
	if err := c.gate.Enter(); err != nil {
		return err
	}
	defer c.gate.Leave()
	return c.flush()
}

func (c *Client) flush() error {
	return c.ledger.flush(func() error {
		if c.info.Flags&wire.SendFlush == 0 {
			return nil // the server has nothing to flush
		}
		return c.do(&call{req: wire.Request{Command: wire.CmdFlush}})
	})
}

// maxEffect is the longest range of a request without payload, in bytes.
func (c *Client) maxEffect() int64 {
	if c.mode == wire.Extended {
		return 1 << 62
	}
	return 1<<32 - 64<<10 // 32 bits, in whole blocks of any size
}

// each sends requests for pieces of [off, off+n) that the protocol can carry.
func (c *Client) each(r wire.Request, off, n int64) error {
	for n > 0 {
		m := min(n, c.maxEffect())
		q := call{req: r}
		q.req.Offset, q.req.Length = uint64(off), uint64(m)
		if err := c.do(&q); err != nil {
			return err
		}
		off, n = off+m, n-m
	}
	return nil
}

// WriteZeroes implements block.Zeroer.
func (c *Client) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	r := wire.Request{Command: wire.CmdWriteZeroes}
	if f&block.NoHole != 0 {
		r.Flags |= wire.FlagNoHole
	}
	if f&block.FastOnly != 0 {
		r.Flags |= wire.FlagFastZero
	}
	if c.info.Flags&wire.SendWriteZeroes == 0 && c.info.Flags&wire.ReadOnly == 0 ||
		f&block.FastOnly != 0 && c.info.Flags&wire.SendFastZero == 0 {
		return errors.ErrUnsupported
	}
	if err := c.enterWrite(off, n); err != nil {
		return err
	}
	defer c.gate.Leave()
	err := c.each(r, off, n)
	if f&block.FastOnly != 0 && errors.Is(err, wire.ENOTSUP) {
		return errors.ErrUnsupported
	}
	return err
}

// Discard implements block.Discarder.
func (c *Client) Discard(off, n int64) error {
	if c.info.Flags&(wire.SendTrim|wire.ReadOnly) == 0 {
		return errors.ErrUnsupported
	}
	if err := c.enterWrite(off, n); err != nil {
		return err
	}
	defer c.gate.Leave()
	return c.each(wire.Request{Command: wire.CmdTrim}, off, n)
}

// Close implements block.Device. It waits for calls under way, flushes, and
// disconnects in order. A server that does not answer is left after a while.
func (c *Client) Close() error {
	quit := time.AfterFunc(closeGrace, c.abandon)
	defer quit.Stop()
	c.stop.Do(func() { close(c.closed) })
	if err := c.gate.Close(); err != nil {
		return err
	}
	var err error
	if c.ledger.dirty() {
		err = c.flush()
	}
	for _, l := range c.links {
		l.disconnect()
	}
	return err
}
