// Package iofs is any fs.FS, such as an embedded tree, a zip archive or an
// fstest.MapFS, as a vfs.FS that cannot be changed.
//
// A file that has neither ReadAt nor Seek is read from its start again for
// each ReadAt that goes back; that is slow and correct.
package iofs

import (
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// FS is a read-only tree.
type FS struct {
	inner fs.FS
}

var (
	_ vfs.FS        = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
)

// New returns inner as a tree that refuses every change with
// diskerr.ErrReadOnly.
func New(inner fs.FS) *FS { return &FS{inner} }

func readOnly(op, name string) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return &fs.PathError{Op: op, Path: name, Err: diskerr.ErrReadOnly}
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) { return f.inner.Open(name) }

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) { // not every tree says so
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	return fs.Stat(f.inner, name)
}

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.inner, name) }

// ReadFile implements fs.ReadFileFS.
func (f *FS) ReadFile(name string) ([]byte, error) { return fs.ReadFile(f.inner, name) }

// Lstat implements fs.ReadLinkFS; without links in the inner tree it is Stat.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(f.inner, name) }

// ReadLink implements fs.ReadLinkFS.
func (f *FS) ReadLink(name string) (string, error) { return fs.ReadLink(f.inner, name) }

// OpenFile implements vfs.FS.
func (f *FS) OpenFile(name string, flag int, _ fs.FileMode) (vfs.File, error) {
	flags, err := vfs.ParseFlags(flag)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if flags.Write || flags.Create || flags.Append {
		return nil, readOnly("open", name)
	}
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	inner, err := f.inner.Open(name)
	if err != nil {
		return nil, err
	}
	out := &file{inner: inner, fsys: f.inner, name: name}
	out.readerAt, _ = inner.(io.ReaderAt)
	return out, nil
}

// Mkdir refuses.
func (f *FS) Mkdir(name string, _ fs.FileMode) error { return readOnly("mkdir", name) }

// Remove refuses.
func (f *FS) Remove(name string) error { return readOnly("remove", name) }

// Rename refuses.
func (f *FS) Rename(oldName, _ string) error { return readOnly("rename", oldName) }

// file is an open file of the inner tree.
type file struct {
	fsys     fs.FS
	name     string
	readerAt io.ReaderAt // inner, if it can

	closed atomic.Bool

	mu    sync.Mutex
	inner fs.File
	at    int64 // where Read continues
	raw   int64 // position of inner, where there is no readerAt
}

var _ vfs.File = (*file)(nil)
var _ fs.ReadDirFile = (*file)(nil)

func (f *file) Stat() (fs.FileInfo, error) { return f.inner.Stat() }

func (f *file) Close() error {
	if f.closed.Swap(true) { // not every file says so
		return f.err("close", fs.ErrClosed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inner.Close()
}

// readAt reads from the inner file's ReaderAt. Not every one takes an offset
// beyond the end for the end.
func (f *file) readAt(p []byte, off int64) (int, error) {
	n, err := f.readerAt.ReadAt(p, off)
	if n == 0 && err != nil && err != io.EOF {
		if fi, serr := f.inner.Stat(); serr == nil && off >= fi.Size() {
			return 0, io.EOF
		}
	}
	return n, err
}

func (f *file) err(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	d, ok := f.inner.(fs.ReadDirFile)
	if !ok {
		return nil, f.err("readdir", vfs.ErrNotDir)
	}
	return d.ReadDir(n)
}

func (f *file) Read(p []byte) (int, error) {
	if f.closed.Load() {
		return 0, f.err("read", fs.ErrClosed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int
	var err error
	if f.readerAt != nil {
		n, err = f.readAt(p, f.at)
		if n > 0 && err == io.EOF {
			err = nil
		}
	} else if err = f.position(f.at); err == nil {
		n, err = f.inner.Read(p)
		f.raw += int64(n)
	}
	f.at += int64(n)
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, f.err("read", fs.ErrInvalid)
	case f.closed.Load():
		return 0, f.err("read", fs.ErrClosed)
	}
	if f.readerAt != nil {
		return f.readAt(p, off)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.position(off); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(f.inner, p)
	f.raw += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// position brings the inner file to off: by seeking, by reading on, or by
// opening it again. The caller holds mu.
func (f *file) position(off int64) error {
	if s, ok := f.inner.(io.Seeker); ok {
		_, err := s.Seek(off, io.SeekStart)
		f.raw = off
		return err
	}
	if off < f.raw {
		again, err := f.fsys.Open(f.name)
		if err != nil {
			return err
		}
		f.inner.Close()
		f.inner, f.raw = again, 0
	}
	n, err := io.CopyN(io.Discard, f.inner, off-f.raw)
	f.raw += n
	return err
}

func (f *file) Seek(off int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += f.at
	case io.SeekEnd:
		fi, err := f.inner.Stat()
		if err != nil {
			return 0, err
		}
		off += fi.Size()
	default:
		return 0, f.err("seek", fs.ErrInvalid)
	}
	if off < 0 {
		return 0, f.err("seek", fs.ErrInvalid)
	}
	f.at = off
	return off, nil
}

func (f *file) Write([]byte) (int, error)          { return 0, f.err("write", diskerr.ErrReadOnly) }
func (f *file) WriteAt([]byte, int64) (int, error) { return 0, f.err("write", diskerr.ErrReadOnly) }
func (f *file) Truncate(int64) error               { return f.err("truncate", diskerr.ErrReadOnly) }
func (f *file) Sync() error                        { return nil }
