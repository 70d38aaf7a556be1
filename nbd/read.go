package nbd

import (
	"errors"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// smallRead is the longest read that is copied; longer ones are answered with
// segments. Sending a file from the page cache costs more than a copy for less.
const smallRead = 64 << 10

// serveRead answers a small read in the batch if the device has it at hand.
// The caller has checked r.
func (c *conn) serveRead(r *wire.Request) error {
	if r.Length == 0 {
		c.replyHere(c.appendSuccess(nil, r))
		return nil
	}
	if r.Length > smallRead {
		return c.do(newTask(r))
	}
	header, n := c.mode.DataHeaderLen(), int(r.Length)
	p, err := c.reserve(header + n)
	if err != nil {
		return err
	}
	_, err = block.ReadAtCached(c.dev, p[header:], int64(r.Offset))
	if errors.Is(err, block.ErrWouldBlock) {
		g := &c.gates[gateRead]
		if !g.open() {
			return c.do(newTask(r))
		}
		start := time.Now()
		err = block.ReadFull(c.dev, p[header:], int64(r.Offset))
		g.record(time.Since(start))
	}
	if err != nil {
		t := newTask(r)
		t.inline = true
		c.replyFailed(t, faultOf(err))
		c.free(t)
		return nil
	}
	wire.PutDataHeader(p, c.mode, r, r.Offset, n, true)
	c.commit(header + n)
	c.exp.stats.read.Add(uint64(n))
	return nil
}

// executeRead answers a read.
func (c *conn) executeRead(t *task) {
	if t.req.Length > smallRead {
		c.executeLargeRead(t)
		return
	}
	header, n := c.mode.DataHeaderLen(), int(t.req.Length)
	b := getBuffer(n)
	if err := block.ReadFull(c.dev, b.b[header:header+n], int64(t.req.Offset)); err != nil {
		b.put()
		c.replyFailed(t, faultOf(err))
		return
	}
	wire.PutDataHeader(b.b, c.mode, &t.req, t.req.Offset, n, true)
	c.out.push(piece{b: b.b[:header+n], buf: b, hold: t.hold})
	t.hold = hold{}
	c.exp.stats.read.Add(uint64(n))
}
