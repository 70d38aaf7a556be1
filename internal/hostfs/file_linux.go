package hostfs

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// file is an open regular file.
type file struct {
	fd   int
	name string

	once sync.Once // guards the creation of std
	std  *os.File

	noWait atomic.Uint32 // a waitState
}

var _ File = (*file)(nil)

// A waitState says what is known of reads that must not wait.
const (
	waitUnknown = iota // RWF_NOWAIT has worked so far, or was not tried
	waitNever          // the file lives in memory: no read waits
	waitAlways         // the file system cannot tell
)

// ReadAt implements [File].
func (f *file) ReadAt(p []byte, off int64) (int, error) { return preadFull(f.fd, p, off) }

// ReadAtCached implements [File].
func (f *file) ReadAtCached(p []byte, off int64) (int, error) {
	switch f.noWait.Load() {
	case waitNever:
		return f.ReadAt(p, off)
	case waitAlways:
		return 0, ErrWouldWait
	}
	iov := [1][]byte{p}
	n, err := unix.Preadv2(f.fd, iov[:], off, unix.RWF_NOWAIT)
	switch {
	case err == nil && n == len(p):
		return n, nil
	case err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EINVAL:
		f.noWait.Store(f.classify())
		if f.noWait.Load() == waitNever {
			return f.ReadAt(p, off)
		}
	}
	return 0, ErrWouldWait
}

// classify is asked once RWF_NOWAIT turned out not to work: file systems that
// are memory never wait anyway.
func (f *file) classify() uint32 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(f.fd, &st); err != nil {
		return waitAlways
	}
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC:
		return waitNever
	}
	return waitAlways
}

// Stat implements [File]. It asks by fstat(2), which costs half of statx(2) and
// has no birth time.
func (f *file) Stat() (Stat, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(f.fd, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Stat{}, os.NewSyscallError("fstat", err)
		}
		return Stat{
			Size:  st.Size,
			Mtime: Nanoseconds(int64(st.Mtim.Sec), int64(st.Mtim.Nsec)),
			Atime: Nanoseconds(int64(st.Atim.Sec), int64(st.Atim.Nsec)),
			Btime: NoTime,
			Ino:   st.Ino,
			Dev:   uint64(st.Dev),
			Mode:  fileMode(uint32(st.Mode)),
		}, nil
	}
}

// OSFile implements [File].
func (f *file) OSFile() *os.File {
	f.once.Do(func() { f.std = os.NewFile(uintptr(f.fd), f.name) })
	return f.std
}

// Close implements [File].
func (f *file) Close() error {
	f.once.Do(func() {}) // from here on nobody creates std
	if f.std != nil {
		return f.std.Close()
	}
	return unix.Close(f.fd)
}
