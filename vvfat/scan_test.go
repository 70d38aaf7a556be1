package vvfat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// hostTree makes files on the host; a name that ends in a slash is a directory,
// "a -> b" a symbolic link, anything else a file that holds its own name.
func hostTree(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		full := filepath.Join(dir, filepath.FromSlash(link))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, full)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(full, 0o755)
		default:
			err = os.WriteFile(full, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mustScan scans dir and returns the tree and the warnings.
func mustScan(t testing.TB, dir string, o ScanOptions) (*Tree, []Warning) {
	t.Helper()
	var warns []Warning
	o.Warn = func(w Warning) { warns = append(warns, w) }
	tree, err := ScanDir(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree, warns
}

// paths lists all nodes but the root, directories with a slash.
func paths(t *Tree) []string {
	var out []string
	for id := RootID + 1; int(id) < t.count; id++ {
		p := t.path(id)
		if t.node(id).isDir() {
			p += "/"
		}
		out = append(out, p)
	}
	return out
}

func kinds(warns []Warning) string {
	var out []string
	for _, w := range warns {
		out = append(out, fmt.Sprintf("%s:%s", w.Kind, w.Path))
	}
	return strings.Join(out, " ")
}

func TestScanOrder(t *testing.T) {
	dir := hostTree(t, "b/2", "b/1/x", "a", "c/", "B")
	want := []string{"B", "a", "b/", "c/", "b/1/", "b/2", "b/1/x"}
	for workers := range 5 {
		tree, warns := mustScan(t, dir, ScanOptions{Workers: workers})
		if got := paths(tree); !reflect.DeepEqual(got, want) || len(warns) != 0 {
			t.Errorf("%d workers: %q, %v", workers, got, warns)
		}
		if tree.Files() != 4 || tree.Dirs() != 4 || tree.Bytes() != 1+1+3+5 {
			t.Errorf("%d files, %d directories, %d bytes", tree.Files(), tree.Dirs(), tree.Bytes())
		}
	}
}

// More directories than the ring of a scan holds, and more nodes than a chunk.
func TestScanMany(t *testing.T) {
	var names []string
	for d := range 100 {
		for f := range 50 {
			names = append(names, fmt.Sprintf("d%02d/f%02d", d, f))
		}
	}
	tree, _ := mustScan(t, hostTree(t, names...), ScanOptions{Workers: 2})
	got := paths(tree)
	if len(got) != 100+len(names) || !reflect.DeepEqual(got[100:], names) {
		t.Errorf("%d nodes", len(got))
	}
}

func TestScanExclude(t *testing.T) {
	dir := hostTree(t, "a.o", "src/b.o", "src/b.c", "build/x", "src/build/y", "src/deep/er/z.tmp", "src/z.tmp", "build.txt")
	for _, c := range []struct{ globs, want string }{
		{"*.o", "build/ build.txt src/ build/x src/b.c src/build/ src/deep/ src/z.tmp src/build/y src/deep/er/ src/deep/er/z.tmp"},
		{"build/ deep", "a.o build.txt src/ src/b.c src/b.o src/z.tmp"},
		{"/build", "a.o build.txt src/ src/b.c src/b.o src/build/ src/deep/ src/z.tmp src/build/y src/deep/er/ src/deep/er/z.tmp"},
		{"src/**/*.tmp build*", "a.o src/ src/b.c src/b.o src/deep/ src/deep/er/"},
		{"**", ""},
		{"src/*", "a.o build/ build.txt src/ build/x"},
	} {
		tree, warns := mustScan(t, dir, ScanOptions{Exclude: strings.Fields(c.globs)})
		if got := strings.Join(paths(tree), " "); got != c.want || len(warns) != 0 {
			t.Errorf("%s leaves %s, %v", c.globs, got, warns)
		}
	}
	_, err := ScanDir(context.Background(), dir, ScanOptions{Exclude: []string{"a["}})
	var oe *OptionError
	if !errors.As(err, &oe) {
		t.Errorf("bad pattern: %v", err)
	}
}

func TestScanLinks(t *testing.T) {
	dir := hostTree(t, "real/file", "real/sub/x", "alias -> real", "real/sub/copy -> ../file",
		"real/up -> ..", "gone -> nowhere", "self -> self", "dot -> .", "other/cross -> ../third", "third/back -> ../other")
	tree, warns := mustScan(t, dir, ScanOptions{})
	want := []string{"alias/", "other/", "real/", "third/",
		"alias/file", "alias/sub/", "other/cross/", "real/file", "real/sub/", "third/back/",
		"alias/sub/copy", "alias/sub/x", "real/sub/copy", "real/sub/x"}
	if got := paths(tree); !reflect.DeepEqual(got, want) {
		t.Errorf("nodes %q", got)
	}
	wantWarns := "symlink-loop:dot symlink-dangling:gone symlink-loop:self"
	for _, p := range []string{"alias/up", "real/up", "other/cross/back", "third/back/cross"} {
		wantWarns += " symlink-loop:" + p
	}
	got := strings.Fields(kinds(warns))
	if len(got) != len(strings.Fields(wantWarns)) {
		t.Errorf("warnings %q, want %q", got, wantWarns)
	}
	for _, w := range strings.Fields(wantWarns) {
		if !strings.Contains(kinds(warns), w) {
			t.Errorf("no warning %s in %q", w, got)
		}
	}
	for id := RootID; int(id) < tree.count; id++ {
		if tree.path(id) == "alias/sub/copy" && tree.hostPath(id) != "real/file" {
			t.Errorf("alias/sub/copy is %s on the host", tree.hostPath(id))
		}
		if tree.path(id) == "alias/sub/x" && tree.hostPath(id) != "real/sub/x" {
			t.Errorf("alias/sub/x is %s on the host", tree.hostPath(id))
		}
	}
}

// Directories that link to each other's children would fill a disk.
func TestScanLinkBomb(t *testing.T) {
	var names []string
	for i := range 24 {
		names = append(names, fmt.Sprintf("d%02d/", i))
		if i > 0 {
			names = append(names, fmt.Sprintf("d%02d/a -> ../d%02d", i, i-1), fmt.Sprintf("d%02d/b -> ../d%02d", i, i-1))
		}
	}
	root, err := hostfs.OpenRoot(hostTree(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := newScanner(hostSource{root}, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.room = 5000
	if _, err := s.scan(context.Background()); !errors.Is(err, errTooManyLinked) {
		t.Errorf("%v", err)
	}
}

func TestScanPolicies(t *testing.T) {
	dir := hostTree(t, "ok", "out -> /")
	if f, err := os.Create(filepath.Join(dir, "big")); err != nil {
		t.Fatal(err)
	} else if err := f.Truncate(maxFileBytes + 1); err != nil {
		t.Skipf("no large files here: %v", err)
	}
	_, err := ScanDir(context.Background(), dir, ScanOptions{Symlinks: Skip})
	if err == nil || !strings.Contains(err.Error(), "big") || !strings.Contains(err.Error(), "--too-large skip") {
		t.Errorf("too large: %v", err)
	}
	_, err = ScanDir(context.Background(), dir, ScanOptions{TooLarge: Skip})
	if err == nil || !strings.Contains(err.Error(), "out") || !strings.Contains(err.Error(), "--symlinks skip") {
		t.Errorf("outside: %v", err)
	}
	tree, warns := mustScan(t, dir, ScanOptions{TooLarge: Skip, Symlinks: Skip})
	if got := paths(tree); len(got) != 1 || kinds(warns) != "too-large:big symlink-outside:out" {
		t.Errorf("%q, %v", got, warns)
	}
	if err := os.Truncate(filepath.Join(dir, "big"), maxFileBytes); err != nil {
		t.Fatal(err)
	}
	if tree, _ := mustScan(t, dir, ScanOptions{Symlinks: Skip}); tree.Bytes() != maxFileBytes+2 {
		t.Errorf("the largest file is left out: %d bytes", tree.Bytes())
	}
}

func TestScanUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := hostTree(t, "file", "dir/x", "ok")
	for _, name := range []string{"file", "dir"} {
		full := filepath.Join(dir, name)
		if err := os.Chmod(full, 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(full, 0o755)
	}
	_, err := ScanDir(context.Background(), dir, ScanOptions{})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "--unreadable skip") {
		t.Errorf("%v", err)
	}
	tree, warns := mustScan(t, dir, ScanOptions{Unreadable: Skip})
	if got := paths(tree); len(got) != 1 || kinds(warns) != "unreadable:dir unreadable:file" {
		t.Errorf("%q, %v", got, warns)
	}
}

func TestScanBadRoot(t *testing.T) {
	dir := hostTree(t, "file")
	for _, name := range []string{"none", "file"} {
		_, err := ScanDir(context.Background(), filepath.Join(dir, name), ScanOptions{})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if tree, err := ScanDir(ctx, dir, ScanOptions{}); err == nil {
		tree.Close() // the directory was read before anyone looked at ctx
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestScanFS(t *testing.T) {
	fsys := fstest.MapFS{
		"a":         {Data: []byte("hello")},
		"d/b":       {Data: []byte("b")},
		"l":         {Data: []byte("d"), Mode: fs.ModeSymlink | 0o777},
		"out":       {Data: []byte("../x"), Mode: fs.ModeSymlink | 0o777},
		"loop":      {Data: []byte("loop"), Mode: fs.ModeSymlink | 0o777},
		"empty/dir": {Mode: fs.ModeDir | 0o755},
	}
	var warns []Warning
	tree, err := ScanFS(context.Background(), fsys, ScanOptions{Symlinks: Skip, Warn: func(w Warning) { warns = append(warns, w) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(paths(tree), " "); got != "a d/ empty/ l/ d/b empty/dir/ l/b" {
		t.Errorf("%s", got)
	}
	if got := kinds(warns); got != "symlink-loop:loop symlink-outside:out" {
		t.Errorf("%s", got)
	}
}

// meddler is a source in which a host program works at the same time: it calls
// after when a directory has been listed.
type meddler struct {
	source
	after func(path string)
}

func (m meddler) list(path string, l *hostfs.Listing) error {
	err := m.source.list(path, l)
	m.after(path)
	return err
}

// What vanishes or changes its kind during a scan is a warning.
func TestScanUnderChange(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"removed":  os.RemoveAll,
		"replaced": func(dir string) error { os.RemoveAll(dir); return os.WriteFile(dir, nil, 0o644) },
		"linked":   func(dir string) error { os.RemoveAll(dir); return os.Symlink("/", dir) },
	} {
		dir := hostTree(t, "stays/x", "goes/y", "file")
		root, err := hostfs.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		var warns []Warning
		src := meddler{hostSource{root}, func(path string) {
			if path == "." {
				change(filepath.Join(dir, "goes"))
			}
		}}
		tree, err := scan(context.Background(), src, ScanOptions{Warn: func(w Warning) { warns = append(warns, w) }})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := strings.Join(paths(tree), " "); got != "file goes/ stays/ stays/x" || kinds(warns) != "vanished:goes" {
			t.Errorf("%s: %s, %v", what, got, warns)
		}
		newDisk(t, tree, Options{}, DiskOptions{}).Close()
		tree.Close()
	}
}

// gridSource is directories full of files that exist nowhere.
type gridSource struct{ dirs, perDir int }

func (s gridSource) name() string                   { return "grid" }
func (s gridSource) resolve(string) (string, error) { return "", fs.ErrNotExist }
func (s gridSource) stat(string) (hostfs.Stat, error) {
	return hostfs.Stat{Mode: fs.ModeDir | 0o755}, nil
}
func (s gridSource) Close() error { return nil }
func (s gridSource) open(string) (content, hostfs.Stat, error) {
	return nil, hostfs.Stat{}, fs.ErrNotExist
}

func (s gridSource) list(path string, l *hostfs.Listing) error {
	l.Reset()
	n, e := s.perDir, hostfs.Entry{Stat: hostfs.Stat{Size: 1024, Mode: 0o644}}
	if path == "." {
		n, e = s.dirs, hostfs.Entry{Stat: hostfs.Stat{Mode: fs.ModeDir | 0o755}}
	}
	for i := range n {
		l.Add(fmt.Sprintf("a name of some length %d", i), e)
	}
	return nil
}

// A file takes less than 250 bytes of the heap, its place on the disk
// included.
func TestMemory(t *testing.T) {
	const dirs, perDir, limit = 1000, 100, 250
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	tree, err := scan(context.Background(), gridSource{dirs, perDir}, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLayout(tree, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := NewDisk(l, DiskOptions{})
	used := (heap() - before) / (dirs * perDir)
	t.Logf("%d bytes for each file", used)
	if used > limit {
		t.Errorf("%d bytes for each file, at most %d are meant", used, limit)
	}
	d.Close()
}
