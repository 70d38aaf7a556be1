package overlay

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/diskerr"
)

// room watches how much more the image may grow.
//
// What a guest writes takes room twice: in the image, and again where a commit
// carries it to. A guest is refused while both would not fit, since a commit
// that finds the disk full would hold up everything after it.
type room struct {
	stored   *bitmap      // sectors whose cluster has room in the image
	used     atomic.Int64 // clusters of the image
	metadata atomic.Int64 // clusters that are set aside and not used yet

	// What it will take to carry what was written, in bytes: since the last
	// epoch, in the open one, and what commits could not carry.
	charged, frozen, debt atomic.Int64

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
	// While a commit is under way its files take room and are charged still. A
	// change that lacks room then waits until that is over, but not for longer.
	patience  = 3 * time.Second
	askPeriod = 10 * time.Millisecond
)

// take notes that the clusters of the sectors [i, end) have room.
func (r *room) take(d *Disk, i, end int64) {
	more := r.stored.set(i, end)
	r.used.Add(more)
	if more > 0 && r.metadata.Load() > 0 && d.o.IsMetadata != nil && d.o.IsMetadata(i*sectorBytes, (end-i)*sectorBytes) {
		r.metadata.Add(-more)
	}
}

// charge counts what it takes to carry a change of the sectors [i, end), which
// are [off, off+n) and about to be made.
func (r *room) charge(d *Disk, i, end, off, n int64) {
	if d.o.Charge != nil && r.stored.missing(i, end) > 0 {
		r.charged.Add(d.o.Charge(off, n, true))
	}
}

// SetDebt says how much room it takes to carry what the epochs before had and no
// commit has carried.
func (d *Disk) SetDebt(bytes int64) { d.room.debt.Store(bytes) }

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
	err := r.check(d, need, off, n)
	if err != nil && d.o.IsMetadata != nil && d.o.IsMetadata(off, n) {
		return nil // the reserve is there for it
	}
	for since := time.Now(); err != nil && d.openEpoch() != nil && time.Since(since) < patience; {
		time.Sleep(askPeriod)
		err = r.check(d, need, off, n)
	}
	if err != nil {
		d.did.refused.Add(1)
	}
	return err
}

func (r *room) check(d *Disk, need, off, n int64) error {
	if limit := d.o.LimitBytes; limit > 0 {
		if left := limit - (r.used.Load()+max(r.metadata.Load(), 0))*clusterBytes; need > left {
			return &diskerr.NoSpaceError{What: "overlay", Needed: need, Available: max(left, 0),
				Hint: "--overlay-limit says how large it may grow"}
		}
	}
	if d.o.FreeBytes == nil {
		return nil
	}
	carry := int64(0)
	if d.o.Charge != nil {
		carry = d.o.Charge(off, n, false)
	}
	now := int64(time.Since(d.did.start))
	if now-r.askedAt.Load() < int64(askEvery) && r.budget.Add(-need-carry) >= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	left, err := r.left(d, need, carry)
	if err != nil {
		return err
	}
	r.budget.Store(min(left, askBytes))
	r.askedAt.Store(now)
	if left < 0 {
		return &diskerr.NoSpaceError{What: "file system of the overlay or of the directory", Needed: need + carry, Available: max(left+need+carry, 0)}
	}
	return nil
}

// left returns how many bytes remain free when need more are taken by the image
// and carry more where it is carried to. The caller holds mu.
func (r *room) left(d *Disk, need, carry int64) (int64, error) {
	free, err := d.o.FreeBytes()
	if err != nil {
		return 0, err
	}
	free -= d.o.ReserveBytes + need
	carry += r.charged.Load() + r.frozen.Load() + r.debt.Load()
	if d.o.CarryFree == nil {
		return free - carry, nil
	}
	there, err := d.o.CarryFree()
	return min(free, there-d.o.ReserveBytes-carry), err
}
