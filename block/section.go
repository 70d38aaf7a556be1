package block

import (
	"fmt"
	"os"

	"github.com/fatkit/fatkit/diskerr"
)

// Section is a window of a device: a partition, or the whole of it read-only.
// It passes on every capability of the device.
type Section struct {
	gate  Gate
	dev   Device
	base  int64
	size  int64
	opts  SectionOptions
	limit Limits
}

var (
	_ Device       = (*Section)(nil)
	_ Zeroer       = (*Section)(nil)
	_ Discarder    = (*Section)(nil)
	_ FUAWriter    = (*Section)(nil)
	_ Extenter     = (*Section)(nil)
	_ Segmenter    = (*Section)(nil)
	_ FileWriter   = (*Section)(nil)
	_ CachedReader = (*Section)(nil)
	_ Limiter      = (*Section)(nil)
)

// SectionOptions tune a [Section].
type SectionOptions struct {
	ReadOnly    bool // refuse every change
	CloseDevice bool // Close closes the device, not just the window
}

// NewSection returns the window of n bytes of d from off. A window that does
// not lie within d is diskerr.ErrOutOfRange; one that does not lie on d's
// smallest blocks is an error as well.
func NewSection(d Device, off, n int64, o SectionOptions) (*Section, error) {
	if err := CheckRange(off, n, d.Size()); err != nil {
		return nil, fmt.Errorf("window of %d bytes at %d of a device of %d bytes: %w", n, off, d.Size(), err)
	}
	if m := int64(LimitsOf(d).MinBlock); m > 1 && (off%m != 0 || n%m != 0) {
		return nil, fmt.Errorf("window of %d bytes at %d does not lie on the device's blocks of %d bytes", n, off, m)
	}
	return newSection(d, off, n, o), nil
}

// ReadOnly returns d as a device that refuses every change. Closing it closes
// d.
func ReadOnly(d Device) *Section {
	return newSection(d, 0, d.Size(), SectionOptions{ReadOnly: true, CloseDevice: true})
}

func newSection(d Device, off, n int64, o SectionOptions) *Section {
	l := LimitsOf(d)
	l.ReadOnly = l.ReadOnly || o.ReadOnly
	for l.PreferredBlock > 1 && off%int64(l.PreferredBlock) != 0 {
		l.PreferredBlock /= 2
	}
	return &Section{dev: d, base: off, size: n, opts: o, limit: l}
}

// Size returns the size of the window in bytes.
func (s *Section) Size() int64 { return s.size }

// Limits returns the device's limits, as far as they hold for the window.
func (s *Section) Limits() Limits { return s.limit }

// ReadAt reads from the window.
func (s *Section) ReadAt(p []byte, off int64) (int, error) {
	return s.read(p, off, Device.ReadAt)
}

// ReadAtCached reads from the window if that needs no waiting.
func (s *Section) ReadAtCached(p []byte, off int64) (int, error) {
	return s.read(p, off, ReadAtCached)
}

func (s *Section) read(p []byte, off int64, read func(Device, []byte, int64) (int, error)) (int, error) {
	if err := s.gate.Enter(); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	p, eof := ClipRead(p, off, s.size)
	if len(p) == 0 {
		return 0, eof
	}
	n, err := ReadPart(s.dev, p, s.base+off, read)
	if err != nil {
		return n, err
	}
	return n, eof
}

// enterWrite begins a change of [off, off+n). After nil the caller leaves the
// gate.
func (s *Section) enterWrite(off, n int64) error {
	if err := s.gate.Enter(); err != nil {
		return err
	}
	err := CheckRange(off, n, s.size)
	if s.opts.ReadOnly {
		err = diskerr.ErrReadOnly
	}
	if err != nil {
		s.gate.Leave()
	}
	return err
}

// WriteAt writes to the window.
func (s *Section) WriteAt(p []byte, off int64) (int, error) {
	if err := s.enterWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	return s.dev.WriteAt(p, s.base+off)
}

// WriteAtFUA writes to the window durably.
func (s *Section) WriteAtFUA(p []byte, off int64) (int, error) {
	if err := s.enterWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	defer s.gate.Leave()
	return WriteAtFUA(s.dev, p, s.base+off)
}

// WriteFile writes a range of f to the window.
func (s *Section) WriteFile(off int64, f *os.File, srcOff, n int64) error {
	if err := s.enterWrite(off, n); err != nil {
		return err
	}
	defer s.gate.Leave()
	return WriteFile(s.dev, s.base+off, f, srcOff, n)
}

// WriteZeroes makes a range of the window read as zeroes.
func (s *Section) WriteZeroes(off, n int64, f ZeroFlags) error {
	if err := s.enterWrite(off, n); err != nil {
		return err
	}
	defer s.gate.Leave()
	return WriteZeroes(s.dev, s.base+off, n, f)
}

// Discard frees a range of the window.
func (s *Section) Discard(off, n int64) error {
	if err := s.enterWrite(off, n); err != nil {
		return err
	}
	defer s.gate.Leave()
	return Discard(s.dev, s.base+off, n)
}

// AppendExtents appends the extents of a range of the window.
func (s *Section) AppendExtents(dst []Extent, off, n int64) ([]Extent, error) {
	if err := s.gate.Enter(); err != nil {
		return dst, err
	}
	defer s.gate.Leave()
	if err := CheckRange(off, n, s.size); err != nil {
		return dst, err
	}
	old := len(dst)
	dst, err := AppendExtents(s.dev, dst, s.base+off, n)
	for i := old; i < len(dst); i++ {
		dst[i].Off -= s.base
	}
	return dst, err
}

// AppendSegments appends the segments of a range of the window.
func (s *Section) AppendSegments(dst []Segment, off, n int64) ([]Segment, error) {
	if err := s.gate.Enter(); err != nil {
		return dst, err
	}
	defer s.gate.Leave()
	if err := CheckRange(off, n, s.size); err != nil {
		return dst, err
	}
	return AppendSegments(s.dev, dst, s.base+off, n)
}

// Flush flushes the device; on a read-only window there is nothing to do.
func (s *Section) Flush() error {
	if err := s.gate.Enter(); err != nil {
		return err
	}
	defer s.gate.Leave()
	return s.flush()
}

func (s *Section) flush() error {
	if s.opts.ReadOnly {
		return nil
	}
	return s.dev.Flush()
}

// Close closes the window and flushes the device, or closes the device too if
// SectionOptions.CloseDevice was set.
func (s *Section) Close() error {
	if err := s.gate.Close(); err != nil {
		return err
	}
	if s.opts.CloseDevice {
		return s.dev.Close()
	}
	return s.flush()
}
