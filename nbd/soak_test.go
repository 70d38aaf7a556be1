package nbd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// soakVariable is the length of the soak, such as 10m.
const soakVariable = "NBD_SOAK"

// TestSoak serves connections that come, go, stall and break, and checks that
// memory, goroutines and descriptors stay flat. It runs for a moment unless
// NBD_SOAK says how long.
func TestSoak(t *testing.T) {
	length := 3 * time.Second
	if v := os.Getenv(soakVariable); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	m := newMemory(4<<20, 101)
	m.before = func(string, int64, int64) error {
		if rand.IntN(500) == 0 {
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	// Limits that a client can run into. Those who behave use the other
	// server too, where a busy machine makes nobody miss one.
	strict := serve(t, ServerOptions{MaxConns: 10_000, StallTimeout: shortPatience, HandshakeTimeout: shortPatience}, Export{Device: m, ReadOnly: true})
	s := serve(t, ServerOptions{MaxConns: 10_000, StallTimeout: soakPatience, HandshakeTimeout: soakPatience}, Export{Device: m, ReadOnly: true})
	var count atomic.Int64
	var samples []sample
	end := time.Now().Add(length)
	for round := 0; time.Now().Before(end) || round < 3; round++ {
		roundEnd := time.Now().Add(length / 10)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for time.Now().Before(roundEnd) {
					soakClient(t, s, strict, m, w)
					count.Add(1)
				}
			})
		}
		wg.Wait()
		waitFor(t, func() bool { return s.Stats().Conns+strict.Stats().Conns == 0 })
		samples = append(samples, takeSample())
	}
	first, last := samples[1], samples[len(samples)-1] // the first round fills the pools
	t.Logf("%d clients; %v; then %v", count.Load(), first, last)
	if last.goroutines > first.goroutines+2 || last.files > first.files+2 || last.heap > first.heap+16<<20 {
		t.Errorf("something grows: %v", samples)
	}
}

// sample is what must not grow.
type sample struct {
	goroutines, files int
	heap              uint64
}

func (s sample) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB", s.goroutines, s.files, s.heap>>10)
}

func takeSample() sample {
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return sample{runtime.NumGoroutine(), openFiles(), ms.HeapAlloc}
}

// Limits of the soak. soakPatience is for what must happen, however busy the
// machine is; shortPatience for what clients are there to exceed.
const (
	soakPatience  = 2 * time.Minute
	shortPatience = 300 * time.Millisecond
)

// soakClient is one visit: w chooses the kind.
func soakClient(t *testing.T, s, strict *testServer, m *memory, w int) {
	switch w {
	case 0, 1, 2, 3:
		target := s
		if w == 2 || rand.IntN(2) == 0 {
			target = strict
		}
		nc, err := net.Dial("unix", target.path)
		if err != nil {
			time.Sleep(time.Millisecond) // the queue of the listener is full
			return
		}
		defer nc.Close()
		misbehave(t, nc, w)
	default:
		behave(t, s, m, w)
	}
}

// misbehave is the visit of a client that does not do as it should.
func misbehave(t *testing.T, nc net.Conn, w int) {
	switch w {
	case 0: // breaks off in the negotiation
		nc.Write(wire.AppendOption([]byte{0, 0, 0, 3}, wire.OptList, nil)[:rand.IntN(20)])
		time.Sleep(100 * time.Microsecond)
	case 1: // says nothing
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
	case 2: // asks for much, takes nothing, and waits to be thrown out
		flood(nc)
		nc.SetWriteDeadline(time.Now().Add(soakPatience))
		for {
			if _, err := nc.Write(make([]byte, 1<<20)); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("a client that takes no replies was not cut off")
				}
				return
			}
		}
	case 3: // breaks off in the middle of answers
		flood(nc)
		nc.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		nc.Read(make([]byte, 10000))
	}
}

// behave is the visit of a client that does, which nobody disturbs.
func behave(t *testing.T, s *testServer, m *memory, w int) {
	ctx, cancel := context.WithTimeout(context.Background(), soakPatience)
	defer cancel()
	c, err := (&Dialer{Connections: 1 + w%3, OldProtocol: w % 3}).Dial(ctx, s.uri(""))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	buf := make([]byte, 200_000)
	for range 20 {
		off, n := rand.IntN(3<<20), 1+rand.IntN(len(buf))
		if _, err := c.ReadAt(buf[:n], int64(off)); err != nil || !bytes.Equal(buf[:n], m.data[off:off+n]) {
			t.Errorf("read of %d at %d: %v", n, off, err)
		}
	}
}

// flood negotiates blindly and asks for reads until the server takes no more.
func flood(nc net.Conn) {
	q := wire.InfoRequest{}
	p := wire.AppendOption([]byte{0, 0, 0, 3}, wire.OptGo, q.Append(nil))
	r := wire.Request{Command: wire.CmdRead, Length: 1 << 20}
	for range 200 {
		p = r.Append(p, wire.Simple)
	}
	nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	nc.Write(p)
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
}
