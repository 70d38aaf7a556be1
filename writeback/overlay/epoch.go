package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
)

// ErrFrozen says that an epoch is open already.
var ErrFrozen = errors.New("overlay: an epoch is open already")

// ErrLost says that an epoch could not keep what the guest has overwritten
// since: take a new one.
var ErrLost = errors.New("overlay: the frozen state is lost")

// Epoch is the disk at one moment, a read-only block.Device. It is open until
// Commit, Abort or Close, whichever comes first.
type Epoch struct {
	d    *Disk
	gate block.Gate

	written *bitmap // since the epoch before
	charged int64   // what it takes to carry them, in bytes

	// moved are the sectors that were written since the freeze, aside those of
	// them whose old bytes are in the side file. A writer sets both before it writes.
	moved, aside *bitmap
	locks        [saveLocks]sync.Mutex // of regions: what decides about moved
	sideMu       sync.Mutex
	side         atomic.Pointer[file.Device] // made by the first who needs it
	lost         atomic.Pointer[error]
}

var (
	_ block.Device    = (*Epoch)(nil)
	_ block.Segmenter = (*Epoch)(nil)
	_ block.Extenter  = (*Epoch)(nil)
	_ block.Limiter   = (*Epoch)(nil)
)

// A region is what one writer at a time moves aside.
const (
	saveLocks     = 64
	regionSectors = 2048
)

// Freeze begins an epoch at this moment and makes all of it durable. It waits
// for changes that are under way. There is one epoch at a time.
func (d *Disk) Freeze(ctx context.Context) (*Epoch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.gate.Enter(); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	n := d.size / sectorBytes
	e := &Epoch{d: d, moved: newBitmap(n), aside: newBitmap(n)}
	d.moment.Lock()
	if d.epoch != nil {
		d.moment.Unlock()
		return nil, ErrFrozen
	}
	e.written, d.since, d.epoch = d.since, newBitmap(n), e
	e.charged = d.room.charged.Swap(0)
	d.room.frozen.Store(e.charged)
	d.moment.Unlock()
	// A flush from here on covers every change before the moment.
	if err := d.img.Flush(); err != nil {
		return nil, errors.Join(err, e.Abort())
	}
	return e, nil
}

// openEpoch returns the open epoch, or nil.
func (d *Disk) openEpoch() *Epoch {
	d.moment.RLock()
	defer d.moment.RUnlock()
	return d.epoch
}

// Commit ends the epoch: what was written before it is dealt with.
func (e *Epoch) Commit() error { return e.end(false) }

// Abort ends the epoch: what was written before it belongs to the next one as
// well.
func (e *Epoch) Abort() error { return e.end(true) }

// Close is Abort, unless the epoch has ended.
func (e *Epoch) Close() error { return e.Abort() }

// end ends the epoch once; later calls are fs.ErrClosed.
func (e *Epoch) end(merge bool) error {
	if err := e.gate.Close(); err != nil {
		return err
	}
	e.d.moment.Lock()
	if merge {
		e.d.since.addAll(e.written)
		e.d.room.charged.Add(e.charged)
	}
	e.d.room.frozen.Store(0)
	e.d.epoch = nil
	e.d.moment.Unlock()
	if side := e.side.Load(); side != nil {
		return side.Close()
	}
	return nil
}

// Written appends the ranges that were written since the epoch before, in
// order.
func (e *Epoch) Written(dst []Range) []Range { return appendRanges(dst, e.written, 0, e.d.size) }

// WrittenIn appends those of [off, off+n).
func (e *Epoch) WrittenIn(dst []Range, off, n int64) []Range {
	if block.CheckRange(off, n, e.d.size) != nil {
		return dst
	}
	return appendRanges(dst, e.written, off, n)
}

// WrittenBytes returns how much was written since the epoch before.
func (e *Epoch) WrittenBytes() int64 { return e.written.count() * sectorBytes }

// save moves the sectors [i, end) aside that were not yet. The caller holds
// Disk.moment for reading and has not written them.
func (e *Epoch) save(i, end int64) {
	for i < end {
		next := min((i/regionSectors+1)*regionSectors, end)
		if done, all := e.moved.run(i, next); !done || all < next {
			e.saveRegion(i, next)
		}
		i = next
	}
}

func (e *Epoch) saveRegion(i, end int64) {
	mu := &e.locks[i/regionSectors%saveLocks]
	mu.Lock()
	defer mu.Unlock()
	for i < end {
		done, next := e.moved.run(i, end)
		if !done {
			e.saveRun(i, next)
		}
		i = next
	}
}

// saveRun moves sectors of one region aside, none of which was. The caller
// holds the region's lock.
func (e *Epoch) saveRun(first, end int64) {
	for i := first; i < end; {
		stored, next := e.d.written.run(i, end)
		if stored && e.lost.Load() == nil {
			if err := e.toSide(i, next); err != nil {
				err = fmt.Errorf("%w: %w", ErrLost, err)
				e.lost.CompareAndSwap(nil, &err)
			}
			e.aside.set(i, next)
		}
		i = next
	}
	e.moved.set(first, end)
}

// toSide copies sectors as they are now into the side file.
func (e *Epoch) toSide(i, end int64) error {
	side, err := e.sideFile()
	if err != nil {
		return err
	}
	p := make([]byte, (end-i)*sectorBytes)
	if err := block.ReadFull(e.d.img, p, i*sectorBytes); err != nil {
		return err
	}
	_, err = side.WriteAt(p, i*sectorBytes)
	return err
}

// sideFile returns the side file, which the first call makes.
func (e *Epoch) sideFile() (*file.Device, error) {
	if side := e.side.Load(); side != nil {
		return side, nil
	}
	e.sideMu.Lock()
	defer e.sideMu.Unlock()
	if side := e.side.Load(); side != nil {
		return side, nil
	}
	side, err := file.CreateTemp(e.d.o.TempDir, e.d.size)
	if err == nil {
		e.side.Store(side)
	}
	return side, err
}

// ReadAt reads the disk as it was at the freeze.
func (e *Epoch) ReadAt(p []byte, off int64) (int, error) {
	if err := e.gate.Enter(); err != nil {
		return 0, err
	}
	defer e.gate.Leave()
	p, eof := block.ClipRead(p, off, e.d.size)
	if len(p) == 0 {
		return 0, eof
	}
	if err := e.read(p, off); err != nil {
		return 0, err
	}
	return len(p), eof
}

// read fills p. The live disk comes first: a sector that is not noted as moved
// afterwards was not written before.
func (e *Epoch) read(p []byte, off int64) error {
	liveErr := block.ReadFull(e.d.img, p, off)
	i, end := sectors(off, int64(len(p)))
	for i < end {
		moved, next := e.moved.run(i, end)
		if moved {
			if err := e.readMoved(p, off, i, next); err != nil {
				return err
			}
		} else if liveErr != nil {
			return liveErr
		}
		i = next
	}
	return nil
}

// readMoved replaces the part of p, which lies at off, that is in the sectors
// [i, end), all of which were moved.
func (e *Epoch) readMoved(p []byte, off, i, end int64) error {
	if err := e.lost.Load(); err != nil {
		return *err
	}
	for i < end {
		aside, next := e.aside.run(i, end)
		from := max(i*sectorBytes, off)
		part := p[from-off : min(next*sectorBytes, off+int64(len(p)))-off]
		src := e.d.base
		if aside {
			src = e.side.Load()
		}
		if err := block.ReadFull(src, part, from); err != nil {
			return err
		}
		i = next
	}
	return nil
}

// AppendSegments passes segments of the base on and copies everything else.
func (e *Epoch) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := e.gate.Enter(); err != nil {
		return dst, err
	}
	defer e.gate.Leave()
	if err := block.CheckRange(off, n, e.d.size); err != nil {
		return dst, err
	}
	read := func(p []byte, off int64) (int, error) { return len(p), e.read(p, off) }
	return segments(dst, e.d.base, read, off, n, func(i, end int64) (bool, int64) {
		in, next := e.d.written.run(i, end)
		return !in, next
	})
}

// AppendExtents tells nothing of what was written since the freeze.
func (e *Epoch) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	return dst, errors.ErrUnsupported
}

// Size returns the size of the disk in bytes.
func (e *Epoch) Size() int64 { return e.d.size }

// Limits describes the epoch.
func (e *Epoch) Limits() block.Limits {
	return block.Limits{ReadOnly: true, MinBlock: 1, PreferredBlock: 4096}
}

// WriteAt refuses.
func (e *Epoch) WriteAt(p []byte, off int64) (int, error) { return 0, e.refuse() }

// Flush has nothing to do.
func (e *Epoch) Flush() error {
	if errors.Is(e.refuse(), fs.ErrClosed) {
		return fs.ErrClosed
	}
	return nil
}

// refuse returns why nothing is written here.
func (e *Epoch) refuse() error {
	if err := e.gate.Enter(); err != nil {
		return err
	}
	e.gate.Leave()
	return diskerr.ErrReadOnly
}

var _ io.Closer = (*Epoch)(nil)
