// Package host is a directory of the host as a vfs.FS.
//
// Nothing outside the directory is reached: names are resolved by os.Root,
// which follows a symbolic link only to a place beneath the directory. Links
// themselves are seen by Lstat, ReadLink and Walk.
//
// File.Sync makes the content durable; the name of a new file is durable after
// Sync of the tree, which syncs the directories that were changed.
package host

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fatkit/fatkit/vfs"
)

// FS is a directory of the host.
type FS struct {
	root  *os.Root
	dir   *os.File // the directory itself
	inner fs.FS    // root.FS(), which checks names

	mu      sync.Mutex
	changed map[string]bool // directories with names that are not yet durable
}

var (
	_ vfs.FS        = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
	_ vfs.ChtimesFS = (*FS)(nil)
	_ vfs.ChmodFS   = (*FS)(nil)
	_ vfs.SyncFS    = (*FS)(nil)
	_ vfs.SymlinkFS = (*FS)(nil)
	_ vfs.UsageFS   = (*FS)(nil)
)

// New opens the directory dir of the host.
func New(dir string) (*FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	d, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &FS{root: root, dir: d, inner: root.FS(), changed: map[string]bool{}}, nil
}

// Close gives up the directory. Open files stay usable.
func (f *FS) Close() error { return errors.Join(f.root.Close(), f.dir.Close()) }

// local checks name and turns it into one of the host's.
func local(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	l, err := filepath.Localize(name)
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return l, nil
}

// notRoot is local for what must not happen to the root.
func notRoot(op, name string) (string, error) {
	if name == "." {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return local(op, name)
}

// touched remembers that the directory of name was changed.
func (f *FS) touched(name string) {
	f.mu.Lock()
	f.changed[path.Dir(name)] = true
	f.mu.Unlock()
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	if fs.ValidPath(name) {
		if file, err := f.openFast(name); file != nil || err != nil {
			return file, err
		}
	}
	return f.inner.Open(name)
}

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(f.inner, name) }

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.inner, name) }

// ReadFile implements fs.ReadFileFS.
func (f *FS) ReadFile(name string) ([]byte, error) { return fs.ReadFile(f.inner, name) }

// Lstat implements fs.ReadLinkFS.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	l, err := local("lstat", name)
	if err != nil {
		return nil, err
	}
	return f.root.Lstat(l)
}

// ReadLink implements fs.ReadLinkFS.
func (f *FS) ReadLink(name string) (string, error) {
	l, err := local("readlink", name)
	if err != nil {
		return "", err
	}
	return f.root.Readlink(l)
}

// OpenFile implements vfs.FS.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	l, err := local("open", name)
	if err != nil {
		return nil, err
	}
	flags, err := vfs.ParseFlags(flag)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if flags.Create {
		f.touched(name)
	}
	file, err := f.root.OpenFile(l, flag, perm.Perm())
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Mkdir implements vfs.FS.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	if name == "." {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	l, err := local("mkdir", name)
	if err != nil {
		return err
	}
	f.touched(name)
	return f.root.Mkdir(l, perm.Perm())
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	l, err := notRoot("remove", name)
	if err != nil {
		return err
	}
	f.touched(name)
	return f.root.Remove(l)
}

// Rename implements vfs.FS. Windows refuses to replace a directory.
func (f *FS) Rename(oldName, newName string) error {
	from, err := notRoot("rename", oldName)
	if err != nil {
		return err
	}
	to, err := notRoot("rename", newName)
	if err != nil {
		return err
	}
	f.touched(oldName)
	f.touched(newName)
	err = f.root.Rename(from, to)
	var le *os.LinkError // what os.Root returns; the trees of io/fs know only PathError
	if errors.As(err, &le) {
		return &fs.PathError{Op: "rename", Path: oldName, Err: le.Err}
	}
	return err
}

// Chtimes implements vfs.ChtimesFS. The time of creation is the host's own.
func (f *FS) Chtimes(name string, t vfs.Times) error {
	l, err := local("chtimes", name)
	if err != nil {
		return err
	}
	if t.Modified.IsZero() && t.Accessed.IsZero() {
		return nil
	}
	return f.root.Chtimes(l, t.Accessed, t.Modified)
}

// Chmod implements vfs.ChmodFS.
func (f *FS) Chmod(name string, mode fs.FileMode) error {
	l, err := local("chmod", name)
	if err != nil {
		return err
	}
	return f.root.Chmod(l, mode.Perm())
}

// Symlink implements vfs.SymlinkFS. The target is not checked; a link out of
// the tree cannot be followed through it.
func (f *FS) Symlink(target, name string) error {
	l, err := notRoot("symlink", name)
	if err != nil {
		return err
	}
	f.touched(name)
	err = f.root.Symlink(target, l)
	var le *os.LinkError
	if errors.As(err, &le) {
		return &fs.PathError{Op: "symlink", Path: name, Err: le.Err}
	}
	return err
}

// Sync makes the names of what was created, renamed and removed durable.
func (f *FS) Sync() error {
	f.mu.Lock()
	dirs := f.changed
	f.changed = map[string]bool{}
	f.mu.Unlock()
	var failed error
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		err := f.syncDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.touched(path.Join(dir, "-")) // still to do
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (f *FS) syncDir(dir string) error {
	l, err := local("sync", dir)
	if err != nil {
		return err
	}
	d, err := f.root.Open(l)
	if err != nil {
		return err
	}
	defer d.Close()
	return syncDirectory(d)
}

// Usage implements vfs.UsageFS.
func (f *FS) Usage() (vfs.Usage, error) {
	d, err := f.root.Open(".")
	if err != nil {
		return vfs.Usage{}, err
	}
	defer d.Close()
	return usage(d)
}
