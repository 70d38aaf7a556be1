//go:build !linux && !darwin && !windows

package hostfs

import "io/fs"

// statOf describes an inode as far as io/fs does.
func statOf(info fs.FileInfo) Stat { return portable(info) }
