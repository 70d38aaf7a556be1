//go:build unix

package trees

import (
	"errors"
	"syscall"
)

// makeSpecial makes a socket or a pipe.
func makeSpecial(path string, kind Kind) error {
	mode := uint32(syscall.S_IFIFO | 0o600)
	if kind == Socket {
		mode = syscall.S_IFSOCK | 0o600
	}
	if err := mknod(path, mode); err != nil {
		return errors.Join(errHost, err) // some systems reserve sockets for root
	}
	return nil
}
