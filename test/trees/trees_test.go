package trees

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func TestFillIsAddressable(t *testing.T) {
	whole := make([]byte, 1003)
	Fill(whole, 42, 0)
	for _, off := range []int64{0, 8, 512, 1000} {
		part := make([]byte, len(whole)-int(off))
		Fill(part, 42, off)
		if !bytes.Equal(part, whole[off:]) {
			t.Errorf("bytes from %d differ", off)
		}
	}
	other := make([]byte, len(whole))
	Fill(other, 43, 0)
	if bytes.Equal(other, whole) {
		t.Error("two seeds give the same bytes")
	}
}

func TestWrite(t *testing.T) {
	for name, tree := range map[string]Tree{
		"unpleasant": Unpleasant(), "links": BadLinks(), "grid": Grid(3, 4, 100), "flat": Flat(2, writeBytes+5), "prefix": SamePrefix(50),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			left, err := tree.Write(dir)
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS == "linux" && len(left) > 0 {
				t.Errorf("left out: %v", left)
			}
			out := map[string]bool{}
			for _, n := range left {
				out[n.Path] = true
			}
			for _, n := range tree {
				if !out[n.Path] {
					checkNode(t, dir, n)
				}
			}
			makeRemovable(t, dir)
		})
	}
}

// checkNode compares a node with what the host has.
func checkNode(t *testing.T, dir string, n Node) {
	t.Helper()
	path := filepath.Join(dir, n.Path)
	fi, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	want := map[Kind]fs.FileMode{Dir: fs.ModeDir, Symlink: fs.ModeSymlink, Socket: fs.ModeSocket, FIFO: fs.ModeNamedPipe}[n.Kind]
	if fi.Mode().Type() != want {
		t.Errorf("%v is %v", n, fi.Mode())
	}
	if n.Kind > Dir {
		return
	}
	when := n.ModTime
	if when.IsZero() {
		when = BaseTime
	}
	if when.Year() < 2107 && !fi.ModTime().Equal(when) || // hosts differ in how far they reach
		n.Mode != 0 && fi.Mode().Perm() != n.Mode {
		t.Errorf("%v has time %v, mode %v", n, fi.ModTime(), fi.Mode())
	}
	if n.Kind == File {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, n.Bytes()) {
			t.Errorf("%v has other bytes (%v)", n, err)
		}
	}
}

// makeRemovable lets the cleanup of a test by a common user succeed.
func makeRemovable(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCounts(t *testing.T) {
	for _, c := range []struct {
		tree  Tree
		files int
		bytes int64
	}{{T1(), 8, 8 * 48 << 20}, {T2(), 20_000, 20_000 * 4 << 10}, {T3(), 200_000, 200_000 << 10}, {T4(), 10, 10 * 400 << 20}} {
		if n, b := c.tree.Files(); n != c.files || b != c.bytes {
			t.Errorf("%d files of %d bytes, want %d of %d", n, b, c.files, c.bytes)
		}
	}
}

func TestRandomTreesCanBeWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tree := Random(20, 1<<20).Draw(rt, "tree")
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		left, err := tree.Write(dir)
		if err != nil || runtime.GOOS == "linux" && len(left) > 0 {
			rt.Fatalf("%v, left out %v", err, left)
		}
	})
}
