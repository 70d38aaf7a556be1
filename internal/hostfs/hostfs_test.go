package hostfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// tree makes a directory with the named files, each holding its own name.
func tree(t testing.TB, files ...string) (string, *Root) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return dir, r
}

func names(l *Listing) string {
	var s []string
	for i := range l.Entries {
		s = append(s, string(l.NameOf(&l.Entries[i])))
	}
	sort.Strings(s)
	return strings.Join(s, " ")
}

func TestReadDir(t *testing.T) {
	dir, r := tree(t, "a", "sub/b", "sub/c")
	stamp := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "a"), stamp, stamp); err != nil {
		t.Fatal(err)
	}
	var l Listing
	if err := r.ReadDir(".", &l); err != nil {
		t.Fatal(err)
	}
	if got := names(&l); got != "a sub" {
		t.Errorf("root has %q", got)
	}
	for i := range l.Entries {
		e := &l.Entries[i]
		if string(l.NameOf(e)) == "a" && (e.Size != 1 || e.Mtime != stamp.UnixNano() || !e.Mode.IsRegular()) {
			t.Errorf("a is %+v", e)
		}
		if string(l.NameOf(e)) == "sub" && !e.Mode.IsDir() {
			t.Errorf("sub is %+v", e)
		}
	}
	if err := r.ReadDir("sub", &l); err != nil || names(&l) != "b c" {
		t.Errorf("sub has %q, %v", names(&l), err)
	}
	if err := r.ReadDir("a", &l); err == nil {
		t.Error("a file was read as a directory")
	}
	if err := r.ReadDir("none", &l); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

// A directory larger than one batch is described by several goroutines.
func TestReadDirLarge(t *testing.T) {
	const n = 2*4096 + 17
	dir, r := tree(t)
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var l Listing
	if err := r.ReadDir(".", &l); err != nil || len(l.Entries) != n {
		t.Fatalf("%d entries, %v", len(l.Entries), err)
	}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Err != nil || e.Mtime == 0 || !e.Mode.IsRegular() {
			t.Fatalf("entry %d: %+v", i, e)
		}
	}
}

func TestOpenReads(t *testing.T) {
	_, r := tree(t, "sub/file")
	f, _, err := r.Open("sub/file")
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4)
	if n, err := f.ReadAt(p, 4); n != 4 || string(p) != "file" || err != nil {
		t.Errorf("read %d %q %v", n, p, err)
	}
	if n, err := f.ReadAtCached(p, 0); !(err == nil && n == 4 && string(p) == "sub/") && !errors.Is(err, ErrWouldWait) {
		t.Errorf("cached read %d %q %v", n, p, err)
	}
	if st, err := f.Stat(); err != nil || st.Size != 8 || st.Mtime == 0 {
		t.Errorf("stat %+v %v", st, err)
	}
	if _, err := f.OSFile().ReadAt(p, 0); err != nil || !bytes.Equal(p, []byte("sub/")) {
		t.Errorf("through os.File: %q %v", p, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestConfined(t *testing.T) {
	outside, _ := tree(t, "secret")
	dir, r := tree(t, "in/file")
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	link(outside, "out")
	link("in", "alias")
	link(filepath.Join("in", "file"), "direct")
	for _, name := range []string{"../" + filepath.Base(outside) + "/secret", "in/../../x", "/etc/passwd",
		"", "in//file", "./in", "out/secret", "alias/file", "direct", "in\x00", "in"} {
		if f, _, err := r.Open(name); err == nil {
			f.Close()
			t.Errorf("%q was opened", name)
		}
	}
	if st, err := r.Stat("out"); err != nil || st.Mode&fs.ModeSymlink == 0 {
		t.Errorf("a link is described as %v, %v", st.Mode, err)
	}
	var l Listing
	for _, name := range []string{"out", "alias", "..", "in/.."} {
		if err := r.ReadDir(name, &l); err == nil {
			t.Errorf("%q was read as a directory", name)
		}
	}
}

func TestResolve(t *testing.T) {
	dir, r := tree(t, "in/file")
	for name, target := range map[string]string{
		"inside":   "in/file",
		"absolute": filepath.Join(dir, "in"),
		"twice":    "inside",
		"outside":  os.TempDir(),
		"dangling": "nowhere",
		"loop":     "loop",
		"around":   filepath.Join("..", filepath.Base(dir), "in"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	for name, want := range map[string]string{"inside": "in/file", "absolute": "in", "twice": "in/file", "around": "in"} {
		if got, err := r.Resolve(name); got != want || err != nil {
			t.Errorf("%s leads to %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := r.Resolve("outside"); !errors.Is(err, ErrOutside) {
		t.Errorf("outside: %v", err)
	}
	if _, err := r.Resolve("dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dangling: %v", err)
	}
	if _, err := r.Resolve("loop"); err == nil {
		t.Error("a loop was resolved")
	}
}

func BenchmarkReadDir(b *testing.B) {
	var files []string
	for i := range 100 {
		files = append(files, fmt.Sprintf("file-number-%04d.txt", i))
	}
	_, r := tree(b, files...)
	var l Listing
	b.ReportAllocs()
	for b.Loop() {
		if err := r.ReadDir(".", &l); err != nil {
			b.Fatal(err)
		}
	}
}
