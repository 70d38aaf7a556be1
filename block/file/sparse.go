package file

import "github.com/fatkit/fatkit/block"

// WriteZeroes makes a range a hole, or with block.NoHole an allocated range of
// zeroes. It is errors.ErrUnsupported where the file system can do neither.
func (d *Device) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if err := d.enterWrite(off, n); err != nil || n == 0 {
		if err == nil {
			d.gate.Leave()
		}
		return err
	}
	defer d.gate.Leave()
	if err := d.sys.zero(d.h.f, off, n, f&block.NoHole == 0); err != nil {
		return d.writeError(err)
	}
	return nil
}

// Discard makes a range a hole. It is errors.ErrUnsupported where the file
// system cannot.
func (d *Device) Discard(off, n int64) error {
	if err := d.enterWrite(off, n); err != nil || n == 0 {
		if err == nil {
			d.gate.Leave()
		}
		return err
	}
	defer d.gate.Leave()
	return d.sys.punch(d.h.f, off, n)
}

// AppendExtents asks the file system for holes, which read as zeroes. It is
// errors.ErrUnsupported where that cannot tell.
func (d *Device) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.Size()); err != nil || n == 0 {
		return dst, err
	}
	keep, end := len(dst), off+n
	for off < end {
		hole, next, err := d.sys.extent(d.h.f, off)
		if err != nil {
			return dst[:keep], err
		}
		// A file that was shortened meanwhile has no more extents to tell.
		next = min(max(next, off+1), end)
		e := block.Extent{Off: off, Len: next - off}
		if hole {
			e.Flags = block.Hole | block.Zero
		}
		dst = block.AppendExtent(dst, keep, e)
		off = next
	}
	return dst, nil
}
