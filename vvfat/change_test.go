package vvfat

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// served is a disk with two files of 100,000 bytes, a and b, and its events.
type served struct {
	*Disk
	dir    string
	mu     sync.Mutex
	events []Event
}

func serve(t *testing.T, do DiskOptions) *served {
	t.Helper()
	s := &served{dir: t.TempDir()}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), s.contents(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	do.Event = func(e Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
	}
	tree, _ := mustScan(t, s.dir, ScanOptions{})
	s.Disk = newDisk(t, tree, Options{}, do)
	return s
}

func (s *served) contents(name string) []byte { return bytes.Repeat([]byte(name), 100_000) }

// at returns where a file lies on the disk.
func (s *served) at(name string) int64 {
	for id := RootID + 1; int(id) < s.l.tree.count; id++ {
		if s.l.tree.path(id) == name {
			return s.l.volume + s.l.geo.ClusterOffset(s.l.firstCluster(id))
		}
	}
	panic("no such file")
}

// read reads a file through the disk, in all ways, and returns their error.
func (s *served) read(t *testing.T, name string) error {
	t.Helper()
	want := s.contents(name)
	p := make([]byte, len(want))
	_, err := s.ReadAt(p, s.at(name))
	if err == nil && !bytes.Equal(p, want) {
		t.Errorf("%s has other contents", name)
	}
	segs, segErr := s.AppendSegments(nil, s.at(name), int64(len(want)))
	if (segErr == nil) != (err == nil) || errors.Is(segErr, diskerr.ErrChanged) != errors.Is(err, diskerr.ErrChanged) {
		t.Errorf("ReadAt: %v, AppendSegments: %v", err, segErr)
	}
	off := int64(0)
	for i := range segs {
		segs[i].ReadAt(p[off:off+segs[i].Len], 0)
		off += segs[i].Len
	}
	if !bytes.Equal(p[:off], want[:off]) || segErr == nil && off != int64(len(want)) {
		t.Errorf("%s has other contents in segments", name)
	}
	block.ReleaseAll(segs)
	if _, cached := s.ReadAtCached(p, s.at(name)); cached != nil && cached != block.ErrWouldBlock && err == nil {
		t.Errorf("ReadAtCached: %v", cached)
	}
	return err
}

// replace puts another file of the same size and time in the place of name.
func (s *served) replace(t *testing.T, name string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(s.dir, "other")
	if err := os.WriteFile(other, bytes.Repeat([]byte("x"), int(info.Size())), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestChangedFiles(t *testing.T) {
	for _, consistent := range []bool{false, true} {
		for what, change := range map[string]func(name string) error{
			"touched":   func(n string) error { return os.Chtimes(n, time.Now(), time.Now().Add(time.Hour)) },
			"truncated": func(n string) error { return os.Truncate(n, 10) },
			"emptied":   func(n string) error { return os.Truncate(n, 0) },
			"grown":     func(n string) error { return os.Truncate(n, 200_000) },
			"rewritten": func(n string) error { return os.WriteFile(n, []byte("new"), 0o644) },
		} {
			s := serve(t, DiskOptions{Consistent: consistent})
			for _, open := range []bool{false, true} {
				name := map[bool]string{false: "a", true: "b"}[open]
				if open {
					if err := s.read(t, name); err != nil {
						t.Fatal(err)
					}
				}
				if err := change(filepath.Join(s.dir, name)); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := s.read(t, name); !errors.Is(err, diskerr.ErrChanged) || !strings.Contains(err.Error(), name) {
						t.Errorf("%s while open=%v: %v", what, open, err)
					}
				}
			}
			if len(s.events) != 2 || s.events[0].Path != "a" || s.events[1].Path != "b" {
				t.Errorf("%s: events %v", what, s.events)
			}
		}
	}
}

// A file that is gone or replaced goes on from its old inode while it is open,
// and is an error once it is not.
func TestReplacedFiles(t *testing.T) {
	for what, change := range map[string]func(s *served, name string){
		"removed":  func(s *served, name string) { os.Remove(filepath.Join(s.dir, name)) },
		"replaced": func(s *served, name string) { s.replace(t, name) },
		"a directory": func(s *served, name string) {
			os.Remove(filepath.Join(s.dir, name))
			os.Mkdir(filepath.Join(s.dir, name), 0o755)
		},
		"a link": func(s *served, name string) {
			os.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, "moved"))
			os.Symlink("moved", filepath.Join(s.dir, name))
		},
	} {
		s := serve(t, DiskOptions{MaxOpenFiles: 1})
		if err := s.read(t, "a"); err != nil {
			t.Fatal(err)
		}
		change(s, "a")
		if err := s.read(t, "a"); err != nil {
			t.Errorf("%s while open: %v", what, err)
		}
		if err := s.read(t, "b"); err != nil { // evicts a
			t.Fatal(err)
		}
		if err := s.read(t, "a"); !errors.Is(err, diskerr.ErrChanged) {
			t.Errorf("%s while closed: %v", what, err)
		}
		if len(s.events) != 1 {
			t.Errorf("%s: events %v", what, s.events)
		}
	}
}

// Segments pin their files beyond eviction and Close, and nothing stays open
// after the last is released.
func TestPinnedSegments(t *testing.T) {
	before := openDescriptors(t)
	s := serve(t, DiskOptions{MaxOpenFiles: 1})
	a, err := s.AppendSegments(nil, s.at("a"), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	if a[0].File == nil {
		t.Fatal("a file of 100,000 bytes is no file segment")
	}
	b, err := s.AppendSegments(nil, s.at("b"), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 100_000)
	for name, segs := range map[string][]block.Segment{"a": a, "b": b} {
		if _, err := segs[0].ReadAt(p, 0); err != nil || !bytes.Equal(p, s.contents(name)) {
			t.Errorf("a pinned file cannot be read: %v", err)
		}
		block.ReleaseAll(segs)
	}
	s.l.tree.Close()
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// openDescriptors counts the open files of this process.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("the open files cannot be counted here: %v", err)
	}
	return len(entries)
}

func TestOpenFilesAreBounded(t *testing.T) {
	var names []string
	for i := range 200 {
		names = append(names, strings.Repeat("x", i+1))
	}
	tree, _ := mustScan(t, hostTree(t, names...), ScanOptions{})
	d := newDisk(t, tree, Options{}, DiskOptions{MaxOpenFiles: 10})
	before := openDescriptors(t)
	p := make([]byte, 1<<20)
	for off := int64(0); off < d.Size(); off += int64(len(p)) {
		if _, err := d.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	if after := openDescriptors(t); after-before > 10 {
		t.Errorf("%d descriptors more", after-before)
	}
}

// Once files are open and directories rendered, reading allocates nothing.
func TestReadsAllocateNothing(t *testing.T) {
	s := serve(t, DiskOptions{})
	p := make([]byte, 4096)
	segs := make([]block.Segment, 0, 8)
	exts := make([]block.Extent, 0, 8)
	at := map[string]int64{
		"boot": s.l.volume, "FAT": s.l.volume + s.l.geo.FATOffset(0), "root": s.l.volume + s.l.geo.RootOffset(),
		"file": s.at("a"), "free": s.l.volEnd - 4096,
	}
	for where, off := range at {
		for what, f := range map[string]func(){
			"ReadAt":         func() { s.ReadAt(p, off) },
			"ReadAtCached":   func() { s.ReadAtCached(p, off) },
			"AppendExtents":  func() { exts, _ = s.AppendExtents(exts[:0], off, 4096) },
			"AppendSegments": func() { segs, _ = s.AppendSegments(segs[:0], off, 4096); block.ReleaseAll(segs) },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s of the %s: %v allocations", what, where, n)
			}
		}
	}
	long := s.at("a")
	if n := testing.AllocsPerRun(100, func() {
		segs, _ = s.AppendSegments(segs[:0], long, 100_000)
		block.ReleaseAll(segs)
	}); n != 0 {
		t.Errorf("a file segment: %v allocations", n)
	}
}
