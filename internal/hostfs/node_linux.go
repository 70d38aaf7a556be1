package hostfs

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// node is an open inode.
type node struct {
	fd   int
	name string // for messages
	fsid uint64
	// leaseType is F_WRLCK for a file that is open for writing, else F_RDLCK.
	leaseType int

	mu     sync.Mutex // guards the rest
	closed bool
	s      statter
}

var _ Node = (*node)(nil)

// failed wraps an error of the system. The sentinels of this package stand for
// errors that systems name differently.
func failed(op, path string, err error) error {
	switch err {
	case nil:
		return nil
	case unix.ENOTEMPTY:
		err = ErrNotEmpty
	case unix.ENODATA:
		err = ErrNoXattr
	case unix.EXDEV:
		err = ErrCrossDevice
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// again repeats a system call that a signal interrupted.
func again(f func() error) error {
	_, err := retry(func() (int, error) { return 0, f() })
	return err
}

// Identity implements [Node].
func (n *node) Identity() (Identity, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return Identity{}, failed("stat", n.name, fs.ErrClosed)
	}
	if err := n.s.name(n.fd, &n.s.empty, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Identity{}, failed("stat", n.name, err)
	}
	return n.s.identity(n.fsid), nil
}

// identity is the long form of result.
func (s *statter) identity(fsid uint64) Identity {
	id := Identity{
		Stat:  s.result(),
		Ctime: Nanoseconds(s.stx.Ctime.Sec, int64(s.stx.Ctime.Nsec)),
		FSID:  fsid,
		Nlink: s.stx.Nlink,
		UID:   s.stx.Uid,
		GID:   s.stx.Gid,
	}
	if s.stx.Mode&unix.S_ISUID != 0 {
		id.Mode |= fs.ModeSetuid
	}
	if s.stx.Mode&unix.S_ISGID != 0 {
		id.Mode |= fs.ModeSetgid
	}
	if s.stx.Mode&unix.S_ISVTX != 0 {
		id.Mode |= fs.ModeSticky
	}
	return id
}

// SetTimes implements [Node].
func (n *node) SetTimes(atime, mtime int64) error {
	spec := func(t int64) unix.Timespec {
		if t == NoTime {
			return unix.Timespec{Nsec: unix.UTIME_OMIT}
		}
		return unix.NsecToTimespec(t)
	}
	ts := [2]unix.Timespec{spec(atime), spec(mtime)}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(n.fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return failed("set times of", n.name, errno)
	}
	return nil
}

// SetMode implements [Node].
func (n *node) SetMode(perm fs.FileMode) error {
	return failed("chmod", n.name, unix.Fchmod(n.fd, rawMode(perm)))
}

// rawMode returns the bits of inode(7) of a mode.
func rawMode(perm fs.FileMode) uint32 {
	m := uint32(perm & fs.ModePerm)
	if perm&fs.ModeSetuid != 0 {
		m |= unix.S_ISUID
	}
	if perm&fs.ModeSetgid != 0 {
		m |= unix.S_ISGID
	}
	if perm&fs.ModeSticky != 0 {
		m |= unix.S_ISVTX
	}
	return m
}

// SetOwner implements [Node].
func (n *node) SetOwner(uid, gid uint32) error {
	return failed("chown", n.name, unix.Fchown(n.fd, int(uid), int(gid)))
}

// Xattrs implements [Node].
func (n *node) Xattrs() ([]string, error) {
	p, err := n.grow(func(p []byte) (int, error) { return unix.Flistxattr(n.fd, p) })
	if err != nil || len(p) == 0 {
		return nil, failed("list attributes of", n.name, err)
	}
	return strings.Split(strings.TrimSuffix(string(p), "\x00"), "\x00"), nil
}

// Xattr implements [Node].
func (n *node) Xattr(name string) ([]byte, error) {
	p, err := n.grow(func(p []byte) (int, error) { return unix.Fgetxattr(n.fd, name, p) })
	return p, failed("get "+name+" of", n.name, err)
}

// maxXattrBytes is the largest value and the largest list of names, xattr(7).
const maxXattrBytes = 64 << 10

// grow calls get with buffers that suffice.
func (n *node) grow(get func(p []byte) (int, error)) ([]byte, error) {
	for size := 256; ; size = maxXattrBytes {
		p := make([]byte, size)
		k, err := get(p)
		if err == unix.ERANGE && size < maxXattrBytes {
			continue
		}
		return p[:max(k, 0)], err
	}
}

// SetXattr implements [Node].
func (n *node) SetXattr(name string, value []byte) error {
	return failed("set "+name+" of", n.name, unix.Fsetxattr(n.fd, name, value, 0))
}

// RemoveXattr implements [Node].
func (n *node) RemoveXattr(name string) error {
	err := unix.Fremovexattr(n.fd, name)
	if err == unix.ENODATA {
		err = nil
	}
	return failed("remove "+name+" of", n.name, err)
}

// Sync implements [Node].
func (n *node) Sync() error {
	return failed("sync", n.name, again(func() error { return unix.Fsync(n.fd) }))
}

// Lease implements [Node].
func (n *node) Lease() error {
	_, err := unix.FcntlInt(uintptr(n.fd), unix.F_SETLEASE, n.leaseType)
	switch err {
	case unix.EAGAIN:
		err = ErrInUse
	case unix.EINVAL, unix.EACCES, unix.EOPNOTSUPP, unix.ENOLCK:
		// No leases on this file system, or the file belongs to somebody else.
		err = errors.ErrUnsupported
	}
	return failed("lease", n.name, err)
}

// Leased implements [Node].
func (n *node) Leased() bool {
	held, err := unix.FcntlInt(uintptr(n.fd), unix.F_GETLEASE, 0)
	return err == nil && held == n.leaseType
}

// Release implements [Node].
func (n *node) Release() error {
	_, err := unix.FcntlInt(uintptr(n.fd), unix.F_SETLEASE, unix.F_UNLCK)
	return failed("release", n.name, err)
}

// Close implements [Node].
func (n *node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fs.ErrClosed
	}
	n.closed = true
	return failed("close", n.name, unix.Close(n.fd))
}

// fsidOf returns the identifier of the file system of an open file, or 0.
func fsidOf(fd int) uint64 {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0
	}
	return uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
}
