package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/fatkit/fatkit/nbd"
)

// childEnv returns the environment of the command of --run: ours without what
// is meant for this process alone, and with the address of the first export, for clients that must encrypt if tls is set.
//
// The names are those that nbdkit gives to its --run command.
func childEnv(a net.Addr, export string, tls bool) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
			"uri", "unixsocket", "host", "port", "exportname":
		default:
			env = append(env, v)
		}
	}
	env = append(env, "uri="+nbd.URI(a, export, tls), "exportname="+export)
	if a.Network() == "unix" {
		return append(env, "unixsocket="+a.String())
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		panic(err) // the address of an open listener
	}
	return append(env, "host="+host, "port="+port)
}

// shellCommand returns a command that runs line in the system's shell.
func shellCommand(line string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		return exec.Command("cmd", "/C", line)
	}
	return exec.Command("/bin/sh", "-c", line)
}

// runChild runs line in a shell and returns its exit code; as a shell does, it
// counts a death by signal n as 128+n. The end of ctx asks the command to end,
// the end of force kills it.
//
// What the shell has started is asked as well, where the system can do that:
// without a terminal the command gets a process group of its own. With one it
// stays in ours, so that it may read from the terminal and hears its Ctrl-C.
func runChild(ctx, force context.Context, line string, env []string) (int, error) {
	cmd := shellCommand(line)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, env
	alone := !isTerminal(os.Stdin)
	if alone {
		ownGroup(cmd)
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("--run: %w", err)
	}
	defer context.AfterFunc(ctx, func() { askToEnd(cmd.Process, alone) })()
	defer context.AfterFunc(force, func() { killAll(cmd.Process, alone) })()
	cmd.Wait() // its error is the exit code, or the loss of output that is not copied by us
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 128 + deathSignal(cmd.ProcessState), nil
}
