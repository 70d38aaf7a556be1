// Package crash simulates power cuts: a disk in memory that remembers every
// change, and can tell afterwards what a disk might hold if the power had
// failed at any moment of its life.
//
// A test runs a script of operations on a [Device] once, and then looks at
// every moment:
//
//	d := crash.New(size)
//	script(d)                     // notes d.Events() after whatever must last
//	for k := range d.Events() + 1 {
//		for seed := range uint64(seeds) {
//			img := d.Cut(k, seed) // open it, check it, compare with the notes
//		}
//	}
//
// The image is a Device again, so that recovery can be cut as well.
//
// # Model
//
// A disk has a cache. Each change that was answered is in it, cut into sectors
// of 512 bytes; the disk writes them to the medium in any order, at any time. So
// after a cut each sector holds any one of: what the last flush made durable, or
// what one of the later changes put there. Sectors are never torn
// themselves, and nothing else happens to them.
//
//   - A Flush that was answered makes all changes durable that were answered
//     before. A flush under way at the cut promises nothing.
//   - A WriteAtFUA that was answered has made its own sectors durable, and
//     nothing else.
//   - A change under way at the cut may have happened in any of its sectors.
//   - WriteZeroes is a write of zeroes. Discard may have happened or not,
//     sector by sector, and reads as zeroes where it did.
//   - A change of a part of a sector is a change of the sector, as it then
//     reads: systems hand whole sectors to a disk.
//
// Every change is kept for the life of the device, and cuts look at each sector
// of it, so this is for disks and scripts of a test's size.
//
// [Device.Kill] is the other end: the system survives and only the program dies.
// Everything answered is there; only the change under way may be torn.
package crash

import (
	"fmt"
	"sync"

	"github.com/fatkit/fatkit/block"
)

// sectorBytes is what a disk writes as a whole.
const sectorBytes = 512

// Device is a disk that remembers. Its methods may be called concurrently;
// changes are ordered by when they get hold of it.
type Device struct {
	gate block.Gate
	size int64

	mu     sync.RWMutex
	live   *image // what reads see
	events []event
	points []point // in order of event
}

// point is a moment at which everything was durable.
type point struct {
	events int // how many had happened
	img    *image
}

// pointDistance is how many events there are between points at least. It
// bounds the work of Cut and the memory for points.
const pointDistance = 64

var (
	_ block.Device       = (*Device)(nil)
	_ block.Zeroer       = (*Device)(nil)
	_ block.Discarder    = (*Device)(nil)
	_ block.FUAWriter    = (*Device)(nil)
	_ block.CachedReader = (*Device)(nil)
	_ block.Limiter      = (*Device)(nil)
)

// New returns a disk of sizeBytes zeroes.
func New(sizeBytes int64) *Device { return from(newImage(), sizeBytes) }

// From returns a disk that begins as a copy of d.
func From(d block.Device) (*Device, error) {
	img := newImage()
	buf := make([]byte, 1<<20)
	for e, err := range block.Extents(d, 0, d.Size()) {
		if err != nil {
			return nil, err
		}
		if e.Flags&block.Zero != 0 {
			continue
		}
		for e.Len > 0 {
			p := buf[:min(e.Len, int64(len(buf)))]
			if err := block.ReadFull(d, p, e.Off); err != nil {
				return nil, err
			}
			img.write(p, e.Off)
			e.Off, e.Len = e.Off+int64(len(p)), e.Len-int64(len(p))
		}
	}
	return from(img, d.Size()), nil
}

func from(img *image, size int64) *Device {
	return &Device{size: size, live: img, points: []point{{0, img.clone()}}}
}

// Size returns the size in bytes.
func (d *Device) Size() int64 { return d.size }

// Limits says that everything is real but extents, of which the disk knows
// none.
func (d *Device) Limits() block.Limits {
	return block.Limits{PreferredBlock: 4096, Discard: true, Zero: true, FastZero: true, FUA: true}
}

// ReadAt reads what the disk holds now, cached or not.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	p, eof := block.ClipRead(p, off, d.size)
	d.mu.RLock()
	defer d.mu.RUnlock()
	d.live.read(p, off)
	return len(p), eof
}

// ReadAtCached is ReadAt.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) { return d.ReadAt(p, off) }

// WriteAt writes to the cache.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	return d.write(write, p, off)
}

// WriteAtFUA writes to the medium.
func (d *Device) WriteAtFUA(p []byte, off int64) (int, error) {
	return d.write(fua, p, off)
}

func (d *Device) write(k kind, p []byte, off int64) (int, error) {
	if err := d.change(k, off, int64(len(p)), func() { d.live.write(p, off) }); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteZeroes writes zeroes to the cache.
func (d *Device) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	return d.change(zero, off, n, func() { d.live.zero(off, n) })
}

// Discard drops the range, in the cache.
func (d *Device) Discard(off, n int64) error {
	return d.change(discard, off, n, func() { d.live.zero(off, n) })
}

// Flush writes the cache to the medium.
func (d *Device) Flush() error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	d.flush()
	return nil
}

// Close flushes. Events, Cut and Kill work on.
func (d *Device) Close() error {
	if err := d.gate.Close(); err != nil {
		return err
	}
	d.flush()
	return nil
}

func (d *Device) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, event{kind: flush})
	if n := len(d.events); n-d.points[len(d.points)-1].events >= pointDistance {
		d.points = append(d.points, point{n, d.live.clone()})
	}
}

// change carries out do, a change of [off, off+n), and remembers it.
func (d *Device) change(k kind, off, n int64, do func()) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.size); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
	if n > 0 {
		d.events = append(d.events, d.record(k, off, n))
	}
	return nil
}

// record returns the event of a change that live shows already. The caller
// holds mu for writing.
func (d *Device) record(k kind, off, n int64) event {
	first := off / sectorBytes
	end := (off + n + sectorBytes - 1) / sectorBytes
	e := event{kind: k, off: off, n: n, first: first, end: end}
	if k == write || k == fua || off%sectorBytes != 0 || n%sectorBytes != 0 {
		e.data = make([]byte, min(end*sectorBytes, d.size)-first*sectorBytes)
		d.live.read(e.data, first*sectorBytes)
	}
	return e
}

// Events returns how many changes and flushes were answered so far. After a
// flush, everything before it is durable at every cut k >= Events().
func (d *Device) Events() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.events)
}

// Describe says what event k is, for the messages of a test.
func (d *Device) Describe(k int) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if k == len(d.events) {
		return fmt.Sprintf("event %d: the end", k)
	}
	return fmt.Sprintf("event %d: %v", k, d.events[k])
}
