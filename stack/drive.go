package stack

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// DriveSpec is what a drive letter, or a place in a tree of mounts, stands for.
type DriveSpec struct {
	Point  string // "C:", or a rooted path with slashes
	Letter byte   // 'A' to 'Z'; 0 for a path
	// Name is what OpenFileSystem or a volume's driver opens.
	Name   string
	Volume VolumeChoice
	Format string // FormatRaw or FormatQcow2; "" is what the name says
	Driver string // which driver of volumes takes it; "" leaves that open
	Access Access
}

// Access says whether a drive can be written to.
type Access uint8

const (
	// AccessDefault leaves it to who opens the drive.
	AccessDefault Access = iota
	// AccessRead is for reading alone.
	AccessRead
	// AccessWrite is for writing as well.
	AccessWrite
)

// driveForm is the form of a drive, for messages.
const driveForm = "write LETTER=NAME[,partition=N][,offset=BYTES][,format=raw|qcow2][,driver=NAME][,ro|rw]"

// ParseDrive reads a drive such as
//
//	a=floppy.img    c:=disk.qcow2,partition=2    /mnt/x=nbd://host/export,ro
//
// What stands at the end and has the form of an option is one; a name that ends
// like that is written with a comma behind it.
func ParseDrive(text string) (DriveSpec, error) {
	point, rest, ok := strings.Cut(text, "=")
	if !ok {
		return DriveSpec{}, fmt.Errorf("%q is no drive: %s", text, driveForm)
	}
	d, err := ParseDriveName(rest)
	if err != nil {
		return d, fmt.Errorf("%s: %w", text, err)
	}
	letter := strings.TrimSuffix(point, ":")
	switch {
	case len(letter) == 1 && isLetter(letter[0]):
		d.Letter = letter[0] &^ 0x20
		d.Point = string(d.Letter) + ":"
	case strings.HasPrefix(point, "/"):
		d.Point = path.Clean(point)
	default:
		return d, fmt.Errorf("%q is neither a drive letter nor a path: %s", point, driveForm)
	}
	return d, nil
}

// ParseDriveName reads what stands behind the "=" of a drive: a name and options.
func ParseDriveName(text string) (DriveSpec, error) {
	d := DriveSpec{Name: text}
	for {
		i := strings.LastIndexByte(d.Name, ',')
		if i < 0 {
			break
		}
		option := d.Name[i+1:]
		taken, err := d.take(option)
		if err != nil {
			return d, err
		}
		if taken || option == "" {
			d.Name = d.Name[:i]
		}
		if !taken {
			break
		}
	}
	if d.Name == "" {
		return d, fmt.Errorf("names nothing: %s", driveForm)
	}
	return d, nil
}

// take records one option and reports whether it is one.
func (d *DriveSpec) take(option string) (bool, error) {
	key, value, _ := strings.Cut(option, "=")
	switch key {
	case "partition":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return false, fmt.Errorf("%q: partitions are counted from 1", option)
		}
		d.Volume.Partition = n
	case "offset":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			return false, fmt.Errorf("%q: an offset is a number of bytes", option)
		}
		d.Volume.Offset, d.Volume.OffsetBytes = true, n
	case "format":
		if value != FormatRaw && value != FormatQcow2 {
			return false, fmt.Errorf("%q: a format is raw or qcow2", option)
		}
		d.Format = value
	case "driver":
		if value == "" {
			return false, fmt.Errorf("%q names no driver", option)
		}
		d.Driver = value
	case "ro", "rw":
		if option != key {
			return false, nil
		}
		d.Access = AccessRead
		if key == "rw" {
			d.Access = AccessWrite
		}
	default:
		return false, nil
	}
	return true, nil
}

// Options returns how the drive is opened, for writing if that is allowed and
// the drive does not say otherwise.
func (d *DriveSpec) Options(writable bool) FileSystemOptions {
	o := FileSystemOptions{Volume: d.Volume}
	o.Image.Format = d.Format
	o.Image.Writable = writable && d.Access != AccessRead || d.Access == AccessWrite
	return o
}

// DriveTable is the drives that a command line or a configuration defines, by
// letter.
type DriveTable map[byte]DriveSpec

var _ Drives = DriveTable(nil)

// HasDrive implements Drives.
func (t DriveTable) HasDrive(letter byte) bool {
	_, ok := t[letter]
	return ok
}
