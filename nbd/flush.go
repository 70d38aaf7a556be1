package nbd

import (
	"sync"

	"github.com/fatkit/fatkit/block"
)

// flushGroup merges the flushes of an export. A flush joins one that has not
// begun, never one that has, since that need not cover the writes which were
// answered in the meantime.
type flushGroup struct {
	device block.Device

	mu      sync.Mutex
	current *flushRound // under way
	next    *flushRound // waits for current
}

// flushRound is one flush of the device for everyone who waits for done.
type flushRound struct {
	done chan struct{}
	err  error // valid when done is closed
}

// busy reports whether a flush is under way, so that another would be shared.
func (g *flushGroup) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current != nil
}

// flush returns when every write that returned before it was called is
// durable.
func (g *flushGroup) flush() error {
	g.mu.Lock()
	if r := g.next; r != nil {
		g.mu.Unlock()
		<-r.done
		return r.err
	}
	r := &flushRound{done: make(chan struct{})}
	if before := g.current; before != nil {
		g.next = r
		g.mu.Unlock()
		<-before.done
		g.mu.Lock()
		g.next = nil
	}
	g.current = r
	g.mu.Unlock()
	r.err = g.device.Flush()
	g.mu.Lock()
	g.current = nil
	g.mu.Unlock()
	close(r.done)
	return r.err
}
