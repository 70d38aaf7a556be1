package fault

import (
	"errors"
	"os"

	"github.com/fatkit/fatkit/block"
)

// Size returns the size of the device below.
func (d *Device) Size() int64 { return d.dev.Size() }

// Limits returns the limits of the device below.
func (d *Device) Limits() block.Limits { return block.LimitsOf(d.dev) }

// ReadAt reads, or part of it.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	v := d.judge(Read)
	if v.err == nil {
		return d.dev.ReadAt(p, off)
	}
	n, err := d.dev.ReadAt(p[:v.part(int64(len(p)))], off)
	if err != nil {
		return n, err
	}
	return n, v.err
}

// ReadAtCached reads, or fails.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) {
	if v := d.judge(Cached); v.err != nil {
		return 0, v.err
	}
	return block.ReadAtCached(d.dev, p, off)
}

// AppendSegments appends the segments, or those of a part.
func (d *Device) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	v := d.judge(Segments)
	if v.err == nil {
		return block.AppendSegments(d.dev, dst, off, n)
	}
	dst, err := block.AppendSegments(d.dev, dst, off, v.part(n))
	if err != nil {
		return dst, err
	}
	return dst, v.err
}

// AppendExtents appends the extents, or nothing.
func (d *Device) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if v := d.judge(Extents); v.err != nil {
		return dst, v.err
	}
	return block.AppendExtents(d.dev, dst, off, n)
}

// WriteAt writes, or part of it.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	return d.write(d.judge(Write), p, off, d.dev.WriteAt)
}

// WriteAtFUA writes durably, or part of it.
func (d *Device) WriteAtFUA(p []byte, off int64) (int, error) {
	return d.write(d.judge(FUA), p, off, func(p []byte, off int64) (int, error) {
		return block.WriteAtFUA(d.dev, p, off)
	})
}

func (d *Device) write(v verdict, p []byte, off int64, write func([]byte, int64) (int, error)) (int, error) {
	if v.err == nil {
		return write(p, off)
	}
	n, err := write(p[:v.part(int64(len(p)))], off)
	if err != nil {
		return n, err
	}
	return n, v.err
}

// change carries out all or part of a change of n bytes.
func change(v verdict, n int64, do func(n int64) error) error {
	if v.err == nil {
		return do(n)
	}
	if m := v.part(n); m > 0 {
		if err := do(m); err != nil {
			return err
		}
	}
	return v.err
}

// WriteFile writes a range of f, or part of it.
func (d *Device) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	return change(d.judge(File), n, func(n int64) error { return block.WriteFile(d.dev, off, f, srcOff, n) })
}

// WriteZeroes zeroes a range, or part of it.
func (d *Device) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	return change(d.judge(Zero), n, func(n int64) error { return block.WriteZeroes(d.dev, off, n, f) })
}

// Discard discards a range, or part of it.
func (d *Device) Discard(off, n int64) error {
	return change(d.judge(Discard), n, func(n int64) error { return block.Discard(d.dev, off, n) })
}

// Flush flushes, or fails; then every change and flush fails as well.
func (d *Device) Flush() error {
	return change(d.judge(Flush), 1, func(int64) error { return d.dev.Flush() })
}

// Close closes the device below, also when it is to fail.
func (d *Device) Close() error {
	v := d.judge(Close)
	return errors.Join(d.dev.Close(), v.err)
}
