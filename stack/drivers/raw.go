package drivers

import (
	"context"
	"io"
	"io/fs"
	"math"
	"sync"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

// rawDriver shows a device as one file.
type rawDriver struct{}

// Name implements volume.Driver.
func (rawDriver) Name() string { return "raw" }

// Probe implements volume.Driver.
func (rawDriver) Probe(_ context.Context, src *volume.Source) (volume.Confidence, string) {
	if src.Device == nil {
		return volume.Cannot, "no device"
	}
	return volume.LastResort, "bytes"
}

// Mount implements volume.Driver.
func (rawDriver) Mount(_ context.Context, src *volume.Source) (vfs.FS, error) {
	return &rawVolume{src.Device}, nil
}

// rawName is what the file is called.
const rawName = "disk.img"

// rawVolume is a directory with one file, of a size that does not change.
type rawVolume struct{ dev block.Device }

var (
	_ fs.StatFS         = (*rawVolume)(nil)
	_ vfs.UsageFS       = (*rawVolume)(nil)
	_ vfs.SyncFS        = (*rawVolume)(nil)
	_ volume.Describer  = (*rawVolume)(nil)
	_ volume.ReadOnlyer = (*rawVolume)(nil)
)

// Describe implements volume.Describer.
func (v *rawVolume) Describe() (volume.Description, error) {
	return volume.Description{Type: "raw"}, nil
}

// ReadOnly implements volume.ReadOnlyer.
func (v *rawVolume) ReadOnly() bool { return block.LimitsOf(v.dev).ReadOnly }

// Usage implements vfs.UsageFS.
func (v *rawVolume) Usage() (vfs.Usage, error) {
	return vfs.Usage{BlockBytes: int64(max(block.LimitsOf(v.dev).MinBlock, 1)), TotalBytes: v.dev.Size()}, nil
}

// Sync implements vfs.SyncFS.
func (v *rawVolume) Sync() error { return v.dev.Flush() }

// find returns what name is.
func (v *rawVolume) find(op, name string) (rawInfo, error) {
	switch {
	case !fs.ValidPath(name):
		return rawInfo{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	case name == "." || name == rawName:
		return rawInfo{name, v.dev.Size()}, nil
	}
	return rawInfo{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Stat implements fs.StatFS.
func (v *rawVolume) Stat(name string) (fs.FileInfo, error) {
	i, err := v.find("stat", name)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Open implements fs.FS.
func (v *rawVolume) Open(name string) (fs.File, error) {
	f, err := v.OpenFile(name, 0, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile implements vfs.FS. To empty the file does nothing, as on a device of
// the host.
func (v *rawVolume) OpenFile(name string, flag int, _ fs.FileMode) (vfs.File, error) {
	flags, err := vfs.ParseFlags(flag)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	i, err := v.find("open", name)
	switch {
	case err != nil && flags.Create && fs.ValidPath(name):
		err = v.refuse("open", name)
	case err == nil && flags.Exclusive:
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case err == nil && i.IsDir() && flags.Write:
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return nil, err
	}
	return &rawFile{dev: v.dev, info: i, flags: flags}, nil
}

// refuse is the answer to changes of the directory.
func (v *rawVolume) refuse(op, name string) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
}

// Mkdir refuses.
func (v *rawVolume) Mkdir(name string, _ fs.FileMode) error { return v.refuse("mkdir", name) }

// Remove refuses.
func (v *rawVolume) Remove(name string) error { return v.refuse("remove", name) }

// Rename refuses.
func (v *rawVolume) Rename(oldName, _ string) error { return v.refuse("rename", oldName) }

// rawInfo describes the file, or the directory.
type rawInfo struct {
	name string
	size int64
}

func (i rawInfo) Name() string     { return i.name }
func (rawInfo) ModTime() time.Time { return time.Time{} }
func (i rawInfo) IsDir() bool      { return i.name == "." }
func (rawInfo) Sys() any           { return nil }

func (i rawInfo) Size() int64 {
	if i.IsDir() {
		return 0
	}
	return i.size
}

func (i rawInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o777
	}
	return 0o666
}

// rawFile is the open file, or directory.
type rawFile struct {
	dev   block.Device
	info  rawInfo
	flags vfs.Flags

	mu     sync.Mutex
	at     int64
	listed bool
	closed bool
}

var (
	_ vfs.File       = (*rawFile)(nil)
	_ fs.ReadDirFile = (*rawFile)(nil)
)

// may says why a call cannot be. A directory has no content.
func (f *rawFile) may(op string, content, write bool) error {
	var err error
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	switch {
	case closed:
		err = fs.ErrClosed
	case content && (f.info.IsDir() || write && !f.flags.Write || !write && !f.flags.Read):
		err = fs.ErrInvalid
	}
	return f.fail(op, err)
}

func (f *rawFile) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &fs.PathError{Op: op, Path: f.info.name, Err: err}
}

func (f *rawFile) Stat() (fs.FileInfo, error) { return f.info, f.may("stat", false, false) }

func (f *rawFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.may("read", true, false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, f.fail("read", fs.ErrInvalid)
	}
	n := min(int64(len(p)), max(f.info.size-off, 0))
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	if err := block.ReadFull(f.dev, p[:n], off); err != nil {
		return 0, f.fail("read", err)
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (f *rawFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.may("write", true, true); err != nil {
		return 0, err
	}
	if off < 0 || f.flags.Append {
		return 0, f.fail("write", fs.ErrInvalid)
	}
	return f.write(p, off)
}

// write writes what fits.
func (f *rawFile) write(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), max(f.info.size-off, 0))
	done, err := f.dev.WriteAt(p[:n], off)
	if err == nil && n < int64(len(p)) {
		err = &diskerr.NoSpaceError{What: "device", Needed: off + int64(len(p)), Available: f.info.size}
	}
	return done, f.fail("write", err)
}

func (f *rawFile) Read(p []byte) (int, error) {
	if err := f.may("read", true, false); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(int64(len(p)), max(f.info.size-f.at, 0))
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	err := block.ReadFull(f.dev, p[:n], f.at)
	if err != nil {
		return 0, f.fail("read", err)
	}
	f.at += n
	return int(n), nil
}

func (f *rawFile) Write(p []byte) (int, error) {
	if err := f.may("write", true, true); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flags.Append {
		f.at = f.info.size
	}
	n, err := f.write(p, f.at)
	f.at += int64(n)
	return n, err
}

func (f *rawFile) Seek(off int64, whence int) (int64, error) {
	if err := f.may("seek", false, false); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	base := int64(0)
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		base = f.at
	case io.SeekEnd:
		base = f.info.size
	default:
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	if off > math.MaxInt64-base || base+off < 0 {
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	f.at = base + off
	return f.at, nil
}

// Truncate refuses to change the size.
func (f *rawFile) Truncate(size int64) error {
	err := f.may("truncate", true, true)
	if err == nil && size != f.info.size {
		err = f.fail("truncate", fs.ErrInvalid)
	}
	return err
}

func (f *rawFile) Sync() error {
	if err := f.may("sync", false, false); err != nil {
		return err
	}
	return f.fail("sync", f.dev.Flush())
}

func (f *rawFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := f.may("readdir", false, false); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.info.IsDir():
		return nil, f.fail("readdir", fs.ErrInvalid)
	case !f.listed:
		f.listed = true
		return []fs.DirEntry{fs.FileInfoToDirEntry(rawInfo{rawName, f.info.size})}, nil
	case n > 0:
		return nil, io.EOF
	}
	return []fs.DirEntry{}, nil
}

func (f *rawFile) Close() error {
	if err := f.may("close", false, false); err != nil {
		return err
	}
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	return nil
}
