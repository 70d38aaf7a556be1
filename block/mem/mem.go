// Package mem is a sparse disk in memory.
//
// Memory is used in chunks of 64 KiB that were written; everything else is a
// hole that reads as zeroes. Devices of any size cost nothing until they are
// written. Reads hand out the chunks themselves as segments: a write to a chunk
// that a reader still holds replaces it by a copy.
//
// Concurrent writes to one chunk are ordered, so bytes never mix within 64 KiB
// (aligned); beyond that nothing is promised. Nothing is durable: Flush
// succeeds and does nothing.
package mem

import (
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

const (
	chunkBytes = 64 << 10
	shards     = 64 // locks

	// MaxSize is the size in bytes of the largest disk.
	MaxSize = 1 << 62
)

// Device is a disk in memory.
type Device struct {
	gate   block.Gate
	size   atomic.Int64
	shards [shards]shard
}

var (
	_ block.Device       = (*Device)(nil)
	_ block.Zeroer       = (*Device)(nil)
	_ block.Discarder    = (*Device)(nil)
	_ block.FUAWriter    = (*Device)(nil)
	_ block.Extenter     = (*Device)(nil)
	_ block.Segmenter    = (*Device)(nil)
	_ block.CachedReader = (*Device)(nil)
	_ block.Resizer      = (*Device)(nil)
	_ block.Limiter      = (*Device)(nil)
)

// shard holds every chunk whose index is the shard's modulo shards, so that
// neighbouring chunks have different locks.
type shard struct {
	mu     sync.RWMutex
	chunks map[int64]*chunk // by index; a missing one is a hole
}

// chunk is chunkBytes of data, which do not change while pins is more than 0.
// Pins are added with the shard's lock held, for reading at least.
type chunk struct {
	data []byte
	pins atomic.Int64
}

// Release gives back a segment's pin.
func (c *chunk) Release() { c.pins.Add(-1) }

// New returns a disk of sizeBytes zeroes. It panics if that is negative or more
// than MaxSize.
func New(sizeBytes int64) *Device {
	if sizeBytes < 0 || sizeBytes > MaxSize {
		panic("mem: impossible size")
	}
	d := &Device{}
	d.size.Store(sizeBytes)
	return d
}

// FromBytes returns a disk that begins as a copy of p.
func FromBytes(p []byte) *Device {
	d := New(int64(len(p)))
	_, _ = d.WriteAt(p, 0) // cannot fail: it is open and fits
	return d
}

// Size returns the size in bytes.
func (d *Device) Size() int64 { return d.size.Load() }

// Limits says that everything but FUA, which is meaningless here, is real.
func (d *Device) Limits() block.Limits {
	return block.Limits{PreferredBlock: 4096, Discard: true, Zero: true, FastZero: true, FUA: true, Extents: true}
}

// Resize changes the size.
func (d *Device) Resize(sizeBytes int64) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	if sizeBytes < 0 || sizeBytes > MaxSize {
		return diskerr.ErrOutOfRange
	}
	old := d.size.Swap(sizeBytes)
	if sizeBytes < old { // what is cut off must not come back when it grows
		d.erase(sizeBytes, old-sizeBytes)
	}
	return nil
}

// Flush does nothing.
func (d *Device) Flush() error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	d.gate.Leave()
	return nil
}

// Close forgets the contents, but for segments that are not released yet.
func (d *Device) Close() error {
	if err := d.gate.Close(); err != nil {
		return err
	}
	for i := range d.shards {
		d.shards[i].chunks = nil
	}
	return nil
}

func (d *Device) shard(index int64) *shard { return &d.shards[index%shards] }

// piece returns the chunk that holds off, the place of off in it, and how many
// of the n bytes from off it holds.
func piece(off, n int64) (index, start, length int64) {
	index, start = off/chunkBytes, off%chunkBytes
	return index, start, min(n, chunkBytes-start)
}

// enter begins a call on [off, off+n). After nil the caller leaves the gate.
func (d *Device) enter(off, n int64) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	err := block.CheckRange(off, n, d.Size())
	if err != nil {
		d.gate.Leave()
	}
	return err
}
