package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fatkit/fatkit/block"
)

// wholeDisk is an open disk, of which volumes are parts.
type wholeDisk struct {
	name   string
	format string // as in VolumeFacts
	dev    block.Device
	beside func() error // gives back what dev stands on besides; may be nil
}

// Close closes the disk.
func (d *wholeDisk) Close() error {
	err := d.dev.Close()
	if d.beside != nil {
		err = errors.Join(err, d.beside())
	}
	return err
}

// openWholeDisk opens the disk that a name and the options but for o.Volume
// mean.
func openWholeDisk(ctx context.Context, name string, o *FileSystemOptions) (*wholeDisk, error) {
	if err := o.Volume.Check(); err != nil {
		return nil, err
	}
	kind, err := KindOf(name)
	if err != nil {
		return nil, err
	}
	if kind == KindDirectory {
		return openDirectory(ctx, name, o)
	}
	d := &wholeDisk{name: name}
	if o.Share {
		d.dev, d.format, err = OpenDisk(ctx, name, DiskOptions{Format: o.Image.Format, Writable: o.Image.Writable, Share: true, Backing: o.Image.Backing})
		return d, err
	}
	image := o.Image
	image.Partition, image.OffsetBytes, image.SectorBytes = 0, 0, 0
	dev, facts, err := OpenImage(ctx, name, image)
	d.dev, d.format = dev, facts.Format
	return d, err
}

// openDirectory opens the disk that a directory is shown as.
func openDirectory(ctx context.Context, name string, o *FileSystemOptions) (*wholeDisk, error) {
	if o.Image.Writable {
		return nil, fmt.Errorf("%s: a directory that is shown as a disk cannot be written to: change its files themselves", name)
	}
	path, shape := name, FatName{}
	if IsFatName(name) {
		var err error
		if shape, err = ParseFatName(name); err != nil {
			return nil, err
		}
		path = shape.Dir
	}
	dir, err := NewDirectory(path)
	if err != nil {
		return nil, err
	}
	dir.Layout.Location, dir.Layout.CodePage = o.Fat.Location, o.Fat.CodePage
	if dir.Layout.Location == nil {
		dir.Layout.Location = time.Local // as the mount reads it
	}
	if IsFatName(name) {
		shape.Shape(&dir.Layout)
	}
	g, err := dir.Generate(ctx, nil, func(e Event) {
		if o.Image.Warn != nil {
			o.Image.Warn(e.Path + ": " + e.Text)
		}
	})
	if err != nil {
		return nil, err
	}
	return &wholeDisk{name: name, format: formatDirectory, dev: g.Device, beside: g.release}, nil
}

// volume returns the part of the disk that o.Volume means. Closing it leaves
// the disk open. Its errors do not name the disk.
func (d *wholeDisk) volume(o *FileSystemOptions) (*block.Section, VolumeFacts, error) {
	facts := VolumeFacts{Name: d.name, Format: d.format, DiskBytes: d.dev.Size()}
	p, err := FindVolume(d.dev, o.Volume)
	if err != nil {
		return nil, facts, err
	}
	if p.Warning != "" && o.Image.Warn != nil {
		o.Image.Warn(p.Warning)
	}
	facts.Table, facts.Partition = p.Table, p.Number
	facts.OffsetBytes, facts.SizeBytes = p.OffsetBytes, p.LenBytes
	section, err := block.NewSection(d.dev, p.OffsetBytes, p.LenBytes, block.SectionOptions{ReadOnly: !o.Image.Writable})
	if err != nil {
		return nil, facts, err
	}
	return section, facts, nil
}
