package nbd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/nbd/wire"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// dialer opens uri and closes the client with the test.
func openClient(t testing.TB, d Dialer, uri string) *Client {
	t.Helper()
	c, err := d.Dial(testContext(t), uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

const suiteSize = 1<<20 + 512

func TestClientConforms(t *testing.T) {
	for name, d := range map[string]Dialer{
		"extended": {}, "structured": {OldProtocol: 1}, "simple": {OldProtocol: 2}, "three connections": {Connections: 3},
	} {
		t.Run(name, func(t *testing.T) {
			var last *testServer
			open := func(t testing.TB) block.Device {
				last = serve(t, ServerOptions{}, Export{Device: mem.New(suiteSize)})
				return openClient(t, d, last.uri(""))
			}
			reopen := func(t testing.TB) block.Device { return openClient(t, d, last.uri("")) }
			blocktest.Run(t, open, blocktest.Options{Reopen: reopen, Ops: 60})
		})
	}
	t.Run("read-only", func(t *testing.T) {
		s := serve(t, ServerOptions{}, Export{Device: newMemory(suiteSize, 61), ReadOnly: true})
		open := func(t testing.TB) block.Device { return openClient(t, Dialer{Connections: 2}, s.uri("")) }
		blocktest.Run(t, open, blocktest.Options{ReadOnly: true, Ops: 60})
	})
}

// startTool starts a server of another project on a socket.
func startTool(t testing.TB, socket, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is needed and not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 500 {
		if nc, err := net.Dial("unix", socket); err == nil {
			nc.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not start: %s", name, &stderr)
}

// otherServers are started with a device of size zeroes that several
// connections may use.
func otherServers(t testing.TB, size int) map[string]func(t testing.TB) (uri string) {
	return map[string]func(t testing.TB) string{
		"nbdkit": func(t testing.TB) string {
			s := filepath.Join(t.TempDir(), "s")
			startTool(t, s, "nbdkit", "-f", "-U", s, "memory", fmt.Sprint(size))
			return "nbd+unix:///?socket=" + s
		},
		"qemu-nbd": func(t testing.TB) string {
			dir := t.TempDir()
			s, img := filepath.Join(dir, "s"), filepath.Join(dir, "img")
			if err := os.WriteFile(img, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			startTool(t, s, "qemu-nbd", "-t", "--shared=8", "-k", s, "-f", "raw", "--discard=unmap", img)
			return "nbd+unix:///?socket=" + s
		},
	}
}

func TestClientConformsWithOtherServers(t *testing.T) {
	for name, start := range otherServers(t, suiteSize) {
		t.Run(name, func(t *testing.T) {
			open := func(t testing.TB) block.Device { return openClient(t, Dialer{Connections: 2}, start(t)) }
			blocktest.Run(t, open, blocktest.Options{Ops: 60})
		})
	}
}

// TestIntegrity writes, zeroes and reads at random over eight connections
// with 64 requests in flight on each, every requester in a part of its own, and
// compares with a shadow copy.
func TestIntegrity(t *testing.T) {
	const size = 8 << 20
	servers := otherServers(t, size)
	servers["ours"] = func(t testing.TB) string {
		return serve(t, ServerOptions{}, Export{Device: mem.New(size)}).uri("")
	}
	servers["ours through workers"] = func(t testing.TB) string {
		m := newMemory(size, 1)
		clear(m.data)
		m.cached = false
		m.before = func(string, int64, int64) error {
			if rand.IntN(50) == 0 {
				time.Sleep(200 * time.Microsecond) // keeps the gates closed
			}
			return nil
		}
		return serve(t, ServerOptions{}, Export{Device: m}).uri("")
	}
	servers["ours over TLS"] = func(t testing.TB) string {
		o := ServerOptions{TLSMode: TLSRequire, TLS: serverTLS(t, nil)}
		s := serve(t, o, Export{Device: mem.New(size)})
		return "nbds+unix:///?socket=" + s.path + "&tls-certificates=" + certificateFolder(t)
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			checkIntegrity(t, start(t), size)
		})
	}
}

func checkIntegrity(t *testing.T, uri string, size int) {
	const connections, depth = 8, 64
	ops := 60
	if testing.Short() {
		ops = 10
	}
	c := openClient(t, Dialer{Connections: connections}, uri)
	part := size / (connections * depth)
	shadow := make([]byte, size)
	var wg sync.WaitGroup
	for w := range connections * depth {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			base := w * part
			mine := shadow[base : base+part]
			buf := make([]byte, part)
			for range ops {
				at := r.IntN(part)
				n := r.IntN(part-at) + 1
				off := int64(base + at)
				var err error
				switch op := r.IntN(10); {
				case op < 4:
					for i := range buf[:n] {
						buf[i] = byte(r.Uint32())
					}
					if op == 0 {
						_, err = block.WriteAtFUA(c, buf[:n], off)
					} else {
						_, err = c.WriteAt(buf[:n], off)
					}
					copy(mine[at:], buf[:n])
				case op == 4:
					err = block.WriteZeroes(c, off, int64(n), 0)
					clear(mine[at : at+n])
				default:
					if _, err = c.ReadAt(buf[:n], off); err == nil && !bytes.Equal(buf[:n], mine[at:at+n]) {
						err = errors.New("read other bytes than were written")
					}
				}
				if err != nil {
					t.Errorf("requester %d, %d bytes at %d: %v", w, n, off, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := c.Flush(); err != nil {
		t.Error(err)
	}
	got := make([]byte, size)
	if _, err := c.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, shadow) {
		t.Error("the device differs from the shadow copy")
	}
}

func TestClientErrors(t *testing.T) {
	m := newMemory(1<<20, 62)
	m.before = func(op string, off, _ int64) error {
		switch {
		case op == "write":
			return &diskerr.NoSpaceError{What: "disk", Needed: -1, Available: -1}
		case op == "read" && off == 4096:
			return errors.New("head crash")
		}
		return nil
	}
	s := serve(t, ServerOptions{}, Export{Device: m}, Export{Name: "ro", Device: m, ReadOnly: true})
	for old := range 3 {
		c := openClient(t, Dialer{OldProtocol: old}, s.uri(""))
		_, err := c.ReadAt(make([]byte, 512), 4096)
		var re *RequestError
		if !errors.As(err, &re) || re.Errno != wire.EIO || re.Offset != 4096 || old < 2 && re.Message != "head crash" {
			t.Errorf("protocol %d: read: %v", old, err)
		}
		if _, err := c.WriteAt(make([]byte, 512), 0); !errors.Is(err, diskerr.ErrNoSpace) {
			t.Errorf("write: %v", err)
		}
		if n, err := c.ReadAt(make([]byte, 512), 0); n != 512 || err != nil {
			t.Errorf("the next read: %d, %v", n, err)
		}
	}
	ro := openClient(t, Dialer{}, s.uri("ro"))
	if _, err := ro.WriteAt(make([]byte, 512), 0); !errors.Is(err, diskerr.ErrReadOnly) {
		t.Errorf("write: %v", err)
	}
}

func TestDialFails(t *testing.T) {
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: newMemory(512, 1)})
	tlsOnly := serve(t, ServerOptions{TLSMode: TLSRequire, TLS: serverTLS(t, nil)}, Export{Device: newMemory(512, 1)})
	for uri, want := range map[string]string{
		s.uri("none"):                            "no such export",
		"nbd+unix:///?socket=/does/not/exist":    "no such file",
		"nbds+unix:///disk?socket=" + s.path:     "policy forbids",
		tlsOnly.uri(""):                          "use nbds",
		"nbds+unix:///?socket=" + tlsOnly.path:   "certificate",
		"http://localhost/":                      "scheme",
		"nbd+unix:///disk":                       "socket is missing",
		"nbd+unix://host/disk?socket=/s":         "a host and a unix socket",
		"nbd://localhost/?socket=/s":             "not understood",
		"nbd://localhost/?tls-type=psk":          "not supported",
		"nbd://localhost/?tls-verify-peer=maybe": "not understood",
		"nbd://localhost/?what=ever":             "not understood",
		"nbd+unix:///?socket=/a&socket=/b":       "twice",
		"nbd://localhost:port/":                  "port",
		"nbd:///%00":                             "NUL",
		"nbd://localhost/x#y":                    "form",
	} {
		c, err := Dial(testContext(t), uri)
		if err == nil {
			c.Close()
			t.Errorf("%s was opened", uri)
			continue
		}
		if !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: %v, expected %q", uri, err, want)
		}
	}
}

func TestParseURI(t *testing.T) {
	for uri, want := range map[string]target{
		"nbd://example.com:1/disk":         {network: "tcp", addr: "example.com:1", host: "example.com", export: "disk", verify: true},
		"nbd+unix:///disk?socket=sock":     {network: "unix", addr: "sock", host: "localhost", export: "disk", verify: true},
		"nbd://example.com/":               {network: "tcp", addr: "example.com:10809", host: "example.com", verify: true},
		"nbd://example.com":                {network: "tcp", addr: "example.com:10809", host: "example.com", verify: true},
		"nbd://example.com//disk":          {network: "tcp", addr: "example.com:10809", host: "example.com", export: "/disk", verify: true},
		"nbd://example.com/hello%20world":  {network: "tcp", addr: "example.com:10809", host: "example.com", export: "hello world", verify: true},
		"nbds://[::1]/?tls-verify-peer=0":  {network: "tcp", addr: "[::1]:10809", host: "::1", tls: true},
		"nbd:///x?x-mine=1":                {network: "tcp", addr: "localhost:10809", host: "localhost", export: "x", verify: true},
		"nbd+unix:///?socket=%00/abstract": {network: "unix", addr: "\x00/abstract", host: "localhost", verify: true},
		"nbds+unix:///?socket=/s&tls-hostname=h&tls-certificates=/c&tls-type=x509": {network: "unix", addr: "/s", host: "h", tls: true, verify: true, certs: "/c"},
	} {
		got, err := parseURI(uri)
		if err != nil {
			t.Error(err)
		} else if got != want {
			t.Errorf("%s: %+v, expected %+v", uri, got, want)
		}
	}
}

func TestList(t *testing.T) {
	s := serve(t, ServerOptions{}, Export{Name: "a", Description: "first", Device: newMemory(512, 1)}, Export{Device: newMemory(512, 1)})
	got, err := new(Dialer).List(testContext(t), s.uri(""))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != (ExportName{"a", "first"}) || got[1] != (ExportName{}) {
		t.Errorf("%+v", got)
	}
}

// TestReconnect restarts the server under a client again and again.
func TestReconnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	m := newMemory(1<<20, 63)
	start := func() (*Server, chan error) {
		s := NewServer(ServerOptions{})
		if err := s.AddExport(Export{Device: m}); err != nil {
			t.Fatal(err)
		}
		l, err := Listen("unix:"+path, false)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(context.Background(), l) }()
		return s, done
	}
	s, done := start()
	c := openClient(t, Dialer{Reconnect: 10 * time.Second, Connections: 2}, "nbd+unix:///?socket="+path)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			buf := make([]byte, 4096)
			for i := w; ; i += 4 {
				select {
				case <-stop:
					return
				default:
				}
				off := int64(i%250) * 4096
				if _, err := c.ReadAt(buf, off); err != nil || !bytes.Equal(buf, m.data[off:off+4096]) {
					t.Errorf("read at %d: %v", off, err)
					return
				}
			}
		})
	}
	for range 5 {
		time.Sleep(20 * time.Millisecond)
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // breaks the connections
		s.Shutdown(ctx)
		<-done
		s, done = start()
	}
	close(stop)
	wg.Wait()
	if err := c.Flush(); err != nil {
		t.Errorf("flush without writes: %v", err)
	}
	// With a write that no flush has covered, a loss is no longer harmless.
	if _, err := c.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
	<-done
	s, done = start()
	if _, err := c.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("read after the loss: %v", err)
	}
	if err := c.Flush(); !errors.Is(err, ErrLostWrites) {
		t.Errorf("flush after the loss: %v", err)
	}
	if _, err := c.WriteAt([]byte("x"), 0); !errors.Is(err, ErrLostWrites) {
		t.Errorf("write after the failed flush: %v", err)
	}
	// Another export under the same name is refused.
	s.Shutdown(ctx)
	<-done
	m.data = m.data[:512<<10]
	s, done = start()
	if _, err := c.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("went on with another export")
	}
	s.Shutdown(context.Background())
	<-done
}

func TestConnectionLost(t *testing.T) {
	m, started, release := slowDevice(64)
	s := serve(t, ServerOptions{}, Export{Device: m})
	c := openClient(t, Dialer{}, s.uri(""))
	result := make(chan error, 1)
	go func() {
		_, err := c.ReadAt(make([]byte, 512), 0)
		result <- err
	}()
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	go s.Shutdown(ctx)
	if err := <-result; !errors.Is(err, errLinkLost) {
		t.Errorf("the call under way: %v", err)
	}
	close(release)
	if _, err := c.ReadAt(make([]byte, 512), 0); err == nil {
		t.Error("read without a connection")
	}
	c.Close()
	if _, err := c.ReadAt(make([]byte, 512), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}

// FuzzClient lets bytes pose as a server.
func FuzzClient(f *testing.F) {
	for _, seed := range recordings(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		server, client := net.Pipe()
		go func() {
			server.SetDeadline(time.Now().Add(5 * time.Second))
			go io.Copy(io.Discard, server)
			server.Write(p)
			server.Close()
		}()
		h := &haggling{session: &session{raw: client, nc: client}, d: &Dialer{}, t: &target{export: "x"}, ctx: context.Background()}
		h.in.r = client
		h.sizes = wire.BlockSizes{Minimum: 1, Preferred: 4096, Maximum: 1 << 20}
		if err := errors.Join(h.begin(), h.enter("x")); err != nil {
			client.Close()
			return
		}
		c := &Client{
			info: h.info, sizes: h.sizes, mode: h.mode, extent: h.allocation, closed: make(chan struct{}),
		}
		c.links = []*link{newLink(c, h.session)}
		n := min(c.Size(), 8192)
		c.ReadAt(make([]byte, n), 0)
		c.AppendExtents(nil, 0, n)
		c.ReadAt(make([]byte, n), 0)
		c.abandon()
	})
}

// recordings are what our server sends to a client in each mode.
func recordings(f *testing.F) (all [][]byte) {
	m := newMemory(1<<20, 65)
	clear(m.data[4096:])
	s := NewServer(ServerOptions{})
	if err := s.AddExport(Export{Name: "x", Device: m}); err != nil {
		f.Fatal(err)
	}
	for old := range 3 {
		server, client := net.Pipe()
		go s.ServeConn(context.Background(), server)
		rec := &recorder{Conn: client}
		h := &haggling{session: &session{raw: rec, nc: rec}, d: &Dialer{OldProtocol: old}, t: &target{export: "x"}, ctx: context.Background()}
		h.in.r = rec
		if err := errors.Join(h.begin(), h.enter("x")); err != nil {
			f.Fatal(err)
		}
		c := &Client{info: h.info, sizes: wire.BlockSizes{Minimum: 1, Maximum: 1 << 20}, mode: h.mode, extent: h.allocation, closed: make(chan struct{})}
		c.links = []*link{newLink(c, h.session)}
		c.ReadAt(make([]byte, 8192), 0)
		c.AppendExtents(nil, 0, 8192)
		c.ReadAt(make([]byte, 8192), 0)
		c.Close()
		rec.mu.Lock()
		all = append(all, bytes.Clone(rec.got))
		rec.mu.Unlock()
	}
	return all
}

// recorder keeps what is read from a connection.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	got []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	r.got = append(r.got, p[:n]...)
	r.mu.Unlock()
	return n, err
}
