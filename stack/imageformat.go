package stack

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/qcow2"
)

// The formats of images.
const (
	FormatRaw   = "raw"
	FormatQcow2 = "qcow2"
)

// suffixes are the formats that names end in. Names with another suffix, or
// none, are raw.
var suffixes = map[string]string{
	".qcow2": FormatQcow2, ".qcow": FormatQcow2,
	".vmdk": "VMDK", ".vhdx": "VHDX", ".vhd": "VHD", ".vpc": "VHD", ".vdi": "VDI", ".qed": "QED",
}

// magics are the bytes by which images of a format are recognised: for qcow2
// QEMU's docs/interop/qcow2.rst, "Header"; for QED docs/specs/qed_spec.rst; for
// VMDK "Virtual Disk Format 5.0", section "Hosted Sparse Extents"; for VHDX
// [MS-VHDX] 2.2.1 "File Type Identifier"; for VHD the copy of the footer that
// "Virtual Hard Disk Image Format Specification", section "Hard Disk Footer
// Format", puts in front of images that grow.
var magics = []struct {
	format string
	offset int
	bytes  string
}{
	{FormatQcow2, 0, "QFI\xfb"},
	{"QED", 0, "QED\x00"},
	{"VMDK", 0, "KDMV"},
	{"VMDK", 0, "# Disk DescriptorFile"},
	{"VHDX", 0, "vhdxfile"},
	{"VHD", 0, "conectix"},
	{"VDI", 64, "\x7f\x10\xda\xbe"},
}

// magicBytes is how much of an image holds every magic.
const magicBytes = 68

// MagicError says that the first bytes of an image and its name, or the lack
// of a telling name, disagree about its format. Only its owner can tell which
// is right.
type MagicError struct {
	Name string // of the image
	Says string // the format by its name
	Has  string // the format by its contents; "" if they are of none that is known
}

func (e *MagicError) Error() string {
	switch {
	case e.Says != FormatRaw:
		return fmt.Sprintf("%s: the name says %s, but the contents do not begin like that: say --format raw if these are the bytes of a disk", e.Name, e.Says)
	case e.Has == FormatQcow2:
		return fmt.Sprintf("%s: begins like a qcow2 image, but nothing else says that it is one: say --format qcow2, or --format raw if these are the bytes of a disk", e.Name)
	}
	return fmt.Sprintf("%s: begins like a %s image, which cannot be read: say --format raw if these are the bytes of a disk", e.Name, e.Has)
}

// Is reports whether target is diskerr.ErrCorrupt.
func (e *MagicError) Is(target error) bool { return target == diskerr.ErrCorrupt }

// formatByName returns the format that a name stands for. A URI names an
// export, which is a disk already.
func formatByName(name string) string {
	if IsURI(name) {
		return FormatRaw
	}
	if format := suffixes[strings.ToLower(filepath.Ext(name))]; format != "" {
		return format
	}
	return FormatRaw
}

// openFormat returns the disk that dev holds. It owns dev.
func openFormat(name string, dev block.Device, o *ImageOptions) (block.Device, string, error) {
	format := o.Format
	if format == "" {
		var err error
		if format, err = guessFormat(name, dev); err != nil {
			return nil, "", errors.Join(err, dev.Close())
		}
	}
	switch format {
	case FormatRaw:
		return dev, format, nil
	case FormatQcow2:
		image, err := openQcow2(name, dev, o)
		return image, format, err
	}
	err := &diskerr.FeatureError{Format: format, Names: []string{"images of this format; say --format raw if these are the bytes of a disk"}}
	return nil, "", errors.Join(fmt.Errorf("%s: %w", name, err), dev.Close())
}

// guessFormat returns the format that the name says, if the contents agree.
func guessFormat(name string, dev block.Device) (string, error) {
	says := formatByName(name)
	has, err := magicOf(dev)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case says == FormatRaw && has != "", says == FormatQcow2 && has != FormatQcow2:
		return "", &MagicError{Name: name, Says: says, Has: has}
	}
	return says, nil
}

// magicOf returns the format that the first bytes of dev are known to begin,
// or "".
func magicOf(dev block.Device) (string, error) {
	p := make([]byte, min(magicBytes, dev.Size()))
	if _, err := dev.ReadAt(p, 0); err != nil && err != io.EOF {
		return "", err
	}
	for _, m := range magics {
		if len(p) >= m.offset && strings.HasPrefix(string(p[m.offset:]), m.bytes) {
			return m.format, nil
		}
	}
	return "", nil
}

// openQcow2 opens the qcow2 image in dev. It owns dev.
func openQcow2(name string, dev block.Device, o *ImageOptions) (block.Device, error) {
	options := qcow2.Options{ReadOnly: !o.writesImage(), Discard: true}
	if !IsURI(name) && !o.Backing.Deny {
		opener, err := qcow2.NewFileOpener(name, o.Backing.Root)
		if err != nil {
			return nil, errors.Join(err, dev.Close())
		}
		defer opener.Close() // it is for opening alone; what it opened stays
		options.Backing = opener.Open
	}
	image, err := qcow2.Open(dev, options)
	if errors.Is(err, qcow2.ErrBackingRefused) {
		err = fmt.Errorf("%w: see --backing", err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), dev.Close())
	}
	return image, nil
}
