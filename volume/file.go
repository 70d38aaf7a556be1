package volume

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/fatkit/fatkit/vfs"
)

// File is an open file or directory of a volume. It holds the gate of the volume
// until it is closed: by its owner, or by a forced unmount.
type File struct {
	vol   *Volume
	inner vfs.File
	name  string // within the volume
	pos   atomic.Int64

	next, prev *File // in the volume's list, which its mu guards
	listed     bool  // there

	flags vfs.Flags
	atEnd atomic.Bool
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

// describe returns the file's row. It asks nothing of the driver, which may hang.
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
	defer f.vol.gate.Leave()
	return f.inner.Stat()
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
	if !f.vol.forget(f) {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	defer f.vol.gate.Leave()
	return f.inner.Close()
}

// rootDir is the open root of a volume, whose name is that of its mount point.
type rootDir struct {
	*File
	as string
}

// Stat implements fs.File.
func (d rootDir) Stat() (fs.FileInfo, error) {
	fi, err := d.File.Stat()
	return called(fi, d.as), err
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
