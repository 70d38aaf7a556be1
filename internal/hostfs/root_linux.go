package hostfs

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Root is an open directory of the host. It implements [FS].
type Root struct {
	name, real string
	fd         int
	closed     atomic.Bool
	euid       uint32
}

var _ FS = (*Root)(nil)

// openDir are the flags that open a directory. O_NOATIME and O_NOFOLLOW are
// added by open.
const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

// openFile are the flags that open a file. O_NONBLOCK keeps the open of a pipe
// that took the file's place from waiting for its writer.
const openFile = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// maxAgain is how often an openat2 that the kernel could not make safe at
// once, because something was renamed meanwhile, is tried again.
const maxAgain = 16

// OpenRoot opens the directory dir. Symbolic links in dir itself are followed.
func OpenRoot(dir string) (*Root, error) {
	real, err := realDir(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: underlying(err)}
	}
	fd, err := retry(func() (int, error) { return unix.Open(real, openDir, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Root{name: dir, real: real, fd: fd, euid: uint32(unix.Geteuid())}, nil
}

// Close closes the directory. Files opened from it stay open. It must not run
// together with other methods.
func (r *Root) Close() error {
	if r.closed.Swap(true) {
		return fs.ErrClosed
	}
	return unix.Close(r.fd)
}

// Stat implements [FS].
func (r *Root) Stat(path string) (Stat, error) {
	fd, err := r.open("stat", path, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return Stat{}, err
	}
	defer unix.Close(fd)
	var s statter
	st, err := s.descriptor(fd)
	if err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: r.join(path), Err: err}
	}
	return st, nil
}

// Open implements [FS].
func (r *Root) Open(path string) (File, Stat, error) {
	fd, err := r.open("open", path, openFile)
	if err != nil {
		return nil, Stat{}, err
	}
	f := &file{fd: fd, name: path}
	st, err := f.Stat()
	if err == nil && !st.Mode.IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		unix.Close(fd)
		return nil, Stat{}, &fs.PathError{Op: "open", Path: r.join(path), Err: err}
	}
	return f, st, nil
}

// open resolves path beneath the root. It tries to leave the access time alone
// and does without where only the owner may ask for that.
func (r *Root) open(op, path string, flags int) (int, error) {
	if err := checkPath(op, path); err != nil {
		return -1, err
	}
	if r.closed.Load() {
		return -1, &fs.PathError{Op: op, Path: r.join(path), Err: fs.ErrClosed}
	}
	flags |= unix.O_NOFOLLOW
	if flags&unix.O_PATH == 0 {
		flags |= unix.O_NOATIME
	}
	fd, err := r.openBeneath(path, flags)
	if err == unix.EPERM && flags&unix.O_NOATIME != 0 {
		fd, err = r.openBeneath(path, flags&^unix.O_NOATIME)
	}
	if err != nil {
		return -1, &fs.PathError{Op: op, Path: r.join(path), Err: err}
	}
	return fd, nil
}

// openBeneath opens path in one system call, or in steps where the kernel or
// the length of the path does not allow that.
func (r *Root) openBeneath(path string, flags int) (int, error) {
	if len(path) >= unix.PathMax {
		return r.openSteps(path, flags)
	}
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	// With O_PATH the last component may be a link: O_NOFOLLOW then opens the
	// link itself, which RESOLVE_NO_SYMLINKS allows (openat2(2)).
	for range maxAgain {
		fd, err := retry(func() (int, error) { return unix.Openat2(r.fd, path, &how) })
		switch err {
		case nil:
			return fd, nil
		case unix.EAGAIN:
			continue
		case unix.ENOSYS, unix.E2BIG, unix.ENAMETOOLONG:
			return r.openSteps(path, flags)
		case unix.EPERM:
			// A sandbox that does not know openat2 says so with EPERM, as the
			// kernel does when only the owner may ask for O_NOATIME.
			if flags&unix.O_NOATIME == 0 {
				return r.openSteps(path, flags)
			}
		}
		return -1, err
	}
	return r.openSteps(path, flags)
}

// openSteps opens path one component at a time, following no link.
func (r *Root) openSteps(path string, flags int) (int, error) {
	at, owned := r.fd, false
	for {
		part, rest, more := strings.Cut(path, "/")
		mode := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if !more {
			mode = flags
		}
		fd, err := retry(func() (int, error) { return unix.Openat(at, part, mode, 0) })
		if owned {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, owned, path = fd, true, rest
	}
}

// retry repeats a system call that a signal interrupted.
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
