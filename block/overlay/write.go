package overlay

import (
	"errors"
	"os"

	"github.com/fatkit/fatkit/block"
)

// WriteAt writes to the store.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	if err := d.enter(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	done := 0
	err := d.regions(off, int64(len(p)), func(off, n int64) error {
		part := p[done : done+int(n)]
		err := d.write(off, n, func() error {
			_, err := d.store.WriteAt(part, off)
			return err
		})
		if err == nil {
			done += int(n)
		}
		return err
	})
	return done, err
}

// WriteAtFUA is WriteAt: nothing here is more durable than that.
func (d *Device) WriteAtFUA(p []byte, off int64) (int, error) { return d.WriteAt(p, off) }

// WriteFile writes a range of f to the store.
func (d *Device) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	if err := d.enter(off, n); err != nil {
		return err
	}
	defer d.gate.Leave()
	shift := srcOff - off
	return d.regions(off, n, func(off, n int64) error {
		return d.write(off, n, func() error { return block.WriteFile(d.store, off, f, off+shift, n) })
	})
}

// regions calls f for the part of [off, off+n) in each region, in order.
func (d *Device) regions(off, n int64, f func(off, n int64) error) error {
	for n > 0 {
		m := min(n, d.regionBytes-off%d.regionBytes)
		if err := f(off, m); err != nil {
			return err
		}
		off, n = off+m, n-m
	}
	return nil
}

// write runs put, which writes [off, off+n) of one region to the store.
func (d *Device) write(off, n int64, put func() error) error {
	first, end := off/d.blockBytes, (off+n+d.blockBytes-1)/d.blockBytes
	mu := &d.locks[off/d.regionBytes%locks]
	mu.RLock()
	if st, blocks := d.states.run(first, end); st == inStore && blocks == end-first {
		defer mu.RUnlock()
		return put()
	}
	mu.RUnlock()

	mu.Lock()
	defer mu.Unlock()
	// The block at either end may be written in part and needs the rest. If
	// anything fails, the states say that nothing happened.
	if err := d.fill(first, off, n); err != nil {
		return err
	}
	if end-first > 1 {
		if err := d.fill(end-1, off, n); err != nil {
			return err
		}
	}
	if err := put(); err != nil {
		return err
	}
	d.states.set(first, end, inStore)
	return nil
}

// fill puts block i into the store as it reads now, unless it is there or
// [off, off+n) covers all of it. The caller holds the region's lock for
// writing.
func (d *Device) fill(i, off, n int64) error {
	start := i * d.blockBytes
	end := min(start+d.blockBytes, d.size)
	st := d.states.at(i)
	if st == inStore || off <= start && end <= off+n {
		return nil
	}
	p := d.zeros[:end-start]
	if st == inBase {
		buf := d.bufs.Get().(*[]byte)
		defer d.bufs.Put(buf)
		p = (*buf)[:end-start]
		if err := block.ReadFull(d.base, p, start); err != nil {
			return err
		}
	}
	_, err := d.store.WriteAt(p, start)
	return err
}

// WriteZeroes drops the range, but writes zeroes for block.NoHole and for parts
// of blocks.
func (d *Device) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if err := d.enter(off, n); err != nil {
		return err
	}
	defer d.gate.Leave()
	return d.regions(off, n, func(off, n int64) error {
		if f&block.NoHole != 0 {
			return d.writeZeroes(off, n)
		}
		return d.drop(off, n, d.writeZeroes)
	})
}

// Discard drops the blocks of the range, which then read as zeroes; parts of
// blocks stay as they are.
func (d *Device) Discard(off, n int64) error {
	if err := d.enter(off, n); err != nil {
		return err
	}
	defer d.gate.Leave()
	return d.regions(off, n, func(off, n int64) error {
		return d.drop(off, n, func(off, n int64) error { return nil })
	})
}

// writeZeroes writes zeroes to a range of one region.
func (d *Device) writeZeroes(off, n int64) error {
	return d.write(off, n, func() error { return block.WriteZeroes(d.store, off, n, block.NoHole) })
}

// drop makes the whole blocks of a range of one region zero and calls part for
// what is left at either end.
func (d *Device) drop(off, n int64, part func(off, n int64) error) error {
	end := off + n
	first := (off + d.blockBytes - 1) / d.blockBytes
	last := end / d.blockBytes
	if end == d.size {
		last = (end + d.blockBytes - 1) / d.blockBytes
	}
	mid := min(first*d.blockBytes, end)
	tail := max(last*d.blockBytes, mid)
	if err := d.dropPart(off, mid, part); err != nil {
		return err
	}
	if first < last {
		if err := d.dropBlocks(first, last); err != nil {
			return err
		}
	}
	return d.dropPart(tail, end, part)
}

// dropPart calls part for [off, end), which lies in one block, unless that is
// empty or zero already.
func (d *Device) dropPart(off, end int64, part func(off, n int64) error) error {
	if off >= end || d.states.at(off/d.blockBytes) == isZero {
		return nil
	}
	return part(off, end-off)
}

// dropBlocks makes blocks of one region zero and frees their room in the store.
func (d *Device) dropBlocks(first, last int64) error {
	off := first * d.blockBytes
	mu := &d.locks[off/d.regionBytes%locks]
	mu.Lock()
	defer mu.Unlock()
	d.states.set(first, last, isZero)
	// Blocks that are zero are never read from the store, so it need not be
	// able to discard, and what it cannot is no error.
	err := block.Discard(d.store, off, min(last*d.blockBytes, d.size)-off)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
