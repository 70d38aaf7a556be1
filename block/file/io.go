package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// ReadAt reads from the file.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	p, eof := block.ClipRead(p, off, d.Size())
	if len(p) == 0 {
		return 0, eof
	}
	if n, err := d.h.f.ReadAt(p, off); n < len(p) {
		return n, d.readError(err)
	}
	return len(p), eof
}

// readError explains a read that fell short although it lay within the file.
func (d *Device) readError(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%s became shorter: %w", d.Path(), io.ErrUnexpectedEOF)
	}
	return err
}

// ReadAtCached reads from the page cache.
func (d *Device) ReadAtCached(p []byte, off int64) (int, error) {
	if err := d.gate.Enter(); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	p, eof := block.ClipRead(p, off, d.Size())
	if len(p) == 0 {
		return 0, eof
	}
	n, err := d.sys.readCached(d.h.f, p, off)
	if n < len(p) {
		if err == nil || err == io.EOF {
			err = block.ErrWouldBlock // ReadAt tells why it is short
		}
		return 0, err
	}
	return n, eof
}

// AppendSegments appends one range of the file.
func (d *Device) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := d.gate.Enter(); err != nil {
		return dst, err
	}
	defer d.gate.Leave()
	if err := block.CheckRange(off, n, d.Size()); err != nil || n == 0 {
		return dst, err
	}
	d.h.refs.Add(1) // the device holds one itself until its gate is closed
	return append(dst, block.FileSegment(d.h.f, off, n, d.h)), nil
}

// WriteAt writes to the file.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	if err := d.enterWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer d.gate.Leave()
	return d.writeAt(p, off)
}

func (d *Device) writeAt(p []byte, off int64) (int, error) {
	n, err := d.h.f.WriteAt(p, off)
	if err != nil {
		return n, d.writeError(err)
	}
	d.wrote(int64(n))
	return n, nil
}

// writeError makes a full host file system match diskerr.ErrNoSpace, beside
// the host's own error.
func (d *Device) writeError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w (%w)", &diskerr.NoSpaceError{What: d.Path(), Needed: -1, Available: -1}, err)
	}
	return err
}

// WriteFile lets the file system take over a range of another file. It is
// errors.ErrUnsupported where reading and writing is as good.
func (d *Device) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	if err := d.enterWrite(off, n); err != nil {
		return err
	}
	defer d.gate.Leave()
	if err := d.sys.copyRange(d.h.f, off, f, srcOff, n); err != nil {
		return d.writeError(err)
	}
	d.wrote(n)
	return nil
}
