package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// readyVariable is set in the environment of a process that goes on in the
// background. readyFD is the pipe on which it says that the mount can be used.
const (
	readyVariable = "FATKIT_MOUNT_READY"
	readyFD       = 3
)

// readyPipe returns the pipe on which this process says that it is ready, or nil
// if nobody waits.
func readyPipe() *os.File {
	if os.Getenv(readyVariable) == "" {
		return nil
	}
	os.Unsetenv(readyVariable)
	unix.CloseOnExec(readyFD)
	return os.NewFile(readyFD, "ready")
}

// background runs this program again, with the same arguments, as a process of
// its own session, and returns when that is ready or has failed. It writes its
// errors to our standard error until it is ready.
func (f *mountFlags) background(cmd *cobra.Command) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	child := exec.Command(self, os.Args[1:]...)
	child.Args[0] = os.Args[0] // the name says what to do, when mount(8) calls
	child.Stdout, child.Stderr, child.ExtraFiles = os.Stdout, os.Stderr, []*os.File{w}
	child.Env = append(os.Environ(), readyVariable+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	w.Close()
	if err != nil {
		return err
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	defer context.AfterFunc(ctx, func() { child.Process.Signal(syscall.SIGTERM) })()
	said, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(said) == 0 {
		err := child.Wait()
		if code := child.ProcessState.ExitCode(); code > 0 {
			return exitWith(code) // it has said why
		}
		return fmt.Errorf("the process in the background ended before the mount could be used: %w", err)
	}
	if f.asJSON {
		_, err = cmd.OutOrStdout().Write(said)
	}
	return errors.Join(err, child.Process.Release())
}

// detach lets go of the terminal and the folder, and tells who waits that the mount
// can be used.
func (f *mountFlags) detach(r mountReport, ready *os.File) error {
	sink := os.DevNull
	if f.logFile != "" {
		var err error
		if sink, err = filepath.Abs(f.logFile); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(sink, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("--log-file: %w", err)
	}
	defer log.Close()
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return errors.Join(printJSON(ready, r), ready.Close())
}
