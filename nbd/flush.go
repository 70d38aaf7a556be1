package nbd

import (
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
)

// flushGroup merges the flushes of an export: those that arrive while one is
// under way share the next.
type flushGroup struct {
	device  block.Device
	syncs   block.SyncGroup
	running atomic.Int32 // calls of flush under way
}

// flush returns when every write that returned before it was called is
// durable.
func (g *flushGroup) flush() error {
	g.running.Add(1)
	defer g.running.Add(-1)
	return g.syncs.Do(g.device.Flush)
}

// busy reports whether a flush is under way, so that another would be shared.
func (g *flushGroup) busy() bool { return g.running.Load() > 0 }
