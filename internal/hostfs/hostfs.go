// Package hostfs reads and changes a directory of the host without ever
// leaving it.
//
// A [Root] is an open directory. Every path is resolved beneath it, component
// by component, and no symbolic link is followed: a link that a host program
// swaps in between two calls makes the call fail, it never leads it astray. On
// Linux the kernel does that in one step (openat2(2), RESOLVE_BENEATH and
// RESOLVE_NO_SYMLINKS), or, where it cannot, the package walks with O_NOFOLLOW.
// Elsewhere os.Root confines the walk.
//
// What the package guarantees: reads touch no access time where the host
// allows that (O_NOATIME); a name that is not a regular file is never opened
// for reading, so a pipe cannot block the caller; a directory is read with as
// few system calls and allocations as the host permits.
//
// Changes ([Writable]) go through open directories, which the caller has
// verified to be the ones it means, and name one entry of them. Nothing is
// replaced that the caller did not ask to replace, and nothing is removed
// recursively.
//
// What it does not do: it takes no snapshot. What it returns was true at the
// moment of the call. A [File] stays the same inode for as long as it is open;
// [File.Stat] tells whether that inode has changed.
//
// Paths are slash-separated and relative to the root; "." is the root itself.
// They are bytes in the form of a string, not necessarily UTF-8.
package hostfs

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"
)

// FS is a host tree. [Root] implements it. All methods may be called
// concurrently.
type FS interface {
	// Name returns the directory's name for messages, as it was given.
	Name() string
	// ReadDir replaces the contents of l by the entries of a directory,
	// without "." and "..", in no particular order.
	ReadDir(path string, l *Listing) error
	// Stat describes what path names, a symbolic link as itself.
	Stat(path string) (Stat, error)
	// Resolve follows the symbolic link at path, and every further link it
	// leads to, and returns the path of the object at its end. An object
	// outside of the root is ErrOutside; one that is not there matches
	// fs.ErrNotExist.
	Resolve(path string) (string, error)
	// Open opens a regular file for reading, and describes it.
	Open(path string) (File, Stat, error)
	io.Closer
}

// File is an open regular file. All methods but Close may be called
// concurrently.
type File interface {
	io.ReaderAt
	// ReadAtCached reads all of p if that needs no waiting for a medium, and
	// else returns ErrWouldWait with p undefined.
	ReadAtCached(p []byte, off int64) (int, error)
	// Stat describes the inode as it is now.
	Stat() (Stat, error)
	// OSFile returns the same open file for the use of the operating system's
	// own copying. It belongs to the File: the caller must not close it, nor
	// use it after Close. It is nil for a file of an FS that is no directory of
	// the host.
	OSFile() *os.File
	io.Closer
}

// Sentinels. Errors about a path are *fs.PathError around these or around
// errors of the operating system.
var (
	// ErrOutside says that a symbolic link leads out of the root.
	ErrOutside = errors.New("leads outside of the directory")
	// ErrNotRegular says that a name is not a regular file.
	ErrNotRegular = errors.New("not a regular file")
	// ErrWouldWait says that a read cannot be answered from memory.
	ErrWouldWait = errors.New("hostfs: read would wait")
)

// NoTime stands for a time that the host does not know.
const NoTime = math.MinInt64

// Stat is what fatkit needs to know of an inode. Times are nanoseconds since
// 1970 UTC, saturated at the ends of that range, or NoTime.
type Stat struct {
	Size  int64 // bytes
	Mtime int64 // last change of the contents
	Atime int64 // last access
	Btime int64 // creation
	Ino   uint64
	Dev   uint64
	Mode  fs.FileMode
}

// Entry is one name of a directory.
type Entry struct {
	Stat
	// Denied says that this process may not read the file, or not search the
	// directory.
	Denied bool
	// Err is why Stat could not be filled in, beside the name vanishing.
	Err error
	// DOS are the attributes of DOS that DOSAttribute holds. HasDOS says that
	// there are some, and that the listing was asked for them.
	DOS    byte
	HasDOS bool

	nameOff, nameLen int32
}

// Listing is the result of reading a directory. The zero value is ready; its
// memory is used again by the next ReadDir.
type Listing struct {
	Entries []Entry
	// WantDOS asks for DOSAttribute of each entry, where the host has it.
	WantDOS bool
	// Vanished counts names that were removed while the directory was read.
	Vanished int

	names []byte // each name followed by a zero byte
	buf   []byte // raw directory entries
}

// NameOf returns the name of e. It is valid until the next ReadDir into l.
func (l *Listing) NameOf(e *Entry) []byte {
	return l.names[e.nameOff : e.nameOff+e.nameLen]
}

// Add appends an entry, for an FS that is not a host directory.
func (l *Listing) Add(name string, e Entry) {
	e.nameOff, e.nameLen = int32(len(l.names)), int32(len(name))
	l.names = append(append(l.names, name...), 0)
	l.Entries = append(l.Entries, e)
}

// Reset empties the listing and keeps its memory.
func (l *Listing) Reset() {
	l.Entries, l.names, l.Vanished = l.Entries[:0], l.names[:0], 0
}

// Nanoseconds saturates seconds and nanoseconds since 1970 to the range of
// [Stat]'s times.
func Nanoseconds(sec, nsec int64) int64 {
	const limit = math.MaxInt64/int64(time.Second) - 1
	return min(max(sec, -limit), limit)*int64(time.Second) + nsec
}

// checkPath refuses what could name something outside of the root before any
// system call sees it.
func checkPath(op, path string) error {
	if path == "." {
		return nil
	}
	for rest, more := path, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if part == "" || part == "." || part == ".." || strings.IndexByte(part, 0) >= 0 {
			return &fs.PathError{Op: op, Path: path, Err: fs.ErrInvalid}
		}
	}
	return nil
}
