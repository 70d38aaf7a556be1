package vvfat

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestEqual changes a tree in each of the ways that a new disk has to show, and
// in one that it has not to.
func TestEqual(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "a.txt")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Dir(file), 0o755))
	must(os.WriteFile(file, []byte("one"), 0o644))
	stamp := time.Unix(1_600_000_000, 0)
	must(os.Chtimes(file, stamp, stamp))
	layout := func(keep *Identity) *Layout {
		t.Helper()
		tree, err := ScanDir(context.Background(), dir, ScanOptions{})
		must(err)
		t.Cleanup(func() { tree.Close() })
		l, err := NewLayout(tree, Options{Keep: keep})
		must(err)
		return l
	}
	last := layout(nil)
	id := last.Identity()
	for _, c := range []struct {
		what   string
		change func() error
		equal  bool
	}{
		{"nothing", func() error { return nil }, true},
		{"access", func() error { return os.Chtimes(file, stamp.Add(time.Hour), stamp) }, true},
		{"time", func() error { return os.Chtimes(file, stamp, stamp.Add(time.Nanosecond)) }, false},
		{"size", func() error { return os.WriteFile(file, []byte("three"), 0o644) }, false},
		{"mode", func() error { return os.Chmod(file, 0o444) }, false},
		{"name", func() error { return os.Rename(file, file+"2") }, false},
		{"new file", func() error { return os.WriteFile(file, nil, 0o644) }, false},
		{"new directory", func() error { return os.Mkdir(filepath.Join(dir, "b"), 0o755) }, false},
		{"deletion", func() error { return os.Remove(file) }, false},
	} {
		must(c.change())
		next := layout(&id)
		if got := next.Equal(last); got != c.equal {
			t.Errorf("after a change of %s: Equal = %v", c.what, got)
		}
		last = next
	}
}
