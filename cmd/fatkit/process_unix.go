//go:build unix

package main

import (
	"context"
	"os"
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

// askToEnd asks a process to end in order.
func askToEnd(p *os.Process) { p.Signal(syscall.SIGTERM) }

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
