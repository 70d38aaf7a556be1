package nbd

import (
	"fmt"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// servePayload sees to a request that payload follows.
func (c *conn) servePayload(r *wire.Request) error {
	if r.Length > wire.MaxPayload {
		// Passing over it would let a client keep the server busy for
		// nothing ("Block size constraints" allows to disconnect).
		return fmt.Errorf("%w: %v with %d bytes of payload", errViolation, r.Command, r.Length)
	}
	if r.Command == wire.CmdBlockStatus && c.mode == wire.Extended {
		return c.serveStatusPayload(r)
	}
	if f := c.check(r); f != nil {
		return c.skipPayload(r, f)
	}
	c.exp.stats.written.Add(r.Length)
	g := &c.gates[gateOf(r)]
	if r.Length <= smallWrite && g.open() {
		return c.writeFromInput(r, g)
	}
	t := newTask(r)
	if err := c.receive(t); err != nil {
		c.free(t)
		return err
	}
	if r.Length > smallWrite && c.overlaps() {
		return c.handOver(t)
	}
	return c.do(t)
}

// smallWrite is the longest write that is made from the input buffer.
const smallWrite = inputSize / 2

// overlaps reports whether there is a processor that could write while the
// reader receives the next payload, and whether that is coming.
func (c *conn) overlaps() bool {
	return c.srv.stats.conns.Load() < c.srv.processors && c.in.lookAhead(1)
}

// skipPayload passes over the payload of a request and answers with f.
func (c *conn) skipPayload(r *wire.Request, f *fault) error {
	if r.Length > uint64(c.in.buffered()) {
		c.flushBatch()
	}
	if err := c.in.skip(int64(r.Length)); err != nil {
		return c.readFailed(err)
	}
	c.replyFault(r, f)
	return nil
}

// writeFromInput carries out a small write from the input buffer.
func (c *conn) writeFromInput(r *wire.Request, g *gate) error {
	n := int(r.Length)
	if !c.in.lookAhead(n) {
		c.flushBatch()
	}
	p, err := c.in.peek(n)
	if err != nil {
		return c.readFailed(err)
	}
	t := newTask(r)
	t.payload = p
	c.executeHere(t, g)
	c.in.discard(n)
	return nil
}

// receive reads the payload of t. The claim on memory is for the whole
// payload, so that two half-received ones cannot wait for each other; the memory
// itself grows with what arrives, not with what the client has announced.
func (c *conn) receive(t *task) error {
	var err error
	if t.hold, err = c.acquire(t.cost()); err != nil {
		return err
	}
	long := t.req.Length > inputSize
	if long {
		c.limitRead(c.srv.opts.StallTimeout)
	}
	for left := int(t.req.Length); left > 0; {
		n := min(left, maxBuffer)
		b := getBuffer(n)
		t.bufs, t.lens = append(t.bufs, b), append(t.lens, n)
		if n > c.in.buffered() {
			c.flushBatch()
		}
		if err := c.in.readFull(b.b[:n]); err != nil {
			return c.readFailed(err)
		}
		left -= n
	}
	if long {
		c.limitRead(0)
	}
	return nil
}

// limitRead sets the time that the client has for what is read next; 0 is no
// limit.
func (c *conn) limitRead(d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	c.nc.SetReadDeadline(at)
	if c.draining.Load() {
		c.interrupt() // which may have come before
	}
}

// executeWrite carries out a write.
func (c *conn) executeWrite(t *task) {
	c.replyDone(t, c.write(t))
}

// write writes the payload of t. A write with FUA is durable when it returns.
func (c *conn) write(t *task) error {
	fua := t.req.Flags&wire.FlagFUA != 0
	if t.payload != nil {
		return c.writeAt(t.payload, int64(t.req.Offset), fua)
	}
	if len(t.bufs) == 1 { // always, but for very long writes and empty ones
		return c.writeAt(t.bufs[0].b[:t.lens[0]], int64(t.req.Offset), fua)
	}
	off := int64(t.req.Offset)
	for i, b := range t.bufs {
		if _, err := c.dev.WriteAt(b.b[:t.lens[i]], off); err != nil {
			return err
		}
		off += int64(t.lens[i])
	}
	if fua {
		return c.exp.flush.flush()
	}
	return nil
}

// writeAt writes p at off. With FUA it joins the sync of other requests if
// there is one, and otherwise leaves durability to the device.
func (c *conn) writeAt(p []byte, off int64, fua bool) error {
	if fua && c.exp.fua && !c.exp.flush.busy() {
		_, err := block.WriteAtFUA(c.dev, p, off)
		return err
	}
	if _, err := c.dev.WriteAt(p, off); err != nil || !fua {
		return err
	}
	return c.exp.flush.flush()
}
