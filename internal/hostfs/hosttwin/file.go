package hosttwin

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// file is an open regular file.
type file struct{ *node }

var _ hostfs.WFile = (*file)(nil)

// reader is a file that is open for reading.
type reader struct{ *node }

var _ hostfs.File = (*reader)(nil)

// ReadAt implements [hostfs.File].
func (n *node) ReadAt(p []byte, off int64) (int, error) {
	i, err := n.enter(false, "read")
	if err != nil {
		return 0, err
	}
	defer n.r.m.mu.Unlock()
	if off >= int64(len(i.data)) {
		return 0, io.EOF
	}
	k := copy(p, i.data[off:])
	if k < len(p) {
		return k, io.EOF
	}
	return k, nil
}

// ReadAtCached implements [hostfs.File].
func (r *reader) ReadAtCached(p []byte, off int64) (int, error) { return r.ReadAt(p, off) }

// Stat implements [hostfs.File].
func (r *reader) Stat() (hostfs.Stat, error) {
	id, err := r.Identity()
	return id.Stat, err
}

// OSFile implements [hostfs.File].
func (r *reader) OSFile() *os.File { return nil }

// WriteAt implements [hostfs.WFile].
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	i, err := f.enter(true, "write")
	if err != nil {
		return 0, err
	}
	defer f.r.m.mu.Unlock()
	size := max(off+int64(len(p)), int64(len(i.data)))
	if err := f.room(i, size); err != nil {
		return 0, err
	}
	f.r.m.contents(i, p, off, size)
	return len(p), nil
}

// room fails if the file cannot grow to size. The caller holds mu.
func (f *file) room(i *inode, size int64) error {
	m := f.r.m
	if grow := size - int64(len(i.data)); m.Capacity > 0 && grow > 0 && m.used()+grow > m.Capacity {
		return &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return nil
}

// Truncate implements [hostfs.WFile].
func (f *file) Truncate(size int64) error {
	i, err := f.enter(true, "truncate")
	if err != nil {
		return err
	}
	defer f.r.m.mu.Unlock()
	if size == int64(len(i.data)) {
		return nil
	}
	if err := f.room(i, size); err != nil {
		return err
	}
	f.r.m.contents(i, nil, 0, size)
	return nil
}

// Reserve implements [hostfs.WFile].
func (f *file) Reserve(off, n int64) error {
	i, err := f.enter(true, "reserve")
	if err != nil {
		return err
	}
	defer f.r.m.mu.Unlock()
	size := max(off+n, int64(len(i.data)))
	if err := f.room(i, size); err != nil {
		return err
	}
	if size > int64(len(i.data)) {
		f.r.m.contents(i, nil, 0, size)
	}
	return nil
}

// SyncData implements [hostfs.WFile].
func (f *file) SyncData() error { return f.Sync() }

// CloneFrom implements [hostfs.WFile].
func (f *file) CloneFrom(src hostfs.File) (bool, error) {
	from, ok := src.(*reader)
	if !ok {
		return false, errors.New("hosttwin: a clone of a file that is not of a twin")
	}
	st, err := from.Stat()
	if err != nil {
		return false, err
	}
	p := make([]byte, st.Size)
	if k, err := from.ReadAt(p, 0); k < len(p) {
		return false, errors.Join(err, io.ErrUnexpectedEOF)
	}
	if len(p) > 0 {
		_, err = f.WriteAt(p, 0)
	}
	return !f.r.m.Lacks.Reflink, err
}
