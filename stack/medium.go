package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/qcow2"
)

// OpenMedium opens the bytes of an image, whatever their format. Without
// writable nothing can be written. A file is locked as OpenImage does it; share
// leaves the lock out, for a look at an image that another program is writing.
func OpenMedium(ctx context.Context, name string, writable, share bool) (block.Device, error) {
	if writable && share {
		return nil, &OptionError{"--force-share", "is for reading only"}
	}
	if !share || IsURI(name) {
		return openMedium(ctx, name, &ImageOptions{Writable: writable})
	}
	if kind, err := KindOf(name); err != nil {
		return nil, err
	} else if kind == KindDirectory {
		return nil, pathError("open", name, errors.New("is a directory, not an image"))
	}
	return file.Open(name, file.Options{ReadOnly: true})
}

// FormatOf returns the format of the image name whose bytes dev holds: format,
// or if that is empty what the name says. A *MagicError says that the bytes
// disagree with the name.
func FormatOf(name, format string, dev block.Device) (string, error) {
	if format == "" {
		return guessFormat(name, dev)
	}
	o := ImageOptions{Format: format}
	return format, o.Check()
}

// DiskOptions say how OpenDisk opens a disk.
type DiskOptions struct {
	Format   string // as in ImageOptions
	Writable bool
	Share    bool    // take no lock; see OpenMedium
	Backing  Backing // which backing files are opened
	// NoBacking leaves the backing file alone: what is not in the image itself
	// reads as zeroes.
	NoBacking bool
	Snapshot  string // the internal snapshot of a qcow2 image with this ID or name, for reading
}

// OpenDisk opens the whole disk of an image and returns its format. The disk
// of a qcow2 image is a *qcow2.Image.
func OpenDisk(ctx context.Context, name string, o DiskOptions) (block.Device, string, error) {
	medium, err := OpenMedium(ctx, name, o.Writable, o.Share)
	if err != nil {
		return nil, "", err
	}
	dev, format, err := openDisk(name, medium, o)
	if err != nil {
		return nil, "", errors.Join(err, medium.Close())
	}
	if o.Writable && block.LimitsOf(dev).ReadOnly {
		return nil, "", errors.Join(pathError("open", name, diskerr.ErrReadOnly), dev.Close())
	}
	return dev, format, nil
}

// openDisk returns the disk that medium holds. After an error medium still
// belongs to the caller.
func openDisk(name string, medium block.Device, o DiskOptions) (block.Device, string, error) {
	format, err := FormatOf(name, o.Format, medium)
	switch {
	case err != nil:
		return nil, "", err
	case format == FormatRaw && o.Snapshot != "":
		return nil, "", &OptionError{"--snapshot", "a raw image has no snapshots"}
	case format == FormatRaw:
		return medium, format, nil
	}
	options := qcow2.Options{ReadOnly: !o.Writable, Discard: true, Snapshot: o.Snapshot, NoBacking: o.NoBacking}
	if !IsURI(name) && !o.Backing.Deny {
		opener, err := qcow2.NewFileOpener(name, o.Backing.Root)
		if err != nil {
			return nil, "", err
		}
		defer opener.Close() // it is for opening alone; what it opened stays
		options.Backing = opener.Open
	}
	image, err := qcow2.Open(medium, options)
	if errors.Is(err, qcow2.ErrBackingRefused) {
		err = fmt.Errorf("%w: see --backing", err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	return image, format, nil
}

// FormatByName returns the format that a name stands for by its suffix, which
// may be one that is not handled.
func FormatByName(name string) string { return formatByName(name) }
