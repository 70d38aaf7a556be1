// Package concat is several devices one behind the other, as one device for
// reading.
//
// Each device is followed by zeroes up to a multiple of a unit, such as the
// 512 bytes of a sector, so that the next one begins on it. Capabilities of the
// devices are passed on.
package concat

import (
	"errors"
	"slices"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// Device is the sequence. Its methods may be called concurrently.
type Device struct {
	gate  block.Gate
	parts []part
	size  int64
}

// part is a device and where it lies. What is behind the device up to the next
// part is zeroes.
type part struct {
	dev      block.Device
	off, end int64
}

var (
	_ block.Device       = (*Device)(nil)
	_ block.Extenter     = (*Device)(nil)
	_ block.Segmenter    = (*Device)(nil)
	_ block.CachedReader = (*Device)(nil)
	_ block.Limiter      = (*Device)(nil)
)

// New returns devs in a row, each beginning at a multiple of unit bytes, and the
// end of the last one rounded up to that. They belong to the result.
func New(devs []block.Device, unit int64) *Device {
	d := &Device{}
	for _, dev := range devs {
		n := (dev.Size() + unit - 1) / unit * unit
		d.parts = append(d.parts, part{dev, d.size, d.size + n})
		d.size += n
	}
	return d
}

// Size returns the sum of the sizes, padding included.
func (d *Device) Size() int64 { return d.size }

// Limits says that the device is for reading.
func (d *Device) Limits() block.Limits {
	l := block.Limits{ReadOnly: true}
	for _, p := range d.parts {
		l.Extents = l.Extents || block.LimitsOf(p.dev).Extents
	}
	return l
}

// pieces calls data for each piece of [off, off+n) that a device holds, and pad
// for the zeroes behind one, in order, until an error.
func (d *Device) pieces(off, n int64, data func(p *part, off, n int64) error, pad func(n int64) error) error {
	i, found := slices.BinarySearchFunc(d.parts, off, func(p part, off int64) int {
		switch {
		case p.end <= off:
			return -1
		case p.off > off:
			return 1
		}
		return 0
	})
	if !found {
		return nil // nothing is asked for
	}
	for ; n > 0; i++ {
		p := &d.parts[i]
		if have := min(n, p.off+p.dev.Size()-off); have > 0 {
			if err := data(p, off-p.off, have); err != nil {
				return err
			}
			off, n = off+have, n-have
		}
		if zeroes := min(n, p.end-off); zeroes > 0 {
			if err := pad(zeroes); err != nil {
				return err
			}
			off, n = off+zeroes, n-zeroes
		}
	}
	return nil
}

// ReadAt reads from the devices.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	return d.read(p, off, block.Device.ReadAt)
}

// ReadAtCached reads if the devices can without waiting.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) {
	return d.read(p, off, block.ReadAtCached)
}

func (d *Device) read(p []byte, off int64, read func(block.Device, []byte, int64) (int, error)) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	p, eof := block.ClipRead(p, off, d.size)
	done := 0
	err := d.pieces(off, int64(len(p)), func(part *part, off, n int64) error {
		m, err := block.ReadPart(part.dev, p[done:done+int(n)], off, read)
		done += m
		return err
	}, func(n int64) error {
		clear(p[done : done+int(n)])
		done += int(n)
		return nil
	})
	if err != nil {
		return done, err
	}
	return done, eof
}

// AppendExtents appends what the devices know.
func (d *Device) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.size); err != nil {
		return dst, err
	}
	keep := len(dst)
	err := d.pieces(off, n, func(p *part, at, n int64) error {
		list, err := block.AppendExtents(p.dev, nil, at, n)
		for _, e := range list {
			e.Off += p.off
			dst = block.AppendExtent(dst, keep, e)
			off += e.Len
		}
		return err
	}, func(n int64) error {
		dst = block.AppendExtent(dst, keep, block.Extent{Off: off, Len: n, Flags: block.Hole | block.Zero})
		off += n
		return nil
	})
	return dst, err
}

// AppendSegments appends the segments of the devices.
func (d *Device) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.size); err != nil {
		return dst, err
	}
	err := d.pieces(off, n, func(p *part, at, n int64) (err error) {
		dst, err = block.AppendSegments(p.dev, dst, at, n)
		return err
	}, func(n int64) error {
		dst = append(dst, block.ZeroSegment(n))
		return nil
	})
	return dst, err
}

// WriteAt is refused.
func (d *Device) WriteAt([]byte, int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	d.gate.Leave()
	return 0, diskerr.ErrReadOnly
}

// Flush has nothing to do.
func (d *Device) Flush() error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	d.gate.Leave()
	return nil
}

// Close closes the devices.
func (d *Device) Close() error {
	if err := d.gate.Close(); err != nil {
		return err
	}
	var errs []error
	for _, p := range d.parts {
		errs = append(errs, p.dev.Close())
	}
	return errors.Join(errs...)
}
