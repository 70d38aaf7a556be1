//go:build unix

package nbd

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestStdioShutdown drains a server whose idle client is behind blocking pipes.
func TestStdioShutdown(t *testing.T) {
	var up, down [2]int
	for _, p := range []*[2]int{&up, &down} {
		if err := syscall.Pipe(p[:]); err != nil {
			t.Fatal(err)
		}
	}
	file := func(fd int) *os.File { return os.NewFile(uintptr(fd), "pipe") }
	server, err := StdioConn(file(up[0]), file(down[1]))
	if err != nil {
		t.Fatal(err)
	}
	client, err := StdioConn(file(down[0]), file(up[1]))
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory(1<<20, 8)
	s := NewServer(ServerOptions{})
	if err := s.AddExport(Export{Device: m}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(context.Background(), server) }()
	c := rawClient{t: t, nc: client}
	c.open("")
	c.checkRead(0, m.data[:300_000])
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("ServeConn: %v", err)
	}
	c.checkClosed()
}
