package fusemount

import (
	"errors"
	"io/fs"
	"path"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/vfs"
)

// create runs fn, which makes an object, and tells the kernel of it.
func (t *tree) create(id uint64, name string, out *fuse.EntryOut, fn func(full string) error) fuse.Status {
	t.names.RLock()
	defer t.names.RUnlock()
	dir, full, status := t.in(id, name)
	if status != fuse.OK {
		return status
	}
	defer t.changes.Add(1)
	if err := fn(full); err != nil {
		return errnoOf(err)
	}
	return t.entry(dir, full, name, out)
}

// Mkdir implements fuse.RawFileSystem.
func (t *tree) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return t.create(in.NodeId, name, out, func(full string) error {
		return t.fsys.Mkdir(full, fs.FileMode(in.Mode&0o777))
	})
}

// Mknod implements fuse.RawFileSystem: files only.
func (t *tree) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return fuse.EPERM
	}
	return t.create(in.NodeId, name, out, func(full string) error {
		f, err := t.fsys.OpenFile(full, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, fs.FileMode(in.Mode&0o777))
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// Symlink implements fuse.RawFileSystem.
func (t *tree) Symlink(_ <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	status := t.create(header.NodeId, name, out, func(full string) error { return vfs.Symlink(t.fsys, target, full) })
	if status == fuse.Status(syscall.EOPNOTSUPP) {
		return fuse.EPERM // what symlink(2) says of a file system without links
	}
	return status
}

// Readlink implements fuse.RawFileSystem.
func (t *tree) Readlink(_ <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	t.names.RLock()
	defer t.names.RUnlock()
	_, name, status := t.at(header.NodeId)
	if status != fuse.OK {
		return nil, status
	}
	target, err := fs.ReadLink(t.fsys, name)
	return []byte(target), errnoOf(err)
}

// Link implements fuse.RawFileSystem: no tree has hard links.
func (t *tree) Link(_ <-chan struct{}, _ *fuse.LinkIn, _ string, _ *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}

// Unlink implements fuse.RawFileSystem.
func (t *tree) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return t.remove(header.NodeId, name, false)
}

// Rmdir implements fuse.RawFileSystem.
func (t *tree) Rmdir(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return t.remove(header.NodeId, name, true)
}

// remove removes a directory, or something else.
func (t *tree) remove(id uint64, name string, directory bool) fuse.Status {
	t.names.Lock()
	defer t.names.Unlock()
	dir, full, status := t.in(id, name)
	if status != fuse.OK {
		return status
	}
	fi, err := vfs.Lstat(t.fsys, full)
	switch {
	case err != nil:
		return errnoOf(err)
	case fi.IsDir() && !directory:
		return fuse.EISDIR
	case !fi.IsDir() && directory:
		return fuse.ENOTDIR
	}
	defer t.changes.Add(1)
	if err := t.fsys.Remove(full); err != nil {
		return errnoOf(err)
	}
	if n := t.nodes.child(dir, fi.Name()); n != nil {
		t.nodes.remove(n)
	}
	return fuse.OK
}

// Rename implements fuse.RawFileSystem. Two names cannot be exchanged: no tree
// does it such that a power cut leaves both.
func (t *tree) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags&^unix.RENAME_NOREPLACE != 0 {
		return fuse.EINVAL
	}
	t.names.Lock()
	defer t.names.Unlock()
	from, oldFull, status := t.in(in.NodeId, oldName)
	if status != fuse.OK {
		return status
	}
	to, newFull, status := t.in(in.Newdir, newName)
	if status != fuse.OK {
		return status
	}
	old, err := vfs.Lstat(t.fsys, oldFull)
	if err != nil {
		return errnoOf(err)
	}
	target, err := vfs.Lstat(t.fsys, newFull)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		target = nil
	case err != nil:
		return errnoOf(err)
	case from == to && target.Name() == old.Name():
		target = nil // the object itself, in another spelling
	case in.Flags&unix.RENAME_NOREPLACE != 0:
		return fuse.Status(syscall.EEXIST)
	}
	defer t.changes.Add(1)
	if err := t.fsys.Rename(oldFull, newFull); err != nil {
		return errnoOf(err)
	}
	if target != nil {
		if n := t.nodes.child(to, target.Name()); n != nil {
			t.nodes.remove(n)
		}
	}
	t.renamed(from, old.Name(), to, newFull)
	return fuse.OK
}

// renamed follows a rename in the table. The tree has the last word on how the
// new name is spelled.
func (t *tree) renamed(from *node, oldName string, to *node, newFull string) {
	n := t.nodes.child(from, oldName)
	if n == nil {
		return
	}
	name := path.Base(newFull)
	if fi, err := vfs.Lstat(t.fsys, newFull); err == nil {
		name = fi.Name()
	}
	t.nodes.move(n, to, name)
}
