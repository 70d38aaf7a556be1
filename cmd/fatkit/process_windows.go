package main

import (
	"context"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// stopSignals are the signals that end a server.
var stopSignals = []os.Signal{os.Interrupt}

// ignoreBrokenPipe does nothing: the system has no such signal.
func ignoreBrokenPipe() {}

// ownGroup does nothing: a process is ended alone.
func ownGroup(*exec.Cmd) {}

// askToEnd ends a process; the system knows no request that every program hears.
func askToEnd(p *os.Process, _ bool) { p.Kill() }

// killAll ends a process.
func killAll(p *os.Process, _ bool) { p.Kill() }

// deathSignal returns 0: the system has no signals.
func deathSignal(*os.ProcessState) int { return 0 }

// watchParent calls gone once, when the process that started this one has
// ended, or never if ctx ends first.
func watchParent(ctx context.Context, gone func()) error {
	parent, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(os.Getppid()))
	if err != nil {
		return os.NewSyscallError("OpenProcess", err)
	}
	go func() {
		defer windows.CloseHandle(parent)
		for ctx.Err() == nil {
			const intervalMillis = 4000
			if event, err := windows.WaitForSingleObject(parent, intervalMillis); err != nil || event == windows.WAIT_OBJECT_0 {
				gone()
				return
			}
		}
	}()
	return nil
}
