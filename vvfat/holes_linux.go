package vvfat

import (
	"os"

	"golang.org/x/sys/unix"
)

// statBlockBytes is the unit of st_blocks: stat(2).
const statBlockBytes = 512

// hasHoles reports whether a file takes less room than its size. Compression
// can be the reason as well: then looking for holes is in vain.
func hasHoles(f *os.File) bool {
	if f == nil {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Blocks*statBlockBytes < st.Size
}

// nextData returns where the next data from off on begins and where it ends,
// both at most end. Data that begins at end is none. Where the file system
// cannot tell, all is data.
//
// It moves the file position, which nothing here uses.
func nextData(f *os.File, off, end int64) (data, hole int64) {
	fd := int(f.Fd())
	data, err := unix.Seek(fd, off, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO: // a hole up to the end of the file
		return end, end
	case err != nil:
		return off, end
	case data >= end:
		return end, end
	}
	hole, err = unix.Seek(fd, data, unix.SEEK_HOLE)
	if err != nil || hole <= data {
		return data, end
	}
	return data, min(hole, end)
}
