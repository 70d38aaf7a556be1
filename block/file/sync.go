package file

import "fmt"

// Flush makes every write that returned before durable. Flushes that arrive
// while a sync runs share the next one.
func (d *Device) Flush() error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	defer d.gate.Leave()
	return d.flush()
}

func (d *Device) flush() error {
	if d.readOnly {
		return nil
	}
	return d.syncs.Do(d.sync)
}

// sync runs one fdatasync. It is called by one goroutine at a time.
func (d *Device) sync() error {
	if failed := d.failed.Load(); failed != nil {
		return *failed
	}
	if d.temp {
		return nil
	}
	if err := d.sys.dataSync(d.h.f); err != nil {
		return d.fail(err)
	}
	return nil
}

// fail records that a sync failed, which the kernel tells once only: the pages
// that it could not write are clean or gone afterwards.
func (d *Device) fail(err error) error {
	err = fmt.Errorf("%s: writes may be lost, the file takes no more until it is reopened: %w", d.Path(), err)
	if !d.failed.CompareAndSwap(nil, &err) {
		return *d.failed.Load()
	}
	return err
}

// WriteAtFUA writes durably: by one call of the kernel if it is alone, else by
// a write and a sync that it shares with the others.
func (d *Device) WriteAtFUA(p []byte, off int64) (int, error) {
	if err := d.enterWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	alone := d.fuas.Add(1) == 1 && !d.temp
	defer d.fuas.Add(-1)

	var durableErr error
	if alone && d.sys.canWriteDurable() {
		n, err := d.sys.writeDurable(d.h.f, p, off)
		if err == nil && n == len(p) {
			return n, nil
		}
		durableErr = err
	}
	// After an error of the durable write it is open whether the write failed,
	// which harms nobody else, or the sync, whose error may have been about
	// any earlier write. A plain write tells: if it works, the sync failed.
	n, err := d.writeAt(p, off)
	if err != nil {
		return n, err
	}
	if durableErr != nil && d.sys.canWriteDurable() {
		return 0, d.fail(durableErr)
	}
	return n, d.flush()
}
