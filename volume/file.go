package volume

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/fatkit/fatkit/vfs"
)

// File is an open file or directory of a volume.
type File struct {
	vol   *Volume
	inner vfs.File
	name  string // within the volume
	flags vfs.Flags
	as    string // what Stat calls the root of a volume; "" for any other file
	pos   atomic.Int64
	atEnd atomic.Bool

	next, prev *File // in the volume's list; guarded by its mu
}

var (
	_ vfs.File       = (*File)(nil)
	_ vfs.Reserver   = (*File)(nil)
	_ vfs.FileWriter = (*File)(nil)
	_ fs.ReadDirFile = (*File)(nil)
)

// FileInfo is a row of the table of open files.
type FileInfo struct {
	Point    string // where the volume is mounted; "" in the list of a Volume
	Name     string // within the volume
	Flags    vfs.Flags
	Position int64 // where Read and Write go on, in bytes
	AtEnd    bool  // the last Read met the end of the file
}

// describe returns the file's row.
func (f *File) describe() FileInfo {
	return FileInfo{Name: f.name, Flags: f.flags, Position: f.pos.Load(), AtEnd: f.atEnd.Load()}
}

// Volume returns the volume that the file is on.
func (f *File) Volume() *Volume { return f.vol }

// enter begins a call; vol.gate.Leave ends it if it returns nil.
func (f *File) enter(op string) error {
	if err := f.vol.gate.Enter(); err != nil {
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	if err := f.enter("read"); err != nil {
		return 0, err
	}
	n, err := f.inner.Read(p)
	f.vol.gate.Leave()
	f.pos.Add(int64(n))
	if err == io.EOF {
		f.atEnd.Store(true)
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter("read"); err != nil {
		return 0, err
	}
	n, err := f.inner.ReadAt(p, off)
	f.vol.gate.Leave()
	return n, err
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	if err := f.enter("write"); err != nil {
		return 0, err
	}
	n, err := f.inner.Write(p)
	if f.flags.Append {
		if pos, serr := f.inner.Seek(0, io.SeekCurrent); serr == nil {
			f.pos.Store(pos)
		}
	} else {
		f.pos.Add(int64(n))
	}
	f.vol.gate.Leave()
	return n, err
}

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.enter("write"); err != nil {
		return 0, err
	}
	n, err := f.inner.WriteAt(p, off)
	f.vol.gate.Leave()
	return n, err
}

// Seek implements io.Seeker.
func (f *File) Seek(off int64, whence int) (int64, error) {
	if err := f.enter("seek"); err != nil {
		return 0, err
	}
	pos, err := f.inner.Seek(off, whence)
	f.vol.gate.Leave()
	if err == nil {
		f.pos.Store(pos)
		f.atEnd.Store(false)
	}
	return pos, err
}

// Stat implements fs.File.
func (f *File) Stat() (fs.FileInfo, error) {
	if err := f.enter("stat"); err != nil {
		return nil, err
	}
	fi, err := f.inner.Stat()
	f.vol.gate.Leave()
	return called(fi, f.as), err
}

// ReadDir implements fs.ReadDirFile.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := f.enter("readdir"); err != nil {
		return nil, err
	}
	defer f.vol.gate.Leave()
	if d, ok := f.inner.(fs.ReadDirFile); ok {
		return d.ReadDir(n)
	}
	return nil, &fs.PathError{Op: "readdir", Path: f.name, Err: vfs.ErrNotDir}
}

// Truncate implements vfs.File.
func (f *File) Truncate(size int64) error {
	if err := f.enter("truncate"); err != nil {
		return err
	}
	defer f.vol.gate.Leave()
	return f.inner.Truncate(size)
}

// Sync implements vfs.File.
func (f *File) Sync() error {
	if err := f.enter("sync"); err != nil {
		return err
	}
	defer f.vol.gate.Leave()
	return f.inner.Sync()
}

// Reserve implements vfs.Reserver.
func (f *File) Reserve(sizeBytes int64) error {
	if err := f.enter("reserve"); err != nil {
		return err
	}
	defer f.vol.gate.Leave()
	return vfs.Reserve(f.inner, sizeBytes)
}

// WriteFile implements vfs.FileWriter.
func (f *File) WriteFile(off int64, src *os.File, srcOff, n int64) error {
	if err := f.enter("write"); err != nil {
		return err
	}
	defer f.vol.gate.Leave()
	if w, ok := f.inner.(vfs.FileWriter); ok {
		return w.WriteFile(off, src, srcOff, n)
	}
	return errors.ErrUnsupported
}

// Close implements io.Closer.
func (f *File) Close() error {
	if err := f.enter("close"); err != nil {
		return err
	}
	defer f.vol.gate.Leave()
	err := f.inner.Close()
	f.vol.forget(f)
	return err
}

// called returns fi under another name, if that is not "".
func called(fi fs.FileInfo, name string) fs.FileInfo {
	if fi == nil || name == "" {
		return fi
	}
	return &alias{fi, name}
}

// alias is the root of a volume, under the name of its mount point.
type alias struct {
	fs.FileInfo
	name string
}

func (a *alias) Name() string     { return a.name }
func (a *alias) Times() vfs.Times { return vfs.TimesOf(a.FileInfo) }
