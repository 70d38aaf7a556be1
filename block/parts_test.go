package block

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestGateWaits(t *testing.T) {
	var g Gate
	if err := g.Enter(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- g.Close() }()
	for g.Enter() == nil { // until Close has begun
		g.Leave()
	}
	select {
	case <-closed:
		t.Fatal("Close returned while a call was under way")
	case <-time.After(10 * time.Millisecond):
	}
	g.Leave()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

// Many goroutines enter and leave while one closes; after Close nobody is in.
func TestGateUnderLoad(t *testing.T) {
	for range 200 {
		var g Gate
		var inside atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for g.Enter() == nil {
					inside.Add(1)
					inside.Add(-1)
					g.Leave()
				}
			}()
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		if n := inside.Load(); n != 0 {
			t.Fatalf("%d calls under way after Close", n)
		}
		wg.Wait()
	}
}

// A sync covers exactly the writes before it, so a caller must get one that
// began after it called, and merging must happen nevertheless.
func TestSyncGroupCoversCallers(t *testing.T) {
	var g SyncGroup
	var written, durable, syncs atomic.Int64
	sync1 := func() error {
		syncs.Add(1)
		w := written.Load()
		time.Sleep(50 * time.Microsecond)
		durable.Store(w)
		return nil
	}
	var wg sync.WaitGroup
	const callers, rounds = 16, 50
	for range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range rounds {
				mine := written.Add(1)
				if err := g.Do(sync1); err != nil {
					t.Error(err)
				}
				if d := durable.Load(); d < mine {
					t.Errorf("write %d returned from Do with %d durable", mine, d)
				}
			}
		}()
	}
	wg.Wait()
	if n := syncs.Load(); n >= callers*rounds {
		t.Errorf("%d syncs for %d calls: nothing was merged", n, callers*rounds)
	}
}

// Those who join a sync get its error, those before and after get theirs.
func TestSyncGroupSharesErrors(t *testing.T) {
	var g SyncGroup
	running, release := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- g.Do(func() error { close(running); <-release; return nil })
	}()
	<-running
	bad := errors.New("bad")
	const joiners = 5
	joined := make(chan error, joiners)
	for range joiners {
		go func() { joined <- g.Do(func() error { return bad }) }()
	}
	for { // until one of them waits for its turn
		g.mu.Lock()
		waiting := g.next != nil
		g.mu.Unlock()
		if waiting {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first sync got %v", err)
	}
	for range joiners {
		if err := <-joined; err != bad {
			t.Errorf("a joiner got %v", err)
		}
	}
	if err := g.Do(func() error { return nil }); err != nil {
		t.Errorf("a later sync got %v", err)
	}
}
