package vfs

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Sub returns the tree below the directory dir of fsys. It has every
// capability that fsys has.
func Sub(fsys FS, dir string) (FS, error) {
	if !fs.ValidPath(dir) {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: fs.ErrInvalid}
	}
	if dir == "." {
		return fsys, nil
	}
	fi, err := fs.Stat(fsys, dir)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: ErrNotDir}
	}
	return &subFS{fsys, dir}, nil
}

// subFS is a tree below a directory of another. It implements every capability
// through the package functions.
type subFS struct {
	fsys FS
	dir  string
}

var (
	_ FS            = (*subFS)(nil)
	_ fs.StatFS     = (*subFS)(nil)
	_ fs.ReadDirFS  = (*subFS)(nil)
	_ fs.ReadLinkFS = (*subFS)(nil)
	_ fs.SubFS      = (*subFS)(nil)
	_ MkdirAllFS    = (*subFS)(nil)
	_ RemoveAllFS   = (*subFS)(nil)
	_ ChtimesFS     = (*subFS)(nil)
	_ ChmodFS       = (*subFS)(nil)
	_ AttrFS        = (*subFS)(nil)
	_ UsageFS       = (*subFS)(nil)
	_ SyncFS        = (*subFS)(nil)
	_ SymlinkFS     = (*subFS)(nil)
)

// at returns the name that fsys has for name.
func (s *subFS) at(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join(s.dir, name), nil
}

// err makes the path of an error relative to s.
func (s *subFS) err(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	if pe.Path == s.dir {
		pe.Path = "."
	} else if rest, ok := strings.CutPrefix(pe.Path, s.dir+"/"); ok {
		pe.Path = rest
	}
	return err
}

// do runs fn on the name that fsys has for name.
func (s *subFS) do(op, name string, fn func(full string) error) error {
	full, err := s.at(op, name)
	if err != nil {
		return err
	}
	return s.err(fn(full))
}

// notRoot is do for what must not happen to the root of a tree.
func (s *subFS) notRoot(op, name string, fn func(full string) error) error {
	if name == "." {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return s.do(op, name, fn)
}

func (s *subFS) Open(name string) (f fs.File, err error) {
	err = s.do("open", name, func(full string) error {
		f, err = s.fsys.Open(full)
		return err
	})
	return f, err
}

func (s *subFS) OpenFile(name string, flag int, perm fs.FileMode) (f File, err error) {
	err = s.do("open", name, func(full string) error {
		f, err = s.fsys.OpenFile(full, flag, perm)
		return err
	})
	return f, err
}

func (s *subFS) Stat(name string) (fi fs.FileInfo, err error) {
	err = s.do("stat", name, func(full string) error {
		fi, err = fs.Stat(s.fsys, full)
		return err
	})
	return fi, err
}

func (s *subFS) Lstat(name string) (fi fs.FileInfo, err error) {
	err = s.do("lstat", name, func(full string) error {
		fi, err = Lstat(s.fsys, full)
		return err
	})
	return fi, err
}

func (s *subFS) ReadLink(name string) (target string, err error) {
	err = s.do("readlink", name, func(full string) error {
		target, err = fs.ReadLink(s.fsys, full)
		return err
	})
	return target, err
}

func (s *subFS) ReadDir(name string) (list []fs.DirEntry, err error) {
	err = s.do("readdir", name, func(full string) error {
		list, err = fs.ReadDir(s.fsys, full)
		return err
	})
	return list, err
}

func (s *subFS) Sub(dir string) (fs.FS, error) {
	if dir == "." {
		return s, nil
	}
	full, err := s.at("sub", dir)
	if err != nil {
		return nil, err
	}
	return Sub(s.fsys, full)
}

func (s *subFS) Mkdir(name string, perm fs.FileMode) error {
	return s.do("mkdir", name, func(full string) error { return s.fsys.Mkdir(full, perm) })
}

func (s *subFS) MkdirAll(name string, perm fs.FileMode) error {
	return s.do("mkdir", name, func(full string) error { return MkdirAll(s.fsys, full, perm) })
}

func (s *subFS) Remove(name string) error {
	return s.notRoot("remove", name, s.fsys.Remove)
}

// RemoveAll of the root empties it, which RemoveAll of the directory in the
// outer tree would not.
func (s *subFS) RemoveAll(name string) error {
	if name == "." {
		return unsupported("removeall", name) // the fallback removes the children one by one
	}
	return s.do("removeall", name, func(full string) error { return RemoveAll(s.fsys, full) })
}

func (s *subFS) Rename(oldName, newName string) error {
	return s.notRoot("rename", oldName, func(oldFull string) error {
		return s.notRoot("rename", newName, func(newFull string) error {
			return s.fsys.Rename(oldFull, newFull)
		})
	})
}

func (s *subFS) Chtimes(name string, t Times) error {
	return s.do("chtimes", name, func(full string) error { return Chtimes(s.fsys, full, t) })
}

func (s *subFS) Chmod(name string, mode fs.FileMode) error {
	return s.do("chmod", name, func(full string) error { return Chmod(s.fsys, full, mode) })
}

func (s *subFS) Attr(name string) (a Attr, err error) {
	err = s.do("attr", name, func(full string) error {
		a, err = GetAttr(s.fsys, full)
		return err
	})
	return a, err
}

func (s *subFS) SetAttr(name string, set, clear Attr) error {
	return s.do("setattr", name, func(full string) error { return SetAttr(s.fsys, full, set, clear) })
}

func (s *subFS) Usage() (Usage, error) { return UsageOf(s.fsys) }

func (s *subFS) Sync() error { return Sync(s.fsys) }

func (s *subFS) Symlink(target, name string) error {
	return s.notRoot("symlink", name, func(full string) error { return Symlink(s.fsys, target, full) })
}
