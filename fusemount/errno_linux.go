package fusemount

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// passed are the system's errors that a tree of the host may answer with. What
// else a system call below says, such as a socket's, is no business of the one
// who uses a file.
var passed = []syscall.Errno{
	syscall.ENOENT, syscall.EEXIST, syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.EACCES, syscall.EPERM,
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EFBIG, syscall.EMLINK, syscall.ELOOP, syscall.ENAMETOOLONG,
	syscall.EINVAL, syscall.EXDEV, syscall.EBUSY, syscall.ETXTBSY, syscall.EMFILE, syscall.ENFILE, syscall.EOPNOTSUPP,
	syscall.ENXIO, syscall.ESTALE,
}

// meanings are the errors of trees and devices with the system's for them. The
// first that matches counts.
var meanings = []struct {
	err   error
	errno syscall.Errno
}{
	{diskerr.ErrNoSpace, syscall.ENOSPC},
	{diskerr.ErrReadOnly, syscall.EROFS},
	{diskerr.ErrCorrupt, syscall.EIO},
	{diskerr.ErrChanged, syscall.EIO},
	{vfs.ErrNotEmpty, syscall.ENOTEMPTY},
	{vfs.ErrNotDir, syscall.ENOTDIR},
	{vfs.ErrIsDir, syscall.EISDIR},
	{vfs.ErrTooLarge, syscall.EFBIG},
	{fs.ErrNotExist, syscall.ENOENT},
	{fs.ErrExist, syscall.EEXIST},
	{fs.ErrPermission, syscall.EACCES},
	{fs.ErrInvalid, syscall.EINVAL},
	{errors.ErrUnsupported, syscall.EOPNOTSUPP},
}

// errnoOf returns the system's number for an error.
func errnoOf(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && slices.Contains(passed, errno) {
		return fuse.Status(errno)
	}
	if errno == 0 {
		for _, m := range meanings {
			if errors.Is(err, m.err) {
				return fuse.Status(m.errno)
			}
		}
	}
	return fuse.EIO
}
