package vvfat

import (
	"sync"

	"github.com/fatkit/fatkit/block"
)

const (
	// minFileSegment is the number of bytes from which a run of a file is
	// passed on as a range of the file. Copying less is cheaper than the
	// system calls that go with it.
	minFileSegment = 32 << 10
	// minZeroSegment is the same for zeroes.
	minZeroSegment = 16 << 10
)

// AppendSegments implements block.Segmenter. Long runs of files become ranges
// of these files, unless the disk is consistent; short runs are read and
// gathered, so that many small files make one segment.
func (d *Disk) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.enter(); err != nil {
		return dst, err
	}
	defer d.life.RUnlock()
	if err := block.CheckRange(off, n, d.Size()); err != nil {
		return dst, err
	}
	var err error
	from, end := off, off+n // [from, off) is gathered but not read yet
	for off < end {
		r := d.l.runAt(off)
		length := min(r.n, end-off)
		switch {
		case r.kind == runZero && length >= minZeroSegment:
			if dst, err = d.gather(dst, from, off); err != nil {
				return dst, err
			}
			dst = append(dst, block.ZeroSegment(length))
			from = off + length
		case r.kind == runFile && length >= minFileSegment && !d.o.Consistent:
			if dst, err = d.gather(dst, from, off); err != nil {
				return dst, err
			}
			if dst, err = d.fileSegment(dst, &r, length); err != nil {
				return dst, err
			}
			from = off + length
		}
		off += length
	}
	return d.gather(dst, from, end)
}

// fileSegment appends a range of a file, or its bytes where the source has no
// file of the operating system.
func (d *Disk) fileSegment(dst []block.Segment, r *run, n int64) ([]block.Segment, error) {
	f, err := d.files.acquire(r.id, false)
	if err != nil {
		return dst, err
	}
	if err := d.files.check(f); err != nil {
		f.Release()
		return dst, err
	}
	if file := f.content.OSFile(); file != nil && f.sparse {
		return sparseSegments(dst, f, file, r.off, n), nil
	} else if file != nil {
		return append(dst, block.FileSegment(file, r.off, n, f)), nil
	}
	f.Release()
	for off := int64(0); off < n; {
		b := getBuffer(n - off)
		if err := d.readFile(b.data, r.id, r.off+off, false); err != nil {
			b.Release()
			return dst, err
		}
		dst = append(dst, block.DataSegment(b.data, b))
		off += int64(len(b.data))
	}
	return dst, nil
}

// gather reads [from, to) into memory and appends that.
func (d *Disk) gather(dst []block.Segment, from, to int64) ([]block.Segment, error) {
	for from < to {
		b := getBuffer(to - from)
		n, err := d.fill(b.data, from, false)
		if n > 0 {
			dst = append(dst, block.DataSegment(b.data[:n], b))
		} else {
			b.Release()
		}
		if err != nil {
			return dst, err
		}
		from += int64(n)
	}
	return dst, nil
}

// buffer is pooled memory of a segment.
type buffer struct {
	data []byte
	pool *sync.Pool
}

// The sizes of buffers: for single blocks, for read-ahead, for copying.
const (
	smallBuffer  = 8 << 10
	mediumBuffer = 128 << 10
	largeBuffer  = 1 << 20
)

var (
	smallBuffers  = newBuffers(smallBuffer)
	mediumBuffers = newBuffers(mediumBuffer)
	largeBuffers  = newBuffers(largeBuffer)
)

func newBuffers(size int) *sync.Pool {
	p := new(sync.Pool)
	p.New = func() any { return &buffer{data: make([]byte, size), pool: p} }
	return p
}

// getBuffer returns a buffer of n bytes, or fewer if that is more than the
// largest buffer.
func getBuffer(n int64) *buffer {
	pool := largeBuffers
	switch {
	case n <= smallBuffer:
		pool = smallBuffers
	case n <= mediumBuffer:
		pool = mediumBuffers
	}
	b := pool.Get().(*buffer)
	b.data = b.data[:min(n, int64(cap(b.data)))]
	return b
}

// Release implements block.Releaser.
func (b *buffer) Release() { b.pool.Put(b) }
