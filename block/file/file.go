// Package file is a disk in a host file or on a host's block device.
//
// On Linux it frees and zeroes ranges in place (fallocate), tells holes from
// data (SEEK_HOLE), shares blocks with other files or has a file server copy
// them (copy_file_range, on file systems that may gain by it), answers
// reads from the page cache without waiting (RWF_NOWAIT), and makes single
// writes durable (RWF_DSYNC). What a host or a file system lacks falls back to
// plain reads, writes and syncs, and is remembered, so that it is tried once.
//
// Guarantees: writes that returned before Flush was called are on stable
// storage when it returns, as far as the host's fdatasync keeps its word.
// Concurrent flushes share syncs. After a sync failed the kernel may have
// dropped the written data, so every later write and flush is refused with the
// same error until the file is opened again; reads go on.
//
// A segment of a device is a range of the file itself. It shows writes that
// are made before it is consumed. The file stays open until the device is
// closed and every segment is released.
package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// ErrLocked says that another program has the file open in a way that excludes
// the wanted one.
var ErrLocked = errors.New("in use by another program")

// Options tune Open, Create and New.
type Options struct {
	// ReadOnly opens the file for reading and refuses every change.
	ReadOnly bool
	// Lock keeps others from writing the file while it is open, and from
	// reading it while it is open for writing, as far as they take locks as
	// well: other programs of this package, and QEMU. A file that is locked
	// already is ErrLocked. Hosts and file systems without such locks give
	// none.
	Lock bool
	// WriteBehind has the host begin early to carry to the medium what is
	// written, so that little is left for Flush to wait for. It is for a file
	// that is written once, from one end to the other, and flushed. Where the
	// host cannot, or the file lives in memory, it changes nothing.
	WriteBehind bool
	// Overwrite lets Create replace the contents of an existing file.
	Overwrite bool
}

// Device is a disk in a file. Its methods may be called concurrently.
type Device struct {
	gate     block.Gate
	h        *handle
	size     atomic.Int64
	readOnly bool
	temp     bool // vanishes with its handle, so there is nothing to sync
	limits   block.Limits
	sys      system
	behind   behind

	syncs  block.SyncGroup
	failed atomic.Pointer[error] // of the first sync that failed
	fuas   atomic.Int32          // calls of WriteAtFUA under way
}

var (
	_ block.Device       = (*Device)(nil)
	_ block.Zeroer       = (*Device)(nil)
	_ block.Discarder    = (*Device)(nil)
	_ block.FUAWriter    = (*Device)(nil)
	_ block.Extenter     = (*Device)(nil)
	_ block.Segmenter    = (*Device)(nil)
	_ block.FileWriter   = (*Device)(nil)
	_ block.CachedReader = (*Device)(nil)
	_ block.Resizer      = (*Device)(nil)
	_ block.Limiter      = (*Device)(nil)
)

// handle is the open file, shared by the device and its segments. The last one
// to release it closes it.
type handle struct {
	f      *os.File
	refs   atomic.Int64
	remove string // path to remove after closing, or empty
	err    error  // of closing
}

// Release gives back one reference.
func (h *handle) Release() {
	if h.refs.Add(-1) > 0 {
		return
	}
	h.err = h.f.Close()
	if h.remove != "" {
		h.err = errors.Join(h.err, os.Remove(h.remove))
	}
}

// Open opens an existing file or block device.
func Open(path string, o Options) (*Device, error) {
	mode := os.O_RDWR
	if o.ReadOnly {
		mode = os.O_RDONLY
	}
	return open(path, mode, o)
}

// Create makes a file of sizeBytes zeroes, without allocating them. A file that
// exists is an error unless Options.Overwrite is set.
func Create(path string, sizeBytes int64, o Options) (*Device, error) {
	if o.ReadOnly {
		return nil, &fs.PathError{Op: "create", Path: path, Err: diskerr.ErrReadOnly}
	}
	mode := os.O_RDWR | os.O_CREATE
	if !o.Overwrite {
		mode |= os.O_EXCL
	}
	d, err := open(path, mode, o) // truncates nothing before it is locked
	if err != nil {
		return nil, err
	}
	err = d.Resize(0)
	if err == nil {
		err = d.Resize(sizeBytes)
	}
	if err != nil {
		d.Close()
		if !o.Overwrite {
			os.Remove(path)
		}
		return nil, err
	}
	return d, nil
}

// CreateTemp makes a file of sizeBytes zeroes in the folder dir, or in the
// system's folder for temporary files if dir is empty. It vanishes when it is
// closed; where the host can, it has no name from the beginning. Flush is free.
func CreateTemp(dir string, sizeBytes int64) (*Device, error) {
	f, err := os.CreateTemp(dir, "fatkit-*.tmp")
	if err != nil {
		return nil, err
	}
	removed := os.Remove(f.Name()) == nil
	d, err := New(f, Options{})
	if err != nil {
		f.Close()
		if !removed {
			os.Remove(f.Name())
		}
		return nil, err
	}
	if !removed {
		d.h.remove = f.Name()
	}
	d.temp = true
	if err := d.Resize(sizeBytes); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func open(path string, mode int, o Options) (*Device, error) {
	f, err := os.OpenFile(path, mode, 0o666)
	if err != nil {
		return nil, err
	}
	d, err := New(f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// New returns a device on an open file, which belongs to the device from then
// on; after an error it still belongs to the caller. Options.ReadOnly has to
// match the mode of f.
func New(f *os.File, o Options) (*Device, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	switch mode := info.Mode(); {
	case mode.IsRegular():
	case mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		if size, err = f.Seek(0, io.SeekEnd); err != nil {
			return nil, err
		}
	default:
		return nil, &fs.PathError{Op: "open", Path: f.Name(), Err: errors.New("neither a regular file nor a block device")}
	}
	if o.Lock {
		if err := lock(f, o.ReadOnly); err != nil {
			return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
	}
	d := &Device{h: &handle{f: f}, readOnly: o.ReadOnly}
	d.h.refs.Store(1)
	d.size.Store(size)
	d.limits = d.sys.init(f, size, o.ReadOnly)
	d.behind.on = o.WriteBehind && !o.ReadOnly
	return d, nil
}

// Path returns the name that the file was opened by.
func (d *Device) Path() string { return d.h.f.Name() }

// Size returns the size in bytes. A file that others lengthen or shorten keeps
// the size that it had here.
func (d *Device) Size() int64 { return d.size.Load() }

// Limits returns what the file's host and file system can do.
func (d *Device) Limits() block.Limits { return d.limits }

// Resize changes the size of the file. A block device is
// errors.ErrUnsupported.
func (d *Device) Resize(sizeBytes int64) error {
	if err := d.enterWrite(0, 0); err != nil {
		return err
	}
	defer d.gate.Leave()
	if sizeBytes < 0 {
		return diskerr.ErrOutOfRange
	}
	if info, err := d.h.f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: resize of a block device: %w", d.Path(), errors.ErrUnsupported)
	}
	old := d.size.Load()
	if sizeBytes < old {
		d.size.Store(sizeBytes) // from now on nobody writes beyond
	}
	if err := d.h.f.Truncate(sizeBytes); err != nil {
		d.size.Store(old)
		return d.writeError(err)
	}
	d.size.Store(sizeBytes)
	return nil
}

// Close flushes the file and closes it, or leaves that to the last segment if
// some are not released yet. A lock on the file ends either way.
func (d *Device) Close() error {
	if err := d.gate.Close(); err != nil {
		return err
	}
	err := d.flush()
	unlock(d.h.f)
	if d.h.refs.Load() > 1 {
		d.h.Release()
		return err
	}
	d.h.Release()
	return errors.Join(err, d.h.err)
}

// enterWrite begins a change of [off, off+n). After nil the caller leaves the
// gate.
func (d *Device) enterWrite(off, n int64) error {
	if err := d.gate.Enter(); err != nil {
		return err
	}
	err := d.checkWrite(off, n)
	if err != nil {
		d.gate.Leave()
	}
	return err
}

func (d *Device) checkWrite(off, n int64) error {
	if d.readOnly {
		return diskerr.ErrReadOnly
	}
	if failed := d.failed.Load(); failed != nil {
		return *failed
	}
	return block.CheckRange(off, n, d.Size())
}
