//go:build !linux

package writeback_test

import "io/fs"

// allocated returns the size of a file: directories take writes on Linux only.
func allocated(fi fs.FileInfo) int64 { return fi.Size() }
