package block

import (
	"io/fs"
	"sync"
	"sync/atomic"
)

// Gate counts the calls under way on a device, so that Close can refuse new
// ones and wait for the rest. The zero Gate is open. Enter and Leave cost one
// atomic operation each and never block.
type Gate struct {
	state atomic.Int64 // calls under way, plus gateClosed once closed
	mu    sync.Mutex   // held by Close
	idle  chan struct{}
}

const gateClosed = 1 << 62

// Enter begins a call, or returns fs.ErrClosed. After nil the caller calls
// Leave exactly once.
func (g *Gate) Enter() error {
	if g.state.Add(1) >= gateClosed {
		g.Leave()
		return fs.ErrClosed
	}
	return nil
}

// Leave ends a call that Enter let in.
func (g *Gate) Leave() {
	if g.state.Add(-1) != gateClosed {
		return
	}
	select {
	case g.idle <- struct{}{}:
	default: // Close was told already, or did not have to wait
	}
}

// Close refuses new calls and returns when those under way have left. A gate
// that is closed already gives fs.ErrClosed, once it is idle.
func (g *Gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Load() >= gateClosed {
		return fs.ErrClosed
	}
	g.idle = make(chan struct{}, 1) // visible to Leave through state
	if g.state.Add(gateClosed) != gateClosed {
		<-g.idle
	}
	return nil
}
