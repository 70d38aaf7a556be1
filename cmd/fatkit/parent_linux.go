package main

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// watchParent calls gone once, when the process that started this one has
// ended, or never if ctx ends first.
//
// It waits on a descriptor of the parent. PR_SET_PDEATHSIG would not do: it
// tells of the end of the parent's thread, which may be a goroutine's.
func watchParent(ctx context.Context, gone func()) error {
	pid := os.Getppid()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil || os.Getppid() != pid {
		go pollParent(ctx, pid, gone)
		return nil
	}
	go func() {
		defer unix.Close(fd)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for ctx.Err() == nil {
			n, err := unix.Poll(fds, int(parentInterval.Milliseconds())*16)
			if err != nil && err != unix.EINTR {
				pollParent(ctx, pid, gone)
				return
			}
			if n > 0 {
				gone()
				return
			}
		}
	}()
	return nil
}
