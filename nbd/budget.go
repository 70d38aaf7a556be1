package nbd

import (
	"sync"
	"sync/atomic"
)

// Memory that one connection may hold, in bytes.
const (
	// connAllowance is always there for a connection, whatever others hold,
	// so that clients which stop reading cannot starve those that do not.
	connAllowance = 1 << 20
	// connMemory bounds what a connection holds in all. A single request may
	// exceed it when nothing else is held.
	connMemory = 72 << 20
)

// budget is a pool of memory that the connections of a server share, first
// come, first served. It counts; it does not allocate.
type budget struct {
	mu      sync.Mutex
	free    int64
	size    int64
	waiting []*claim // in order of arrival
}

// claim is a wait for memory.
type claim struct {
	n     int64
	ready chan struct{} // closed when granted
}

func newBudget(size int64) *budget { return &budget{free: size, size: size} }

// acquire takes n bytes, waiting if need be. It returns false when cancel is
// closed first. A claim larger than the whole budget waits for all of it.
func (b *budget) acquire(n int64, cancel <-chan struct{}) (taken int64, ok bool) {
	n = min(n, b.size)
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free >= n {
		b.free -= n
		b.mu.Unlock()
		return n, true
	}
	c := &claim{n: n, ready: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	select {
	case <-c.ready:
		return n, true
	case <-cancel:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.grant()
			return 0, false
		}
	}
	b.free += n // granted just now
	b.grant()
	return 0, false
}

// try is acquire without the wait.
func (b *budget) try(n int64) (taken int64, ok bool) {
	n = min(n, b.size)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || b.free < n {
		return 0, false
	}
	b.free -= n
	return n, true
}

// release gives n bytes back.
func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grant()
}

// grant serves the waiting claims. The caller holds mu.
func (b *budget) grant() {
	for len(b.waiting) > 0 && b.waiting[0].n <= b.free {
		c := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.free -= c.n
		close(c.ready)
	}
}

// account is what one connection holds. Only its reader acquires; anyone
// releases.
type account struct {
	parent *budget
	used   atomic.Int64
	wake   chan struct{} // capacity 1: something was released
	cancel <-chan struct{}
}

// hold is memory taken from an account; release gives it back. The zero hold
// is nothing.
type hold struct {
	n      int64 // bytes of the account
	shared int64 // bytes of the parent
}

// acquire takes n bytes, waiting while the connection or the server holds
// too much. It returns false when the connection ends first.
func (a *account) acquire(n int64) (hold, bool) {
	for !a.fits(n) {
		select {
		case <-a.wake:
		case <-a.cancel:
			return hold{}, false
		}
	}
	h := hold{n: n}
	if a.used.Add(n) > connAllowance {
		var ok bool
		if h.shared, ok = a.parent.acquire(n, a.cancel); !ok {
			a.release(hold{n: n})
			return hold{}, false
		}
	}
	return h, true
}

// try is acquire without the wait.
func (a *account) try(n int64) (hold, bool) {
	if !a.fits(n) {
		return hold{}, false
	}
	h := hold{n: n}
	if a.used.Load()+n > connAllowance {
		var ok bool
		if h.shared, ok = a.parent.try(n); !ok {
			return hold{}, false
		}
	}
	a.used.Add(n)
	return h, true
}

// fits reports whether the connection may hold n bytes more.
func (a *account) fits(n int64) bool {
	used := a.used.Load()
	return used == 0 || used+n <= connMemory
}

// release gives back what acquire took.
func (a *account) release(h hold) {
	if h.n == 0 {
		return
	}
	a.used.Add(-h.n)
	if h.shared > 0 {
		a.parent.release(h.shared)
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
