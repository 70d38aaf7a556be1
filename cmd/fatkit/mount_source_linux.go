package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/stack/drivers"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

// othersTimeout is how long the kernel may believe what it was told of something
// that others change as well.
const othersTimeout = time.Second

// mountSource is what is mounted: a tree, or a device.
type mountSource struct {
	tree      vfs.FS
	device    block.Device
	readOnly  bool
	keepModes bool          // the tree has permissions
	timeout   time.Duration // 0 if nobody else changes it
	close     func() error
}

// specs returns the drives that the operands mean.
func (f *mountFlags) specs(operands []string) ([]stack.DriveSpec, error) {
	var specs []stack.DriveSpec
	for _, text := range operands {
		d, err := f.spec(text, len(operands) == 1)
		if err != nil {
			return nil, err
		}
		specs = append(specs, d)
	}
	return specs, nil
}

// spec returns the drive that an operand means. A single one can be any name; what
// is there under that name comes before a drive.
func (f *mountFlags) spec(text string, single bool) (stack.DriveSpec, error) {
	if letter := strings.TrimSuffix(text, ":"); len(letter) == 1 && letter != text {
		table, err := f.drives.table()
		if err != nil {
			return stack.DriveSpec{}, err
		}
		d, ok := table[letter[0]&^0x20]
		if !ok {
			return d, usageError("there is no drive %s: define it with --drive, or write %s=NAME", text, text)
		}
		return d, nil
	}
	if single {
		_, err := os.Stat(text)
		if err == nil || !strings.Contains(text, ":=") || stack.IsURI(text) || stack.IsFatName(text) {
			return stack.DriveSpec{Point: "A:", Letter: 'A', Name: text}, nil
		}
	}
	d, err := stack.ParseDrive(text)
	if err != nil {
		return d, &exitError{exitUsage, err}
	}
	return d, nil
}

// driveOptions returns how a drive is opened.
func (f *mountFlags) driveOptions(d stack.DriveSpec) (stack.FileSystemOptions, error) {
	writable := f.rw && d.Access != stack.AccessRead || d.Access == stack.AccessWrite || f.copyOnWrite
	if f.rw && d.Access == stack.AccessRead {
		return stack.FileSystemOptions{}, fmt.Errorf("%s: %w, by its definition", d.Point, diskerr.ErrReadOnly)
	}
	o, err := f.volumeFlags.options(writable)
	if err != nil {
		return o, err
	}
	o.Image.CopyOnWrite, o.Image.Reconnect = f.copyOnWrite, f.reconnect
	if d.Volume != (stack.VolumeChoice{}) {
		d.Volume.SectorBytes = o.Volume.SectorBytes
		o.Volume = d.Volume
	}
	if d.Format != "" {
		o.Image.Format = d.Format
	}
	o.Image.Warn = func(text string) { fmt.Fprintln(os.Stderr, "fatkit: warning: "+printable(d.Name+": "+text)) }
	return o, nil
}

// open opens what is to be mounted.
func (f *mountFlags) open(ctx context.Context, specs []stack.DriveSpec) (*mountSource, error) {
	if f.asFile != "" {
		return f.openDevice(ctx, specs[0])
	}
	registry := drivers.New(drivers.Options{CodePage: f.codePage, Location: f.zone})
	if err := registry.Unregister("raw"); err != nil { // bytes are what --as-file is for
		return nil, err
	}
	ns := volume.New(registry, volume.Options{})
	src := &mountSource{readOnly: true, keepModes: true, close: ns.Close}
	for _, d := range specs {
		if err := f.add(ctx, ns, d, src); err != nil {
			return nil, errors.Join(err, ns.Close())
		}
	}
	src.tree = ns.FS()
	if len(specs) == 1 {
		src.tree = ns.Mounts()[0].Volume
	}
	return src, nil
}

// add mounts a drive in the namespace.
func (f *mountFlags) add(ctx context.Context, ns *volume.Namespace, d stack.DriveSpec, into *mountSource) error {
	o, err := f.driveOptions(d)
	if err != nil {
		return err
	}
	src, err := drivers.Open(ctx, d.Name, o)
	if err != nil {
		return err
	}
	if err := ns.Mount(ctx, d.Point, src, d.Driver); err != nil {
		var none *volume.NoDriverError
		if errors.As(err, &none) {
			err = fmt.Errorf("%s: there is no file system that can be mounted: %w; --as-file shows the bytes as a file", d.Name, none)
		}
		if src.Close != nil {
			err = errors.Join(err, src.Close())
		}
		return err
	}
	for _, m := range ns.Mounts() {
		if m.Point != d.Point {
			continue
		}
		info, err := m.Volume.Info()
		if err != nil {
			return err
		}
		if o.Image.Writable && info.ReadOnly {
			return fmt.Errorf("%s: %w: a volume of type %s cannot be written to", d.Name, diskerr.ErrReadOnly, info.Type)
		}
		into.readOnly = into.readOnly && info.ReadOnly
		into.keepModes = into.keepModes && info.Driver != "fat"
		if info.Driver == "host" {
			into.timeout = othersTimeout
		}
	}
	return nil
}

// openDevice opens a disk, or the part of it that is asked for.
func (f *mountFlags) openDevice(ctx context.Context, d stack.DriveSpec) (*mountSource, error) {
	o, err := f.driveOptions(d)
	if err != nil {
		return nil, err
	}
	v, notFound, err := stack.OpenDiskOfVolume(ctx, d.Name, o)
	if err != nil {
		return nil, err
	}
	src := &mountSource{device: v.Disk, close: v.Close}
	if o.Volume.Partition != 0 || o.Volume.Offset {
		if src.device = v.Device; notFound != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", d.Name, notFound), v.Close())
		}
	}
	src.readOnly = !o.Image.Writable || block.LimitsOf(src.device).ReadOnly
	if stack.IsURI(d.Name) {
		src.timeout = othersTimeout
	}
	return src, nil
}
