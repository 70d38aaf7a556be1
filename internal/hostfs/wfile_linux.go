package hostfs

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// wfile is a regular file that is open for reading and writing.
type wfile struct{ node }

var _ WFile = (*wfile)(nil)

func (d *wdir) newFile(fd int, name string) *wfile {
	return &wfile{node{fd: fd, name: d.join(name), fsid: d.fsid, leaseType: unix.F_WRLCK}}
}

// ReadAt implements [WFile].
func (f *wfile) ReadAt(p []byte, off int64) (int, error) { return preadFull(f.fd, p, off) }

// WriteAt implements [WFile].
func (f *wfile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := retry(func() (int, error) { return unix.Pwrite(f.fd, p[done:], off+int64(done)) })
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return done, failed("write", f.name, err)
		}
		done += n
	}
	return done, nil
}

// Truncate implements [WFile].
func (f *wfile) Truncate(size int64) error {
	return failed("truncate", f.name, again(func() error { return unix.Ftruncate(f.fd, size) }))
}

// Reserve implements [WFile].
func (f *wfile) Reserve(off, n int64) error {
	err := again(func() error { return unix.Fallocate(f.fd, 0, off, n) })
	if err != unix.EOPNOTSUPP && err != unix.ENOSYS {
		return failed("reserve", f.name, err)
	}
	return f.fill(off, n)
}

// fill writes zeroes after the end of the file, for hosts that cannot reserve.
func (f *wfile) fill(off, n int64) error {
	id, err := f.Identity()
	if err != nil {
		return err
	}
	zeroes := make([]byte, min(n, 1<<20))
	for at := max(off, id.Size); at < off+n; at += int64(len(zeroes)) {
		if _, err := f.WriteAt(zeroes[:min(off+n-at, int64(len(zeroes)))], at); err != nil {
			return err
		}
	}
	return nil
}

// SyncData implements [WFile].
func (f *wfile) SyncData() error {
	return failed("sync", f.name, again(func() error { return unix.Fdatasync(f.fd) }))
}

// CloneFrom implements [WFile].
func (f *wfile) CloneFrom(src File) (bool, error) {
	from, ok := src.(*file)
	if !ok {
		return false, copyData(f, src)
	}
	if err := again(func() error { return unix.IoctlFileClone(f.fd, from.fd) }); err == nil {
		return true, nil
	}
	st, err := src.Stat()
	if err != nil {
		return false, err
	}
	if err := f.Truncate(st.Size); err != nil {
		return false, err
	}
	return false, f.copyRuns(from, st.Size)
}

// copyRuns copies what is not a hole.
func (f *wfile) copyRuns(from *file, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(from.fd, at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return nil
		}
		end := size
		if err != nil {
			data = at // no holes here
		} else if end, err = unix.Seek(from.fd, data, unix.SEEK_HOLE); err != nil {
			end = size
		}
		if err := f.copyRange(from, data, min(end, size)); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// copyRange copies [at, end), by the kernel where it can.
func (f *wfile) copyRange(from *file, at, end int64) error {
	for at < end {
		in, out := at, at
		n, err := retry(func() (int, error) {
			return unix.CopyFileRange(from.fd, &in, f.fd, &out, int(min(end-at, 1<<30)), 0)
		})
		switch {
		case err == nil && n > 0:
			at += int64(n)
		case err == nil, err == unix.EXDEV, err == unix.EOPNOTSUPP, err == unix.EINVAL, err == unix.ENOSYS, err == unix.EPERM:
			return copySection(f, from, at, end)
		default:
			return failed("copy to", f.name, err)
		}
	}
	return nil
}

// copyData copies everything from a file of another kind.
func copyData(f WFile, src File) error {
	st, err := src.Stat()
	if err != nil {
		return err
	}
	return copySection(f, src, 0, st.Size)
}

func copySection(f WFile, src File, at, end int64) error {
	buf := make([]byte, min(end-at, 1<<20))
	for at < end {
		p := buf[:min(end-at, int64(len(buf)))]
		n, err := src.ReadAt(p, at)
		if n < len(p) && (err == nil || errors.Is(err, io.EOF)) {
			return io.ErrUnexpectedEOF
		}
		if n < len(p) {
			return err
		}
		if _, err := f.WriteAt(p, at); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// preadFull reads all of p, or to the end of the file.
func preadFull(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(fd, p[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return done, os.NewSyscallError("pread", err)
		case n == 0:
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}
