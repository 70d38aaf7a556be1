package volume

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/fatkit/fatkit/vfs"
)

// View is a way to name the files of a [Namespace]: by paths, or as an fs.FS.
type View struct {
	n *Namespace
	// locate finds where a name leads.
	locate func(name string) (Location, error)
}

var (
	_ vfs.FS          = (*View)(nil)
	_ fs.StatFS       = (*View)(nil)
	_ fs.ReadDirFS    = (*View)(nil)
	_ fs.ReadLinkFS   = (*View)(nil)
	_ vfs.MkdirAllFS  = (*View)(nil)
	_ vfs.RemoveAllFS = (*View)(nil)
	_ vfs.ChtimesFS   = (*View)(nil)
	_ vfs.ChmodFS     = (*View)(nil)
	_ vfs.AttrFS      = (*View)(nil)
	_ vfs.SyncFS      = (*View)(nil)
	_ vfs.SymlinkFS   = (*View)(nil)
)

// locate finds where a path leads.
func (n *Namespace) locate(name string) (Location, error) {
	t := n.table.Load()
	if letter, rest, ok := plainPath(name); ok {
		return t.onLetter(letter, rest)
	}
	p, err := ParsePath(name)
	if err != nil {
		return Location{}, err
	}
	return t.locate(p)
}

// locateTree finds where a name of the fs.FS leads.
func (n *Namespace) locateTree(name string) (Location, error) {
	if !fs.ValidPath(name) {
		return Location{}, fs.ErrInvalid
	}
	t := n.table.Load()
	first, rest, more := strings.Cut(name, "/")
	if letter, after := cutLetter(first); letter != 0 && after == "" {
		if !more {
			rest = "."
		}
		return t.onLetter(letter, rest)
	}
	return t.inTree(name)
}

// Locate returns where a name leads. There need not be anything.
func (v *View) Locate(name string) (Location, error) {
	l, err := v.locate(name)
	return l, pathError("locate", name, err)
}

// on runs an operation on the volume that name is on.
func (v *View) on(op, name string, fn func(vol *Volume, name string) error) error {
	l, err := v.locate(name)
	if err == nil {
		if l.mnt == nil {
			err = v.n.noVolume(l)
		} else {
			err = fn(l.mnt.vol, l.Name())
		}
	}
	if err != nil {
		return pathError(op, name, err)
	}
	return nil
}

// noVolume is the error of an operation that needs a volume and met a directory
// of the tree, or nothing.
func (n *Namespace) noVolume(l Location) error {
	if n.table.Load().leads(l.name) {
		return fs.ErrPermission
	}
	return fs.ErrNotExist
}

// notRoot is on for an operation that must not happen to what is mounted.
func (v *View) notRoot(op, name string, fn func(vol *Volume, name string) error) error {
	l, err := v.locate(name)
	if err == nil && l.mnt != nil && l.name == "." {
		err = fs.ErrInvalid
	}
	if err != nil {
		return pathError(op, name, err)
	}
	return v.on(op, name, fn)
}

// Open implements fs.FS.
func (v *View) Open(name string) (fs.File, error) {
	f, err := v.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Create creates a file, or empties it, and opens it for reading and writing.
func (v *View) Create(name string) (vfs.File, error) { return vfs.Create(v, name) }

// OpenFile implements vfs.FS.
func (v *View) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	if f, ok := v.n.device(name, flag); ok {
		return f, nil
	}
	l, err := v.locate(name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	if v.n.virtual(l) {
		if flag != os.O_RDONLY {
			return nil, pathError("open", name, fs.ErrPermission)
		}
		return v.openVirtual(name, l)
	}
	if l.mnt == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	f, err := l.mnt.vol.openFile(l.Name(), flag, perm)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	if as := l.as(); as != "" {
		return rootDir{f, as}, nil
	}
	return f, nil
}

// as returns what the root of the mount point is called; "" for another name.
func (l Location) as() string {
	if l.name != "." || l.mnt == nil {
		return ""
	}
	if l.mnt.letter != 0 {
		return l.mnt.point
	}
	return Path{Rest: l.mnt.key}.last()
}

// Stat implements fs.StatFS.
func (v *View) Stat(name string) (fs.FileInfo, error) { return v.stat("stat", name, (*Volume).Stat) }

// Lstat implements fs.ReadLinkFS.
func (v *View) Lstat(name string) (fs.FileInfo, error) { return v.stat("lstat", name, (*Volume).Lstat) }

func (v *View) stat(op, name string, stat func(*Volume, string) (fs.FileInfo, error)) (fs.FileInfo, error) {
	l, err := v.locate(name)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	if l.mnt == nil {
		if v.n.virtual(l) {
			return virtualInfo(l.name), nil
		}
		return nil, pathError(op, name, fs.ErrNotExist)
	}
	fi, err := stat(l.mnt.vol, l.Name())
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return called(fi, l.as()), nil
}

// ReadDir implements fs.ReadDirFS.
func (v *View) ReadDir(name string) ([]fs.DirEntry, error) {
	l, err := v.locate(name)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	if v.n.virtual(l) {
		list, err := v.n.listVirtual(l)
		return list, pathError("readdir", name, err)
	}
	if l.mnt == nil {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	list, err := l.mnt.vol.ReadDir(l.Name())
	return list, pathError("readdir", name, err)
}

// ReadLink implements fs.ReadLinkFS.
func (v *View) ReadLink(name string) (target string, err error) {
	err = v.on("readlink", name, func(vol *Volume, at string) error {
		target, err = vol.ReadLink(at)
		return err
	})
	return target, err
}

// Mkdir implements vfs.FS.
func (v *View) Mkdir(name string, perm fs.FileMode) error {
	if v.leads(name) {
		return pathError("mkdir", name, fs.ErrExist)
	}
	return v.on("mkdir", name, func(vol *Volume, at string) error { return vol.Mkdir(at, perm) })
}

// MkdirAll implements vfs.MkdirAllFS.
func (v *View) MkdirAll(name string, perm fs.FileMode) error {
	if v.leads(name) {
		return nil
	}
	return v.on("mkdir", name, func(vol *Volume, at string) error { return vol.MkdirAll(at, perm) })
}

// leads reports whether name is a directory that leads to mount points, and on
// no volume.
func (v *View) leads(name string) bool {
	l, err := v.locate(name)
	return err == nil && l.mnt == nil && v.n.virtual(l)
}

// Remove implements vfs.FS.
func (v *View) Remove(name string) error { return v.notRoot("remove", name, (*Volume).Remove) }

// RemoveAll implements vfs.RemoveAllFS. A mount point is emptied and stays.
func (v *View) RemoveAll(name string) error {
	return v.on("removeall", name, func(vol *Volume, at string) error {
		if l, err := v.locate(name); err == nil && l.name == "." && at != "." {
			sub, err := vfs.Sub(vol, at) // a second name of a directory
			if err != nil {
				return err
			}
			return vfs.RemoveAll(sub, ".")
		}
		return vol.RemoveAll(at)
	})
}

// Truncate sets the size of a file, in bytes.
func (v *View) Truncate(name string, size int64) error {
	f, err := v.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return pathError("truncate", name, err)
}

// Chtimes implements vfs.ChtimesFS.
func (v *View) Chtimes(name string, t vfs.Times) error {
	return v.on("chtimes", name, func(vol *Volume, at string) error { return vol.Chtimes(at, t) })
}

// Chmod implements vfs.ChmodFS.
func (v *View) Chmod(name string, mode fs.FileMode) error {
	return v.on("chmod", name, func(vol *Volume, at string) error { return vol.Chmod(at, mode) })
}

// Attr implements vfs.AttrFS.
func (v *View) Attr(name string) (a vfs.Attr, err error) {
	if v.leads(name) {
		return 0, nil
	}
	err = v.on("attr", name, func(vol *Volume, at string) error {
		a, err = vol.Attr(at)
		return err
	})
	return a, err
}

// SetAttr implements vfs.AttrFS.
func (v *View) SetAttr(name string, set, clear vfs.Attr) error {
	return v.on("setattr", name, func(vol *Volume, at string) error { return vol.SetAttr(at, set, clear) })
}

// Symlink implements vfs.SymlinkFS.
func (v *View) Symlink(target, name string) error {
	return v.notRoot("symlink", name, func(vol *Volume, at string) error { return vol.Symlink(target, at) })
}

// UsageAt returns how full the volume that name is on is.
func (v *View) UsageAt(name string) (u vfs.Usage, err error) {
	err = v.on("statfs", name, func(vol *Volume, _ string) error {
		u, err = vol.Usage()
		return err
	})
	return u, err
}

// Info describes the volume that name is on.
func (v *View) Info(name string) (i Info, err error) {
	err = v.on("info", name, func(vol *Volume, _ string) error {
		i, err = vol.Info()
		return err
	})
	return i, err
}

// SetLabel changes the label of the volume that name is on.
func (v *View) SetLabel(name, label string) error {
	return v.on("label", name, func(vol *Volume, _ string) error { return vol.SetLabel(label) })
}

// Flush makes durable what was done to the volume that name is on.
func (v *View) Flush(name string) error {
	return v.on("sync", name, func(vol *Volume, _ string) error { return vol.Sync() })
}

// Sync implements vfs.SyncFS for all volumes.
func (v *View) Sync() error {
	var failed error
	for _, m := range v.n.table.Load().all() {
		if m.vol != nil && !m.subst {
			failed = errors.Join(failed, pathError("sync", m.point, m.vol.Sync()))
		}
	}
	return failed
}
