package vvfat

import (
	"github.com/fatkit/fatkit/internal/format/gpt"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

// renderTable makes the partition table.
func (l *Layout) renderTable() error {
	switch l.id.Table {
	case TableMBR:
		l.renderMBR()
	case TableGPT:
		return l.renderGPT()
	}
	return nil
}

// diskSectors returns the size of the disk in sectors.
func (l *Layout) diskSectors() uint64 { return uint64(l.id.SizeBytes) / uint64(l.geo.SectorBytes) }

// renderMBR makes a master boot record with one active partition.
func (l *Layout) renderMBR() {
	g := mbr.Geometry{Heads: int(l.geo.Heads), SectorsPerTrack: int(l.geo.SectorsPerTrack)}
	first, sectors := uint32(l.id.VolumeSector), uint32(l.id.VolumeSectors)
	t := mbr.Table{Signature: l.id.DiskSignature}
	t.Partitions[0] = g.NewPartition(g.FATType(int(l.geo.Type), first, sectors), true, first, sectors)
	code := l.o.MBR
	if code == nil {
		code = chainCode
	}
	copy(t.Code[:], code)
	sector := make([]byte, l.geo.SectorBytes)
	t.Encode(sector)
	l.addPiece(0, sector)
}

// renderGPT makes the protective MBR and both copies of the table.
func (l *Layout) renderGPT() error {
	sector := int64(l.geo.SectorBytes)
	t, err := gpt.New(l.geo.SectorBytes, l.diskSectors(), l.id.DiskGUID)
	if err != nil {
		return &OptionError{Option: "--size", Reason: err.Error()}
	}
	p := gpt.Partition{
		Type:     gpt.TypeBasicData,
		GUID:     l.id.PartitionGUID,
		FirstLBA: l.id.VolumeSector,
		LastLBA:  l.id.VolumeSector + l.id.VolumeSectors - 1,
		Name:     "Basic data partition",
	}
	if l.id.ESP {
		p.Type, p.Name = gpt.TypeEFISystem, "EFI system partition"
	}
	t.Partitions = []gpt.Partition{p}
	if err := t.Validate(); err != nil {
		return &OptionError{Option: "--size", Reason: err.Error()}
	}
	head := make([]byte, sector*(gpt.PrimaryLBA+int64(t.CopySectors())))
	protective := mbr.NewProtective(l.diskSectors())
	copy(protective.Code[:], messageCode)
	protective.Encode(head[:sector])
	t.EncodePrimary(head[sector*gpt.PrimaryLBA:])
	l.addPiece(0, head)
	tail := make([]byte, sector*int64(t.CopySectors()))
	t.EncodeBackup(tail)
	l.addPiece(int64(t.BackupLBA())*sector, tail)
	return nil
}
