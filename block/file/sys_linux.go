package file

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/block"
)

// system remembers what the host cannot do with this file.
type system struct {
	memory    bool // the file lives in memory: no read ever waits for a disk
	noShare   bool // the file system cannot share blocks between files
	noPunch   atomic.Bool
	noZero    atomic.Bool
	noCached  atomic.Bool
	noDurable atomic.Bool
	noExtents atomic.Bool
}

// copyStep is the most bytes of one copy_file_range, which cannot be
// interrupted.
const copyStep = 64 << 20

// init finds out what the host can do.
func (s *system) init(f *os.File, sizeBytes int64, readOnly bool) block.Limits {
	l := block.Limits{ReadOnly: readOnly, PreferredBlock: 4096, Extents: true}
	fd := int(f.Fd())
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) == nil {
		s.memory = st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC
		s.noShare = s.memory || st.Type == unix.EXT4_SUPER_MAGIC
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		s.noExtents.Store(true) // block devices know no holes
		l.Extents = false
	}
	if readOnly {
		return l
	}
	// A hole punched well past the end of a regular file changes nothing and
	// tells whether holes can be punched. On a block device it is an error,
	// and the first real call will tell.
	const past = 1 << 30
	err := unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, (sizeBytes+past)&^(past-1), 4096)
	s.noPunch.Store(errors.Is(err, errors.ErrUnsupported))
	l.Discard = !s.noPunch.Load()
	l.Zero, l.FastZero = l.Discard, l.Discard
	l.FUA = true
	return l
}

// readCached reads what the page cache holds. Any doubt is
// block.ErrWouldBlock.
func (s *system) readCached(f *os.File, p []byte, off int64) (int, error) {
	if s.memory {
		return f.ReadAt(p, off)
	}
	if s.noCached.Load() {
		return 0, block.ErrWouldBlock
	}
	n, err := unix.Preadv2(int(f.Fd()), [][]byte{p}, off, unix.RWF_NOWAIT)
	if errors.Is(err, errors.ErrUnsupported) {
		s.noCached.Store(true)
	}
	if err != nil {
		return 0, block.ErrWouldBlock
	}
	return n, nil
}

func (s *system) canWriteDurable() bool { return !s.noDurable.Load() }

// writeDurable writes with RWF_DSYNC. It may write less than p.
func (s *system) writeDurable(f *os.File, p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pwritev2(int(f.Fd()), [][]byte{p}, off, unix.RWF_DSYNC)
		if err == unix.EINTR {
			continue
		}
		if errors.Is(err, errors.ErrUnsupported) {
			s.noDurable.Store(true)
		}
		return max(n, 0), err
	}
}

func (s *system) dataSync(f *os.File) error {
	return retry(func() error { return unix.Fdatasync(int(f.Fd())) })
}

// startWriting begins to write every changed page of the file to the medium,
// and does not wait for it.
func (s *system) startWriting(f *os.File) {
	if !s.memory {
		_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	}
}

// zero makes a range read as zeroes, as a hole if it may.
func (s *system) zero(f *os.File, off, n int64, mayPunch bool) error {
	if mayPunch {
		if err := s.punch(f, off, n); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return s.fallocate(&s.noZero, f, unix.FALLOC_FL_ZERO_RANGE, off, n)
}

// punch makes a range a hole.
func (s *system) punch(f *os.File, off, n int64) error {
	return s.fallocate(&s.noPunch, f, unix.FALLOC_FL_PUNCH_HOLE, off, n)
}

func (s *system) fallocate(lacking *atomic.Bool, f *os.File, mode uint32, off, n int64) error {
	if lacking.Load() {
		return errors.ErrUnsupported
	}
	err := retry(func() error {
		return unix.Fallocate(int(f.Fd()), mode|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		lacking.Store(true)
		return errors.ErrUnsupported
	case err == unix.EINVAL: // a block device wants other alignment
		return errors.ErrUnsupported
	case err != nil:
		return os.NewSyscallError("fallocate", err)
	}
	return nil
}

// extent reports whether off lies in a hole, and where that or the data ends.
// It moves the file position, which nothing here uses.
func (s *system) extent(f *os.File, off int64) (hole bool, next int64, err error) {
	if s.noExtents.Load() {
		return false, 0, errors.ErrUnsupported
	}
	fd := int(f.Fd())
	data, err := unix.Seek(fd, off, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO: // a hole up to the end, or past it
		return true, 1<<63 - 1, nil
	case err == unix.EINVAL, errors.Is(err, errors.ErrUnsupported):
		s.noExtents.Store(true)
		return false, 0, errors.ErrUnsupported
	case err != nil:
		return false, 0, os.NewSyscallError("lseek", err)
	case data > off:
		return true, data, nil
	}
	next, err = unix.Seek(fd, off, unix.SEEK_HOLE)
	if err == unix.ENXIO { // shortened between the two calls
		return true, 1<<63 - 1, nil
	}
	if err != nil {
		return false, 0, os.NewSyscallError("lseek", err)
	}
	return false, next, nil
}

// copyRange copies n bytes of src to dst inside the kernel, which shares the
// blocks where it can, or has a file server do the work. Where neither is
// possible a copy inside the kernel goes page by page and is slower than
// reading and writing a mebibyte at a time, so it is left to the caller.
func (s *system) copyRange(dst *os.File, off int64, src *os.File, srcOff, n int64) error {
	if s.noShare {
		return errors.ErrUnsupported
	}
	for n > 0 {
		m, err := unix.CopyFileRange(int(src.Fd()), &srcOff, int(dst.Fd()), &off, int(min(n, copyStep)), 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EXDEV, err == unix.EINVAL, err == unix.EPERM, err == unix.EBADF, err == unix.EIO,
			errors.Is(err, errors.ErrUnsupported):
			// Whatever is behind it, the plain way works or gives the error
			// that says so.
			return errors.ErrUnsupported
		case err != nil:
			return os.NewSyscallError("copy_file_range", err)
		case m == 0:
			return io.ErrUnexpectedEOF
		}
		n -= int64(m)
	}
	return nil
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
