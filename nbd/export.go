package nbd

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// Export is a device under a name.
//
// The server uses Device from many goroutines and never closes it. Its size
// and its limits are asked for whenever a client attaches.
type Export struct {
	Name        string // at most 4096 bytes of UTF-8; empty for the default export
	Description string // for people; may be empty
	Device      block.Device
	ReadOnly    bool // besides what the device says itself
	MaxConns    int  // connections at a time; 0 means no limit of its own

	// Contexts are metadata contexts besides base:allocation,
	// qemu:allocation-depth and those of a Device that is a ContextProvider, or
	// instead of them where the name is the same.
	Contexts []MetaContext
}

// MetaContext is a metadata context that clients can select and query with
// NBD_CMD_BLOCK_STATUS (specification, "Metadata querying").
type MetaContext struct {
	Name string // namespace, colon, leaf name
	// AppendStatus appends the states of [off, off+n) to dst, in order and
	// without gaps, starting at off; it may end early, after at least one.
	// It is called concurrently.
	AppendStatus func(dst []Status, off, n int64) ([]Status, error)
}

// ContextProvider is a device that offers metadata contexts of its own.
type ContextProvider interface {
	MetaContexts() []MetaContext
}

// Status is the state of a run of bytes in a metadata context.
type Status struct {
	Len   int64  // bytes, more than 0
	Value uint64 // at most 32 bits reach a client without extended headers
}

// export is an Export that is being served.
type export struct {
	Export
	contexts []MetaContext
	flush    flushGroup
	fua      bool // the device makes single writes durable by itself
	stats    exportStats

	// hook serialises attaching and detaching with their hooks. It is held
	// while a hook runs, so that a hook which swaps the device on the last
	// detach is finished before the next client attaches.
	hook  sync.Mutex
	conns map[*conn]struct{} // the caller holds hook

	removed bool // the caller holds hook
}

// newExport checks e and prepares it for serving.
func newExport(e Export) (*export, error) {
	if e.Device == nil {
		return nil, fmt.Errorf("nbd: export %q has no device", e.Name)
	}
	if err := wire.CheckString("export name", e.Name); err != nil {
		return nil, err
	}
	if err := wire.CheckString("description", e.Description); err != nil {
		return nil, err
	}
	x := &export{Export: e, conns: make(map[*conn]struct{})}
	x.flush.device = e.Device
	x.fua = block.LimitsOf(e.Device).FUA
	x.contexts = slices.Clone(e.Contexts)
	var offered []MetaContext
	if p, ok := e.Device.(ContextProvider); ok {
		offered = p.MetaContexts()
	}
	for _, c := range append(offered, builtinContexts(e.Device)...) {
		if !slices.ContainsFunc(x.contexts, func(o MetaContext) bool { return o.Name == c.Name }) {
			x.contexts = append(x.contexts, c)
		}
	}
	for _, c := range x.contexts {
		if err := wire.CheckString("context name", c.Name); err != nil {
			return nil, err
		}
		if strings.Index(c.Name, ":") < 1 || c.AppendStatus == nil {
			return nil, fmt.Errorf("nbd: context %q has no namespace or no function", c.Name)
		}
	}
	return x, nil
}

// readOnly reports whether clients may not write.
func (e *export) readOnly() bool {
	return e.ReadOnly || block.LimitsOf(e.Device).ReadOnly
}

// flags returns the transmission flags of the export in mode m. They come
// from the device's Limits alone, since a wrapper implements every capability.
func (e *export) flags(m wire.Mode, contexts int) wire.TransmissionFlags {
	f := wire.HasFlags | wire.SendFlush | wire.SendFUA | wire.SendCache | wire.CanMultiConn
	if m >= wire.Structured {
		f |= wire.SendDF
	}
	if m == wire.Extended && contexts > 0 {
		f |= wire.BlockStatusPayload
	}
	if e.readOnly() {
		return f | wire.ReadOnly
	}
	l := block.LimitsOf(e.Device)
	f |= wire.SendWriteZeroes
	if l.Discard {
		f |= wire.SendTrim
	}
	if l.FastZero {
		f |= wire.SendFastZero
	}
	return f
}

// blockSizes returns the block size constraints that the server answers
// with. They allow every 512-byte sector, and single bytes where the device does.
func (e *export) blockSizes() wire.BlockSizes {
	const usual = 4096
	l := block.LimitsOf(e.Device)
	b := wire.BlockSizes{Minimum: 1, Preferred: usual, Maximum: wire.MaxPayload}
	if l.MinBlock > 1 {
		b.Minimum = uint32(min(l.MinBlock, 64<<10))
	}
	if l.PreferredBlock > 0 {
		b.Preferred = uint32(l.PreferredBlock)
	}
	b.Preferred = max(min(b.Preferred, 32<<20), b.Minimum)
	return b
}

// attach counts c as a client of the export and runs the hook.
func (e *export) attach(c *conn) error {
	e.hook.Lock()
	defer e.hook.Unlock()
	switch {
	case e.removed:
		return fmt.Errorf("export %q was removed", e.Name)
	case e.MaxConns > 0 && len(e.conns) >= e.MaxConns:
		return fmt.Errorf("export %q has its %d connections", e.Name, e.MaxConns)
	}
	e.conns[c] = struct{}{}
	if h := c.srv.opts.OnAttach; h != nil {
		if err := h(c.info(e)); err != nil {
			delete(e.conns, c)
			return err
		}
	}
	e.stats.conns.Add(1)
	e.stats.total.Add(1)
	return nil
}

// detach is the end of attach.
func (e *export) detach(c *conn, orderly bool, cause error) {
	e.hook.Lock()
	defer e.hook.Unlock()
	delete(e.conns, c)
	e.stats.conns.Add(-1)
	if h := c.srv.opts.OnDetach; h != nil {
		i := c.info(e)
		i.Orderly, i.Err = orderly, cause
		h(i)
	}
}
