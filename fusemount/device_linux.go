package fusemount

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// deviceTree is a tree with one file, whose content is a device. The size does not
// change.
type deviceTree struct {
	dev   block.Device
	name  string // "." if the file is the root
	since time.Time
	mode  fs.FileMode

	patch sync.Mutex // held while a part of a block is written
}

var (
	_ vfs.FS      = (*deviceTree)(nil)
	_ fs.StatFS   = (*deviceTree)(nil)
	_ vfs.UsageFS = (*deviceTree)(nil)
	_ vfs.SyncFS  = (*deviceTree)(nil)
)

func newDeviceTree(dev block.Device, name string, readOnly bool) *deviceTree {
	d := &deviceTree{dev: dev, name: name, since: time.Now(), mode: 0o666}
	if readOnly || block.LimitsOf(dev).ReadOnly {
		d.mode = 0o444
	}
	return d
}

func (d *deviceTree) refuse(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
}

// Mkdir, Remove, Rename and Chtimes refuse, and a time is not kept.
func (d *deviceTree) Mkdir(name string, _ fs.FileMode) error { return d.refuse("mkdir", name) }
func (d *deviceTree) Remove(name string) error               { return d.refuse("remove", name) }
func (d *deviceTree) Rename(name, _ string) error            { return d.refuse("rename", name) }
func (d *deviceTree) Chtimes(string, vfs.Times) error        { return nil }
func (d *deviceTree) Chmod(name string, _ fs.FileMode) error { return d.refuse("chmod", name) }

// Sync implements vfs.SyncFS.
func (d *deviceTree) Sync() error { return d.dev.Flush() }

// Usage implements vfs.UsageFS.
func (d *deviceTree) Usage() (vfs.Usage, error) {
	return vfs.Usage{BlockBytes: blockBytes, TotalBytes: d.dev.Size()}, nil
}

// Stat implements fs.StatFS.
func (d *deviceTree) Stat(name string) (fs.FileInfo, error) {
	if name != "." && name != d.name {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return deviceInfo{d, name}, nil
}

// Open implements fs.FS.
func (d *deviceTree) Open(name string) (fs.File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile implements vfs.FS. To empty the file does nothing, as on a device.
func (d *deviceTree) OpenFile(name string, flag int, _ fs.FileMode) (vfs.File, error) {
	flags, err := vfs.ParseFlags(flag)
	if err == nil {
		_, err = d.Stat(name)
		if err != nil && flags.Create {
			err = d.refuse("create", name)
		}
	}
	if err == nil && flags.Write && d.mode&0o200 == 0 {
		err = &fs.PathError{Op: "open", Path: name, Err: diskerr.ErrReadOnly}
	}
	if err != nil {
		return nil, err
	}
	return &deviceFile{tree: d, name: name}, nil
}

// whole returns the range of whole blocks around n bytes at off.
func (d *deviceTree) whole(off, n int64) (from, to int64) {
	block := max(int64(block.LimitsOf(d.dev).MinBlock), 1)
	return off / block * block, min((off+n+block-1)/block*block, d.dev.Size())
}

// read fills p, whatever the blocks of the device are.
func (d *deviceTree) read(p []byte, off int64) error {
	from, to := d.whole(off, int64(len(p)))
	if from == off && to == off+int64(len(p)) {
		return block.ReadFull(d.dev, p, off)
	}
	buf := make([]byte, to-from)
	err := block.ReadFull(d.dev, buf, from)
	copy(p, buf[off-from:])
	return err
}

// write writes p, whatever the blocks of the device are.
func (d *deviceTree) write(p []byte, off int64) error {
	from, to := d.whole(off, int64(len(p)))
	if from == off && to == off+int64(len(p)) {
		_, err := d.dev.WriteAt(p, off)
		return err
	}
	d.patch.Lock()
	defer d.patch.Unlock()
	buf := make([]byte, to-from)
	if err := block.ReadFull(d.dev, buf, from); err != nil {
		return err
	}
	copy(buf[off-from:], p)
	_, err := d.dev.WriteAt(buf, from)
	return err
}

// ReadDir implements fs.ReadDirFS.
func (d *deviceTree) ReadDir(string) ([]fs.DirEntry, error) {
	return []fs.DirEntry{fs.FileInfoToDirEntry(deviceInfo{d, d.name})}, nil
}

// deviceInfo describes the file, or the directory around it.
type deviceInfo struct {
	tree *deviceTree
	name string
}

func (i deviceInfo) Name() string       { return i.name }
func (i deviceInfo) ModTime() time.Time { return i.tree.since }
func (i deviceInfo) IsDir() bool        { return i.name != i.tree.name }
func (i deviceInfo) Sys() any           { return nil }

func (i deviceInfo) Size() int64 {
	if i.IsDir() {
		return 0
	}
	return i.tree.dev.Size()
}

func (i deviceInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o777
	}
	return i.tree.mode
}

// deviceFile is the file, open.
type deviceFile struct {
	tree *deviceTree
	name string

	mu sync.Mutex // guards pos
	at int64
}

var (
	_ vfs.File = (*deviceFile)(nil)
	_ zeroer   = (*deviceFile)(nil)
	_ seeker   = (*deviceFile)(nil)
)

func (f *deviceFile) Stat() (fs.FileInfo, error) { return f.tree.Stat(f.name) }
func (f *deviceFile) Sync() error                { return f.tree.dev.Flush() }
func (f *deviceFile) Close() error               { return nil }

// ReadAt implements io.ReaderAt.
func (f *deviceFile) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), max(f.tree.dev.Size()-off, 0))
	if err := f.tree.read(p[:n], off); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// WriteAt implements io.WriterAt: as much as there is room for.
func (f *deviceFile) WriteAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), max(f.tree.dev.Size()-off, 0))
	if n == 0 && len(p) > 0 {
		return 0, &diskerr.NoSpaceError{What: "device", Needed: off + int64(len(p)), Available: f.tree.dev.Size()}
	}
	if err := f.tree.write(p[:n], off); err != nil {
		return 0, err
	}
	return int(n), nil
}

// Read implements io.Reader.
func (f *deviceFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Write implements io.Writer.
func (f *deviceFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.WriteAt(p, f.at)
	f.at += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (f *deviceFile) Seek(off int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		off += f.at
	case io.SeekEnd:
		off += f.tree.dev.Size()
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	f.at = off
	return off, nil
}

// Truncate leaves the size as it is: programs that write a disk image empty it
// first. It cannot become larger.
func (f *deviceFile) Truncate(size int64) error {
	if size > f.tree.dev.Size() {
		return &diskerr.NoSpaceError{What: "device", Needed: size, Available: f.tree.dev.Size()}
	}
	return nil
}

// Reserve implements vfs.Reserver: all is there.
func (f *deviceFile) Reserve(size int64) error { return f.Truncate(size) }

// WriteZeroes implements zeroer.
func (f *deviceFile) WriteZeroes(off, n int64) error {
	n = min(n, max(f.tree.dev.Size()-off, 0))
	if from, to := f.tree.whole(off, n); from != off || to != off+n {
		return errors.ErrUnsupported // whoever asks writes zeroes then
	}
	return block.WriteZeroes(f.tree.dev, off, n, 0)
}

// SeekData implements seeker. A hole is what reads as zeroes and takes no space.
func (f *deviceFile) SeekData(off int64, whence int) (int64, error) {
	size := f.tree.dev.Size()
	if off < 0 || off >= size {
		return 0, syscall.ENXIO
	}
	for e, err := range block.Extents(f.tree.dev, off, size-off) {
		if err != nil {
			return 0, err
		}
		if hole := e.Flags&block.Zero != 0; hole == (whence == unix.SEEK_HOLE) {
			return max(e.Off, off), nil
		}
	}
	if whence == unix.SEEK_HOLE {
		return size, nil
	}
	return 0, syscall.ENXIO
}
