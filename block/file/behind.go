package file

import (
	"sync"
	"sync/atomic"
)

// behindBytes is how much is written before the host is told to begin carrying
// it to the medium.
const behindBytes = 32 << 20

// behind makes the host write early what would otherwise wait for Flush.
type behind struct {
	on      bool
	written atomic.Int64 // since the host was last told
	telling sync.Mutex
}

// wrote counts n bytes that were written. Every now and then it has the host
// start on them, which may take as long as the queue of the medium is full; one
// caller at a time waits for that. It is a hint: errors show up in Flush.
func (d *Device) wrote(n int64) {
	b := &d.behind
	if !b.on || b.written.Add(n) < behindBytes || !b.telling.TryLock() {
		return
	}
	defer b.telling.Unlock()
	b.written.Store(0)
	d.sys.startWriting(d.h.f)
}
