package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/overlay"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/nbd"
)

// ImageOptions say how an image is opened, and what of it is meant. The zero
// value is the whole image for reading, in the format of its name.
type ImageOptions struct {
	// Format is FormatRaw or FormatQcow2; "" is what the name says.
	Format string
	// Writable opens the image for writing.
	Writable bool
	// CopyOnWrite shows a writable disk and leaves the image as it is: what is
	// written goes to a temporary file and is gone when the disk is closed.
	CopyOnWrite bool
	// Partition is the number of a partition: 1 to 4 and, in an extended one, 5
	// and up in an MBR, as Linux counts; the number of the entry in a GPT. 0
	// is the whole disk.
	Partition int
	// SectorBytes is the unit in which an MBR counts; 0 is 512. A GPT tells.
	SectorBytes int
	// OffsetBytes leaves out the bytes in front of it. It does not go with
	// Partition.
	OffsetBytes int64
	// Backing says which backing files of a qcow2 image are opened.
	Backing Backing
	// Connections is how many connections to an NBD server are used, where it
	// allows several; 0 is 4.
	Connections int
	// Reconnect is for how long a lost connection to an NBD server is opened
	// again; 0 lets requests fail at once.
	Reconnect time.Duration
	// Warn is told, before OpenImage returns, what is odd about the image
	// without being an error; may be nil.
	Warn func(text string)
}

// Backing says which backing files may be opened on the word of an image. They
// are only ever read.
type Backing struct {
	Deny bool   // none
	Root string // those beneath this folder; "" is the image's own folder
}

// defaultConnections is how many connections a server gets that allows
// several: enough to keep one at work while another waits.
const defaultConnections = 4

// writesImage reports whether the image itself is written to.
func (o *ImageOptions) writesImage() bool { return o.Writable && !o.CopyOnWrite }

// OptionError says that an option contradicts another or makes no sense.
type OptionError struct {
	Option string // the flag, such as "--partition"
	Reason string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }

// Check refuses what contradicts itself.
func (o *ImageOptions) Check() error {
	switch s := o.SectorBytes; {
	case o.Format != "" && o.Format != FormatRaw && o.Format != FormatQcow2:
		return &OptionError{"--format", fmt.Sprintf("%q is neither raw nor qcow2", o.Format)}
	case o.Partition < 0:
		return &OptionError{"--partition", "partitions are counted from 1"}
	case o.OffsetBytes < 0:
		return &OptionError{"--offset", "is negative"}
	case o.Partition > 0 && o.OffsetBytes > 0:
		return &OptionError{"--partition", "says where the disk begins, and so does --offset"}
	case s != 0 && s != 512 && s != 1024 && s != 2048 && s != 4096:
		return &OptionError{"--sector", fmt.Sprintf("a sector has 512, 1024, 2048 or 4096 bytes, not %d", s)}
	case s != 0 && o.Partition == 0:
		return &OptionError{"--sector", "says how the partition table of an image counts: without --partition nothing depends on it"}
	}
	return nil
}

// ImageFacts describe an open image.
type ImageFacts struct {
	Format      string `json:"format"`
	Partition   int    `json:"partition,omitempty"`
	OffsetBytes int64  `json:"offset_bytes"` // where the disk begins within the image
	CopyOnWrite bool   `json:"copy_on_write"`
}

// OpenImage opens the disk that a name and options mean. An image in a host
// file is locked against writers, and one that is written to against all
// others, as far as they take locks; QEMU does. A locked one is file.ErrLocked.
//
// ctx bounds the opening, not the use.
func OpenImage(ctx context.Context, name string, o ImageOptions) (block.Device, ImageFacts, error) {
	facts := ImageFacts{Partition: o.Partition, CopyOnWrite: o.CopyOnWrite}
	if err := o.Check(); err != nil {
		return nil, facts, err
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	dev, err := openMedium(ctx, name, &o)
	if err != nil {
		return nil, facts, err
	}
	if dev, facts.Format, err = openFormat(name, dev, &o); err != nil {
		return nil, facts, err
	}
	if dev, facts.OffsetBytes, err = openWindow(name, dev, &o); err != nil {
		return nil, facts, err
	}
	dev, err = openAccess(name, dev, &o)
	return dev, facts, err
}

// openMedium opens what the bytes of the image lie on.
func openMedium(ctx context.Context, name string, o *ImageOptions) (block.Device, error) {
	if !IsURI(name) {
		// Without O_NONBLOCK a pipe would hold us here, so look first.
		if fi, err := os.Stat(name); err != nil {
			return nil, pathError("open", name, err)
		} else if fi.IsDir() {
			return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory, not an image")}
		} else if m := fi.Mode(); !m.IsRegular() && (m&fs.ModeDevice == 0 || m&fs.ModeCharDevice != 0) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("neither a regular file nor a block device")}
		}
		return file.Open(name, file.Options{ReadOnly: !o.writesImage(), Lock: true})
	}
	if err := checkScheme(name); err != nil {
		return nil, err
	}
	d := nbd.Dialer{Connections: o.Connections, Reconnect: o.Reconnect}
	if d.Connections == 0 {
		d.Connections = defaultConnections
	}
	client, err := d.Dial(ctx, name)
	if err != nil {
		return nil, err // not client, which would be a nil that is not nil
	}
	return client, nil
}

// openWindow returns the part of dev that is meant, and where it begins. It
// owns dev.
func openWindow(name string, dev block.Device, o *ImageOptions) (block.Device, int64, error) {
	off, n := o.OffsetBytes, dev.Size()-o.OffsetBytes
	if o.Partition > 0 {
		p, err := FindPartition(dev, o.Partition, o.SectorBytes)
		if err != nil {
			return nil, 0, errors.Join(fmt.Errorf("%s: %w", name, err), dev.Close())
		}
		if p.Warning != "" {
			o.Warn(p.Warning)
		}
		off, n = p.OffsetBytes, p.LenBytes
	}
	if off == 0 && n == dev.Size() {
		return dev, 0, nil
	}
	if n <= 0 {
		err := &OptionError{"--offset", fmt.Sprintf("%d is not within %s, which has %d bytes", off, name, dev.Size())}
		return nil, 0, errors.Join(err, dev.Close())
	}
	section, err := block.NewSection(dev, off, n, block.SectionOptions{CloseDevice: true})
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w", name, err), dev.Close())
	}
	return section, off, nil
}

// openAccess makes dev writable or not, as was asked for. It owns dev.
func openAccess(name string, dev block.Device, o *ImageOptions) (block.Device, error) {
	switch readOnly := block.LimitsOf(dev).ReadOnly; {
	case o.CopyOnWrite:
		store, err := file.CreateTemp("", dev.Size())
		if err != nil {
			return nil, errors.Join(err, dev.Close())
		}
		over, err := overlay.New(dev, store, overlay.Options{CloseBase: true})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), store.Close(), dev.Close())
		}
		return over, nil
	case o.Writable && readOnly:
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: diskerr.ErrReadOnly}, dev.Close())
	case o.Writable || readOnly:
		return dev, nil
	}
	return block.ReadOnly(dev), nil
}

// pathError is err about path without what os put around it.
func pathError(op, path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// Image is a disk in a file, on a block device or on an NBD server. It has one
// generation, that which it is opened as. Its fields are not changed once it is
// in use.
type Image struct {
	Name    string // as OpenImage takes it; a path is absolute
	Options ImageOptions
}

var _ Source = (*Image)(nil)

// NewImage returns the image that name means. It opens nothing yet.
func NewImage(name string, o ImageOptions) (*Image, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if !IsURI(name) {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		name = abs
	}
	return &Image{name, o}, nil
}

// Path returns the absolute path or the URI of the image.
func (i *Image) Path() string { return i.Name }

// BaseName returns the name of the file, or of the export that a URI names, or
// "disk" for a default export.
func (i *Image) BaseName() string {
	if !IsURI(i.Name) {
		return filepath.Base(i.Name)
	}
	if u, err := url.Parse(i.Name); err == nil {
		if name := strings.TrimPrefix(u.Path, "/"); name != "" {
			return name
		}
	}
	return "disk"
}

// Generate opens the image. It returns prev if there is one: an image has its
// changes in itself.
func (i *Image) Generate(ctx context.Context, prev *Generation, report func(Event)) (*Generation, error) {
	if prev != nil {
		return prev, nil
	}
	began := time.Now()
	o, warnings := i.Options, 0
	o.Warn = func(text string) {
		warnings++
		report(Event{Note, i.Name, text})
	}
	dev, image, err := OpenImage(ctx, i.Name, o)
	if err != nil {
		return nil, err
	}
	facts := Facts{Image: &image, Warnings: warnings, Scanned: time.Now(), ScanTime: time.Since(began)}
	facts.SizeBytes = dev.Size()
	return &Generation{Device: dev, Facts: facts}, nil
}
