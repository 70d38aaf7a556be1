package overlay

import (
	"os"

	"github.com/fatkit/fatkit/block"
)

// change makes a change of [off, off+n) by put, with everything that goes with
// one: room if it stores something, notes for an epoch, counters.
func (d *Disk) change(off, n int64, stores bool, put func() error) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.size); err != nil || n == 0 {
		return err
	}
	i, end := sectors(off, n)
	if stores {
		if err := d.room.ask(d, i, end, off, n); err != nil {
			return err
		}
	}
	d.moment.RLock()
	defer d.moment.RUnlock()
	if stores {
		d.room.charge(d, i, end, off, n)
		d.room.take(d, i, end)
	}
	if d.epoch != nil {
		d.epoch.save(i, end)
	}
	d.since.set(i, end)
	d.written.set(i, end)
	if err := put(); err != nil {
		return err
	}
	if d.o.OnWrite != nil {
		d.o.OnWrite(off, n)
	}
	d.did.write(n)
	return nil
}

// WriteAt writes to the image.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	return d.write(p, off, d.img.WriteAt)
}

// WriteAtFUA writes durably.
func (d *Disk) WriteAtFUA(p []byte, off int64) (int, error) {
	return d.write(p, off, d.img.WriteAtFUA)
}

func (d *Disk) write(p []byte, off int64, write func([]byte, int64) (int, error)) (int, error) {
	done := 0
	err := d.change(off, int64(len(p)), true, func() (err error) {
		done, err = write(p, off)
		return err
	})
	return done, err
}

// WriteFile writes a range of a host file to the image.
func (d *Disk) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	return d.change(off, n, true, func() error { return d.img.WriteFile(off, f, srcOff, n) })
}

// WriteZeroes is a write of zeroes, which takes no room where there was none.
// What has room keeps it, whatever the flags say: it stays writable at the limit. The
// ends of a range are sectors that are written in part, so they need room.
func (d *Disk) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	stores := off%sectorBytes != 0 || n%sectorBytes != 0
	return d.change(off, n, stores, func() error { return d.img.WriteZeroes(off, n, f|block.NoHole) })
}

// Discard changes nothing.
func (d *Disk) Discard(off, n int64) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	return block.CheckRange(off, n, d.size)
}
