package block

import "sync"

// SyncGroup merges concurrent syncs of one device. The zero SyncGroup is ready
// to use.
//
// A caller may join a sync that has not begun, never one that had begun before
// it called: such a sync may have passed over the caller's writes already. So
// at any time one sync runs and at most one waits, which all newcomers join
// and whose error they all get.
type SyncGroup struct {
	mu      sync.Mutex
	running bool
	next    *syncRound // waits for the running one; nil if none does
}

// syncRound is a sync that has not begun. Its first caller runs it.
type syncRound struct {
	begin chan struct{} // closed when it is this round's turn
	done  chan struct{} // closed when err is set
	err   error
}

// Do returns the error of a run of sync that began after Do was called. All
// callers of a group pass functions that do the same.
func (g *SyncGroup) Do(sync func() error) error {
	g.mu.Lock()
	if r := g.next; r != nil {
		g.mu.Unlock()
		<-r.done
		return r.err
	}
	if !g.running {
		g.running = true
		g.mu.Unlock()
		defer g.pass()
		return sync()
	}
	r := &syncRound{begin: make(chan struct{}), done: make(chan struct{})}
	g.next = r
	g.mu.Unlock()

	<-r.begin
	defer g.pass()
	defer close(r.done)
	r.err = sync()
	return r.err
}

// pass ends the running sync and lets the waiting one begin. From here on
// nobody can join that one.
func (g *SyncGroup) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.running = false
		return
	}
	close(g.next.begin)
	g.next = nil
}
