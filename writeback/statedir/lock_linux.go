package statedir

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile opens a file, which it makes if it is not there, or a directory, and
// locks it until it is closed. A file system that has no such locks gives none:
// then the lock of the state folder has to do.
func lockFile(path string, dir bool) (*os.File, error) {
	flags := os.O_RDWR | os.O_CREATE
	if dir {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("%s: %w: end that one first, or ask it: fatkit status", path, ErrLocked)
	case dir && (errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EINVAL)):
		return f, nil
	default:
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	f.Close()
	return nil, err
}
