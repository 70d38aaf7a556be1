package nbd

import (
	"errors"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// executeWriteZeroes carries out NBD_CMD_WRITE_ZEROES.
func (c *conn) executeWriteZeroes(t *task) {
	var f block.ZeroFlags
	if t.req.Flags&wire.FlagNoHole != 0 {
		f |= block.NoHole
	}
	fast := t.req.Flags&wire.FlagFastZero != 0
	if fast {
		f |= block.FastOnly
	}
	err := block.WriteZeroes(c.dev, int64(t.req.Offset), int64(t.req.Length), f)
	if fast && errors.Is(err, errors.ErrUnsupported) {
		// Not a failure: the client asked to be told ("NBD_CMD_WRITE_ZEROES").
		c.replyShort(t, c.appendFault(nil, &t.req, &fault{wire.ENOTSUP, "zeroing is not fast here"}))
		return
	}
	c.replyDone(t, c.orFlush(t, err))
}

// executeTrim carries out NBD_CMD_TRIM.
func (c *conn) executeTrim(t *task) {
	err := block.Discard(c.dev, int64(t.req.Offset), int64(t.req.Length))
	c.replyDone(t, c.orFlush(t, err))
}

// orFlush makes the effect of a request with FUA durable, unless it failed.
func (c *conn) orFlush(t *task, err error) error {
	if err != nil || t.req.Flags&wire.FlagFUA == 0 {
		return err
	}
	return c.exp.flush.flush()
}

// executeCache carries out NBD_CMD_CACHE by reading: whatever caches the
// device has then hold the range.
func (c *conn) executeCache(t *task) {
	b := getBuffer(cacheStep)
	defer b.put()
	off, left := int64(t.req.Offset), int64(t.req.Length)
	for left > 0 {
		n := min(left, cacheStep)
		if err := block.ReadFull(c.dev, b.b[:n], off); err != nil {
			c.replyDone(t, err)
			return
		}
		off, left = off+n, left-n
	}
	c.replyDone(t, nil)
}

// cacheStep is the size of the reads of executeCache, in bytes.
const cacheStep = 256 << 10
