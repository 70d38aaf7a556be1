package stack

import (
	"context"
	"errors"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
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

// OpenDisk opens the whole disk of an image and returns its format. It is
// OpenImage without partitions and copies, but with share; see OpenMedium.
// The disk of a qcow2 image is a *qcow2.Image.
func OpenDisk(ctx context.Context, name string, o ImageOptions, share bool) (block.Device, string, error) {
	if err := o.Check(); err != nil {
		return nil, "", err
	}
	if o.Partition != 0 || o.OffsetBytes != 0 || o.CopyOnWrite {
		return nil, "", &OptionError{"--partition", "a part of an image is not meant here"}
	}
	medium, err := OpenMedium(ctx, name, o.Writable, share)
	if err != nil {
		return nil, "", err
	}
	dev, format, err := openFormat(name, medium, &o)
	if err != nil {
		return nil, "", err
	}
	if o.Writable && block.LimitsOf(dev).ReadOnly {
		return nil, "", errors.Join(pathError("open", name, diskerr.ErrReadOnly), dev.Close())
	}
	return dev, format, nil
}

// FormatByName returns the format that a name stands for by its suffix, which
// may be one that is not handled.
func FormatByName(name string) string { return formatByName(name) }
