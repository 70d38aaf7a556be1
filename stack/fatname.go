package stack

import (
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/vvfat"
)

// FatPrefix opens a name in QEMU's form for a directory shown as a FAT disk.
const FatPrefix = "fat:"

// FatName is a name such as fat:16:floppy:/some/dir, taken apart.
type FatName struct {
	Bits   int    // 12, 16 or 32; 0 if the name does not say
	Floppy bool   // a floppy disk, without a partition table
	RW     bool   // the guest may write
	Dir    string // the directory, as written
}

// IsFatName reports whether name has QEMU's form for a directory.
func IsFatName(name string) bool { return strings.HasPrefix(name, FatPrefix) }

// ParseFatName takes a name that begins with "fat:" apart. The options 12, 16,
// 32, floppy and rw come in any order; what follows the last recognised option
// is the directory, colons included. A directory that itself begins with an
// option's name is written with "./" in front.
//
// QEMU documents the form in "Disk Images", section "Virtual FAT disk images".
func ParseFatName(name string) (FatName, error) {
	rest, ok := strings.CutPrefix(name, FatPrefix)
	if !ok {
		return FatName{}, fmt.Errorf("%q does not begin with %q", name, FatPrefix)
	}
	var n FatName
	for {
		option, after, found := strings.Cut(rest, ":")
		if !found {
			break
		}
		taken, err := n.take(option)
		if err != nil {
			return FatName{}, fmt.Errorf("%s: %w", name, err)
		}
		if !taken {
			break
		}
		rest = after
	}
	if rest == "" {
		return FatName{}, fmt.Errorf("%s: names no directory: write fat:[12|16|32:][floppy:][rw:]DIR", name)
	}
	n.Dir = rest
	return n, nil
}

// Shape gives a disk the form that QEMU gives to the name: a hard disk of FAT16
// if the name says nothing; on a floppy FAT12, of 1440 KiB if the name says 12
// and else of 2880. A type that o has stays if the name has none.
func (n *FatName) Shape(o *vvfat.Options) {
	o.QEMU = true
	if n.Bits != 0 {
		o.FAT = n.Bits
	}
	switch {
	case n.Floppy && o.FAT == 12:
		o.FloppyKiB = 1440
	case n.Floppy:
		o.FloppyKiB = 2880
	}
	switch {
	case o.FAT != 0:
	case n.Floppy:
		o.FAT = 12
	default:
		o.FAT = 16
	}
}

// take records one option and reports whether it is one.
func (n *FatName) take(option string) (bool, error) {
	bits := 0
	switch option {
	case "12":
		bits = 12
	case "16":
		bits = 16
	case "32":
		bits = 32
	case "floppy":
		n.Floppy = true
		return true, nil
	case "rw":
		n.RW = true
		return true, nil
	default:
		return false, nil
	}
	if n.Bits != 0 && n.Bits != bits {
		return false, fmt.Errorf("asks for FAT%d and FAT%d at once", n.Bits, bits)
	}
	n.Bits = bits
	return true, nil
}

// WantsWrites reports whether a source's name itself asks for a writable disk,
// as fat:rw:DIR does.
func WantsWrites(name string) bool {
	if !IsFatName(name) {
		return false
	}
	n, err := ParseFatName(name)
	return err == nil && n.RW
}
