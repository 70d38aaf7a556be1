package nbd

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block/mem"
)

const python = "/usr/bin/python3" // Debian's, which has the bindings of libnbd

// serverVariable makes the test binary a server, for tests that start one.
const serverVariable = "NBD_TEST_SERVER"

func TestMain(m *testing.M) {
	kind := os.Getenv(serverVariable)
	if kind == "" {
		os.Exit(m.Run())
	}
	if err := serveAs(kind); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveAs serves a device over what a parent has passed, until its client
// is gone.
func serveAs(kind string) error {
	gone := make(chan struct{}, 1)
	s := NewServer(ServerOptions{OnDetach: func(i ConnInfo) { gone <- struct{}{} }})
	if err := s.AddExport(Export{Device: mem.New(1 << 20)}); err != nil {
		return err
	}
	ctx := context.Background()
	if kind == "stdio" {
		nc, err := StdioConn(os.Stdin, os.Stdout)
		if err != nil {
			return err
		}
		return s.ServeConn(ctx, nc)
	}
	ls, err := PassedListeners()
	if err != nil || len(ls) != 1 {
		return fmt.Errorf("%d sockets: %w", len(ls), err)
	}
	go s.Serve(ctx, ls[0])
	<-gone
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.Shutdown(ctx)
}

// needLibnbd skips the test, or fails it where CI is set, without the
// bindings.
func needLibnbd(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/usr/lib/python3/dist-packages/nbd.py"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3-libnbd is needed and not installed")
		}
		t.Skip("python3-libnbd is not installed")
	}
}

func TestLibnbdParallel(t *testing.T) {
	needLibnbd(t)
	operations := "40000"
	if testing.Short() {
		operations = "6000"
	}
	for _, mode := range []string{"structured", "simple"} {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/cached=%v", mode, cached), func(t *testing.T) {
				m := newMemory(8<<20, 81)
				m.cached = cached
				s := serve(t, ServerOptions{}, Export{Device: m})
				run(t, python, "testdata/parallel.py", s.uri(""), operations, mode)
			})
		}
	}
}

func TestLibnbdFlags(t *testing.T) {
	needLibnbd(t)
	s := serve(t, ServerOptions{}, Export{Device: newMemory(80<<20, 82)})
	run(t, python, "testdata/flags.py", s.uri(""))
}

func TestLibnbdThreads(t *testing.T) {
	needLibnbd(t)
	s := serve(t, ServerOptions{}, Export{Device: newMemory(16<<20, 83)})
	run(t, python, "testdata/threads.py", s.uri(""))
}

func TestStartedByLibnbd(t *testing.T) {
	needLibnbd(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"stdio", "activation"} {
		t.Run(kind, func(t *testing.T) {
			t.Setenv(serverVariable, kind)
			run(t, python, "testdata/start.py", kind, exe)
		})
	}
}
