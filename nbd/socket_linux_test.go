package nbd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// socketPair returns a server's end of a connection, and the client's.
func socketPair(t *testing.T) (*socket, net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := newSocket(nc).(*socket)
	if !ok {
		t.Fatal("a unix socket is none")
	}
	t.Cleanup(func() { client.Close(); s.Close() })
	return s, client
}

func always() bool { return true }

// descriptors returns how many descriptors the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// A socket carries bytes whether it is attached or not, and has one descriptor.
func TestSocketModes(t *testing.T) {
	s, client := socketPair(t)
	r := newRawReader(s, always)
	out := newRawSender(s)
	before := descriptors(t)
	p := make([]byte, 100)
	for i := range 6 {
		if i%2 == 0 {
			s.detach()
		} else if err := s.attach(); err != nil {
			t.Fatal(err)
		}
		if attached := s.attached() != nil; attached != (i%2 == 1) {
			t.Fatalf("step %d: attached: %v", i, attached)
		}
		if _, err := client.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(p); err != nil || string(p[:n]) != "request" {
			t.Fatalf("step %d: %q, %v", i, p[:n], err)
		}
		if n, err := out.send([]piece{{b: []byte("re")}, {b: []byte("ply")}}, false); n != 2 || err != nil {
			t.Fatalf("step %d: %d pieces sent, %v", i, n, err)
		}
		if _, err := io.ReadFull(client, p[:5]); err != nil || string(p[:5]) != "reply" {
			t.Fatalf("step %d: %q, %v", i, p[:5], err)
		}
		if n := descriptors(t); n != before {
			t.Fatalf("step %d: %d descriptors, %d before", i, n, before)
		}
	}
}

// A client that sends its next request at once is waited for off the poller,
// and one that thinks gets its socket back there, where waiting costs nothing.
func TestSocketLeavesThePoller(t *testing.T) {
	s, client := socketPair(t)
	r := newRawReader(s, always)
	go func() {
		var p [1]byte
		for {
			if _, err := io.ReadFull(client, p[:]); err != nil {
				return
			}
			if p[0] == 'z' {
				time.Sleep(10 * soonWait)
			}
			client.Write(p[:])
		}
	}()
	echo := func(b byte) {
		t.Helper()
		if _, err := newRawSender(s).send([]piece{{b: []byte{b}}}, true); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 10)
		if n, err := r.Read(p); err != nil || !bytes.Equal(p[:n], []byte{b}) {
			t.Fatalf("%q, %v", p[:n], err)
		}
	}
	for i := 0; s.attached() != nil; i++ {
		if echo('a'); i == 1e5 {
			t.Fatal("the socket stays with the poller")
		}
	}
	echo('z')
	if s.attached() == nil {
		t.Error("the socket stays off the poller while its client thinks")
	}
}

// Whatever ends a read with the poller ends it without as well.
func TestDetachedSocketEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *socket, client net.Conn)
		want error
	}{
		{"deadline", func(s *socket, _ net.Conn) { s.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"close", func(s *socket, _ net.Conn) { s.Close() }, net.ErrClosed},
		{"client", func(_ *socket, client net.Conn) { client.Close() }, io.EOF},
	} {
		for _, delay := range []time.Duration{0, soonWait / 2, 20 * soonWait} {
			s, client := socketPair(t)
			s.detach()
			go func() {
				time.Sleep(delay)
				c.end(s, client)
			}()
			_, err := newRawReader(s, always).Read(make([]byte, 10))
			// A close is seen as the end of the stream by a read under way.
			if !errors.Is(err, c.want) && !(c.name == "close" && err == io.EOF) {
				t.Errorf("%s after %v: %v", c.name, delay, err)
			}
		}
	}
}

// A sender that waits for the client is not disturbed by a reader that takes
// the socket off the poller and gives it back.
func TestSenderWaitsInAnyMode(t *testing.T) {
	s, client := socketPair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	done := make(chan error, 1)
	go func() {
		out := newRawSender(s)
		pieces := []piece{{b: sent}}
		for {
			n, err := out.send(pieces, true)
			if n == 1 || err != nil {
				done <- err
				return
			}
		}
	}()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.detach()
				if err := s.attach(); err != nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	got := make([]byte, len(sent))
	const step = 64 << 10
	for at := 0; at < len(got); at += step {
		if _, err := io.ReadFull(client, got[at:at+step]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := <-done; err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the client got other bytes: %v", err)
	}
	close(stop)
	<-stopped
}

// While a reader is not alone it leaves waiting to the poller.
func TestNotAlone(t *testing.T) {
	s, client := socketPair(t)
	s.detach()
	go func() {
		time.Sleep(5 * time.Millisecond)
		client.Write([]byte("x"))
	}()
	r := newRawReader(s, func() bool { return false })
	if n, err := r.Read(make([]byte, 10)); n != 1 || err != nil || s.attached() == nil {
		t.Errorf("read %d bytes, %v; attached: %v", n, err, s.attached() != nil)
	}
}

// A descriptor that is used is not closed under its user.
func TestUseOfClosedSocket(t *testing.T) {
	s, _ := socketPair(t)
	s.detach()
	s.Close()
	if err := s.do(func(uintptr) bool { return true }, syscall.RawConn.Read); !errors.Is(err, net.ErrClosed) {
		t.Errorf("use of a closed socket: %v", err)
	}
	if err := s.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := s.Read(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read of a closed socket: %v", err)
	}
}
