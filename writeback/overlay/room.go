package overlay

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/diskerr"
)

// room watches how much more the image may grow.
type room struct {
	stored *bitmap      // sectors whose cluster has room in the image
	used   atomic.Int64 // clusters of the image

	// budget is how many more bytes may be taken until the file system is
	// asked again, or askedAt is too long ago: others fill it as well.
	budget  atomic.Int64
	askedAt atomic.Int64 // nanoseconds since activity.start
	mu      sync.Mutex   // held while the file system is asked
}

const (
	askEvery = 500 * time.Millisecond
	// askBytes is how much may be taken before the file system is asked again.
	askBytes = 64 << 20
)

// take notes that the clusters of the sectors [i, end) have room.
func (r *room) take(i, end int64) { r.used.Add(r.stored.set(i, end)) }

// ask refuses a change of the sectors [i, end), which are [off, off+n), if
// there is no room for it.
func (r *room) ask(d *Disk, i, end, off, n int64) error {
	if d.o.LimitBytes == 0 && d.o.FreeBytes == nil {
		return nil
	}
	need := r.stored.missing(i, end) * clusterBytes
	if need == 0 {
		return nil
	}
	err := r.check(d, need)
	if err != nil && d.o.IsMetadata != nil && d.o.IsMetadata(off, n) {
		return nil // the reserve is there for it
	}
	if err != nil {
		d.did.refused.Add(1)
	}
	return err
}

func (r *room) check(d *Disk, need int64) error {
	if limit := d.o.LimitBytes; limit > 0 {
		if left := limit - r.used.Load()*clusterBytes; need > left {
			return &diskerr.NoSpaceError{What: "overlay", Needed: need, Available: max(left, 0),
				Hint: "--overlay-limit says how large it may grow"}
		}
	}
	if d.o.FreeBytes == nil {
		return nil
	}
	now := int64(time.Since(d.did.start))
	if now-r.askedAt.Load() < int64(askEvery) && r.budget.Add(-need) >= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := d.o.FreeBytes()
	if err != nil {
		return err
	}
	left := free - d.o.ReserveBytes
	r.budget.Store(min(left-need, askBytes))
	r.askedAt.Store(now)
	if need > left {
		return &diskerr.NoSpaceError{What: "file system of the overlay", Needed: need, Available: max(left, 0)}
	}
	return nil
}
