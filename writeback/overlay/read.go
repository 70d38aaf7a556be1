package overlay

import (
	"io"
	"sync"

	"github.com/fatkit/fatkit/block"
)

// ReadAt reads from the image or the base.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	return d.img.ReadAt(p, off)
}

// ReadAtCached reads if image and base can without waiting.
func (d *Disk) ReadAtCached(p []byte, off int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	return d.img.ReadAtCached(p, off)
}

// AppendExtents asks the image, and the base about what was not written.
func (d *Disk) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	return d.img.AppendExtents(dst, off, n)
}

// AppendSegments passes segments of the base on. What is in the image is copied:
// its clusters are written in place, and a reply that is on its way must not
// change.
func (d *Disk) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.size); err != nil {
		return dst, err
	}
	return segments(dst, d.base, d.img.ReadAt, off, n, func(i, end int64) (bool, int64) {
		in, next := d.written.run(i, end)
		return !in, next
	})
}

// minBaseSegment is the number of bytes from which on a run of the base is
// passed on by itself. Shorter ones are copied together with their neighbours.
const minBaseSegment = 32 << 10

// segments appends [off, off+n): long runs of sectors that are the base's as the
// base has them, everything else as bytes from read. baseRun reports whether
// sector i is the base's, and up to where the same is true.
func segments(dst []block.Segment, base block.Device, read func([]byte, int64) (int, error), off, n int64,
	baseRun func(i, end int64) (bool, int64)) ([]block.Segment, error) {
	var err error
	stop := off + n
	from := off // [from, off) is to be copied
	_, end := sectors(off, n)
	for off < stop {
		isBase, next := baseRun(off/sectorBytes, end)
		to := min(next*sectorBytes, stop)
		if isBase && to-off >= minBaseSegment {
			if dst, err = copied(dst, read, from, off); err != nil {
				return dst, err
			}
			if dst, err = block.AppendSegments(base, dst, off, to-off); err != nil {
				return dst, err
			}
			from = to
		}
		off = to
	}
	return copied(dst, read, from, stop)
}

// buffer is pooled memory of a segment.
type buffer struct{ full []byte }

const bufferBytes = 256 << 10

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, bufferBytes)} }}

// Release implements block.Releaser.
func (b *buffer) Release() { buffers.Put(b) }

// copied appends the bytes of [from, to).
func copied(dst []block.Segment, read func([]byte, int64) (int, error), from, to int64) ([]block.Segment, error) {
	for from < to {
		var p []byte
		var pin block.Releaser
		if n := to - from; n <= bufferBytes/8 {
			p = make([]byte, n)
		} else {
			b := buffers.Get().(*buffer)
			p, pin = b.full[:min(n, bufferBytes)], b
		}
		n, err := read(p, from)
		if n == len(p) && err == io.EOF {
			err = nil
		}
		if n > 0 {
			dst = append(dst, block.DataSegment(p[:n], pin))
		} else if pin != nil {
			pin.Release()
		}
		if err != nil {
			return dst, err
		}
		from += int64(n)
	}
	return dst, nil
}
