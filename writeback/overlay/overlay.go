package overlay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/qcow2"
)

// Options tune Open. The zero value has no limits.
type Options struct {
	// LimitBytes bounds the clusters of the image, 0 is no limit. The file is
	// larger by its tables, about one part in 500, and by what qcow2 takes in
	// advance.
	LimitBytes int64
	// ReserveBytes is the room of the file system that only metadata may fill.
	ReserveBytes int64
	// FreeBytes returns the room that is left on the file system of the image.
	// Nil leaves it unwatched.
	FreeBytes func() (int64, error)
	// Charge returns how much room it will take to carry a change of a range to
	// where it belongs, beside the image; keep says that the change is made. It is
	// asked about changes that take room in the image, and counted until the epoch
	// that they are part of has ended with Commit. Nil means that nothing is
	// carried anywhere.
	Charge func(off, n int64, keep bool) int64
	// CarryFree is FreeBytes of the file system where that room is taken; nil
	// if it is the same.
	CarryFree func() (int64, error)
	// IsMetadata reports whether a range consists of what must stay writable
	// at the limit. Nil means nothing does.
	IsMetadata func(off, n int64) bool
	// MetadataBytes is the room that all such ranges can take. It is set aside
	// within LimitBytes, but for half of that at most.
	MetadataBytes int64
	// OnWrite is told of each change of the disk after it was made and before
	// it is answered. It is called concurrently and must not block.
	OnWrite func(off, n int64)
	// TempDir is the folder of side files; "" is the system's.
	TempDir string
	// Unclean says that the image was not closed: clusters that nothing uses
	// are freed first.
	Unclean bool
}

// Disk is a base with an image over it. It implements every capability of a
// block.Device; Discard does nothing.
type Disk struct {
	gate block.Gate
	img  *qcow2.Image
	base block.Device // belongs to img
	size int64
	o    Options
	room room
	did  activity

	// written are the sectors that are in the image. A sector may be here a
	// moment before it is there, never the other way round.
	written *bitmap

	// moment is held for reading by every change from before its first note
	// until it is made, and for writing to begin and end an epoch.
	moment sync.RWMutex
	since  *bitmap // written since the last epoch
	epoch  *Epoch  // the open one, or nil
}

var (
	_ block.Device       = (*Disk)(nil)
	_ block.Zeroer       = (*Disk)(nil)
	_ block.Discarder    = (*Disk)(nil)
	_ block.FUAWriter    = (*Disk)(nil)
	_ block.FileWriter   = (*Disk)(nil)
	_ block.Limiter      = (*Disk)(nil)
	_ block.Extenter     = (*Disk)(nil)
	_ block.Segmenter    = (*Disk)(nil)
	_ block.CachedReader = (*Disk)(nil)
)

// baseName is what the image has for the name of its backing file: no name of
// a file, so that no other program opens the wrong one.
const baseName = "the live disk of fatkit serve --rw"

// Create makes file the empty image of a disk of sizeBytes. It is durable when
// Create returns; file stays the caller's.
func Create(file block.Device, sizeBytes int64) error {
	return qcow2.Create(file, sizeBytes, qcow2.CreateOptions{
		ClusterBytes: clusterBytes, ExtendedL2: true, BackingName: baseName, BackingFormat: "raw",
	})
}

// Open opens the image in file over base. Both belong to the Disk from then on;
// after an error they still belong to the caller.
func Open(ctx context.Context, file, base block.Device, o Options) (*Disk, error) {
	if base.Size()%sectorBytes != 0 {
		return nil, fmt.Errorf("overlay: a disk of %d bytes does not consist of sectors of %d", base.Size(), sectorBytes)
	}
	if o.Unclean {
		if _, err := qcow2.Repair(ctx, file, qcow2.RepairLeaks); err != nil {
			return nil, fmt.Errorf("overlay: %w", err)
		}
	}
	img, err := qcow2.Open(file, qcow2.Options{
		Mode: qcow2.WriteThrough, DataCacheBytes: -1,
		Backing: func(qcow2.BackingRef) (block.Device, error) { return base, nil },
	})
	if err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	d := &Disk{img: img, base: base, size: base.Size(), o: o}
	if g := img.Geometry(); img.Size() != d.size || g.SubclusterBytes() != sectorBytes || g.ClusterBytes() != clusterBytes {
		return nil, fmt.Errorf("overlay: the image is for a disk of %d bytes with sectors of %d, not for this one of %d",
			img.Size(), g.SubclusterBytes(), d.size)
	}
	// Nothing was changed so far, so an image that is left like this is as it was.
	if err := d.load(ctx); err != nil {
		return nil, fmt.Errorf("overlay: %w", err)
	}
	return d, nil
}

// loadWindow is how much of the disk is looked at in one step, in bytes.
const loadWindow = 1 << 30

// load finds out what is in the image. All of it counts as written since the
// last epoch: nobody knows what became of that.
func (d *Disk) load(ctx context.Context) error {
	count := d.size / sectorBytes
	d.written, d.since, d.room.stored = newBitmap(count), newBitmap(count), newBitmap(count)
	d.did.init()
	d.room.metadata.Store(min(d.o.MetadataBytes, d.o.LimitBytes/2) / clusterBytes)
	var extents []qcow2.MapExtent
	for off := int64(0); off < d.size; off += loadWindow {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if extents, err = d.img.AppendMap(extents[:0], off, min(loadWindow, d.size-off)); err != nil {
			return err
		}
		for _, e := range extents {
			if e.State == qcow2.Absent {
				continue
			}
			i, end := sectors(e.Off, e.Len)
			d.since.set(i, end)
			d.written.set(i, end)
			if e.FileOff >= 0 {
				d.room.take(d, i, end)
			}
			d.did.writes.Store(1)
		}
	}
	return nil
}

// Size returns the size of the disk in bytes.
func (d *Disk) Size() int64 { return d.size }

// Limits describes the disk. Discard is not listed: it frees nothing.
func (d *Disk) Limits() block.Limits {
	return block.Limits{MinBlock: 1, PreferredBlock: 4096, Zero: true, FastZero: true, FUA: true, Extents: true}
}

// Flush makes every change that was answered before durable.
func (d *Disk) Flush() error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	if err := d.img.Flush(); err != nil {
		return err
	}
	d.did.flush()
	return nil
}

// Close gives up an open epoch, flushes, and closes image and base.
func (d *Disk) Close() error {
	if err := d.gate.Close(); err != nil {
		return err
	}
	var err error
	if e := d.openEpoch(); e != nil {
		if err = e.Abort(); errors.Is(err, fs.ErrClosed) {
			err = nil // it ended by itself meanwhile
		}
	}
	return errors.Join(err, d.img.Close())
}

// Allocated appends the ranges of [off, off+n) that the guest ever wrote, in
// order.
func (d *Disk) Allocated(dst []Range, off, n int64) ([]Range, error) {
	if err := block.CheckRange(off, n, d.size); err != nil {
		return dst, err
	}
	return appendRanges(dst, d.written, off, n), nil
}

// Range is a piece of the disk: whole sectors of 512 bytes.
type Range struct{ Off, Len int64 }

// appendRanges appends the parts of [off, off+n), rounded to sectors, that are
// in b.
func appendRanges(dst []Range, b *bitmap, off, n int64) []Range {
	i, end := sectors(off, n)
	for i < end {
		in, next := b.run(i, end)
		if in {
			dst = append(dst, Range{i * sectorBytes, (next - i) * sectorBytes})
		}
		i = next
	}
	return dst
}

// sectors returns the sectors that [off, off+n) touches.
func sectors(off, n int64) (first, end int64) {
	if n == 0 {
		return 0, 0
	}
	return off / sectorBytes, (off + n + sectorBytes - 1) / sectorBytes
}
