package hostfs

import (
	"io/fs"
)

// Identity is what tells one inode of a host from another, and one state of
// its contents from another.
type Identity struct {
	Stat
	Ctime int64 // last change of the inode; nanoseconds as in Stat
	FSID  uint64
	Nlink uint32
	UID   uint32
	GID   uint32
}

// Same reports whether a and b are the same inode. Device numbers may change
// at a reboot, so the same file system is recognised by either number. Where
// the host knows birth times, an inode number that was given out anew is not
// the same inode; elsewhere nothing tells the two apart but [Identity.SameContent].
func (a Identity) Same(b Identity) bool {
	return a.Ino == b.Ino &&
		(a.Dev == b.Dev || a.FSID == b.FSID && a.FSID != 0) &&
		(a.Btime == b.Btime || a.Btime == NoTime || b.Btime == NoTime) &&
		a.Mode.Type() == b.Mode.Type()
}

// SameContent reports whether a file has not been written to between a and b,
// as far as size and time of change tell. The time of change of the inode is
// not compared: links, renames and modes change it too.
func (a Identity) SameContent(b Identity) bool {
	return a.Size == b.Size && a.Mtime == b.Mtime
}

// permBits are the bits of a mode that SetMode sets.
const permBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
