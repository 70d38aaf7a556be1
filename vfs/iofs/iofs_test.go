package iofs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/vfs/iofs"
)

var content = bytes.Repeat([]byte("0123456789"), 1000)

// plain hides every optional method of the files of a tree.
type plain struct{ inner fs.FS }

func (p plain) Open(name string) (fs.File, error) {
	f, err := p.inner.Open(name)
	if err != nil {
		return nil, err
	}
	if d, ok := f.(fs.ReadDirFile); ok {
		return d, nil
	}
	return struct{ fs.File }{f}, nil
}

func tree() fstest.MapFS {
	return fstest.MapFS{"a/b": {Data: content}, "c": {Data: []byte("c")}}
}

func TestStandardLibrarySuite(t *testing.T) {
	if err := fstest.TestFS(iofs.New(tree()), "a/b", "c"); err != nil {
		t.Fatal(err)
	}
}

func TestRandomReads(t *testing.T) {
	for name, inner := range map[string]fs.FS{"reader-at": tree(), "plain": plain{tree()}} {
		f, err := iofs.New(inner).OpenFile("a/b", os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{5, 9_995, 0, 700, 10_000} {
			p := make([]byte, 10)
			n, err := f.ReadAt(p, off)
			want := content[off:min(int(off)+10, len(content))]
			if !bytes.Equal(p[:n], want) || (err == io.EOF) != (n < 10) {
				t.Errorf("%s: ReadAt(%d) is %q, %v; want %q", name, off, p[:n], err, want)
			}
		}
		if _, err := f.Seek(-4, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(f); err != nil || string(rest) != "6789" {
			t.Errorf("%s: the end is %q, %v", name, rest, err)
		}
		f.Close()
	}
}

func TestRefusesChanges(t *testing.T) {
	f := iofs.New(tree())
	_, err := f.OpenFile("c", os.O_RDWR, 0)
	for _, err := range []error{err, f.Mkdir("d", 0o777), f.Remove("c"), f.Rename("c", "d"),
		vfs.RemoveAll(f, "a"), vfs.MkdirAll(f, "x/y", 0o777)} {
		if !errors.Is(err, diskerr.ErrReadOnly) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("error is %v", err)
		}
	}
}

func TestCopyOut(t *testing.T) {
	dst, err := host.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := vfs.Copy(context.Background(), dst, ".", plain{tree()}, ".", vfs.CopyOptions{Preserve: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(dst, "a/b"); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("copied %d bytes, %v", len(got), err)
	}
}
