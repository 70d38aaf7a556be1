package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd"
)

// shortDir returns a folder whose path leaves room for the names of sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startServer serves a fakeSource from a runtime folder in a fresh
// XDG_RUNTIME_DIR. stop ends it and checks that nothing is left.
func startServer(t *testing.T, src *fakeSource, o Options) (dir *RuntimeDir, stop func()) {
	t.Helper()
	dir, err := NewRuntimeDir("a disk/with:odd name")
	if err != nil {
		t.Fatal(err)
	}
	s := New(o)
	if err := s.AddExport(context.Background(), ExportOptions{Source: src, Aliases: []string{"fake"}, Refresh: RefreshPolicy{OnDisconnect: true}}); err != nil {
		t.Fatal(err)
	}
	if err := s.ListenControl(dir.ControlSocket()); err != nil {
		t.Fatal(err)
	}
	l, err := nbd.Listen("unix:"+dir.NBDSocket(), false)
	if err != nil {
		t.Fatal(err)
	}
	s.AddListener(l)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, context.Background()) }()
	return dir, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := dir.Remove(); err != nil {
			t.Errorf("Remove: %v", err)
		}
		if n := src.open.Load(); n != 0 {
			t.Errorf("%d generations are still open", n)
		}
	}
}

func TestFindAndLocate(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	ctx := context.Background()
	if _, err := Locate(ctx, ""); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("Locate without a server: %v", err)
	}
	dir, stop := startServer(t, &fakeSource{content: 'a'}, Options{Version: "test"})
	defer stop()
	found, err := Find(ctx)
	if err != nil || len(found) != 1 || found[0].Version != "test" || found[0].PID != os.Getpid() {
		t.Fatalf("Find = %+v, %v", found, err)
	}
	for _, name := range []string{
		"", "/fake", dir.NBDSocket(), dir.ControlSocket(), "unix:" + dir.NBDSocket(),
		"nbd+unix:///?socket=" + dir.NBDSocket(), "nbd+unix:///fake?socket=" + dir.NBDSocket(),
	} {
		if target, err := Locate(ctx, name); err != nil || target.Status.Control != dir.ControlSocket() {
			t.Errorf("Locate(%q) = %+v, %v", name, target, err)
		}
	}
	for _, name := range []string{"/other", "nbd+unix:///x?socket=" + dir.NBDSocket(), "nbd://localhost/", "://", "\x00"} {
		if target, err := Locate(ctx, name); err == nil {
			t.Errorf("Locate(%q) = %+v; want an error", name, target)
		}
	}
	for _, s := range []string{dir.NBDSocket(), dir.ControlSocket()} {
		if fi, err := os.Stat(s); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", s, fi, err)
		}
	}
}

func TestControlSocket(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	src := &fakeSource{content: 'a'}
	dir, stop := startServer(t, src, Options{})
	defer stop()
	ctx := context.Background()
	src.set('b', nil)
	reply, err := Ask(ctx, dir.ControlSocket(), Request{Command: CommandRefresh})
	if err != nil || len(reply.Refresh) != 1 || !reply.Refresh[0].Changed {
		t.Fatalf("refresh: %+v, %v", reply, err)
	}
	other := "other"
	for _, r := range []Request{
		{Command: "dance"}, {}, {Command: CommandRefresh, Source: "/elsewhere"}, {Command: CommandRefresh, Export: &other},
	} {
		if reply, err := Ask(ctx, dir.ControlSocket(), r); err == nil {
			t.Errorf("%+v was answered: %+v", r, reply)
		}
	}
}

// TestControlSocketBadInput talks nonsense to the control socket; it answers
// with an error or hangs up, and goes on serving others.
func TestControlSocketBadInput(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	dir, stop := startServer(t, &fakeSource{content: 'a'}, Options{})
	defer stop()
	send := func(text string) (string, error) {
		t.Helper()
		conn, err := net.Dial("unix", dir.ControlSocket())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(findTimeout))
		go conn.Write([]byte(text))
		return bufio.NewReader(conn).ReadString('\n')
	}
	for _, text := range []string{"\n", "hello\n", "[]\n", `{"command":7}` + "\n", "{\n", "\x00\xff\n"} {
		line, err := send(text)
		var reply Reply
		if err != nil || json.Unmarshal([]byte(line), &reply) != nil || reply.Error == "" {
			t.Errorf("%q: answer %q, %v; want an error in JSON", text, line, err)
		}
	}
	if line, err := send(strings.Repeat("x", maxRequestBytes+1)); err == nil {
		t.Errorf("an endless line was answered: %q", line)
	}
	// Silent clients take all places but do not keep the server from stopping.
	for range maxControlConns {
		conn, err := net.Dial("unix", dir.ControlSocket())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
}

func TestStaleFoldersGo(t *testing.T) {
	base := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", base)
	stale := filepath.Join(base, "fatkit", "killed-1-2")
	young := filepath.Join(base, "fatkit", "young-1-2")
	for _, dir := range []string{stale, young} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, controlSocketName), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(filepath.Join(stale, controlSocketName), old, old); err != nil {
		t.Fatal(err)
	}
	dir, stop := startServer(t, &fakeSource{content: 'a'}, Options{})
	if _, err := os.Stat(stale); err == nil {
		t.Error("the folder of a killed server is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("the folder of a server that may be starting is gone")
	}
	again, err := NewRuntimeDir("x")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Remove()
	if _, err := os.Stat(dir.ControlSocket()); err != nil {
		t.Errorf("a live server's socket was removed: %v", err)
	}
	stop()
}

func TestRuntimeDirIsPrivate(t *testing.T) {
	base := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", base)
	if err := os.Mkdir(filepath.Join(base, "fatkit"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(base, "fatkit"), 0o777); err != nil {
		t.Fatal(err)
	}
	if dir, err := NewRuntimeDir("x"); err == nil {
		t.Errorf("a folder that others may write to was taken: %s", dir.Path)
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(base, strings.Repeat("long", 30)))
	if dir, err := NewRuntimeDir("x"); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a folder too long for sockets: %v, %v", dir, err)
	}
}

func TestFolderName(t *testing.T) {
	for in, want := range map[string]string{
		"photos": "photos", "My Disk!": "My_Disk", "写真": "disk", "": "disk", "../..": "disk",
		"a-very-long-name-of-a-directory": "a_very_long_name_of_a_di",
	} {
		if got := folderName(in); got != want {
			t.Errorf("folderName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(shortDir(t), "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 64)
	conn.SetReadDeadline(time.Now().Add(findTimeout))
	if n, err := conn.Read(p); err != nil || string(p[:n]) != "READY=1" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", path+"x")
	if err := Notify("READY=1"); err == nil {
		t.Error("a service manager that is not there was told")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}

func TestExportThatCannotBeMade(t *testing.T) {
	s := New(Options{})
	ctx := context.Background()
	if err := s.AddExport(ctx, ExportOptions{Source: &fakeSource{fail: fs.ErrPermission}}); err == nil {
		t.Error("a source that fails was exported")
	}
	first, second := &fakeSource{content: 'a'}, &fakeSource{content: 'a'}
	if err := s.AddExport(ctx, ExportOptions{Name: "x", Source: first}); err != nil {
		t.Fatal(err)
	}
	if err := s.AddExport(ctx, ExportOptions{Name: "x", Source: second}); err == nil {
		t.Error("a name was given twice")
	}
	if err := s.AddExport(ctx, ExportOptions{Name: "y", Aliases: []string{"x"}, Source: first}); err == nil {
		t.Error("an alias was taken from an export")
	}
	if n := second.open.Load(); n != 0 {
		t.Errorf("the refused export left %d generations open", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := first.open.Load(); n != 0 {
		t.Errorf("%d generations are still open", n)
	}
}
