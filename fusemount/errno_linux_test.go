package fusemount

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

func TestErrno(t *testing.T) {
	path := func(err error) error { return &fs.PathError{Op: "open", Path: "f", Err: err} }
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{path(&diskerr.NoSpaceError{What: "volume"}), syscall.ENOSPC},
		{path(diskerr.ErrReadOnly), syscall.EROFS}, // not EACCES, which it matches, too
		{path(diskerr.ErrOutOfRange), syscall.EINVAL},
		{path(&diskerr.FormatError{Format: "FAT"}), syscall.EIO},
		{path(vfs.ErrNotEmpty), syscall.ENOTEMPTY},
		{path(vfs.ErrNotDir), syscall.ENOTDIR},
		{path(vfs.ErrIsDir), syscall.EISDIR},
		{path(fmt.Errorf("%w: more", vfs.ErrTooLarge)), syscall.EFBIG},
		{path(fs.ErrNotExist), syscall.ENOENT},
		{path(fs.ErrExist), syscall.EEXIST},
		{path(fs.ErrPermission), syscall.EACCES},
		{path(errors.ErrUnsupported), syscall.EOPNOTSUPP},
		{path(fs.ErrClosed), syscall.EIO},
		{path(syscall.ELOOP), syscall.ELOOP}, // of a directory of the host
		{path(syscall.ENOTEMPTY), syscall.ENOTEMPTY},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, syscall.EIO},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, syscall.EIO},
		{errors.New("anything"), syscall.EIO},
	} {
		if got := errnoOf(c.err); got != fuse.Status(c.want) {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
}

// The table keeps nodes for as long as the kernel knows them, or what is below
// them.
func TestTable(t *testing.T) {
	tab := newTable(fs.ModeDir)
	dir := tab.enter(tab.root, "dir", fs.ModeDir, 0)
	file := tab.enter(dir, "file", 0, 0)
	if tab.enter(dir, "file", 0, 0) != file {
		t.Error("one object has two nodes")
	}
	tab.forget(dir.id, 1)
	if name, ok := tab.path(file); !ok || name != "dir/file" || tab.get(dir.id) == nil {
		t.Errorf("the file is at %q, %v", name, ok)
	}
	tab.move(file, tab.root, "moved")
	if name, _ := tab.path(file); name != "moved" || tab.get(dir.id) != nil {
		t.Errorf("the file is at %q, and its old directory is known: %v", name, tab.get(dir.id) != nil)
	}
	tab.remove(file)
	if _, ok := tab.path(file); ok || tab.get(file.id) != file {
		t.Error("a removed file has a path, or is not known any more")
	}
	again := tab.enter(tab.root, "moved", 0, file.ino)
	if again == file || again.ino == file.ino {
		t.Error("a new file is taken for the removed one")
	}
	tab.forget(file.id, 2)
	tab.forget(again.id, 1)
	if len(tab.byID) != 1 || len(tab.byIno) != 1 {
		t.Errorf("%d nodes are left", len(tab.byID))
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{"/mnt": "/mnt", `/a\040b\134c`: `/a b\c`, `/x\04`: `/x\04`, `\999`: `\999`} {
		if got := unescape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
