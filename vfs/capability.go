package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// MkdirAllFS is a tree that creates a directory and its parents in one step.
type MkdirAllFS interface {
	MkdirAll(name string, perm fs.FileMode) error
}

// RemoveAllFS is a tree that removes a whole directory in one step.
type RemoveAllFS interface {
	RemoveAll(name string) error
}

// Times are the time stamps of a file. A zero time means "unknown" when they
// are read and "leave it" when they are set.
type Times struct {
	Modified time.Time
	Accessed time.Time
	Created  time.Time
}

// ChtimesFS is a tree whose time stamps can be set. A stamp that the tree does
// not have is ignored, and each is rounded to what the tree can hold.
type ChtimesFS interface {
	Chtimes(name string, t Times) error
}

// ChmodFS is a tree with permission bits. A tree that has only a read-only
// flag derives it from the owner's write bit.
type ChmodFS interface {
	Chmod(name string, mode fs.FileMode) error
}

// Attr is a set of DOS attributes, with the values of the FAT specification
// (section 6, DIR_Attr).
type Attr uint8

// The attributes that a caller may set.
const (
	AttrReadOnly Attr = 0x01
	AttrHidden   Attr = 0x02
	AttrSystem   Attr = 0x04
	AttrArchive  Attr = 0x20
)

// AttrFS is a tree whose files have DOS attributes.
type AttrFS interface {
	Attr(name string) (Attr, error)
	// SetAttr sets the attributes in set and clears those in clear.
	SetAttr(name string, set, clear Attr) error
}

// Usage says how full a tree is. Values that are unknown are negative.
type Usage struct {
	BlockBytes int64 // the unit of allocation
	TotalBytes int64
	FreeBytes  int64
}

// UsageFS is a tree that knows how full it is.
type UsageFS interface {
	Usage() (Usage, error)
}

// SyncFS is a tree that can make everything done so far durable.
type SyncFS interface {
	Sync() error
}

// SymlinkFS is a tree that holds symbolic links and can make them. It reads
// them through fs.ReadLinkFS.
type SymlinkFS interface {
	Symlink(target, name string) error
}

// TimesInfo is implemented by the fs.FileInfo of trees that know more than the
// time of the last change.
type TimesInfo interface {
	Times() Times
}

// InodeInfo is implemented by the fs.FileInfo of trees that have a number for each
// object, which no other object has at the same time. It rises in the order in
// which a directory is best read. 0 means that there is none.
type InodeInfo interface {
	Inode() uint64
}

// Reserver is a file that can set space aside for what is about to be written,
// so that it lies in one piece. It changes neither size nor content; too
// little space is an error that matches diskerr.ErrNoSpace.
type Reserver interface {
	Reserve(sizeBytes int64) error
}

// unsupported is the error of a capability that a tree lacks.
func unsupported(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: errors.ErrUnsupported}
}

// MkdirAll creates the named directory and the parents that it lacks. It is no
// error if the directory exists.
func MkdirAll(fsys FS, name string, perm fs.FileMode) error {
	if x, ok := fsys.(MkdirAllFS); ok {
		if err := x.MkdirAll(name, perm); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrInvalid}
	}
	for i := 0; i < len(name); i++ {
		end := strings.IndexByte(name[i:], '/')
		if end < 0 {
			end = len(name) - i
		}
		i += end
		if err := mkdirIfAbsent(fsys, name[:i], perm); err != nil {
			return err
		}
	}
	return nil
}

func mkdirIfAbsent(fsys FS, name string, perm fs.FileMode) error {
	if name == "." {
		return nil
	}
	err := fsys.Mkdir(name, perm)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if fi, serr := fs.Stat(fsys, name); serr != nil || fi.IsDir() {
		return serr
	}
	return err
}

// maxDepth bounds the depth of a tree that is walked, copied or removed: a
// hostile tree could be deeper than the stack.
const maxDepth = 1000

// errTooDeep is the error of a tree deeper than maxDepth.
var errTooDeep = errors.New("directories are nested too deeply")

// RemoveAll removes the named file, or directory with all that is in it. It is
// no error if there is none. The root itself is emptied and stays.
func RemoveAll(fsys FS, name string) error {
	if x, ok := fsys.(RemoveAllFS); ok {
		if err := x.RemoveAll(name); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return removeAll(fsys, name, 0)
}

func removeAll(fsys FS, name string, depth int) error {
	if depth > maxDepth {
		return &fs.PathError{Op: "removeall", Path: name, Err: errTooDeep}
	}
	fi, err := Lstat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && fi.IsDir() {
		var entries []fs.DirEntry
		entries, err = fs.ReadDir(fsys, name)
		for _, e := range entries {
			if err = removeAll(fsys, path.Join(name, e.Name()), depth+1); err != nil {
				break
			}
		}
	}
	if err != nil || name == "." {
		return err
	}
	err = fsys.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Chtimes sets the time stamps of a file that are not zero in t.
func Chtimes(fsys FS, name string, t Times) error {
	if x, ok := fsys.(ChtimesFS); ok {
		return x.Chtimes(name, t)
	}
	return unsupported("chtimes", name)
}

// Chmod sets the permission bits of a file as far as the tree can keep them.
func Chmod(fsys FS, name string, mode fs.FileMode) error {
	if x, ok := fsys.(ChmodFS); ok {
		return x.Chmod(name, mode)
	}
	return unsupported("chmod", name)
}

// GetAttr returns the DOS attributes of a file. For a tree that has none they
// are made from the permission bits.
func GetAttr(fsys fs.FS, name string) (Attr, error) {
	if x, ok := fsys.(AttrFS); ok {
		if a, err := x.Attr(name); !errors.Is(err, errors.ErrUnsupported) {
			return a, err
		}
	}
	fi, err := fs.Stat(fsys, name)
	if err != nil {
		return 0, err
	}
	if !fi.IsDir() && fi.Mode().Perm()&0o200 == 0 {
		return AttrReadOnly, nil
	}
	return 0, nil
}

// SetAttr sets and clears DOS attributes of a file. On a tree without
// attributes the read-only attribute becomes permission bits, and any other
// one is errors.ErrUnsupported.
func SetAttr(fsys FS, name string, set, clear Attr) error {
	if x, ok := fsys.(AttrFS); ok {
		if err := x.SetAttr(name, set, clear); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if (set|clear)&^AttrReadOnly != 0 {
		return unsupported("setattr", name)
	}
	fi, err := fs.Stat(fsys, name)
	if err != nil {
		return err
	}
	mode := fi.Mode().Perm()
	if set&AttrReadOnly != 0 {
		return Chmod(fsys, name, mode&^0o222)
	}
	if clear&AttrReadOnly != 0 {
		return Chmod(fsys, name, mode|0o200)
	}
	return nil
}

// UsageOf returns how full the tree is, or errors.ErrUnsupported.
func UsageOf(fsys fs.FS) (Usage, error) {
	if x, ok := fsys.(UsageFS); ok {
		return x.Usage()
	}
	return Usage{BlockBytes: -1, TotalBytes: -1, FreeBytes: -1}, unsupported("statfs", ".")
}

// Sync makes everything done to the tree durable. A tree that is no [SyncFS]
// has nothing to do beyond File.Sync.
func Sync(fsys fs.FS) error {
	if x, ok := fsys.(SyncFS); ok {
		return x.Sync()
	}
	return nil
}

// Symlink makes a symbolic link.
func Symlink(fsys FS, target, name string) error {
	if x, ok := fsys.(SymlinkFS); ok {
		return x.Symlink(target, name)
	}
	return unsupported("symlink", name)
}

// Lstat is fs.Stat for the link itself where the tree has symbolic links.
func Lstat(fsys fs.FS, name string) (fs.FileInfo, error) {
	if x, ok := fsys.(fs.ReadLinkFS); ok {
		if fi, err := x.Lstat(name); !errors.Is(err, errors.ErrUnsupported) {
			return fi, err
		}
	}
	return fs.Stat(fsys, name)
}

// TimesOf returns the time stamps that fi knows.
func TimesOf(fi fs.FileInfo) Times {
	if x, ok := fi.(TimesInfo); ok {
		return x.Times()
	}
	return Times{Modified: fi.ModTime()}
}

// Reserve asks f to set space aside for sizeBytes bytes, if it can.
func Reserve(f File, sizeBytes int64) error {
	if x, ok := f.(Reserver); ok {
		if err := x.Reserve(sizeBytes); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// FileWriter is a file that takes a range of an open host file into itself
// without passing the bytes through the caller's memory. It writes n bytes of
// src at srcOff to off, and is a write in every other respect. A source that
// turns out to be shorter is io.ErrUnexpectedEOF; errors.ErrUnsupported means
// that nothing counts as written.
type FileWriter interface {
	WriteFile(off int64, src *os.File, srcOff, n int64) error
}
