package nbd

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// TestOptionWhileDraining shuts a server down while it answers an option. The
// next one that the client has sent already is told so.
func TestOptionWhileDraining(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serve(t, ServerOptions{OnAttach: func(ConnInfo) error {
		close(entered)
		<-leave
		return errors.New("come back later")
	}}, Export{Name: "disk", Device: newMemory(4096, 1)})
	c := s.client(t)
	c.start(wire.Structured)
	q := wire.InfoRequest{Name: "disk"}
	c.send(wire.AppendOption(wire.AppendOption(nil, wire.OptGo, q.Append(nil)), wire.OptList, nil))
	<-entered
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	waitFor(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for conn := range s.conns {
			return conn.draining.Load()
		}
		return false
	})
	close(leave)
	if rs := c.replies(wire.OptGo); !rs[len(rs)-1].kind.IsError() {
		t.Errorf("the refused option: %v", rs)
	}
	if rs := c.replies(wire.OptList); rs[len(rs)-1].kind != wire.RepErrShutdown {
		t.Errorf("an option of a server that shuts down: %v", rs)
	}
	c.checkClosed()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFairness has a client with 64 requests in flight beside one with a
// single one. For each answer to that one the other gets no more than a few rounds
// of its own.
func TestFairness(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at hand": 0, "from a disk": 200 * time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			const depth, trips, most = 64, 200, 4 * 64
			m := newMemory(1<<20, 41)
			if pause > 0 {
				m.cached = false
				m.before = func(string, int64, int64) error {
					time.Sleep(pause)
					return nil
				}
			}
			s := serve(t, ServerOptions{}, Export{Device: m})
			var served atomic.Int64
			stop := keepBusy(t, s, depth, &served)
			lone := s.client(t)
			lone.open("")
			var between []int64
			for range trips {
				before := served.Load()
				lone.checkRead(8192, m.data[8192:8192+4096])
				between = append(between, served.Load()-before)
			}
			if stop(); served.Load() == 0 {
				t.Fatal("the busy client got nothing")
			}
			slices.Sort(between)
			median := between[len(between)/2]
			t.Logf("for one answer the busy client got %d (median; most %d)", median, between[len(between)-1])
			if median > most {
				t.Errorf("for one answer the busy client got %d", median)
			}
		})
	}
}

// keepBusy has a client keep depth reads in flight until stop is called, and
// counts the answers.
func keepBusy(t *testing.T, s *testServer, depth int, served *atomic.Int64) (stop func()) {
	c := s.client(t)
	c.open("")
	c.nc.SetDeadline(time.Time{})
	var wg sync.WaitGroup
	slots := make(chan struct{}, depth)
	ending := make(chan struct{})
	wg.Go(func() { // asks
		r := wire.Request{Command: wire.CmdRead, Length: 4096}
		for {
			select {
			case slots <- struct{}{}:
			case <-ending:
				return
			}
			r.Cookie++
			if _, err := c.nc.Write(r.Append(nil, wire.Structured)); err != nil {
				return // it ends; if it should not, nothing is served any more
			}
		}
	})
	wg.Go(func() { // takes the answers
		p := make([]byte, wire.Structured.DataHeaderLen()+4096)
		for {
			if _, err := io.ReadFull(c.nc, p); err != nil {
				return
			}
			served.Add(1)
			<-slots
		}
	})
	return func() {
		close(ending)
		c.nc.Close()
		wg.Wait()
	}
}

// TestSlowSyncs has durable writes become slow after the reader has learnt
// that they are quick. Reads that follow them do not wait for more than the first
// few.
func TestSlowSyncs(t *testing.T) {
	m := newMemory(1<<20, 43)
	var pause atomic.Int64
	m.before = func(op string, _, _ int64) error {
		if op == "flush" {
			time.Sleep(time.Duration(pause.Load()))
		}
		return nil
	}
	s := serve(t, ServerOptions{}, Export{Device: m})
	c := s.client(t)
	c.open("")
	p := make([]byte, 4096)
	write := wire.Request{Command: wire.CmdWrite, Flags: wire.FlagFUA, Length: 4096}
	for range 50 {
		if a := c.await(write, c.request(write, p)); a.errno != 0 {
			t.Fatal(a.errno)
		}
	}
	pause.Store(int64(30 * time.Millisecond))
	const rounds = 10
	overtaken := 0
	for range rounds {
		write.Cookie, c.cookie = c.cookie+1, c.cookie+2
		read := wire.Request{Command: wire.CmdRead, Offset: 8192, Length: 4096, Cookie: c.cookie}
		c.send(read.Append(append(write.Append(nil, c.mode), p...), c.mode))
		for i := range 2 {
			h := c.header()
			if i == 0 && h.Cookie == read.Cookie {
				overtaken++
			}
			if !h.Simple {
				c.recv(int(h.Length))
			}
		}
	}
	if overtaken < rounds-3 {
		t.Errorf("%d of %d reads did not wait for a slow sync before them", overtaken, rounds)
	}
}

// TestMemoryOfManyClients has many clients ask for much and take nothing. What
// the server holds for them stays within its bounds, and all get their bytes when
// they take them.
func TestMemoryOfManyClients(t *testing.T) {
	const clients, reads, length, limit = 24, 12, 1 << 20, 8 << 20
	m := newMemory(length, 42)
	s := serve(t, ServerOptions{MaxMemory: limit}, Export{Device: m})
	before := heapBytes()
	var cs []*rawClient
	for range clients {
		c := s.client(t)
		c.open("")
		c.nc.SetDeadline(time.Time{})
		r := wire.Request{Command: wire.CmdRead, Length: length}
		for range reads {
			c.request(r, nil)
		}
		cs = append(cs, c)
	}
	// A request of its own is what a connection may have beyond its allowance
	// while it holds nothing else.
	const bound = limit + clients*(connAllowance+length)
	for last, same := int64(-1), 0; same < 10; {
		held := heldBytes(s)
		if held > bound {
			t.Fatalf("%d bytes are held, %d allowed", held, bound)
		}
		if same++; held != last {
			last, same = held, 0
		}
		time.Sleep(5 * time.Millisecond)
	}
	if grown := heapBytes() - before; grown > bound+bound/2 {
		t.Errorf("the heap has grown by %d bytes, %d may be held", grown, int64(bound))
	}
	var wg sync.WaitGroup
	for _, c := range cs {
		wg.Go(func() {
			if _, err := io.CopyN(io.Discard, c.nc, reads*length); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	waitFor(t, func() bool { return heldBytes(s) == 0 })
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if s.memory.free != s.memory.size {
		t.Errorf("%d bytes of the budget are lost", s.memory.size-s.memory.free)
	}
}

// heldBytes returns what all connections hold.
func heldBytes(s *testServer) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		n += c.mem.used.Load()
	}
	return n
}

// heapBytes returns the size of what is reachable.
func heapBytes() int64 {
	runtime.GC()
	var st runtime.MemStats
	runtime.ReadMemStats(&st)
	return int64(st.HeapAlloc)
}
