package fat

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// formatter makes one volume.
type formatter struct {
	o     *FormatOptions
	geo   fatfmt.Geometry
	label [fatfmt.LabelBytes]byte
	disk  *disk
}

// bootSector makes the boot sector.
func (f *formatter) bootSector() (*fatfmt.BootSector, error) {
	o, room, start := f.o, fatfmt.CodeBytes, bootCodeOffset
	if f.geo.Type == fatfmt.FAT32 {
		room, start = fatfmt.CodeBytes32, bootCodeOffset32
	}
	code := o.BootCode
	if code == nil {
		code = messageCode(start, o.BootMessage)
	}
	if len(code) > room {
		return nil, planError("the boot code has %d bytes, there is room for %d", len(code), room)
	}
	if len(o.OEM) > 8 {
		return nil, planError("the OEM name %q has more than 8 bytes", o.OEM)
	}
	boot := fatfmt.NewBootSector(&f.geo, fatfmt.BootOptions{OEM: o.OEM, Serial: *o.Serial, Label: f.label, Code: code})
	switch {
	case o.DriveNumber > 0xFF:
		return nil, planError("the drive number %#x does not fit in a byte", o.DriveNumber)
	case o.DriveNumber < 0:
		boot.DriveNumber = 0
	case o.DriveNumber > 0:
		boot.DriveNumber = byte(o.DriveNumber)
	}
	return boot, nil
}

// badClusters returns the clusters that hold the offsets in BadBytes.
func (f *formatter) badClusters() ([]uint32, error) {
	var bad []uint32
	for _, off := range f.o.BadBytes {
		if off < 0 || off >= f.geo.TotalBytes() {
			return nil, planError("the byte at %d cannot be bad: the volume has %d", off, f.geo.TotalBytes())
		}
		if off < f.geo.DataOffset() {
			return nil, fmt.Errorf("the byte at %d, which must hold the volume's own tables, is bad: %w", off, errors.ErrUnsupported)
		}
		if c, ok := f.geo.ClusterAt(off); ok {
			bad = append(bad, c)
		}
	}
	slices.Sort(bad)
	return slices.Compact(bad), nil
}

// write writes the volume: everything but the boot sector first, then that.
func (f *formatter) write(boot *fatfmt.BootSector, bad []uint32) error {
	if err := f.disk.zero(0, f.geo.DataOffset()); err != nil {
		return err
	}
	if err := f.disk.flush(); err != nil { // what was here before is gone
		return err
	}
	if err := f.writeFAT(bad); err != nil {
		return err
	}
	if err := f.writeRoot(); err != nil {
		return err
	}
	sector := make([]byte, f.geo.SectorBytes)
	boot.Encode(sector)
	if f.geo.Type == fatfmt.FAT32 {
		if err := f.writeExtras(sector, uint32(len(bad))); err != nil {
			return err
		}
	}
	if err := f.disk.flush(); err != nil {
		return err
	}
	if err := f.disk.write(sector, 0); err != nil {
		return err
	}
	return f.disk.flush()
}

// writeFAT writes the entries that are not free.
func (f *formatter) writeFAT(bad []uint32) error {
	t := newTable(f.disk, &f.geo)
	e0, e1 := f.geo.Type.FirstEntries(f.geo.Media)
	entries := []change{{0, e0}, {1, e1}}
	if f.geo.Type == fatfmt.FAT32 {
		entries = append(entries, change{f.geo.RootCluster, f.geo.Type.EndMark()})
	}
	for _, c := range bad {
		entries = append(entries, change{c, f.geo.Type.BadMark()})
	}
	return t.apply(entries, 0)
}

// writeRoot empties the root directory and puts the label in it.
func (f *formatter) writeRoot() error {
	size := f.geo.RootBytes()
	if f.geo.Type == fatfmt.FAT32 {
		size = int64(f.geo.ClusterBytes())
	}
	if err := f.disk.zero(f.geo.RootOffset(), size); err != nil {
		return err
	}
	if f.label == fatfmt.NoLabel {
		return nil
	}
	e := fatfmt.DirEntry{Name: f.label, Attr: fatfmt.AttrLabel}
	e.WriteDate, e.WriteTime, _ = fatfmt.EncodeTime(f.o.Now(), f.o.Location)
	sector := make([]byte, f.geo.SectorBytes)
	e.Encode(sector)
	return f.disk.write(sector, f.geo.RootOffset())
}

// writeExtras writes what only FAT32 has: FSInfo, and the backup of both. The
// third sector of a boot area holds nothing but the signature: FAT 1.03,
// "FAT32 FSInfo Sector Structure and Backup Boot Sector".
func (f *formatter) writeExtras(boot []byte, bad uint32) error {
	size := int64(f.geo.SectorBytes)
	info := make([]byte, size)
	fatfmt.FSInfo{Free: f.geo.Clusters - 1 - bad, Next: f.geo.RootCluster}.Encode(info)
	third := make([]byte, size)
	third[510], third[511] = 0x55, 0xAA
	if err := f.disk.write(info, int64(f.geo.FSInfoSector)*size); err != nil {
		return err
	}
	if backup := int64(f.geo.BackupSector); backup != 0 {
		area := slices.Concat(boot, info, third)
		area = area[:min(int64(len(area)), (int64(f.geo.ReservedSectors)-backup)*size)]
		if err := f.disk.write(area, backup*size); err != nil {
			return err
		}
	}
	if f.geo.BackupSector != 2 && f.geo.FSInfoSector != 2 && f.geo.ReservedSectors > 2 {
		return f.disk.write(third, 2*size)
	}
	return nil
}
