//go:build linux || darwin

package host

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/fatkit/fatkit/vfs"
)

// syncDirectory makes the names in d durable.
func syncDirectory(d *os.File) error { return d.Sync() }

func usage(d *os.File) (vfs.Usage, error) {
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(d.Fd()), &s); err != nil {
		return vfs.Usage{}, &fs.PathError{Op: "statfs", Path: ".", Err: err}
	}
	block := int64(s.Bsize)
	return vfs.Usage{BlockBytes: block, TotalBytes: int64(s.Blocks) * block, FreeBytes: int64(s.Bavail) * block}, nil
}
