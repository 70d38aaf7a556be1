package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/fusemount"
)

// lazyPatience bounds the wait for the end of a mount that is still in use.
const lazyPatience = time.Second

// run ends each mount. An error is told, and the others follow.
func (f *umountFlags) run(cmd *cobra.Command, dirs []string) error {
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	code := exitDone
	for _, dir := range dirs {
		pending, err := f.unmount(ctx, dir)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			code = exitFailed
			fmt.Fprintln(os.Stderr, "fatkit: "+printable(oneLine(err.Error())))
		case pending && code == exitDone:
			code = exitPending
			fmt.Fprintf(os.Stderr, "fatkit: %s is out of the tree and still in use\n", printable(dir))
		}
	}
	return exitWith(code)
}

// unmount ends one mount. pending says that it is still in use.
func (f *umountFlags) unmount(ctx context.Context, dir string) (pending bool, err error) {
	point, err := fusemount.Find(dir)
	if err != nil {
		return false, err
	}
	var flags fusemount.UnmountFlags
	if f.lazy {
		flags |= fusemount.Lazy
	}
	if f.force {
		flags |= fusemount.Force | fusemount.Lazy
	}
	var failed error
	pid := 0
	if !f.force { // it may not answer
		failed = fusemount.Sync(point)
		if failed == nil {
			pid, failed = fusemount.Owner(point)
		}
		switch {
		case errors.Is(failed, fusemount.ErrDead):
			return false, fusemount.Unmount(point, fusemount.Lazy)
		case errors.Is(failed, fs.ErrPermission):
			fmt.Fprintf(os.Stderr, "fatkit: %s lets only the user in who mounted it: it is unmounted without waiting for its end\n", printable(dir))
			failed = nil
		}
	}
	process, err := watchProcess(pid)
	if err != nil {
		return false, err
	}
	defer process.close()
	if err := fusemount.Unmount(point, flags); err != nil {
		if errors.Is(err, fusemount.ErrBusy) {
			err = fmt.Errorf("%w: end what uses it, or add --lazy", err)
		}
		return false, errors.Join(failed, err)
	}
	return !process.wait(ctx, f.lazy), failed
}

// watchedProcess is a process whose end is waited for.
type watchedProcess struct{ fd int }

// watchProcess opens a process. One that is gone, and 0, has ended.
func watchProcess(pid int) (watchedProcess, error) {
	if pid == 0 {
		return watchedProcess{-1}, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return watchedProcess{-1}, nil
	}
	return watchedProcess{fd}, err
}

// wait waits for the end of the process, not for long if it may be in use, and
// reports whether it has come.
func (p watchedProcess) wait(ctx context.Context, mayLast bool) bool {
	if p.fd < 0 {
		return true
	}
	const step = 100 * time.Millisecond
	for waited := time.Duration(0); ctx.Err() == nil && !(mayLast && waited >= lazyPatience); waited += step {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds, int(step.Milliseconds())); n > 0 {
			return true
		}
	}
	return false
}

func (p watchedProcess) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
}
