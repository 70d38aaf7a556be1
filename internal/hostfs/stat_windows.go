package hostfs

import (
	"io/fs"
	"syscall"
)

// statOf adds what the system knows beyond io/fs. The index of a file, which
// would be its identity, costs opening it; size and time of change have to do.
func statOf(info fs.FileInfo) Stat {
	st := portable(info)
	if s, ok := info.Sys().(*syscall.Win32FileAttributeData); ok {
		st.Atime = s.LastAccessTime.Nanoseconds()
		st.Btime = s.CreationTime.Nanoseconds()
	}
	return st
}
