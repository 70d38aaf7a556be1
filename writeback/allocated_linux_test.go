package writeback_test

import (
	"io/fs"
	"syscall"
)

// allocated returns the room that a file takes, in bytes.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return fi.Size()
}
