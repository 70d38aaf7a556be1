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
		if c.in.buffered() < headerLen && !c.continues(headerLen) && idle > 0 {
			c.limitRead(idle)
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

const (
	maxHeldBack = 32 // replies that may wait for the next request to arrive
	maxLone     = 8  // looks for it in vain before they end
)

// continues takes the next n bytes of the client's into the buffer if they
// have arrived already, so that their replies go out with those of the requests
// before them. Otherwise it sends what there is and returns false.
func (c *conn) continues(n int) bool {
	// A client that sends one request at a time would pay for the look every time.
	if c.batchCount > 0 && c.batchCount < maxHeldBack && c.lone < maxLone {
		if c.in.lookAhead(n) {
			c.lone = 0
			return true
		}
		c.lone++
	}
	c.flushBatch()
	return false
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
	case r.Command == wire.CmdWrite && r.Length > smallWrite:
		return gateLargeWrite
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
	switch {
	case g.open():
		c.executeHere(t, g)
		return nil
	case c.alone(t, g):
		c.flushBatch()
		c.executeHere(t, g)
		c.lookForMore()
		return nil
	}
	if c.deep > 0 {
		c.deep--
	}
	return c.handOver(t)
}

// executeHere executes t on the reader.
func (c *conn) executeHere(t *task, g *gate) {
	start := time.Now()
	t.inline = true
	c.execute(t)
	g.record(time.Since(start))
}

// deepFor is how many requests are handed over after a client was seen to have
// several in flight.
const deepFor = 64

// alone reports whether the reader should execute t although it takes a while:
// a client that has one request in flight sends no other before the answer, so
// to hand it over would buy nothing. A flush may take too long for a guess.
func (c *conn) alone(t *task, g *gate) bool {
	return c.deep == 0 && c.in.buffered() == 0 && t.req.Command != wire.CmdFlush && g.brief() && c.pending.Load() == 0
}

// lookForMore takes note of what arrived while the reader executed a request,
// before the client has its answer.
func (c *conn) lookForMore() {
	if c.in.lookAhead(1) {
		c.deep = deepFor
	}
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
func (c *conn) commit(n int) {
	c.batchLen += n
	c.batchCount++
}

// batchSize is the size of the batch of replies that the reader fills, in
// bytes.
const batchSize = 256 << 10

// flushBatch puts the batch in the queue and sends what the socket takes. The
// reader calls it before it waits for anything.
func (c *conn) flushBatch() {
	if c.batchLen > 0 {
		if c.batchCount > 1 {
			c.lone = 0
		}
		c.out.push(piece{b: c.batch.b[:c.batchLen], buf: c.batch, hold: c.batchMem})
		c.batch, c.batchLen, c.batchCount, c.batchMem = nil, 0, 0, hold{}
	}
	c.out.flush()
}
