package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// Volume is a mounted file system. It is a vfs.FS with the capabilities of what
// is mounted; names are relative to its root.
//
// After it was unmounted every call is fs.ErrClosed.
type Volume struct {
	fsys        vfs.FS
	driver      Driver // nil for a tree that was attached
	source      *Source
	readOnly    bool
	deviceNames bool // names of DOS devices cannot be created

	gate   block.Gate      // counts the calls under way
	ctx    context.Context // of copies; ends with a forced unmount
	cancel context.CancelFunc

	mu     sync.Mutex
	files  *File // a list, the latest first
	open   int   // how long it is
	copies int
	closed bool // no more files and copies begin
}

func newVolume(fsys vfs.FS, d Driver, src *Source, deviceNames bool) *Volume {
	v := &Volume{fsys: fsys, driver: d, source: src, readOnly: src.ReadOnly, deviceNames: deviceNames}
	if r, ok := fsys.(ReadOnlyer); ok {
		v.readOnly = v.readOnly || r.ReadOnly()
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// Info describes a volume.
type Info struct {
	Description
	Driver   string // "" for a tree that was attached
	Source   string // what a person calls it
	ReadOnly bool
}

// Info describes the volume. With an error the fields that do not depend on
// the medium are valid.
func (v *Volume) Info() (Info, error) {
	i := Info{Source: v.source.Name, ReadOnly: v.readOnly}
	if v.driver != nil {
		i.Driver = v.driver.Name()
	}
	d, ok := v.fsys.(Describer)
	if !ok {
		return i, nil
	}
	err := v.do("info", ".", func() (err error) {
		i.Description, err = d.Describe()
		return err
	})
	return i, err
}

// ReadOnly reports whether every change is refused.
func (v *Volume) ReadOnly() bool { return v.readOnly }

// SetLabel changes the label; "" removes it. A volume without labels is
// errors.ErrUnsupported.
func (v *Volume) SetLabel(label string) error {
	return v.change("label", ".", func() error {
		if l, ok := v.fsys.(Labeler); ok {
			return l.SetLabel(label)
		}
		return errors.ErrUnsupported
	})
}

// do runs a call on the volume. Its error is a *fs.PathError.
func (v *Volume) do(op, name string, fn func() error) error {
	err := v.gate.Enter()
	if err == nil {
		err = fn()
		v.gate.Leave()
	}
	return about(op, name, err)
}

// about makes the error of an operation on name, which may be nil, a
// *fs.PathError.
func about(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*fs.PathError); ok {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// change is do for a call that changes the volume.
func (v *Volume) change(op, name string, fn func() error) error {
	if err := v.mayChange(); err != nil {
		return about(op, name, err)
	}
	return v.do(op, name, fn)
}

// create is change for a call that makes name.
func (v *Volume) create(op, name string, fn func() error) error {
	if err := v.mayCreate(name); err != nil {
		return about(op, name, err)
	}
	return v.do(op, name, fn)
}

// mayChange says why the volume cannot be changed.
func (v *Volume) mayChange() error {
	if v.readOnly {
		return diskerr.ErrReadOnly
	}
	return nil
}

// mayCreate says why name cannot be made.
func (v *Volume) mayCreate(name string) error {
	if v.deviceNames && deviceName(Path{Rest: name}.last()) != "" {
		return ErrDeviceName
	}
	return v.mayChange()
}

// register puts an open file into the list. It is false if the volume is being
// unmounted.
func (v *Volume) register(f *File) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	if f.next = v.files; f.next != nil {
		f.next.prev = f
	}
	v.files, f.listed = f, true
	v.open++
	return true
}

// forget takes a file out of the list. It is false if somebody else did so, who
// closes it.
func (v *Volume) forget(f *File) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !f.listed {
		return false
	}
	f.listed = false
	if f.prev == nil {
		v.files = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	}
	f.next, f.prev = nil, nil
	v.open--
	return true
}

// beginCopy keeps the volume mounted during a copy. After nil endCopy follows.
func (v *Volume) beginCopy() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return fs.ErrClosed
	}
	if err := v.gate.Enter(); err != nil {
		return err
	}
	v.copies++
	return nil
}

func (v *Volume) endCopy() {
	v.mu.Lock()
	v.copies--
	v.mu.Unlock()
	v.gate.Leave()
}

// stop refuses new files and copies. Without force it does so only if there are
// none.
func (v *Volume) stop(force bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case force:
		v.cancel()
	case v.open == 1:
		return &busyError{"1 file is open"}
	case v.open > 1:
		return &busyError{fmt.Sprintf("%d files are open", v.open)}
	case v.copies > 0:
		return &busyError{"a copy is running"}
	}
	v.closed = true
	return nil
}

// end closes what was stopped: it waits for the calls under way, closes the
// files that are open, and then the volume. The source stays open.
func (v *Volume) end() error {
	v.mu.Lock()
	open := v.files
	v.files, v.open = nil, 0
	for f := open; f != nil; f = f.next {
		f.listed = false
		v.gate.Leave()
	}
	v.mu.Unlock()
	err := v.gate.Close()
	for f := open; f != nil; f = f.next {
		err = errors.Join(err, f.inner.Close())
	}
	v.cancel()
	if c, ok := v.fsys.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// OpenFiles returns how many files of the volume are open.
func (v *Volume) OpenFiles() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

// Files lists the open files of the volume by name.
func (v *Volume) Files() []FileInfo {
	v.mu.Lock()
	var all []FileInfo
	for f := v.files; f != nil; f = f.next {
		all = append(all, f.describe())
	}
	v.mu.Unlock()
	slices.SortFunc(all, func(a, b FileInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
