//go:build unix

package nbd

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// isRefused reports whether nobody listens on a socket.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// lockSocket keeps other servers from replacing the same stale socket at the
// same time, by a lock on its folder.
func lockSocket(path string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		dir.Close()
		return func() {}, nil // not every file system has locks
	}
	return func() { dir.Close() }, nil
}
