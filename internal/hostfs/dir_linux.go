package hostfs

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// direntBytes is the size of the buffer for getdents64(2).
	direntBytes = 64 << 10
	// statBatch is the number of entries that one goroutine describes; larger
	// directories are shared among several.
	statBatch = 4096
)

// Offsets within struct linux_dirent64, getdents(2).
const (
	direntReclen = 16
	direntName   = 19
)

// ReadDir implements [FS].
func (r *Root) ReadDir(path string, l *Listing) error {
	l.Reset()
	fd, err := r.open("readdir", path, openDir)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := l.readNames(fd); err != nil {
		return &fs.PathError{Op: "readdir", Path: r.join(path), Err: err}
	}
	r.statAll(fd, l)
	l.dropVanished()
	return nil
}

// readNames appends every name of the directory fd.
func (l *Listing) readNames(fd int) error {
	if l.buf == nil {
		l.buf = make([]byte, direntBytes)
	}
	for {
		n, err := retry(func() (int, error) { return unix.Getdents(fd, l.buf) })
		if err != nil || n == 0 {
			return err
		}
		for p := l.buf[:n]; len(p) > direntName; {
			reclen := int(binary.NativeEndian.Uint16(p[direntReclen:]))
			name := p[direntName:reclen]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if s := string(name); s != "." && s != ".." {
				l.Add(s, Entry{})
			}
			p = p[reclen:]
		}
	}
}

// statAll describes every entry of l, in parallel if there are many.
func (r *Root) statAll(fd int, l *Listing) {
	n := len(l.Entries)
	workers := min(runtime.GOMAXPROCS(0), (n+statBatch-1)/statBatch)
	if workers <= 1 {
		r.statRange(fd, l, l.Entries)
		return
	}
	var wg sync.WaitGroup
	per := (n + workers - 1) / workers
	for at := 0; at < n; at += per {
		wg.Go(func() { r.statRange(fd, l, l.Entries[at:min(at+per, n)]) })
	}
	wg.Wait()
}

// statRange describes the entries of list, which belong to l.
func (r *Root) statRange(fd int, l *Listing, list []Entry) {
	s := new(statter)
	var dos *dosReader
	if l.WantDOS {
		dos = newDOSReader()
	}
	for i := range list {
		e := &list[i]
		name := &l.names[e.nameOff]
		if err := s.name(fd, name, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			e.Err = err
			continue
		}
		e.Stat = s.result()
		e.Denied = r.denied(fd, name, s)
		if dos != nil {
			dos.read(fd, name, e)
		}
	}
}

// denied reports whether this process may not read what s describes. Nearly
// always the mode alone tells that it may; only where it does not is the
// kernel asked.
func (r *Root) denied(fd int, name *byte, s *statter) bool {
	need, ask := uint16(0o444), uintptr(unix.R_OK)
	switch s.stx.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		need, ask = 0o555, unix.R_OK|unix.X_OK
	default:
		return false
	}
	if s.stx.Mode&need == need || s.stx.Uid == r.euid && s.stx.Mode&need&0o700 == need&0o700 {
		return false
	}
	_, _, errno := unix.Syscall6(unix.SYS_FACCESSAT2, uintptr(fd), uintptr(unsafe.Pointer(name)),
		ask, unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	// A kernel that cannot answer leaves it to the open that follows.
	return errno == unix.EACCES
}

// dropVanished removes the entries that were gone when they were described.
func (l *Listing) dropVanished() {
	kept := l.Entries[:0]
	for _, e := range l.Entries {
		if e.Err == unix.ENOENT {
			l.Vanished++
			continue
		}
		kept = append(kept, e)
	}
	l.Entries = kept
}

// statxMask are the fields that [Stat] needs.
const statxMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// statter holds the buffer of statx(2), so that it is allocated once for many
// calls.
type statter struct {
	stx   unix.Statx_t
	empty byte
}

// name describes a name of the directory fd. The string is passed as the
// pointer to its first byte, which saves a copy for each entry.
func (s *statter) name(fd int, name *byte, flags int) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(name)),
			uintptr(flags|unix.AT_NO_AUTOMOUNT), statxMask, uintptr(unsafe.Pointer(&s.stx)), 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		case unix.ENOSYS, unix.EPERM:
			return s.old(fd, name, flags)
		}
		return errno
	}
}

// old is name for kernels and sandboxes without statx(2). They know no birth
// times.
func (s *statter) old(fd int, name *byte, flags int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, unix.BytePtrToString(name), &st, flags); err != nil {
		return err
	}
	s.stx = unix.Statx_t{
		Mode: uint16(st.Mode), Uid: st.Uid, Gid: st.Gid, Nlink: uint32(st.Nlink), Ino: st.Ino, Size: uint64(st.Size),
		Ctime:     unix.StatxTimestamp{Sec: int64(st.Ctim.Sec), Nsec: uint32(st.Ctim.Nsec)},
		Dev_major: unix.Major(uint64(st.Dev)), Dev_minor: unix.Minor(uint64(st.Dev)),
		Atime: unix.StatxTimestamp{Sec: int64(st.Atim.Sec), Nsec: uint32(st.Atim.Nsec)},
		Mtime: unix.StatxTimestamp{Sec: int64(st.Mtim.Sec), Nsec: uint32(st.Mtim.Nsec)},
	}
	return nil
}

// descriptor describes the open file fd.
func (s *statter) descriptor(fd int) (Stat, error) {
	if err := s.name(fd, &s.empty, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, err
	}
	return s.result(), nil
}

// result translates what the last call found.
func (s *statter) result() Stat {
	x := &s.stx
	st := Stat{
		Size:  int64(x.Size),
		Mtime: Nanoseconds(x.Mtime.Sec, int64(x.Mtime.Nsec)),
		Atime: Nanoseconds(x.Atime.Sec, int64(x.Atime.Nsec)),
		Btime: NoTime,
		Ino:   x.Ino,
		Dev:   unix.Mkdev(x.Dev_major, x.Dev_minor),
		Mode:  fileMode(uint32(x.Mode)),
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		st.Btime = Nanoseconds(x.Btime.Sec, int64(x.Btime.Nsec))
	}
	return st
}

// fileMode translates a mode of inode(7).
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG:
	case syscall.S_IFDIR:
		m |= fs.ModeDir
	case syscall.S_IFLNK:
		m |= fs.ModeSymlink
	case syscall.S_IFIFO:
		m |= fs.ModeNamedPipe
	case syscall.S_IFSOCK:
		m |= fs.ModeSocket
	case syscall.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case syscall.S_IFBLK:
		m |= fs.ModeDevice
	default:
		m |= fs.ModeIrregular
	}
	return m
}
