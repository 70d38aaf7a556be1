package vvfat

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// newDisk lays out a tree and returns its disk, closed when the test ends.
func newDisk(t testing.TB, tree *Tree, o Options, do DiskOptions) *Disk {
	t.Helper()
	l, err := NewLayout(tree, o)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDisk(l, do)
	t.Cleanup(func() { d.Close() })
	return d
}

// judge reads the disk with the independent reader, which is strict.
func judge(t testing.TB, d *Disk) *fatread.Tree {
	t.Helper()
	got, err := fatread.Read(d, d.Size(), fatread.Options{LBABytes: int64(d.l.geo.SectorBytes)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// writeTree makes a generated tree on the host and returns its directory.
func writeTree(t testing.TB, tree trees.Tree) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if _, err := tree.Write(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unlock(dir) })
	return dir
}

// unlock makes directories writable again, so that they can be removed.
func unlock(dir string) {
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			os.Chmod(path, 0o755)
		}
		return nil
	})
}

// verify compares everything that the independent reader finds on a disk with
// the directory that it was made from.
func verify(t testing.TB, d *Disk, dir string) {
	t.Helper()
	got := judge(t, d)
	l := d.l
	if len(got.Entries) != l.tree.count-1 {
		t.Errorf("the disk has %d entries, the tree %d", len(got.Entries), l.tree.count-1)
	}
	for id := RootID + 1; int(id) < l.tree.count; id++ {
		e := got.Entries[diskPath(l, id)]
		if e == nil {
			t.Errorf("%q is not on the disk as %q", l.tree.path(id), diskPath(l, id))
			continue
		}
		verifyEntry(t, l, id, e, filepath.Join(dir, l.tree.hostPath(id)))
	}
}

// diskPath returns the path of a node in the names of the disk.
func diskPath(l *Layout, id NodeID) string {
	var parts []string
	for ; id != RootID; id = l.tree.node(id).parent {
		parts = append([]string{l.names.of(id)}, parts...)
	}
	return strings.Join(parts, "/")
}

func verifyEntry(t testing.TB, l *Layout, id NodeID, e *fatread.Entry, host string) {
	t.Helper()
	info, err := os.Lstat(host)
	if err != nil {
		t.Error(err)
		return
	}
	if _, made := l.names.distinct[id]; !made {
		if back, ok := fatfmt.UnmapName(e.Name); !ok || back != l.tree.hostName(id) {
			t.Errorf("%q on the disk stands for %q, not %q", e.Name, back, l.tree.hostName(id))
		}
	}
	if e.Dir != info.IsDir() {
		t.Errorf("%q: directory %v", e.Path, e.Dir)
	}
	if ro := e.Attr&fatread.AttrReadOnly != 0; ro != (info.Mode()&0o200 == 0) {
		t.Errorf("%q: attributes %#x for mode %v", e.Path, e.Attr, info.Mode())
	}
	if want := onDisk(l, info.ModTime()); !e.Modified.Equal(want) {
		t.Errorf("%q: modified %v, want %v", e.Path, e.Modified, want)
	}
	if st := l.tree.node(id); st.btime != hostfs.NoTime {
		// Creation has steps of 10 ms.
		born := onDisk(l, time.Unix(0, st.btime))
		if diff := e.Created.Sub(born); diff < 0 || diff >= 2*time.Second {
			t.Errorf("%q: created %v, want %v", e.Path, e.Created, born)
		}
	}
	if e.Dir {
		return
	}
	f, err := os.Open(host)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	h := sha256.New()
	if n, _ := io.Copy(h, f); n != e.Size || [32]byte(h.Sum(nil)) != e.Hash {
		t.Errorf("%q: %d bytes, want %d, or other contents", e.Path, e.Size, n)
	}
	if len(e.Clusters) > 1 {
		t.Errorf("%q has %d fragments", e.Path, len(e.Clusters))
	}
}

// onDisk is what becomes of a time: the wall clock in steps of two seconds,
// within what can be written.
func onDisk(l *Layout, when time.Time) time.Time {
	if c := l.o.ClampTime; !c.IsZero() && when.After(c) {
		when = c
	}
	w := when.In(l.o.Location)
	w = time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second()&^1, 0, time.UTC)
	first, last := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	switch {
	case w.Before(first):
		return first
	case w.After(last):
		return last
	}
	return w
}

// volumeImage writes the volume of a disk, without a partition table, to a
// sparse file.
func volumeImage(t testing.TB, d *Disk) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "volume.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	copyDisk(t, f, d, d.l.volume, d.l.geo.TotalBytes())
	return name
}

// copyDisk writes a range of a disk to a file, holes left out.
func copyDisk(t testing.TB, f *os.File, d *Disk, off, n int64) {
	t.Helper()
	extents, err := d.AppendExtents(nil, off, n)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range extents {
		if e.Flags != 0 {
			continue
		}
		if _, err := io.Copy(io.NewOffsetWriter(f, e.Off-off), io.NewSectionReader(d, e.Off, e.Len)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(n); err != nil {
		t.Fatal(err)
	}
}

// fsck has fsck.fat look at the volume, which must find nothing.
func fsck(t testing.TB, d *Disk) {
	t.Helper()
	tools.Need(t, "fsck.fat")
	if r := tools.Try(t, "fsck.fat", "-n", volumeImage(t, d)); r.Code != 0 {
		t.Errorf("fsck.fat: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
