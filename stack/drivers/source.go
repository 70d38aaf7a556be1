package drivers

import (
	"context"
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/volume"
)

// Open opens what a name means as the source of a volume: a directory, an
// image, a block device or a URI, or QEMU's name for a directory shown as a FAT
// disk. Of an image the options choose the volume; without a choice it is the only
// FAT volume that there is, or all of the image if there is none.
//
// o.Fat is for the driver; it is not used. ctx bounds the opening, not the use.
func Open(ctx context.Context, name string, o stack.FileSystemOptions) (*volume.Source, error) {
	src := &volume.Source{Name: name, ReadOnly: !o.Image.Writable}
	if stack.IsFatName(name) {
		v, err := stack.OpenVolume(ctx, name, o)
		if err != nil {
			return nil, err
		}
		src.Device, src.Start, src.Close = v.Device, v.Facts.OffsetBytes, v.Close
		return src, nil
	}
	kind, err := stack.KindOf(name)
	if err != nil {
		return nil, err
	}
	if kind == stack.KindDirectory {
		src.Dir = name
		if o.Volume != (stack.VolumeChoice{}) {
			return nil, &stack.OptionError{Option: "partition or offset", Reason: name + " is a directory, which has neither"}
		}
		return src, nil
	}
	dev, _, err := stack.OpenImage(ctx, name, o.Image)
	if err != nil {
		return nil, err
	}
	place, err := stack.FindVolume(dev, o.Volume)
	if o.Volume == (stack.VolumeChoice{}) && (errors.Is(err, diskerr.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported)) {
		place, err = stack.Partition{LenBytes: dev.Size()}, nil // no FAT: another driver may know it
	}
	if err == nil && place.LenBytes != dev.Size() {
		whole := dev
		dev, err = block.NewSection(whole, place.OffsetBytes, place.LenBytes, block.SectionOptions{CloseDevice: true})
		if err != nil {
			dev = whole
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), dev.Close())
	}
	src.Device, src.Start, src.Close = dev, place.OffsetBytes, dev.Close
	return src, nil
}
