// Package vfs defines writable file trees on top of the types of io/fs.
//
// An [FS] is an fs.FS that can also be changed, a [File] an fs.File that can
// also be written. Both are small. What a tree can do better than the obvious
// way, or at all, beyond them it says by implementing an optional interface
// ([MkdirAllFS], [RemoveAllFS], [ChtimesFS], [ChmodFS], [AttrFS], [UsageFS],
// [SyncFS], [SymlinkFS]; [Reserver] and [FileWriter] for a file); a consumer calls the
// package function of the same purpose ([MkdirAll], [RemoveAll], [Chtimes],
// and so on), which falls back or returns errors.ErrUnsupported.
//
// Names are those of io/fs: slash-separated, relative to the root of the tree,
// valid by fs.ValidPath. "." is the root. Errors are *fs.PathError around the
// sentinels of io/fs or of package diskerr.
//
// [Copy] copies between any two trees and [Walk] visits one; both report
// progress and stop when their context ends. The sub-packages adapt host
// directories (host) and any read-only fs.FS (iofs), and hold the conformance
// suite that every FS must pass (vfstest).
//
// The package does not resolve drive letters or mount points, and it keeps no
// cache.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Errors that callers may want to tell apart, within *fs.PathError. A tree of
// the host returns the system's own errors instead.
var (
	// ErrTooLarge says that a file would exceed what the tree can hold.
	ErrTooLarge = errors.New("file too large")
	// ErrNotDir says that a part of a path, or what should be a directory, is
	// a file.
	ErrNotDir = errors.New("not a directory")
	// ErrIsDir says that what should be a file is a directory.
	ErrIsDir = errors.New("is a directory")
	// ErrNotEmpty says that a directory cannot be removed or replaced because
	// there is something in it.
	ErrNotEmpty = errors.New("directory not empty")
)

// FS is a writable tree. All methods may be called concurrently.
//
// A tree that cannot be changed refuses the methods below with an error that
// matches fs.ErrPermission (see diskerr.ErrReadOnly).
type FS interface {
	fs.FS

	// OpenFile opens or creates a file. flag is a combination of [os.O_RDONLY],
	// O_WRONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC and O_APPEND; other flags are
	// fs.ErrInvalid. A directory can be opened for reading only. perm applies to
	// a file that is created, as far as the tree can keep it.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Mkdir creates a directory whose parent exists.
	Mkdir(name string, perm fs.FileMode) error
	// Remove removes a file, a link or an empty directory.
	Remove(name string) error
	// Rename moves a file or a directory. An existing file at newName is
	// replaced, by a file only; an existing empty directory is replaced by a
	// directory only. A directory cannot move into itself. Two spellings of one
	// name in a tree that ignores case are one object, whose spelling changes.
	Rename(oldName, newName string) error
}

// File is an open file of an [FS]. ReadAt and WriteAt may be called
// concurrently with everything; Read, Write and Seek share one position.
//
// WriteAt past the end fills the gap with zeroes. On a file opened with
// O_APPEND, Write appends atomically and WriteAt is an error.
type File interface {
	fs.File
	io.Writer
	io.Seeker
	io.ReaderAt
	io.WriterAt

	// Truncate sets the size in bytes; growth reads as zeroes.
	Truncate(size int64) error
	// Sync makes the file's content and its name durable.
	Sync() error
}

// access is the part of the flags of OpenFile that says what is done with an
// open file.
const access = os.O_RDONLY | os.O_WRONLY | os.O_RDWR

// Flags is what the flag argument of OpenFile asks for, taken apart.
type Flags struct {
	Read, Write, Append, Create, Exclusive, Truncate bool
}

// ParseFlags takes flag apart. A combination that makes no sense, and a flag
// that [FS] does not name, is fs.ErrInvalid.
func ParseFlags(flag int) (Flags, error) {
	const known = access | os.O_APPEND | os.O_CREATE | os.O_EXCL | os.O_TRUNC
	f := Flags{
		Append:    flag&os.O_APPEND != 0,
		Create:    flag&os.O_CREATE != 0,
		Exclusive: flag&os.O_EXCL != 0,
		Truncate:  flag&os.O_TRUNC != 0,
	}
	switch flag & access {
	case os.O_RDONLY:
		f.Read = true
	case os.O_WRONLY:
		f.Write = true
	case os.O_RDWR:
		f.Read, f.Write = true, true
	default:
		return f, fs.ErrInvalid
	}
	if flag&^known != 0 || f.Exclusive && !f.Create || f.Truncate && !f.Write {
		return f, fs.ErrInvalid
	}
	return f, nil
}

// Create creates the named file, or empties it, and opens it for reading and
// writing.
func Create(fsys FS, name string) (File, error) {
	return fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// WriteFile makes data the whole content of the named file.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
