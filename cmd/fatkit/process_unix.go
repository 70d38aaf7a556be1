//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// stopSignals are the signals that end a server.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// parentInterval is how often the parent is looked for where the system does
// not report its end.
const parentInterval = 250 * time.Millisecond

// ignoreBrokenPipe lets a write to a closed standard output fail, where it
// would end the process.
func ignoreBrokenPipe() { signal.Ignore(syscall.SIGPIPE) }

// ownGroup makes a command, and what it starts, a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// askToEnd asks a process, or the group that it leads, to end in order.
func askToEnd(p *os.Process, group bool) { send(p, group, syscall.SIGTERM) }

// killAll ends a process, or the group that it leads.
func killAll(p *os.Process, group bool) { send(p, group, syscall.SIGKILL) }

// send sends a signal to a process or its group. It does so while the process
// has not been waited for, so the number is still its own.
func send(p *os.Process, group bool, s syscall.Signal) {
	if group {
		syscall.Kill(-p.Pid, s)
		return
	}
	p.Signal(s)
}

// deathSignal returns the number of the signal that ended a process, or 0.
func deathSignal(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return int(w.Signal())
	}
	return 0
}

// pollParent calls gone when the parent of this process is no longer pid.
func pollParent(ctx context.Context, pid int, gone func()) {
	tick := time.NewTicker(parentInterval)
	defer tick.Stop()
	for os.Getppid() == pid {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	gone()
}
