//go:build unix

package main

import (
	"os"
	"syscall"
)

// statBlockBytes is the unit of st_blocks: stat(2).
const statBlockBytes = 512

// allocatedBytes returns how much space a file takes on its host.
func allocatedBytes(path string) (int64, bool) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int64(st.Blocks) * statBlockBytes, true
}
