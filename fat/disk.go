package fat

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
)

// disk is the device of a volume. It knows whether anything was written since
// the last flush, so that a flush with nothing to do costs nothing, and it
// widens writes to the smallest block of the device.
type disk struct {
	dev      block.Device
	minBlock int64 // bytes; at least 1
	wrote    atomic.Bool
	edgeMu   sync.Mutex // held while a block is read, changed and written
}

func newDisk(dev block.Device) *disk {
	return &disk{dev: dev, minBlock: max(1, int64(block.LimitsOf(dev).MinBlock))}
}

// read reads all of p.
func (d *disk) read(p []byte, off int64) error { return block.ReadFull(d.dev, p, off) }

// write writes all of p.
func (d *disk) write(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	d.wrote.Store(true)
	var err error
	if off%d.minBlock == 0 && int64(len(p))%d.minBlock == 0 {
		_, err = d.dev.WriteAt(p, off)
	} else {
		err = d.writeWidened(p, off)
	}
	d.wrote.Store(true) // also after a flush that ran meanwhile
	return err
}

// writeWidened reads the blocks that p covers in part and writes them whole.
func (d *disk) writeWidened(p []byte, off int64) error {
	d.edgeMu.Lock()
	defer d.edgeMu.Unlock()
	first := off / d.minBlock * d.minBlock
	end := (off + int64(len(p)) + d.minBlock - 1) / d.minBlock * d.minBlock
	wide := make([]byte, end-first)
	if err := d.read(wide, first); err != nil {
		return err
	}
	copy(wide[off-first:], p)
	_, err := d.dev.WriteAt(wide, first)
	return err
}

// writeFile writes n bytes of a host file, from srcOff, if the device can take
// them without passing them through memory; else it is errors.ErrUnsupported.
// It does without block.WriteFile, because whoever copies a file has a better
// fallback: reading ahead while writing.
func (d *disk) writeFile(off int64, src *os.File, srcOff, n int64) error {
	w, ok := d.dev.(block.FileWriter)
	if !ok || d.minBlock > 1 {
		return errors.ErrUnsupported
	}
	d.wrote.Store(true)
	err := w.WriteFile(off, src, srcOff, n)
	d.wrote.Store(true)
	return err
}

// zero makes a range read as zeroes.
func (d *disk) zero(off, n int64) error {
	if n <= 0 {
		return nil
	}
	d.wrote.Store(true)
	if off%d.minBlock == 0 && n%d.minBlock == 0 {
		err := block.WriteZeroes(d.dev, off, n, 0)
		d.wrote.Store(true)
		return err
	}
	const step = 64 << 10
	buf := make([]byte, min(n, step))
	for n > 0 {
		m := min(n, step)
		if err := d.write(buf[:m], off); err != nil {
			return err
		}
		off, n = off+m, n-m
	}
	return nil
}

// flush makes durable what was written before it was called.
func (d *disk) flush() error {
	if !d.wrote.Swap(false) {
		return nil
	}
	return d.dev.Flush()
}
