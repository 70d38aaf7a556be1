//go:build !linux && !darwin

package host

import (
	"errors"
	"io/fs"
	"os"

	"github.com/fatkit/fatkit/vfs"
)

// syncDirectory does nothing: these systems cannot sync a directory, and make
// names durable with the files.
func syncDirectory(*os.File) error { return nil }

func usage(*os.File) (vfs.Usage, error) {
	return vfs.Usage{BlockBytes: -1, TotalBytes: -1, FreeBytes: -1},
		&fs.PathError{Op: "statfs", Path: ".", Err: errors.ErrUnsupported}
}
