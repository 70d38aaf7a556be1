// Package fusemount mounts trees and devices on Linux, by FUSE: a vfs.FS as a
// directory, a block.Device as one file.
//
// It speaks the FUSE protocol of the Linux kernel (include/uapi/linux/fuse.h)
// through github.com/hanwen/go-fuse/v2, whose raw interface it implements: the
// kernel names objects by numbers, trees name them by paths, and the table of
// nodes in between is this package's.
//
// # What a mount guarantees
//
//   - What was written is on stable storage when fsync returns, and when the
//     mount has ended. Contents reach the tree with each write, not later.
//   - A file that was removed or replaced stays usable until it is closed, if
//     the tree can do that.
//   - Names are those of the tree. Where a tree ignores case, two spellings of
//     a name are one object with one inode number. As with the kernel's own
//     vfat driver a rename that changes nothing but the case does nothing: it
//     takes two steps.
//   - Inode numbers are those of the tree (vfs.InodeInfo) or made of the path
//     under which an object is first seen. They are the same in the next mount,
//     unless it was renamed, and never shared by two objects.
//   - A tree without owners and permissions, such as FAT, gets those of
//     [Options]. A change of them that it cannot keep is treated as vfat treats
//     it: permission bits are ignored, a foreign owner is EPERM.
//   - Errors are the system's: a full volume is ENOSPC, one that cannot be
//     changed EROFS, a server that is gone or a damaged medium EIO. Unmounting
//     works then, too.
//   - The mapped pages of a file, also those that are written to, work.
//
// # What it does not do
//
// There are no hard links, no exchange of two names and, unless the tree has
// them, no symbolic links. Locks of files are the kernel's, within the mount.
// Other changes of the tree than through the mount are seen after
// [Options.Timeout].
//
// On systems other than Linux every function returns an error that matches
// errors.ErrUnsupported.
package fusemount

import (
	"io/fs"
	"log/slog"
	"time"
)

// Options say how something is mounted. The zero value mounts for reading and
// writing, with everything owned by root.
type Options struct {
	// Source is what lists of mounts show as the source.
	Source string
	// ReadOnly lets the kernel refuse every change.
	ReadOnly bool
	// AllowOther lets other users in, where the permissions let them. Without
	// it not even root is let in who is not the one that mounted. For a user who
	// is not root it takes user_allow_other in /etc/fuse.conf.
	AllowOther bool
	// KeepModes takes permission bits from the tree, and owners too if they are
	// those of a system. Otherwise a file has all bits but those of Umask and,
	// if it is read-only, those for writing, and belongs to UID and GID.
	KeepModes bool
	UID, GID  uint32
	Umask     fs.FileMode
	// Quiet lets a change of owner succeed that the tree cannot keep.
	Quiet bool
	// Timeout is how long the kernel may believe what it was told of names and
	// attributes. 0 means that the tree changes only through the mount.
	Timeout time.Duration
	// Flags are further options of mounting: nodev, dev, nosuid, suid, noexec,
	// exec, noatime. nodev and nosuid are the default.
	Flags []string
	// Log is told of errors that nobody else hears of; nil means nobody is.
	Log *slog.Logger
}

// Type is the type of file system that lists of mounts show.
const Type = "fuse.fatkit"
