package hostfs

import (
	"errors"
	"io"
	"io/fs"
)

// Writable is a host tree that can be changed. [Root] implements it on Linux;
// elsewhere its methods return errors.ErrUnsupported.
//
// Changes are made through open directories: a [Dir] is one inode, whatever it
// is called later, and a change names one entry of it. So a caller that has
// verified a directory by its [Identity] works in that very directory, even if
// a host program moves it or puts a symbolic link in its place meanwhile.
type Writable interface {
	FS
	// OpenDir opens a directory for changes in it.
	OpenDir(path string) (Dir, error)
	// SyncFS makes durable everything that was done before on the root's file
	// system.
	SyncFS() error
	// Usage describes the root's file system.
	Usage() (Usage, error)
}

// Usage describes a file system.
type Usage struct {
	FSID      uint64
	FreeBytes int64 // that this process may still fill
	Type      string
	NameBytes int // length of the longest name
}

// Node is an open file or directory, as an inode with attributes. Methods but
// Close may be called concurrently.
type Node interface {
	// Identity describes the inode as it is now.
	Identity() (Identity, error)
	// SetTimes sets the times of access and of change. NoTime leaves one alone.
	SetTimes(atime, mtime int64) error
	// SetMode sets the permission bits, set-user-ID, set-group-ID and sticky.
	SetMode(perm fs.FileMode) error
	SetOwner(uid, gid uint32) error
	// Xattrs lists the names of the extended attributes, Xattr returns the value
	// of one, or an error that matches ErrNoXattr.
	Xattrs() ([]string, error)
	Xattr(name string) ([]byte, error)
	SetXattr(name string, value []byte) error
	// RemoveXattr removes one; that it is not there is no error.
	RemoveXattr(name string) error
	// Sync makes the inode durable: the contents and attributes of a file, the
	// entries of a directory.
	Sync() error
	// Lease asks the host to hold back other programs that would open the file
	// for writing or, if this one is open for writing, open it at all, until
	// Release. It fails with ErrInUse if another program has it open so, and
	// with errors.ErrUnsupported where the host has no leases. The host breaks
	// a lease that somebody else waits for after some time, 45 s on Linux.
	Lease() error
	// Leased reports whether the lease still holds and nobody waits for it.
	Leased() bool
	Release() error
	io.Closer
}

// WFile is a regular file that is open for reading and writing.
type WFile interface {
	Node
	io.ReaderAt
	io.WriterAt
	Truncate(sizeBytes int64) error
	// Reserve gives the range its room on the medium, so that writing to it
	// cannot fail for want of space, and extends the file to its end.
	Reserve(off, n int64) error
	// SyncData makes the contents durable, and of the attributes only what
	// finding them takes.
	SyncData() error
	// CloneFrom makes the contents those of src, which shares the room where
	// the host can do that. The file must be empty.
	CloneFrom(src File) (shared bool, err error)
}

// RenameMode says what happens to what has the new name.
type RenameMode int

const (
	// NoReplace fails with fs.ErrExist.
	NoReplace RenameMode = iota
	// Exchange gives it the old name, in one step.
	Exchange
	// Replace destroys it. It is for files that nobody else knows of.
	Replace
)

// Dir is an open directory. Names are single components; a symbolic link is
// never followed. Methods but Close may be called concurrently.
type Dir interface {
	Node
	// List replaces the contents of l, as [FS].ReadDir does.
	List(l *Listing) error
	// Lookup describes what name is.
	Lookup(name string) (Identity, error)
	// OpenDir opens a directory.
	OpenDir(name string) (Dir, error)
	// OpenNode opens a regular file or a directory for its attributes.
	OpenNode(name string) (Node, error)
	// Open opens a regular file for reading.
	Open(name string) (File, error)
	// OpenFile opens a regular file for reading and writing.
	OpenFile(name string) (WFile, error)
	// Create makes a regular file. It fails with fs.ErrExist if the name is
	// taken.
	Create(name string, perm fs.FileMode) (WFile, error)
	Mkdir(name string, perm fs.FileMode) error
	// Rmdir removes an empty directory.
	Rmdir(name string) error
	// Unlink removes a name that is not a directory.
	Unlink(name string) error
	// Rename moves name to newName in to, which is of the same kind of tree and
	// on the same file system, but need not be below the same root.
	Rename(name string, to Dir, newName string, mode RenameMode) error
	// Link gives a regular file a second name. It fails with fs.ErrExist if that
	// is taken.
	Link(name string, to Dir, newName string) error
}

// Sentinels of changes.
var (
	// ErrInUse says that another program has a file open.
	ErrInUse = errors.New("open in another program")
	// ErrNotEmpty says that a directory has entries.
	ErrNotEmpty = errors.New("directory not empty")
	// ErrNoXattr says that an extended attribute is not there.
	ErrNoXattr = errors.New("no such attribute")
	// ErrCrossDevice says that two directories are on different file systems.
	ErrCrossDevice = errors.New("on another file system")
)

// SplitPath returns the directory and the last component of a path.
func SplitPath(path string) (dir, name string) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i], path[i+1:]
		}
	}
	return ".", path
}

// InDir calls do with the open directory of path and its last component.
func InDir(w Writable, path string, do func(d Dir, name string) error) error {
	dir, name := SplitPath(path)
	d, err := w.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(do(d, name), d.Close())
}

// checkName refuses what is not a single component.
func checkName(op, name string) error {
	if dir, _ := SplitPath(name); dir != "." || name == "." || len(name) > 0 && name[0] == '/' {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return checkPath(op, name)
}
