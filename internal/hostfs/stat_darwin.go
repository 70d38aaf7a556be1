package hostfs

import (
	"io/fs"
	"syscall"
)

// statOf adds what the system knows beyond io/fs.
func statOf(info fs.FileInfo) Stat {
	st := portable(info)
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		st.Ino, st.Dev = s.Ino, uint64(s.Dev)
		st.Atime = Nanoseconds(s.Atimespec.Sec, s.Atimespec.Nsec)
		st.Btime = Nanoseconds(s.Birthtimespec.Sec, s.Birthtimespec.Nsec)
	}
	return st
}
