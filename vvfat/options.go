package vvfat

import (
	"fmt"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/format/gpt"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

// TableKind says what is around the volume.
type TableKind uint8

const (
	// TableAuto is GPT with ESP, none on a floppy, and else MBR.
	TableAuto TableKind = iota
	// TableNone makes the whole disk the volume.
	TableNone
	// TableMBR puts the volume in the first of the four partitions of an MBR.
	TableMBR
	// TableGPT puts it in the first partition of a GUID partition table.
	TableGPT
)

var tableNames = [...]string{"auto", "none", "mbr", "gpt"}

func (k TableKind) String() string {
	if int(k) < len(tableNames) {
		return tableNames[k]
	}
	return fmt.Sprintf("TableKind(%d)", uint8(k))
}

// ParseTable returns the kind that a flag names.
func ParseTable(s string) (TableKind, error) {
	for i, name := range tableNames {
		if s == name {
			return TableKind(i), nil
		}
	}
	return 0, &OptionError{Option: "--table", Reason: fmt.Sprintf("%q is none of mbr, gpt and none", s)}
}

// Options say what the disk of a tree is like. The zero value is an MBR disk
// with one volume of the type and size that suit the tree.
type Options struct {
	FAT          int   // 12, 16 or 32; 0: what suits size and tree
	SizeBytes    int64 // of the whole disk; 0: the contents and generous room
	ClusterBytes int   // 0: after Microsoft's table
	SectorBytes  int   // 512, 1024, 2048 or 4096; 0: 512
	Table        TableKind
	ESP          bool // a GPT with an EFI system partition
	FloppyKiB    int  // a standard floppy format: 160 … 2880; 0: a hard disk

	Label         string  // "": made from Name
	NoLabel       bool    // no label at all
	Serial        *uint32 // of the volume; nil: made from Name and options
	DiskSignature *uint32 // of the MBR; likewise
	OEM           string  // "": usual
	CodePage      int     // of short names and label; 0: 437

	BootSector []byte // boot code: our BPB is put over it
	MBR        []byte // code of the MBR: our table and signature are put over it

	Location     *time.Location // of the times on the disk; nil: UTC
	ClampTime    time.Time      // no time is later than this (SOURCE_DATE_EPOCH); zero: no limit
	HideDotFiles bool           // names with a leading dot are hidden
	ReserveRoot  int            // room for so many more entries in the root of FAT12 and FAT16
	First        []string       // these entries of the root, and their clusters, come first

	// Name is what the root is called, the last element of its path. Label
	// and identifiers are made from it.
	Name string

	// QEMU gives the disk the geometry and the label of QEMU's fat: names:
	// CHS 1024/16/63, or 64/16/63 for FAT12, with the partition at sector 63
	// and clusters of 8 KiB; or with FloppyKiB a floppy of 1440 or 2880 KiB.
	// Where 8 KiB clusters would contradict the type, and on floppies, the
	// largest cluster is used with which the volume is what it is meant to be.
	QEMU bool

	// Keep gives the disk the size, place and identifiers of an earlier
	// generation. The options that it decides are not looked at.
	Keep *Identity

	// Warn is told each name that the disk shows differently, in the order
	// of the tree.
	Warn func(Warning)
}

// Identity is what stays the same from one generation of a disk to the next.
type Identity struct {
	SizeBytes     int64
	Table         TableKind
	ESP           bool
	VolumeSector  uint64 // where the volume begins
	VolumeSectors uint64 // the room for it
	Geometry      fatfmt.Geometry
	Label         [fatfmt.LabelBytes]byte
	Serial        uint32
	DiskSignature uint32
	DiskGUID      gpt.GUID
	PartitionGUID gpt.GUID
}

// OptionError says that an option is invalid or contradicts another one: a
// mistake of whoever gave it, not of the tree.
type OptionError struct {
	Option string // the flag, such as "--size"
	Reason string
}

func (e *OptionError) Error() string { return e.Option + ": " + e.Reason }

// complete checks the options against each other and fills in what depends on
// nothing but them.
func (o *Options) complete() error {
	bad := func(option, format string, args ...any) error {
		return &OptionError{Option: option, Reason: fmt.Sprintf(format, args...)}
	}
	if o.SectorBytes == 0 {
		o.SectorBytes = fatfmt.MinSectorBytes
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	switch {
	case o.FAT != 0 && o.FAT != 12 && o.FAT != 16 && o.FAT != 32:
		return bad("--fat", "there is FAT12, FAT16 and FAT32, no FAT%d", o.FAT)
	case !validSector(o.SectorBytes):
		return bad("--sector", "sectors have 512, 1024, 2048 or 4096 bytes, not %d", o.SectorBytes)
	case o.SizeBytes < 0 || o.SizeBytes%int64(o.SectorBytes) != 0:
		return bad("--size", "%d is not a number of sectors of %d bytes", o.SizeBytes, o.SectorBytes)
	case o.ESP && o.Table != TableAuto && o.Table != TableGPT:
		return bad("--esp", "an EFI system partition needs --table gpt, not %v", o.Table)
	case o.ESP && o.FloppyKiB != 0:
		return bad("--esp", "a floppy has no partitions")
	case o.ReserveRoot < 0:
		return bad("--reserve-root", "%d is negative", o.ReserveRoot)
	case o.Label != "" && o.NoLabel:
		return bad("--label", "there cannot be a label and none")
	case len(o.OEM) > 8:
		return bad("--oem", "%q has more than 8 bytes", o.OEM)
	}
	if err := o.completeFloppy(bad); err != nil {
		return err
	}
	if o.Table == TableAuto {
		switch {
		case o.ESP:
			o.Table = TableGPT
		case o.FloppyKiB != 0:
			o.Table = TableNone
		default:
			o.Table = TableMBR
		}
	}
	if err := o.completeQEMU(bad); err != nil {
		return err
	}
	return o.checkCode(bad)
}

func validSector(n int) bool {
	return n >= fatfmt.MinSectorBytes && n <= fatfmt.MaxSectorBytes && n&(n-1) == 0
}

// completeQEMU refuses what would contradict the geometry of a fat: name, and
// sets its size: CHS 64/16/63 for FAT12, else 1024/16/63.
func (o *Options) completeQEMU(bad func(string, string, ...any) error) error {
	if !o.QEMU || o.FloppyKiB != 0 {
		return nil
	}
	cylinders := int64(1024)
	if o.FAT == 12 {
		cylinders = 64
	}
	size := cylinders * qemuHeads * qemuTrackSectors * fatfmt.MinSectorBytes
	switch {
	case o.Table == TableGPT:
		return bad("--table", "the disk of a fat: name has an MBR, no GPT")
	case o.SectorBytes != fatfmt.MinSectorBytes:
		return bad("--sector", "the disk of a fat: name has sectors of 512 bytes")
	case o.SizeBytes != 0 && o.SizeBytes != size:
		return bad("--size", "the disk of a fat: name has %d bytes", size)
	}
	o.SizeBytes = size
	return nil
}

func (o *Options) completeFloppy(bad func(string, string, ...any) error) error {
	if o.FloppyKiB == 0 {
		return nil
	}
	_, ok := fatfmt.FloppyOf(o.FloppyKiB)
	switch {
	case !ok:
		return bad("--floppy", "there is no format of %d KiB; there are 160, 180, 320, 360, 720, 1200, 1440 and 2880", o.FloppyKiB)
	case o.SizeBytes != 0 && o.SizeBytes != int64(o.FloppyKiB)<<10:
		return bad("--floppy", "a floppy of %d KiB cannot have another --size", o.FloppyKiB)
	case o.SectorBytes != 512:
		return bad("--floppy", "a floppy has sectors of 512 bytes")
	case o.Table == TableMBR || o.Table == TableGPT:
		return bad("--floppy", "a floppy has no partition table")
	}
	o.SizeBytes = int64(o.FloppyKiB) << 10
	return nil
}

// mbrCodeBytes is the room for code in an MBR, before the disk signature.
const mbrCodeBytes = mbr.CodeBytes

// checkCode checks the sizes of boot code.
func (o *Options) checkCode(bad func(string, string, ...any) error) error {
	if n := len(o.BootSector); n != 0 && (n%o.SectorBytes != 0 && n != fatfmt.BootSectorBytes) {
		return bad("--boot-sector", "the file has %d bytes, not one or more sectors of %d", n, o.SectorBytes)
	}
	switch n := len(o.MBR); {
	case n == 0:
	case o.Table != TableMBR:
		return bad("--mbr", "a disk with --table %v has no code in an MBR", o.Table)
	case n > mbrCodeBytes && n != 446 && n != 512:
		return bad("--mbr", "the file has %d bytes: an MBR has 512, its code at most %d", n, mbrCodeBytes)
	}
	return nil
}
