package host_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/vfs/vfstest"
)

func open(t *testing.T) vfs.FS {
	f, err := host.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestConformance(t *testing.T) {
	vfstest.Run(t, open, vfstest.Options{TimeStep: time.Second, OpenRemoved: true})
}

func TestSubConformance(t *testing.T) {
	vfstest.Run(t, func(t *testing.T) vfs.FS {
		f := open(t)
		if err := f.Mkdir("sub", 0o777); err != nil {
			t.Fatal(err)
		}
		sub, err := vfs.Sub(f, "sub")
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}, vfstest.Options{TimeStep: time.Second, OpenRemoved: true})
}

func TestStandardLibrarySuite(t *testing.T) {
	f := open(t)
	if err := vfs.MkdirAll(f, "a/b", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(f, "a/b/c.txt", []byte("content"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(f, "a/b/c.txt"); err != nil {
		t.Fatal(err)
	}
}

func TestLinksStayInside(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t)
	if err := vfs.Symlink(f, filepath.Join(outside, "secret"), "out"); err != nil {
		tools.Missing(t, "symbolic links: "+err.Error())
	}
	if _, err := fs.ReadFile(f, "out"); err == nil {
		t.Fatal("a link led out of the directory")
	}
	if fi, err := vfs.Lstat(f, "out"); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Fatalf("Lstat of a link: %v, %v", fi, err)
	}
	ctx := t.Context()
	done, err := vfs.Copy(ctx, f, "copy", f, "out", vfs.CopyOptions{Links: vfs.KeepLinks})
	if err != nil || done.Other != 1 {
		t.Fatalf("copy of a link: %+v, %v", done, err)
	}
	var pe *fs.PathError
	if _, err := vfs.Copy(ctx, f, "copy2", f, "out", vfs.CopyOptions{}); !errors.As(err, &pe) {
		t.Fatalf("following a link out of the tree: %v", err)
	}
}
