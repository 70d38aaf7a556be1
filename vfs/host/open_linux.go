package host

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openFast opens a name for reading with one system call (openat2(2)), in which
// the kernel keeps to what os.Root promises: a link is followed only to a place
// beneath the directory. os.Root takes several, which shows where many small
// files are copied. It returns nil, nil where os.Root has to decide.
func (f *FS) openFast(name string) (fs.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, errno := -1, error(nil)
	conn, err := f.dir.SyscallConn()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	err = conn.Control(func(dir uintptr) {
		for {
			if fd, errno = unix.Openat2(int(dir), name, &how); !errors.Is(errno, unix.EINTR) {
				return
			}
		}
	})
	if err != nil || errno != nil {
		return nil, nil // os.Root tells why, or knows another way
	}
	// The entries of a directory ask for more by its name, so it is os.Root's.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.Close(fd)
	}
	return os.NewFile(uintptr(fd), name), nil
}
