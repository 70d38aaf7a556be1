package nbd

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// hooks records what a server tells.
type hooks struct {
	mu     sync.Mutex
	events []ConnInfo
	active map[string]int
}

func (h *hooks) attach(i ConnInfo) error {
	h.record(i)
	return nil
}

func (h *hooks) detach(i ConnInfo) { h.record(i) }

func (h *hooks) record(i ConnInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, i)
}

func (h *hooks) all() []ConnInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func TestHooks(t *testing.T) {
	var h hooks
	s := serve(t, ServerOptions{OnAttach: h.attach, OnDetach: h.detach}, Export{Name: "disk", Device: newMemory(4096, 1)})
	a, b := s.client(t), s.client(t)
	a.open("disk")
	b.open("disk")
	a.disconnect()
	waitFor(t, func() bool { return len(h.all()) == 3 })
	b.nc.Close()
	waitFor(t, func() bool { return len(h.all()) == 4 })
	gone := s.client(t) // never attaches
	gone.start(wire.Simple)
	gone.expect(wire.OptAbort, nil, wire.RepAck)
	got := h.all()
	remaining := []int{1, 2, 1, 0}
	orderly := []bool{false, false, true, false}
	for i, e := range got {
		if e.Remaining != remaining[i] || e.Orderly != orderly[i] || e.Export != "disk" || (e.Err != nil) != (i == 3) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
}

// slowDevice is a memory whose reads wait until they are let go.
func slowDevice(seed uint64) (m *memory, started chan struct{}, release chan struct{}) {
	m = newMemory(1<<20, seed)
	m.cached = false
	started, release = make(chan struct{}, 100), make(chan struct{})
	m.before = func(op string, _, _ int64) error {
		started <- struct{}{}
		<-release
		return nil
	}
	return m, started, release
}

func TestShutdownFinishesRequests(t *testing.T) {
	m, started, release := slowDevice(31)
	s := serve(t, ServerOptions{}, Export{Device: m})
	c := s.client(t)
	c.open("")
	r := wire.Request{Command: wire.CmdRead, Offset: 4096, Length: 4096}
	cookie := c.request(r, nil)
	<-started
	negotiating := s.client(t)
	negotiating.start(wire.Simple)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned before the request: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	a := c.await(r, cookie)
	if a.errno != 0 || string(a.data) != string(m.data[4096:8192]) {
		t.Errorf("the request in flight: error %d", a.errno)
	}
	c.checkClosed()
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := net.Dial("unix", s.path); err == nil {
		t.Error("the server still accepts")
	}
	_, late := net.Pipe()
	if err := s.ServeConn(context.Background(), late); err != ErrServerClosed {
		t.Errorf("ServeConn after Shutdown: %v", err)
	}
}

func TestShutdownHardLimit(t *testing.T) {
	m, started, release := slowDevice(32)
	s := serve(t, ServerOptions{}, Export{Device: m})
	c := s.client(t)
	c.open("")
	c.request(wire.Request{Command: wire.CmdRead, Length: 4096}, nil)
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	c.drainUntilClosed() // broken although the device is still busy
	close(release)
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestRemoveExport(t *testing.T) {
	m, started, release := slowDevice(33)
	var h hooks
	s := serve(t, ServerOptions{OnDetach: h.detach}, Export{Name: "a", Device: m}, Export{Name: "b", Device: newMemory(512, 1)})
	if err := s.AddAlias("", "a"); err != nil {
		t.Fatal(err)
	}
	a, b := s.client(t), s.client(t)
	a.open("a")
	b.open("b")
	r := wire.Request{Command: wire.CmdRead, Length: 4096}
	cookie := a.request(r, nil)
	<-started
	done := make(chan error, 1)
	go func() { done <- s.RemoveExport(context.Background(), "a") }()
	waitFor(t, func() bool { return s.lookup("a") == nil && s.lookup("") == nil })
	close(release)
	if got := a.await(r, cookie); got.errno != 0 {
		t.Errorf("the request in flight: error %d", got.errno)
	}
	a.checkClosed()
	if err := <-done; err != nil {
		t.Errorf("RemoveExport: %v", err)
	}
	if e := h.all(); len(e) != 1 || e[0].Orderly || e[0].Remaining != 0 {
		t.Errorf("events: %+v", e)
	}
	b.checkRead(0, s.lookup("b").Device.(*memory).data)
	b.disconnect()
	late := s.client(t)
	late.start(wire.Simple)
	q := wire.InfoRequest{Name: "a"}
	late.expect(wire.OptGo, q.Append(nil), wire.RepErrUnknown)
	if err := s.AddExport(Export{Name: "a", Device: m}); err != nil {
		t.Errorf("adding it again: %v", err)
	}
	late.goTo("a")
	late.disconnect()
	if err := s.RemoveExport(context.Background(), "none"); err == nil {
		t.Error("an unknown export was removed")
	}
}

// TestClientThatStopsReading asks for far more than the sockets hold and
// takes nothing. Others go on, and the server ends it at last.
func TestClientThatStopsReading(t *testing.T) {
	m := newMemory(8<<20, 34)
	s := serve(t, ServerOptions{StallTimeout: 300 * time.Millisecond}, Export{Device: m})
	before := s.Stats().Conns
	stalled := s.client(t)
	stalled.open("")
	go func() {
		r := wire.Request{Command: wire.CmdRead, Length: 4 << 20}
		small := wire.Request{Command: wire.CmdRead, Length: 4096}
		for range 2000 {
			p := small.Append(r.Append(nil, wire.Structured), wire.Structured)
			if _, err := stalled.nc.Write(p); err != nil {
				return
			}
		}
	}()
	c := s.client(t)
	c.open("")
	for range 50 {
		c.checkRead(12345, m.data[12345:12345+300000])
		c.checkRead(1, m.data[1:4097])
	}
	waitFor(t, func() bool { return s.Stats().Conns == before+1 })
	c.disconnect()
	waitFor(t, func() bool { return s.Stats().Conns == 0 })
	if s.memory.free != s.memory.size {
		t.Errorf("%d bytes of the budget are lost", s.memory.size-s.memory.free)
	}
}

func TestIdleTimeout(t *testing.T) {
	s := serve(t, ServerOptions{IdleTimeout: 50 * time.Millisecond}, Export{Device: newMemory(512, 1)})
	c := s.client(t)
	c.open("")
	c.drainUntilClosed()
}

func TestContextBreaksServeConn(t *testing.T) {
	s := NewServer(ServerOptions{})
	if err := s.AddExport(Export{Device: newMemory(512, 1)}); err != nil {
		t.Fatal(err)
	}
	server, client := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ServeConn(ctx, server) }()
	c := rawClient{t: t, nc: client}
	c.open("")
	cancel()
	if err := <-done; err == nil {
		t.Error("a broken connection is no orderly end")
	}
}
