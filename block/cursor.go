package block

import (
	"errors"
	"io"

	"github.com/fatkit/fatkit/diskerr"
)

// Cursor is a device as a stream with a position: an io.ReadWriteSeeker. It is
// not safe for concurrent use; any number of cursors may share a device.
type Cursor struct {
	dev Device
	pos int64
}

var _ io.ReadWriteSeeker = (*Cursor)(nil)

// NewCursor returns a cursor at the start of d.
func NewCursor(d Device) *Cursor { return &Cursor{dev: d} }

// Read reads at the position and moves it. The end of the device is io.EOF.
func (c *Cursor) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.dev.ReadAt(p, c.pos)
	c.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil // the next Read says so
	}
	return n, err
}

// Write writes at the position and moves it. A write that does not fit before
// the end of the device changes nothing and returns diskerr.ErrOutOfRange.
func (c *Cursor) Write(p []byte) (int, error) {
	n, err := c.dev.WriteAt(p, c.pos)
	c.pos += int64(n)
	return n, err
}

// Seek moves the position, which may lie past the end but not before the
// start.
func (c *Cursor) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += c.pos
	case io.SeekEnd:
		off += c.dev.Size()
	default:
		return c.pos, errors.New("block: seek with an unknown whence")
	}
	if off < 0 {
		return c.pos, diskerr.ErrOutOfRange
	}
	c.pos = off
	return off, nil
}
