package nbd

import (
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// Limits of an answer to NBD_CMD_BLOCK_STATUS. A client asks on from the end
// of a shorter answer.
const (
	maxDescriptors  = 4096     // of one context
	firstWindow     = 16 << 20 // bytes of the device that are asked for at once
	windowGrowth    = 4        // while the device has little to tell
	sparseWindow    = 256      // states of a window below which it grows
	maxStatusLength = 1<<32 - 1<<16
)

// statusWork is memory that block status requests use again.
type statusWork struct {
	states      []Status
	descriptors []wire.Descriptor
	reply       []byte
}

// reset empties w for the next use.
func (w statusWork) reset() statusWork {
	return statusWork{w.states[:0], w.descriptors[:0], w.reply[:0]}
}

// builtinContexts are the contexts that every device has.
func builtinContexts(d block.Device) []MetaContext {
	return []MetaContext{
		{wire.ContextAllocation, extentStates(d, func(f block.ExtentFlags) uint64 { return uint64(f) })},
		{wire.ContextDepth, extentStates(d, depthOf)},
	}
}

// depthOf is the state of an extent in qemu:allocation-depth (QEMU's
// docs/interop/nbd.rst): 0 is unallocated, 1 is allocated in the image itself.
func depthOf(f block.ExtentFlags) uint64 {
	if f&block.Hole != 0 {
		return 0
	}
	return 1
}

// extentStates returns a context that is made from the extents of d.
func extentStates(d block.Device, state func(block.ExtentFlags) uint64) func([]Status, int64, int64) ([]Status, error) {
	return func(dst []Status, off, n int64) ([]Status, error) {
		extents, err := block.AppendExtents(d, nil, off, n)
		if err != nil {
			return dst, err
		}
		for _, e := range extents {
			dst = append(dst, Status{e.Len, state(e.Flags)})
		}
		return dst, nil
	}
}

// serveStatusPayload sees to a block status request that names its contexts
// (BLOCK_STATUS_PAYLOAD). The caller has checked that the payload is not too large.
func (c *conn) serveStatusPayload(r *wire.Request) error {
	if r.Length > uint64(8+4*len(c.contexts)) {
		return c.skipPayload(r, faultf(wire.EINVAL, "block-status: more contexts than were negotiated"))
	}
	p := make([]byte, r.Length)
	if r.Length > uint64(c.in.buffered()) {
		c.flushBatch()
	}
	if err := c.in.readFull(p); err != nil {
		return c.readFailed(err)
	}
	q, err := wire.DecodeStatusPayload(p)
	if err != nil {
		c.replyFault(r, faultf(wire.EINVAL, "%v", err))
		return nil
	}
	r.Length = q.Length
	f := c.check(r)
	if f == nil {
		f = c.checkContexts(q.Contexts)
	}
	if f != nil {
		c.replyFault(r, f)
		return nil
	}
	t := newTask(r)
	t.ids = q.Contexts
	return c.do(t)
}

// checkContexts checks the ids that a client asks for.
func (c *conn) checkContexts(ids []uint32) *fault {
	if len(ids) == 0 {
		return faultf(wire.EINVAL, "block-status: no context is named")
	}
	seen := make(map[uint32]bool, len(ids))
	for _, id := range ids {
		if int64(id) >= int64(len(c.contexts)) || seen[id] {
			return faultf(wire.EINVAL, "block-status: context %d was not negotiated or is named twice", id)
		}
		seen[id] = true
	}
	return nil
}

// executeStatus answers a block status request: a chunk for each context.
func (c *conn) executeStatus(t *task) {
	if t.ids == nil {
		for id := range c.contexts {
			t.ids = append(t.ids, uint32(id))
		}
	}
	w := &t.status
	for i, id := range t.ids {
		if err := w.query(&c.contexts[id], &t.req, c.mode); err != nil {
			c.replyFailed(t, faultOf(fmt.Errorf("%s: %w", c.contexts[id].Name, err)))
			return
		}
		w.reply = wire.AppendStatus(w.reply, c.mode, &t.req, id, w.descriptors, i == len(t.ids)-1)
	}
	c.replyLong(t, w.reply)
}

// query makes the descriptors that answer r in context m.
func (w *statusWork) query(m *MetaContext, r *wire.Request, mode wire.Mode) error {
	w.descriptors = w.descriptors[:0]
	one := r.Flags&wire.FlagReqOne != 0
	off, left := int64(r.Offset), int64(r.Length)
	if mode != wire.Extended {
		left = min(left, maxStatusLength) // only 32 bits of length in a descriptor
	}
	for window := int64(firstWindow); left > 0; {
		states, err := m.AppendStatus(w.states[:0], off, min(left, window))
		w.states = states[:0]
		if err != nil && len(w.descriptors) > 0 {
			return nil // the client meets the error when it asks on
		}
		if err != nil || len(states) == 0 {
			return fmt.Errorf("the device cannot tell its state: %w", errOr(err))
		}
		for _, s := range states {
			n := min(s.Len, left)
			if full := w.add(n, s.Value, one); full || n <= 0 {
				return nil
			}
			off, left = off+n, left-n
		}
		if len(states) < sparseWindow && window < 1<<40 {
			window *= windowGrowth
		}
	}
	return nil
}

// add adds n bytes in state v, and reports whether no more fit.
func (w *statusWork) add(n int64, v uint64, one bool) (full bool) {
	if k := len(w.descriptors); k > 0 && w.descriptors[k-1].Status == v {
		w.descriptors[k-1].Length += uint64(n)
		return false
	}
	if k := len(w.descriptors); k == maxDescriptors || one && k == 1 {
		return true
	}
	w.descriptors = append(w.descriptors, wire.Descriptor{Length: uint64(n), Status: v})
	return false
}
