package vvfat

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/format/gpt"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

const (
	// partitionAlignBytes is where the partition begins, and what the size of
	// a disk that has none of its own is rounded up to.
	partitionAlignBytes = 1 << 20
	// The disk of QEMU's vvfat: where its partition begins, and its geometry.
	qemuVolumeSector = 63
	qemuHeads        = 16
	qemuTrackSectors = 63
)

// qemuLabel is the label of QEMU's vvfat.
const qemuLabel = "QEMU VVFAT"

// identify decides label and identifiers. They depend on the options alone, so
// that a disk of the same directory is the same disk for its guest.
func (l *Layout) identify() error {
	o := &l.o
	if o.Keep != nil {
		l.id = *o.Keep
		return nil
	}
	l.id.Table, l.id.ESP = o.Table, o.ESP
	switch {
	case o.NoLabel:
		l.id.Label = fatfmt.NoLabel
	case o.Label != "" || o.QEMU:
		text := o.Label
		if text == "" {
			text = qemuLabel
		}
		label, err := fatfmt.EncodeLabel(text, l.names.cp)
		if err != nil {
			return &OptionError{Option: "--label", Reason: err.Error()}
		}
		l.id.Label = label
	default:
		l.id.Label = fatfmt.FitLabel(o.Name, l.names.cp)
	}
	seed := fmt.Sprintf("fatkit disk 1\x00%s\x00%d\x00%d\x00%d\x00%d\x00%v\x00%d\x00%v", o.Name,
		o.FAT, o.SizeBytes, o.ClusterBytes, o.SectorBytes, o.Table, o.FloppyKiB, o.QEMU)
	sum := sha256.Sum256([]byte(seed))
	l.id.Serial = binary.LittleEndian.Uint32(sum[0:])
	// A signature of 0 means none to Windows.
	l.id.DiskSignature = binary.LittleEndian.Uint32(sum[4:]) | 1
	l.id.DiskGUID = gpt.DeriveGUID([]byte("disk\x00" + seed))
	l.id.PartitionGUID = gpt.DeriveGUID([]byte("partition\x00" + seed))
	if o.Serial != nil {
		l.id.Serial = *o.Serial
	}
	if o.DiskSignature != nil {
		l.id.DiskSignature = *o.DiskSignature
	}
	return nil
}

// place decides the geometry and the size of the disk.
func (l *Layout) place(d *demand) error {
	s := sizer{o: &l.o, d: d}
	if l.o.Keep != nil {
		l.settle()
		if why := d.fits(&l.geo); why != nil {
			return s.tooSmall(&l.geo, why)
		}
		return nil
	}
	sector := int64(l.o.SectorBytes)
	switch {
	case l.id.Table == TableNone:
	case l.o.QEMU:
		s.before = qemuVolumeSector * sector
	default:
		s.before = partitionAlignBytes
	}
	if l.id.Table == TableGPT {
		s.after = sector + gpt.UsualEntries*gpt.EntryBytes
	}
	g, err := s.volume()
	if err != nil {
		return err
	}
	size := l.o.SizeBytes
	if size == 0 {
		size = roundUp(s.before+g.TotalBytes()+s.after, partitionAlignBytes)
	}
	l.id.SizeBytes = size
	l.id.VolumeSector = uint64(s.before / sector)
	l.id.VolumeSectors = uint64(g.TotalSectors)
	g.HiddenSectors = uint32(l.id.VolumeSector)
	if l.o.FloppyKiB == 0 {
		g.Heads, g.SectorsPerTrack = diskGeometry(size/sector, l.o.QEMU)
	} else {
		f, _ := fatfmt.FloppyOf(l.o.FloppyKiB)
		g.Heads, g.SectorsPerTrack = uint16(f.Heads), uint16(f.SectorsPerTrack)
	}
	l.id.Geometry = g
	l.settle()
	return nil
}

// settle derives from the identity where the volume is.
func (l *Layout) settle() {
	l.geo = l.id.Geometry
	l.o.SectorBytes = l.geo.SectorBytes
	l.volume = int64(l.id.VolumeSector) * int64(l.geo.SectorBytes)
	l.volEnd = l.volume + l.geo.TotalBytes()
	l.entries[0], l.entries[1] = l.geo.Type.FirstEntries(l.geo.Media)
}

// diskGeometry returns the heads and sectors of a track by which a BIOS
// addresses a disk of so many sectors.
func diskGeometry(sectors int64, qemu bool) (heads, sectorsPerTrack uint16) {
	g := mbr.AssistedGeometry(uint64(sectors))
	if qemu {
		g.Heads = qemuHeads
	}
	return uint16(g.Heads), uint16(g.SectorsPerTrack)
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
