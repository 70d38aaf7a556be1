package nbd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// memory is the device of the tests: bytes, with every capability, and hooks
// that make calls fail or wait.
type memory struct {
	mu      sync.RWMutex
	data    []byte
	limits  block.Limits
	cached  bool                                // whether ReadAtCached answers
	before  func(op string, off, n int64) error // called outside the lock
	flushes int
}

var (
	_ block.Device       = (*memory)(nil)
	_ block.CachedReader = (*memory)(nil)
	_ block.Limiter      = (*memory)(nil)
	_ block.Extenter     = (*memory)(nil)
	_ block.Discarder    = (*memory)(nil)
	_ block.Zeroer       = (*memory)(nil)
)

// newMemory returns a device of random bytes.
func newMemory(size int, seed uint64) *memory {
	m := &memory{data: make([]byte, size), cached: true, limits: block.Limits{Discard: true, Zero: true, FastZero: true, Extents: true}}
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(m.data)
	return m
}

func (m *memory) enter(op string, off, n int64) error {
	if m.before != nil {
		if err := m.before(op, off, n); err != nil {
			return err
		}
	}
	return block.CheckRange(off, n, int64(len(m.data)))
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if err := m.enter("read", off, int64(len(p))); err != nil {
		return 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return copy(p, m.data[off:]), nil
}

func (m *memory) ReadAtCached(p []byte, off int64) (int, error) {
	if !m.cached {
		return 0, block.ErrWouldBlock
	}
	return m.ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if err := m.enter("write", off, int64(len(p))); err != nil {
		return 0, err
	}
	if m.limits.ReadOnly {
		return 0, diskerr.ErrReadOnly
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(m.data[off:], p), nil
}

func (m *memory) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if err := m.enter("zero", off, n); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.data[off : off+n])
	return nil
}

func (m *memory) Discard(off, n int64) error { return m.WriteZeroes(off, n, 0) }

func (m *memory) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := m.enter("extents", off, n); err != nil {
		return dst, err
	}
	const grain = 4096
	m.mu.RLock()
	defer m.mu.RUnlock()
	for n > 0 {
		k := min(n, grain-off%grain)
		var f block.ExtentFlags
		if allZero(m.data[off : off+k]) {
			f = block.Hole | block.Zero
		}
		dst = append(dst, block.Extent{Off: off, Len: k, Flags: f})
		off, n = off+k, n-k
	}
	return dst, nil
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

func (m *memory) Flush() error {
	if err := m.enter("flush", 0, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flushes++
	return nil
}

// snapshot returns a copy of the bytes.
func (m *memory) snapshot() []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return bytes.Clone(m.data)
}

func (m *memory) Size() int64          { return int64(len(m.data)) }
func (m *memory) Close() error         { return nil }
func (m *memory) Limits() block.Limits { return m.limits }

// testServer is a server on a unix socket that ends with the test.
type testServer struct {
	*Server
	path string
}

// serve starts a server with the exports and checks at the end of the test
// that it shuts down.
func serve(t testing.TB, o ServerOptions, exports ...Export) *testServer {
	t.Helper()
	if o.Logger == nil && testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	s := &testServer{NewServer(o), filepath.Join(t.TempDir(), "s")}
	for _, e := range exports {
		if err := s.AddExport(e); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// dialUnix connects to a socket. The queue of a listener that a busy machine
// keeps from accepting is full at times, which Linux says at once.
func dialUnix(path string) (nc net.Conn, err error) {
	for range 1000 {
		if nc, err = net.Dial("unix", path); !errors.Is(err, syscall.EAGAIN) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nc, err
}

// dial connects to the server.
func (s *testServer) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := dialUnix(s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// uri returns the URI of an export.
func (s *testServer) uri(name string) string { return "nbd+unix:///" + name + "?socket=" + s.path }

// testWriter writes to the log of a test while it runs.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	defer func() { recover() }() // a line that comes after the end of the test
	w.t.Logf("%s", p)
	return len(p), nil
}

var _ io.Writer = testWriter{}
