package copy

import (
	"bytes"
	"context"

	"github.com/fatkit/fatkit/block"
)

const (
	// windowBytes is how much of the source is asked for at once, and the
	// size of a worker's buffer. It bounds the files that are held open: a
	// window has no more of them than clusters.
	windowBytes = 1 << 20
	// minDirect is the shortest piece that goes to the target on its own
	// instead of being gathered.
	minDirect = 128 << 10
)

// zeroes is what blocks are compared with.
var zeroes [64 << 10]byte

// worker copies tasks. It is used by one goroutine.
type worker struct {
	*copier
	segs []block.Segment
	buf  []byte // gathered bytes, which belong at off
	off  int64
}

func newWorker(c *copier) *worker {
	return &worker{copier: c, buf: make([]byte, 0, windowBytes)}
}

func (w *worker) run(ctx context.Context, t task) error {
	if t.zero {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.zero(t.off, t.n); err != nil {
			return err
		}
		w.advance(t.n)
		return nil
	}
	for t.n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(t.n, windowBytes)
		if err := w.window(t.off, n); err != nil {
			return err
		}
		w.advance(n)
		t.off, t.n = t.off+n, t.n-n
	}
	return nil
}

// window copies [off, off+n).
func (w *worker) window(off, n int64) (err error) {
	w.buf, w.off = w.buf[:0], off
	w.segs, err = block.AppendSegments(w.src, w.segs[:0], off, n)
	defer func() {
		block.ReleaseAll(w.segs)
		clear(w.segs) // keep no file or buffer alive
	}()
	if err != nil {
		for i := range w.segs {
			off += w.segs[i].Len
		}
		return &Error{"read", off, err}
	}
	for i := range w.segs {
		s := &w.segs[i]
		if err := w.segment(s, off); err != nil {
			return err
		}
		s.Release() // pooled memory and files are wanted by others
		off += s.Len
	}
	return w.flush()
}

// segment copies a segment to off, or adds it to the buffer.
func (w *worker) segment(s *block.Segment, off int64) error {
	if s.Data == nil && s.File == nil {
		return w.zeroSegment(off, s.Len)
	}
	aligned := off%w.minBlock == 0 && s.Len%w.minBlock == 0
	if s.Len >= minDirect && aligned && w.o.SparseBytes <= 0 {
		if err := w.skip(off + s.Len); err != nil {
			return err
		}
		return w.direct(s, off)
	}
	if n, err := s.ReadAt(w.grow(s.Len), 0); err != nil {
		return &Error{"read", off + int64(n), err}
	}
	return nil
}

// zeroSegment zeroes the aligned part of a long run and gathers the rest.
func (w *worker) zeroSegment(off, n int64) error {
	from, m := w.alignedPart(off, n)
	if m < minZeroes {
		clear(w.grow(n))
		return nil
	}
	clear(w.grow(from - off))
	if err := w.skip(from + m); err != nil {
		return err
	}
	if err := w.zero(from, m); err != nil {
		return err
	}
	clear(w.grow(off + n - from - m))
	return nil
}

// grow returns the next n bytes of the buffer. A window always fits.
func (w *worker) grow(n int64) []byte {
	have := len(w.buf)
	w.buf = w.buf[:have+int(n)]
	return w.buf[have:]
}

// skip writes what is gathered and goes on gathering at off.
func (w *worker) skip(off int64) error {
	err := w.flush()
	w.off = off
	return err
}

// direct writes a segment on its own.
func (w *worker) direct(s *block.Segment, off int64) error {
	if s.File == nil {
		return w.write(s.Data, off)
	}
	if err := block.WriteFile(w.dst, off, s.File, s.Off, s.Len); err != nil {
		return &Error{"copy", off, err}
	}
	return nil
}

// flush writes what is gathered, without the zeroes in it if they are looked
// for.
func (w *worker) flush() error {
	p, off := w.buf, w.off
	w.buf, w.off = w.buf[:0], off+int64(len(p))
	if w.o.SparseBytes <= 0 {
		return w.write(p, off)
	}
	for len(p) > 0 {
		n, zero := run(p, off, w.o.SparseBytes)
		put := w.write
		if zero {
			put = func(p []byte, off int64) error { return w.zero(off, int64(len(p))) }
		}
		if err := put(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// run returns the length of the run of blocks, at the start of p, that are all
// zeroes or all not. p belongs at off, by which blocks are aligned; the first
// and the last may be parts.
func run(p []byte, off int64, blockBytes int) (n int, zero bool) {
	for n < len(p) {
		size := min(blockBytes-int((off+int64(n))%int64(blockBytes)), len(p)-n)
		z := isZero(p[n : n+size])
		if n == 0 {
			zero = z
		}
		if z != zero {
			break
		}
		n += size
	}
	return n, zero
}

func isZero(p []byte) bool {
	for len(p) > len(zeroes) {
		if !bytes.Equal(p[:len(zeroes)], zeroes[:]) {
			return false
		}
		p = p[len(zeroes):]
	}
	return bytes.Equal(p, zeroes[:len(p)])
}

// write writes p to the target, within its limits.
func (w *worker) write(p []byte, off int64) error {
	step := len(p)
	if m := block.LimitsOf(w.dst).MaxTransfer; m > 0 {
		step = min(step, m)
	}
	for len(p) > 0 {
		n, err := w.dst.WriteAt(p[:min(len(p), step)], off)
		if err != nil {
			return &Error{"write", off + int64(n), err}
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// zero makes a range of the target read as zeroes.
func (w *worker) zero(off, n int64) error {
	var f block.ZeroFlags
	if w.o.NoHole {
		f = block.NoHole
	} else if w.o.TargetIsZero {
		return nil
	}
	if err := block.WriteZeroes(w.dst, off, n, f); err != nil {
		return &Error{"write", off, err}
	}
	return nil
}
