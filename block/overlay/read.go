package overlay

import (
	"github.com/fatkit/fatkit/block"
)

// runs calls f for each longest part of [off, off+n) whose blocks are in one
// state, in order, until f returns an error.
func (d *Device) runs(off, n int64, f func(st state, off, n int64) error) error {
	for end := off + n; off < end; {
		i := off / d.blockBytes
		st, blocks := d.states.run(i, (end+d.blockBytes-1)/d.blockBytes)
		next := min((i+blocks)*d.blockBytes, end)
		if err := f(st, off, next-off); err != nil {
			return err
		}
		off = next
	}
	return nil
}

// ReadAt reads each block from where it is.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	return d.read(p, off, block.Device.ReadAt)
}

// ReadAtCached reads if the devices below can without waiting.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) {
	return d.read(p, off, block.ReadAtCached)
}

func (d *Device) read(p []byte, off int64, read func(block.Device, []byte, int64) (int, error)) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	p, eof := block.ClipRead(p, off, d.size)
	for done := 0; done < len(p); {
		at := off + int64(done)
		i := at / d.blockBytes
		st, blocks := d.states.run(i, (off+int64(len(p))+d.blockBytes-1)/d.blockBytes)
		part := p[done:]
		part = part[:min(int64(len(part)), (i+blocks)*d.blockBytes-at)]
		if st == isZero {
			clear(part)
		} else if n, err := block.ReadPart(d.below(st), part, at, read); err != nil {
			return done + n, err
		}
		done += len(part)
	}
	return len(p), eof
}

// below returns the device that holds blocks of a state.
func (d *Device) below(st state) block.Device {
	if st == inStore {
		return d.store
	}
	return d.base
}

// AppendSegments appends the segments of each block from where it is.
func (d *Device) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.enter(off, n); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	err := d.runs(off, n, func(st state, off, n int64) (err error) {
		if st == isZero {
			dst = append(dst, block.ZeroSegment(n))
			return nil
		}
		dst, err = block.AppendSegments(d.below(st), dst, off, n)
		return err
	})
	return dst, err
}

// AppendExtents asks the base about what was not written.
func (d *Device) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := d.enter(off, n); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	keep := len(dst)
	err := d.runs(off, n, func(st state, off, n int64) (err error) {
		switch st {
		case isZero:
			dst = block.AppendExtent(dst, keep, block.Extent{Off: off, Len: n, Flags: block.Hole | block.Zero})
		case inStore:
			dst = block.AppendExtent(dst, keep, block.Extent{Off: off, Len: n})
		default:
			dst, err = block.AppendExtents(d.base, dst, off, n)
		}
		return err
	})
	if err != nil {
		return dst[:keep], err
	}
	return dst, nil
}
