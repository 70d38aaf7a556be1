//go:build unix

package nbd

import (
	"os"
	"syscall"
)

// pollable returns a file for the same pipe that Go's poller watches, so that
// deadlines and Close end a Read which waits. A pipe that a parent has passed is
// usually blocking, and would not. If that cannot be had it returns f.
func pollable(f *os.File) *os.File {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return f
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return f
	}
	f.Close()
	return os.NewFile(uintptr(fd), f.Name())
}
