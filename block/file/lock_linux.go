package file

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A writer locks the whole file exclusively. A reader shares a lock on one
// byte and makes sure that no writer is there. The bytes are those by which
// QEMU tells others what it does with an image ("image locking" in QEMU's
// manual): who holds a shared lock on qemuWriter writes, and who holds one on
// qemuNoWriter wants nobody else to. So QEMU and this package keep each other
// from writing an image that the other uses, and share one that both read.
const (
	qemuWriter   = 101
	qemuNoWriter = 201
)

// lock takes the lock of a reader or a writer. It belongs to the open file,
// not to the process.
func lock(f *os.File, readOnly bool) error {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if !readOnly {
		return setLock(f, &whole)
	}
	one := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: qemuNoWriter, Len: 1}
	if err := setLock(f, &one); err != nil {
		return err
	}
	probe := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: qemuWriter, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &probe); err == nil && probe.Type != unix.F_UNLCK {
		unlock(f)
		return ErrLocked
	}
	return nil
}

func setLock(f *os.File, l *unix.Flock_t) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, l)
	switch {
	case err == unix.EAGAIN, err == unix.EACCES:
		return ErrLocked
	case err == unix.EINVAL, err == unix.ENOLCK, errors.Is(err, errors.ErrUnsupported):
		return nil // no such locks here
	}
	return err
}

// unlock gives up every lock of the open file.
func unlock(f *os.File) {
	l := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart}
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l) // closing the file unlocks as well
}
