package volume

import (
	"errors"
	"io/fs"
	"os"

	"github.com/fatkit/fatkit/vfs"
)

var (
	_ vfs.FS          = (*Volume)(nil)
	_ fs.StatFS       = (*Volume)(nil)
	_ fs.ReadDirFS    = (*Volume)(nil)
	_ fs.ReadLinkFS   = (*Volume)(nil)
	_ fs.SubFS        = (*Volume)(nil)
	_ vfs.MkdirAllFS  = (*Volume)(nil)
	_ vfs.RemoveAllFS = (*Volume)(nil)
	_ vfs.ChtimesFS   = (*Volume)(nil)
	_ vfs.ChmodFS     = (*Volume)(nil)
	_ vfs.AttrFS      = (*Volume)(nil)
	_ vfs.UsageFS     = (*Volume)(nil)
	_ vfs.SyncFS      = (*Volume)(nil)
	_ vfs.SymlinkFS   = (*Volume)(nil)
)

// Open implements fs.FS.
func (v *Volume) Open(name string) (fs.File, error) {
	f, err := v.OpenFile(name, 0, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile implements vfs.FS.
func (v *Volume) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := v.openFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (v *Volume) openFile(name string, flag int, perm fs.FileMode) (*File, error) {
	flags, err := v.mayOpen(name, flag)
	if err == nil {
		err = v.gate.Enter()
	}
	if err != nil {
		return nil, about("open", name, err)
	}
	inner, err := v.fsys.OpenFile(name, flag, perm)
	if err == nil {
		f := &File{vol: v, inner: inner, name: name, flags: flags}
		if v.register(f) {
			return f, nil // and the gate stays held
		}
		err = errors.Join(fs.ErrClosed, inner.Close())
	}
	v.gate.Leave()
	return nil, about("open", name, err)
}

// mayOpen takes the flags of OpenFile apart. Its error says why the volume does
// not let name be opened so.
func (v *Volume) mayOpen(name string, flag int) (vfs.Flags, error) {
	if flag == os.O_RDONLY {
		return vfs.Flags{Read: true}, nil
	}
	flags, err := vfs.ParseFlags(flag)
	switch {
	case err != nil:
	case flags.Create && !v.exists(name):
		err = v.mayCreate(name)
	case flags.Write || flags.Create:
		err = v.mayChange()
	}
	return flags, err
}

// exists reports whether a file that could not be created may be opened, since it
// is there: a medium of another system can hold any name.
func (v *Volume) exists(name string) bool {
	if !v.deviceNames || deviceName(Path{Rest: name}.last()) == "" {
		return false
	}
	_, err := v.Stat(name)
	return err == nil
}

// Stat implements fs.StatFS.
func (v *Volume) Stat(name string) (fi fs.FileInfo, err error) {
	err = v.do("stat", name, func() error {
		fi, err = fs.Stat(v.fsys, name)
		return err
	})
	return fi, err
}

// Lstat implements fs.ReadLinkFS.
func (v *Volume) Lstat(name string) (fi fs.FileInfo, err error) {
	err = v.do("lstat", name, func() error {
		fi, err = vfs.Lstat(v.fsys, name)
		return err
	})
	return fi, err
}

// ReadLink implements fs.ReadLinkFS.
func (v *Volume) ReadLink(name string) (target string, err error) {
	err = v.do("readlink", name, func() error {
		target, err = fs.ReadLink(v.fsys, name)
		return err
	})
	return target, err
}

// ReadDir implements fs.ReadDirFS.
func (v *Volume) ReadDir(name string) (list []fs.DirEntry, err error) {
	err = v.do("readdir", name, func() error {
		list, err = fs.ReadDir(v.fsys, name)
		return err
	})
	return list, err
}

// Sub implements fs.SubFS. The result is a vfs.FS.
func (v *Volume) Sub(dir string) (fs.FS, error) { return vfs.Sub(v, dir) }

// Mkdir implements vfs.FS.
func (v *Volume) Mkdir(name string, perm fs.FileMode) error {
	return v.create("mkdir", name, func() error { return v.fsys.Mkdir(name, perm) })
}

// MkdirAll implements vfs.MkdirAllFS.
func (v *Volume) MkdirAll(name string, perm fs.FileMode) error {
	if v.deviceNames {
		return vfs.MkdirAll(stepwise{v}, name, perm) // each name is looked at
	}
	return v.change("mkdir", name, func() error { return vfs.MkdirAll(v.fsys, name, perm) })
}

// stepwise is a volume that makes directories one by one.
type stepwise struct{ vfs.FS }

// Remove implements vfs.FS.
func (v *Volume) Remove(name string) error {
	return v.change("remove", name, func() error { return v.fsys.Remove(name) })
}

// RemoveAll implements vfs.RemoveAllFS.
func (v *Volume) RemoveAll(name string) error {
	return v.change("removeall", name, func() error { return vfs.RemoveAll(v.fsys, name) })
}

// Rename implements vfs.FS.
func (v *Volume) Rename(oldName, newName string) error {
	if err := v.mayChange(); err != nil {
		return about("rename", oldName, err)
	}
	return v.create("rename", newName, func() error { return v.fsys.Rename(oldName, newName) })
}

// Chtimes implements vfs.ChtimesFS.
func (v *Volume) Chtimes(name string, t vfs.Times) error {
	return v.change("chtimes", name, func() error { return vfs.Chtimes(v.fsys, name, t) })
}

// Chmod implements vfs.ChmodFS.
func (v *Volume) Chmod(name string, mode fs.FileMode) error {
	return v.change("chmod", name, func() error { return vfs.Chmod(v.fsys, name, mode) })
}

// Attr implements vfs.AttrFS.
func (v *Volume) Attr(name string) (a vfs.Attr, err error) {
	err = v.do("attr", name, func() error {
		a, err = vfs.GetAttr(v.fsys, name)
		return err
	})
	return a, err
}

// SetAttr implements vfs.AttrFS.
func (v *Volume) SetAttr(name string, set, clear vfs.Attr) error {
	return v.change("setattr", name, func() error { return vfs.SetAttr(v.fsys, name, set, clear) })
}

// Usage implements vfs.UsageFS.
func (v *Volume) Usage() (u vfs.Usage, err error) {
	err = v.do("statfs", ".", func() error {
		u, err = vfs.UsageOf(v.fsys)
		return err
	})
	return u, err
}

// Sync implements vfs.SyncFS.
func (v *Volume) Sync() error {
	return v.do("sync", ".", func() error { return vfs.Sync(v.fsys) })
}

// Symlink implements vfs.SymlinkFS.
func (v *Volume) Symlink(target, name string) error {
	return v.create("symlink", name, func() error { return vfs.Symlink(v.fsys, target, name) })
}
