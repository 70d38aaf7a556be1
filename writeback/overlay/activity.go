package overlay

import (
	"sync/atomic"
	"time"
)

// Activity is what a disk has seen so far.
type Activity struct {
	Writes       uint64 // changes of all kinds; what was in the image when it was opened counts as one
	WrittenBytes uint64
	LastWrite    time.Time // zero if there was none
	Flushes      uint64
	LastFlush    time.Time

	UsedBytes  int64  // clusters of the image
	LimitBytes int64  // 0 if there is none
	Refused    uint64 // changes that failed for want of room
}

// activity counts. Its methods cost some atomic operations.
type activity struct {
	writes, bytes, flushes, refused atomic.Uint64
	lastWrite, lastFlush            atomic.Int64 // nanoseconds since start; 0 for never
	start                           time.Time
	wake                            chan struct{}
}

func (a *activity) init() {
	a.start = time.Now().Add(-1) // so that nothing happens at 0
	a.wake = make(chan struct{}, 1)
}

func (a *activity) write(n int64) {
	a.writes.Add(1)
	a.bytes.Add(uint64(n))
	a.lastWrite.Store(int64(time.Since(a.start)))
	a.notify()
}

func (a *activity) flush() {
	a.flushes.Add(1)
	a.lastFlush.Store(int64(time.Since(a.start)))
	a.notify()
}

func (a *activity) notify() {
	if len(a.wake) > 0 {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// at returns the time of a stored moment.
func (a *activity) at(since *atomic.Int64) time.Time {
	if n := since.Load(); n != 0 {
		return a.start.Add(time.Duration(n))
	}
	return time.Time{}
}

// Activity returns what the disk has seen so far.
func (d *Disk) Activity() Activity {
	a := &d.did
	return Activity{
		Writes: a.writes.Load(), WrittenBytes: a.bytes.Load(), LastWrite: a.at(&a.lastWrite),
		Flushes: a.flushes.Load(), LastFlush: a.at(&a.lastFlush),
		UsedBytes: d.room.used.Load() * clusterBytes, LimitBytes: d.o.LimitBytes, Refused: a.refused.Load(),
	}
}

// Notify returns a channel that receives after changes and flushes: at least
// once after the last one that Activity has not told of yet.
func (d *Disk) Notify() <-chan struct{} { return d.did.wake }
