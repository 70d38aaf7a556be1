package vfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync/atomic"
	"testing"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
)

// folder returns an empty folder of the host.
func folder(t *testing.T) *host.FS {
	f, err := host.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// filled returns a folder with files of all sizes that matter to a copy: read
// before their turn, read in their turn, and read while they are written.
func filled(t *testing.T) (*host.FS, map[string][]byte) {
	f, files := folder(t), map[string][]byte{}
	for _, dir := range []string{"a", "a/deep", "a/deep/deeper", "b", "empty"} {
		if err := vfs.MkdirAll(f, dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	sizes := []int{0, 1, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 2<<20 + 5, 5 << 20}
	for i := range 90 {
		name := path.Join([]string{".", "a", "a/deep", "a/deep/deeper", "b"}[i%5], fmt.Sprint("file", i))
		size := sizes[i/5%len(sizes)]
		if i >= 45 {
			size = i // many small ones, more than are read ahead
		}
		files[name] = bytes.Repeat([]byte{byte(i + 1)}, size)
		if err := vfs.WriteFile(f, name, files[name], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return f, files
}

// watchedTree is a tree that knows which of its files are open, and breaks
// where it is told to.
type watchedTree struct {
	vfs.FS
	open   atomic.Int64
	broken string
	opened func(name string)
}

func (w *watchedTree) Open(name string) (fs.File, error) {
	if w.opened != nil {
		w.opened(name)
	}
	if path.Base(name) == w.broken {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errBroken}
	}
	f, err := w.FS.Open(name)
	if err != nil {
		return nil, err
	}
	w.open.Add(1)
	return &watchedFile{f, w}, nil
}

type watchedFile struct {
	fs.File
	tree *watchedTree
}

func (f *watchedFile) Close() error {
	f.tree.open.Add(-1)
	return f.File.Close()
}

func (f *watchedFile) ReadDir(n int) ([]fs.DirEntry, error) {
	return f.File.(fs.ReadDirFile).ReadDir(n)
}

var errBroken = errors.New("broken on purpose")

// same fails the test unless dst holds files and nothing else.
func same(t *testing.T, dst fs.FS, files map[string][]byte) {
	t.Helper()
	seen := 0
	err := fs.WalkDir(dst, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		got, err := fs.ReadFile(dst, name)
		if err == nil && !bytes.Equal(got, files[name]) {
			err = fmt.Errorf("%s: %d bytes, want %d", name, len(got), len(files[name]))
		}
		return err
	})
	if err != nil || seen != len(files) {
		t.Errorf("%d files, want %d: %v", seen, len(files), err)
	}
}

func TestCopyTree(t *testing.T) {
	src, files := filled(t)
	watched := &watchedTree{FS: src}
	for name, from := range map[string]fs.FS{"files of the host": src, "other files": watched, "a tree for one reader": struct{ fs.FS }{src}} {
		t.Run(name, func(t *testing.T) {
			dst := folder(t)
			done, err := vfs.Copy(t.Context(), dst, ".", from, ".", vfs.CopyOptions{Preserve: true})
			if err != nil || done.Files != int64(len(files)) || done.Dirs != 6 {
				t.Errorf("%+v, %v", done, err)
			}
			same(t, dst, files)
		})
	}
	if n := watched.open.Load(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

// A file that cannot be read is one error, in its turn, and the files around
// it are copied; what was read ahead of an error that ends the copy is given up.
func TestCopyBroken(t *testing.T) {
	src, files := filled(t)
	watched := &watchedTree{FS: src, broken: "file50"}
	dst, failed := folder(t), 0
	_, err := vfs.Copy(t.Context(), dst, ".", watched, ".", vfs.CopyOptions{Failed: func(name string, err error) error {
		if failed++; name != "file50" || !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
		return nil
	}})
	if err != nil || failed != 1 {
		t.Errorf("%v, %d failures", err, failed)
	}
	delete(files, "file50")
	same(t, dst, files)
	if _, err := vfs.Copy(t.Context(), folder(t), ".", watched, ".", vfs.CopyOptions{}); !errors.Is(err, errBroken) {
		t.Errorf("without Failed: %v", err)
	}
	if n := watched.open.Load(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

// When Copy has returned nobody reads the source any more.
func TestCopyCancelled(t *testing.T) {
	src, _ := filled(t)
	for after := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		var opened, returned atomic.Int64
		watched := &watchedTree{FS: src, opened: func(string) {
			if returned.Load() != 0 {
				t.Error("the source is read after Copy has returned")
			}
			if opened.Add(1) > int64(after) {
				cancel()
			}
		}}
		_, err := vfs.Copy(ctx, folder(t), ".", watched, ".", vfs.CopyOptions{})
		returned.Store(1)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at open file %d: %v", after, err)
		}
		if n := watched.open.Load(); n != 0 {
			t.Errorf("%d files are still open", n)
		}
		cancel()
	}
}

// A new file is whole or not there; one that was replaced is named.
func TestCopyInterruptedFile(t *testing.T) {
	src, dst := folder(t), folder(t)
	big := make([]byte, 8<<20)
	for _, tree := range []vfs.FS{src, dst} {
		if err := errors.Join(tree.Mkdir("d", 0o777), vfs.WriteFile(tree, "d/old", big, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"d": "d/old", "new": ""} {
		ctx, cancel := context.WithCancel(t.Context())
		o := vfs.CopyOptions{Progress: func(now vfs.Tally) {
			if now.Bytes > 0 {
				cancel()
			}
		}}
		from := "d"
		if want == "" {
			from = "d/old"
		}
		_, err := vfs.Copy(ctx, dst, name, onlyReads{src}, from, o)
		partial := (*vfs.PartialError)(nil)
		if errors.As(err, &partial) != (want != "") || !errors.Is(err, context.Canceled) || partial != nil && partial.Name != want {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if _, err := fs.Stat(dst, "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part of a new file is there: %v", err)
	}
}

// onlyReads hides that a tree's files are those of the host, which its kernel
// would copy in large pieces.
type onlyReads struct{ fs.FS }

func (o onlyReads) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if d, ok := f.(fs.ReadDirFile); ok && err == nil {
		if fi, err := f.Stat(); err == nil && fi.IsDir() {
			return d, nil
		}
	}
	return struct{ fs.File }{f}, err
}

// What is not to be replaced stays, and is not even read.
func TestCopyNoReplace(t *testing.T) {
	src, files := filled(t)
	dst := folder(t)
	if _, err := vfs.Copy(t.Context(), dst, ".", src, ".", vfs.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	files["file50"] = []byte("another content")
	if err := vfs.WriteFile(dst, "file50", files["file50"], 0o666); err != nil {
		t.Fatal(err)
	}
	done, err := vfs.Copy(t.Context(), dst, ".", src, ".", vfs.CopyOptions{NoReplace: true})
	if err != nil || done.Files != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	same(t, dst, files)
}
