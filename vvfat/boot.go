package vvfat

import (
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// The place of the fields that describe the volume in a boot sector: FAT 1.03,
// "Boot Sector and BPB". What is before, jump and OEM name, and what is behind,
// belongs to the boot code.
const (
	bpbStart = 11
	bpbEnd   = 62 // FAT12, FAT16
	bpbEnd32 = 90
)

// render makes all bytes that are neither FAT, directory nor file.
func (l *Layout) render() error {
	if err := l.renderTable(); err != nil {
		return err
	}
	if err := l.renderBoot(); err != nil {
		return err
	}
	slices.SortFunc(l.pieces, func(a, b piece) int { return int(min(max(a.off-b.off, -1), 1)) })
	return nil
}

// addPiece puts bytes at an offset of the disk.
func (l *Layout) addPiece(off int64, data []byte) { l.pieces = append(l.pieces, piece{off, data}) }

// renderBoot makes the boot sector, and on FAT32 FSInfo and the backup of both.
func (l *Layout) renderBoot() error {
	g := &l.geo
	sector := g.SectorBytes
	reserved := make([]byte, max(l.bootSectors(), 1)*sector)
	if n := len(l.o.BootSector); n > len(reserved) {
		return &OptionError{Option: "--boot-sector", Reason: fmt.Sprintf("the file has %d bytes, %v has room for %d", n, g.Type, len(reserved))}
	}
	boot := fatfmt.NewBootSector(g, fatfmt.BootOptions{OEM: l.o.OEM, Serial: l.id.Serial, Label: l.id.Label, Code: messageCode})
	boot.Encode(reserved[:sector])
	if l.o.BootSector != nil {
		l.foreignBoot(reserved)
	}
	if g.Type == fatfmt.FAT32 {
		info := fatfmt.FSInfo{Free: g.Clusters - (l.used() - 2), Next: l.used()}
		if info.Free == 0 {
			info.Next = fatfmt.UnknownCount
		}
		info.Encode(reserved[int(g.FSInfoSector)*sector:][:sector])
		if g.BackupSector != 0 {
			copy(reserved[int(g.BackupSector)*sector:], reserved[:backupSectors*sector])
		}
	}
	l.addPiece(l.volume, reserved)
	return nil
}

// backupSectors is the size of the boot area that FAT32 keeps twice: FAT 1.03,
// "FAT32 FSInfo Sector Structure and Backup Boot Sector".
const backupSectors = 3

// bootSectors returns how many sectors the boot area and its backup take.
func (l *Layout) bootSectors() int {
	if l.geo.Type == fatfmt.FAT32 && l.geo.BackupSector != 0 {
		return int(l.geo.BackupSector) + backupSectors
	}
	return int(l.geo.ReservedSectors)
}

// foreignBoot puts the boot code that was given into the boot area, around the
// fields of our boot sector. Its OEM name stays too, since some code looks for
// its own, unless another one was asked for.
func (l *Layout) foreignBoot(reserved []byte) {
	end := bpbEnd
	if l.geo.Type == fatfmt.FAT32 {
		end = bpbEnd32
	}
	fields := slices.Clone(reserved[:end])
	copy(reserved, l.o.BootSector)
	copy(reserved[bpbStart:end], fields[bpbStart:])
	if l.o.OEM != "" {
		copy(reserved[3:bpbStart], fields[3:])
	}
	reserved[510], reserved[511] = 0x55, 0xAA
}
