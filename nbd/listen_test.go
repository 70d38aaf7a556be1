package nbd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a socket")
	l, err := Listen("unix:"+path, false)
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != path {
		t.Errorf("the address is %v", l.Addr())
	}
	i, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := i.Mode().Perm(); got != 0o600 {
		t.Errorf("mode is %v", got)
	}
	if _, err := Listen("unix:"+path, false); !errors.Is(err, ErrInUse) {
		t.Errorf("a live socket was taken: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestListenUnixStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := Listen("unix:"+path, false)
	if err != nil {
		t.Fatalf("a stale socket was not replaced: %v", err)
	}
	// A newer server's socket is not removed by an older one's end.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	newer, err := Listen("unix:"+path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer newer.Close()
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the newer socket is gone: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{
		"", "unix", "unix:", "tcp", "udp:localhost:1", "tcp:0.0.0.0:0", "tcp:[::]:0", "tcp:192.0.2.1:0",
		"tcp:localhost:notaport", "unix:" + file, "unix:" + filepath.Join(file, "below"),
	} {
		if l, err := Listen(addr, false); err == nil {
			l.Close()
			t.Errorf("%q was accepted", addr)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("a file was harmed")
	}
}

func TestListenTCP(t *testing.T) {
	l, err := Listen("tcp:localhost:0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("listens on %v", l.Addr())
	}
}

func TestURI(t *testing.T) {
	for _, c := range []struct {
		addr   net.Addr
		export string
		tls    bool
		want   string
	}{
		{&net.UnixAddr{Name: "/run/a b", Net: "unix"}, "", false, "nbd+unix:///?socket=/run/a%20b"},
		{&net.UnixAddr{Name: "/s+&", Net: "unix"}, "x y", true, "nbds+unix:///x%20y?socket=/s%2B%26"},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 7}, "/disk", false, "nbd://[::1]:7//disk"},
	} {
		if got := URI(c.addr, c.export, c.tls); got != c.want {
			t.Errorf("got %s, expected %s", got, c.want)
		}
	}
}

func TestStdio(t *testing.T) {
	m := newMemory(1<<20, 7)
	for _, pipes := range []bool{false, true} {
		var server net.Conn
		var client net.Conn
		if pipes {
			r1, w1, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r2, w2, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			if server, err = StdioConn(r1, w2); err != nil {
				t.Fatal(err)
			}
			if client, err = StdioConn(r2, w1); err != nil {
				t.Fatal(err)
			}
		} else {
			server, client = net.Pipe()
		}
		s := NewServer(ServerOptions{})
		if err := s.AddExport(Export{Device: m}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.ServeConn(context.Background(), server) }()
		c := rawClient{t: t, nc: client}
		c.open("")
		c.checkRead(0, m.data[:4096])
		c.checkRead(100, m.data[100:200100])
		c.disconnect()
		if err := <-done; err != nil {
			t.Errorf("ServeConn: %v", err)
		}
	}
}
