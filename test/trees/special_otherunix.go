//go:build unix && !linux

package trees

import (
	"errors"
	"syscall"
)

// mknod makes pipes only: the portable call makes nothing else.
func mknod(path string, mode uint32) error {
	if mode&syscall.S_IFMT != syscall.S_IFIFO {
		return errors.ErrUnsupported
	}
	return syscall.Mkfifo(path, mode&0o777)
}
