package nbd

import (
	"fmt"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// serveRequests reads requests and sees to their answers until the
// connection ends. It returns the reason for that.
func (c *conn) serveRequests() error {
	headerLen := c.mode.RequestHeaderLen()
	idle := c.srv.opts.IdleTimeout
	for {
		if c.in.buffered() < headerLen {
			c.flushBatch()
			if idle > 0 {
				c.limitRead(idle)
			}
		}
		p, err := c.in.peek(headerLen)
		if err != nil {
			return c.readFailed(err)
		}
		c.req, err = wire.DecodeRequest(p, c.mode)
		if err != nil {
			c.srv.stats.failed.Add(1)
			return fmt.Errorf("%w: %w", errViolation, err)
		}
		c.in.discard(headerLen)
		if c.req.Command == wire.CmdDisconnect {
			return errDisconnect
		}
		if err := c.serve(&c.req); err != nil {
			return err
		}
	}
}

// serve sees to one request. An error ends the connection.
func (c *conn) serve(r *wire.Request) error {
	c.exp.stats.count(r.Command)
	if r.HasPayload(c.mode) {
		return c.servePayload(r)
	}
	if f := c.check(r); f != nil {
		c.replyFault(r, f)
		return nil
	}
	if r.Command == wire.CmdRead {
		return c.serveRead(r)
	}
	t := newTask(r)
	return c.do(t)
}

// gateOf returns the gate that a request passes.
func gateOf(r *wire.Request) gateID {
	switch {
	case r.Command == wire.CmdFlush || r.Flags&wire.FlagFUA != 0 && r.Command != wire.CmdRead:
		return gateSync
	case r.Command == wire.CmdWrite:
		return gateWrite
	case r.Command == wire.CmdRead && r.Length > smallRead:
		return gateLargeRead
	case r.Command == wire.CmdRead:
		return gateRead
	}
	return gateOther
}

// cost returns the memory that a task needs, in bytes.
func (t *task) cost() int64 {
	const small = 4096 // the task, its goroutine's stack and its reply
	if t.req.Command == wire.CmdRead || t.req.Command == wire.CmdWrite {
		return small + int64(t.req.Length)
	}
	return small
}

// do executes t here if requests of its kind have been quick, and hands it to
// a worker otherwise.
func (c *conn) do(t *task) error {
	if t.hold.n == 0 {
		var err error
		if t.hold, err = c.acquire(t.cost()); err != nil {
			c.free(t)
			return err
		}
	}
	g := &c.gates[gateOf(&t.req)]
	if g.open() {
		start := time.Now()
		t.inline = true
		c.execute(t)
		g.record(time.Since(start))
		return nil
	}
	return c.handOver(t)
}

// acquire takes n bytes of the memory of the connection. Before it waits for
// memory it sends what there is, because that is what the client waits for.
func (c *conn) acquire(n int64) (hold, error) {
	if h, ok := c.mem.try(n); ok {
		return h, nil
	}
	c.flushBatch()
	h, ok := c.mem.acquire(n)
	if !ok {
		return hold{}, errAborted
	}
	return h, nil
}

// reserve returns n free bytes of the batch, which the caller fills and
// commits; n is at most batchSize.
func (c *conn) reserve(n int) ([]byte, error) {
	if c.batch != nil && batchSize-c.batchLen < n {
		c.flushBatch()
	}
	if c.batch == nil {
		h, err := c.acquire(batchSize)
		if err != nil {
			return nil, err
		}
		c.batch, c.batchLen, c.batchMem = getBuffer(batchSize), 0, h
	}
	return c.batch.b[c.batchLen : c.batchLen+n], nil
}

// commit adds what reserve returned to the batch.
func (c *conn) commit(n int) { c.batchLen += n }

// batchSize is the size of the batch of replies that the reader fills, in
// bytes.
const batchSize = 256 << 10

// flushBatch puts the batch in the queue and sends what the socket takes. The
// reader calls it before it waits for anything.
func (c *conn) flushBatch() {
	if c.batchLen > 0 {
		c.out.push(piece{b: c.batch.b[:c.batchLen], buf: c.batch, hold: c.batchMem})
		c.batch, c.batchLen, c.batchMem = nil, 0, hold{}
	}
	c.out.flush()
}
