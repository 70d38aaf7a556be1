package volume

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// virtual reports whether a location is a directory of the tree with mount
// points below it, which its listing shows as well as what the volume has
// there.
func (n *Namespace) virtual(l Location) bool {
	return (l.mnt == nil || l.mnt.letter == 0) && n.leadsOn(l)
}

// leadsOn is virtual for a location in the tree.
func (n *Namespace) leadsOn(l Location) bool {
	name := l.treeName()
	return l.mnt == nil && name == "." || len(n.table.Load().below(name)) > 0
}

// listVirtual lists a virtual directory.
func (n *Namespace) listVirtual(l Location) ([]fs.DirEntry, error) {
	t, name := n.table.Load(), l.treeName()
	var list []fs.DirEntry
	if l.mnt != nil {
		var err error
		list, err = l.mnt.vol.ReadDir(l.Name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	add := func(sub string) error {
		fi, err := n.FS().Stat(path.Join(name, sub))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBusy) {
			return nil // it is being mounted or unmounted
		}
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(e fs.DirEntry) bool { return e.Name() == sub })
		list = append(list, fs.FileInfoToDirEntry(fi))
		return nil
	}
	if name == "." {
		for _, m := range t.drives {
			if m == nil {
				continue
			}
			if err := add(m.point); err != nil {
				return nil, err
			}
		}
	}
	for _, sub := range t.below(name) {
		if err := add(sub); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// virtualInfo describes a directory that is on no volume; it is the path from
// the root of the tree.
type virtualInfo string

func (i virtualInfo) Name() string     { return path.Base(string(i)) }
func (virtualInfo) Size() int64        { return 0 }
func (virtualInfo) Mode() fs.FileMode  { return fs.ModeDir | 0o555 }
func (virtualInfo) ModTime() time.Time { return time.Time{} }
func (virtualInfo) IsDir() bool        { return true }
func (virtualInfo) Sys() any           { return nil }

// openVirtual opens a virtual directory.
func (v *View) openVirtual(name string, l Location) (vfs.File, error) {
	fi, err := v.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		fi, err = virtualInfo(l.treeName()), nil
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	list, err := v.n.listVirtual(l)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &virtualDir{name: name, info: fi, list: list}, nil
}

// virtualDir is an open virtual directory.
type virtualDir struct {
	name string
	info fs.FileInfo

	mu     sync.Mutex
	list   []fs.DirEntry // that ReadDir has not returned yet
	closed bool
}

var (
	_ vfs.File       = (*virtualDir)(nil)
	_ fs.ReadDirFile = (*virtualDir)(nil)
)

func (d *virtualDir) fail(op string, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		err = fs.ErrClosed
	}
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.name, Err: err}
}

func (d *virtualDir) Stat() (fs.FileInfo, error) { return d.info, d.fail("stat", nil) }
func (d *virtualDir) Read([]byte) (int, error)   { return 0, d.fail("read", vfs.ErrIsDir) }
func (d *virtualDir) Write([]byte) (int, error)  { return 0, d.fail("write", diskerr.ErrReadOnly) }
func (d *virtualDir) Truncate(int64) error       { return d.fail("truncate", diskerr.ErrReadOnly) }
func (d *virtualDir) Sync() error                { return d.fail("sync", nil) }
func (d *virtualDir) Seek(int64, int) (int64, error) {
	return 0, d.fail("seek", vfs.ErrIsDir)
}
func (d *virtualDir) ReadAt([]byte, int64) (int, error) {
	return 0, d.fail("read", vfs.ErrIsDir)
}
func (d *virtualDir) WriteAt([]byte, int64) (int, error) {
	return 0, d.fail("write", diskerr.ErrReadOnly)
}

func (d *virtualDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := d.fail("readdir", nil); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n > 0 && len(d.list) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.list) {
		n = len(d.list)
	}
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}

func (d *virtualDir) Close() error {
	err := d.fail("close", nil)
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	return err
}
