package vfstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/fatkit/fatkit/vfs"
)

// Content is what a tree that cannot be changed holds: its files by name.
type Content map[string][]byte

// ReadOnlyCases are the cases by name for trees that cannot be changed.
var ReadOnlyCases = map[string]func(t *testing.T, fsys vfs.FS, c Content){
	"readonly/files":      readOnlyFiles,
	"readonly/anywhere":   readOnlyAnywhere,
	"readonly/refuses":    readOnlyRefuses,
	"readonly/names":      readOnlyNames,
	"readonly/walk":       readOnlyWalk,
	"readonly/concurrent": readOnlyConcurrent,
	"readonly/testfs": func(t *testing.T, fsys vfs.FS, c Content) {
		must(t, fstest.TestFS(fsys, slices.Sorted(maps.Keys(c))...))
	},
}

// RunReadOnly runs every case for a tree that cannot be changed and holds c, and
// nothing else but the directories of its files.
func RunReadOnly(t *testing.T, fsys vfs.FS, c Content) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(ReadOnlyCases)) {
		t.Run(name, func(t *testing.T) { ReadOnlyCases[name](t, fsys, c) })
	}
}

func readOnlyFiles(t *testing.T, fsys vfs.FS, c Content) {
	for name, want := range c {
		Env{FS: fsys}.wantFile(t, name, want)
		f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
		must(t, err)
		_, err = f.Write([]byte("x"))
		if err == nil {
			t.Errorf("%s: a file that was opened for reading was written", name)
		}
		must(t, f.Close())
		_, err = f.Read(make([]byte, 1))
		if err == nil {
			t.Errorf("%s: read after Close", name)
		}
	}
}

func readOnlyAnywhere(t *testing.T, fsys vfs.FS, c Content) {
	for name, want := range c {
		f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
		must(t, err)
		size := int64(len(want))
		for _, off := range []int64{0, size / 2, size - 1, size, size + 10, 1} {
			if off < 0 {
				continue
			}
			p := make([]byte, 100)
			n, err := f.ReadAt(p, off)
			rest := want[min(off, size):min(off+100, size)]
			if !bytes.Equal(p[:n], rest) || (err == io.EOF) != (n < len(p)) || err != nil && err != io.EOF {
				t.Errorf("%s: ReadAt(%d) is %d bytes, %v; want %d", name, off, n, err, len(rest))
			}
			if _, err := f.Seek(min(off, size)-size, io.SeekEnd); err != nil {
				t.Errorf("%s: Seek: %v", name, err)
			}
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want[min(off, size):]) {
				t.Errorf("%s: %d bytes from %d on, %v", name, len(got), off, err)
			}
		}
		if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
			t.Errorf("%s: ReadAt before the start", name)
		}
		if _, err := f.Seek(-1, io.SeekStart); err == nil {
			t.Errorf("%s: Seek before the start", name)
		}
		must(t, f.Close())
	}
}

func readOnlyRefuses(t *testing.T, fsys vfs.FS, c Content) {
	name := slices.Sorted(maps.Keys(c))[0]
	_, created := fsys.OpenFile("new", os.O_RDWR|os.O_CREATE, 0o666)
	_, opened := fsys.OpenFile(name, os.O_WRONLY, 0)
	_, emptied := fsys.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	for what, err := range map[string]error{
		"create": created, "open": opened, "empty": emptied, "mkdir": fsys.Mkdir("new", 0o777), "remove": fsys.Remove(name),
		"rename": fsys.Rename(name, "new"), "removeall": vfs.RemoveAll(fsys, name), "mkdirall": vfs.MkdirAll(fsys, "new/dir", 0o777),
	} {
		wantErr(t, what, err, fs.ErrPermission)
	}
	for what, err := range map[string]error{
		"chtimes": vfs.Chtimes(fsys, name, vfs.Times{}), "chmod": vfs.Chmod(fsys, name, 0o666), "symlink": vfs.Symlink(fsys, name, "new"),
		"setattr": vfs.SetAttr(fsys, name, vfs.AttrHidden, 0),
	} {
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	readOnlyFiles(t, fsys, c)
}

func readOnlyNames(t *testing.T, fsys vfs.FS, c Content) {
	for _, bad := range []string{"/x", "../x", "", "a//b", "x/"} {
		_, err := fsys.Open(bad)
		wantErr(t, "open "+bad, err, fs.ErrInvalid)
		_, err = fs.Stat(fsys, bad)
		wantErr(t, "stat "+bad, err, fs.ErrInvalid)
	}
	_, err := fsys.Open("missing")
	wantErr(t, "open what is not there", err, fs.ErrNotExist)
	_, err = fs.Stat(fsys, "missing/sub")
	wantErr(t, "stat below what is not there", err, fs.ErrNotExist)
	for name := range c {
		if _, err := fsys.Open(name + "/below"); err == nil {
			t.Errorf("something below the file %s was opened", name)
		}
	}
}

func readOnlyWalk(t *testing.T, fsys vfs.FS, c Content) {
	want := vfs.Tally{Files: int64(len(c))}
	dirs := map[string]bool{".": true}
	for name, p := range c {
		want.Bytes += int64(len(p))
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	want.Dirs = int64(len(dirs))
	got, err := vfs.Measure(context.Background(), fsys, ".", nil)
	must(t, err)
	if got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

func readOnlyConcurrent(t *testing.T, fsys vfs.FS, c Content) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for name, want := range c {
				if got, err := fs.ReadFile(fsys, name); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
	wg.Wait()
}
