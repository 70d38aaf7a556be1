package main

import (
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/stack/drivers"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/volume"
)

// Drivers of volumes that this program asks for by name; see stack/drivers.
const (
	driverFAT  = "fat"
	driverHost = "host"
	driverRaw  = "raw"
)

// tree opens the tree that a location is in: the FAT volume of an image, or what
// else a driver knows, such as an archive. To show any medium as one file takes a
// drive that says so, since who named a damaged volume wants to hear of it.
func (s *session) tree(l stack.Location, writable bool) (vfs.FS, error) {
	driver := ""
	if l.Kind == stack.InDrive {
		driver = s.drives[l.Drive].Driver
		kind, err := stack.KindOf(l.Image)
		if err != nil {
			return nil, fmt.Errorf("drive %c: %w", l.Drive, err)
		}
		if kind == stack.KindDirectory && !stack.IsFatName(l.Image) && (driver == "" || driver == driverHost) {
			return s.directory(l, writable)
		}
	}
	if driver != "" && driver != driverFAT {
		return s.other(l, writable, driver)
	}
	v, err := s.volume(l, writable)
	if err == nil {
		return v, nil
	}
	if driver == "" && (errors.Is(err, diskerr.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported)) {
		tree, oerr := s.other(l, writable, "")
		if !errors.As(oerr, new(*volume.NoDriverError)) {
			return tree, oerr
		}
	}
	return nil, err
}

// directory opens the directory that a drive stands for.
func (s *session) directory(l stack.Location, writable bool) (vfs.FS, error) {
	if _, err := s.options(l, writable); err != nil { // a drive can be for reading alone
		return nil, err
	}
	tree, err := host.New(l.Image)
	if err != nil {
		return nil, fmt.Errorf("drive %c: %w", l.Drive, err)
	}
	s.close = append(s.close, tree.Close)
	return tree, nil
}

// other opens what is no FAT volume by the driver of that name, or by the one
// that knows it if that is "". It is opened once, however often somebody asks.
func (s *session) other(l stack.Location, writable bool, driver string) (vfs.FS, error) {
	o, err := s.options(l, writable)
	if err != nil {
		return nil, err
	}
	if s.others == nil {
		s.others = volume.New(drivers.New(drivers.Options{CodePage: o.Fat.CodePage, Location: o.Fat.Location}), volume.Options{})
		s.otherAt = map[otherKey]string{}
	}
	key := otherKey{l.Image, driver, o.Volume}
	point, ok := s.otherAt[key]
	if ok {
		at, err := s.others.Locate(point)
		return at.Volume(), err
	}
	point = fmt.Sprintf("/%d", len(s.otherAt))
	dev, err := s.mounts.Device(s.ctx, l.Image, o)
	if err != nil {
		return nil, err
	}
	src := &volume.Source{Name: l.Image, Device: dev, ReadOnly: block.LimitsOf(dev).ReadOnly, Close: dev.Close}
	if err := s.others.Mount(s.ctx, point, src, driver); err != nil {
		return nil, errors.Join(fileops.Unwrap(err), dev.Close())
	}
	at, err := s.others.Locate(point)
	if err != nil {
		return nil, err
	}
	if i, err := at.Volume().Info(); err == nil && driver == "" && i.Driver == driverRaw {
		return nil, errors.Join(&volume.NoDriverError{}, s.others.Unmount(point, false))
	}
	s.otherAt[key] = point
	return at.Volume(), nil
}

// otherKey is what tells apart what is no FAT volume.
type otherKey struct {
	image, driver string
	choice        stack.VolumeChoice
}
