package fat

import (
	"fmt"
	"math"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/format/gpt"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

// tableAlign is where a partition begins, in bytes: a multiple of every block
// size in use.
const tableAlign = 1 << 20

// tableTail returns how many bytes at the end of the device belong to the
// partition table.
func (o *FormatOptions) tableTail() int64 {
	if o.Table != GPT && o.Table != GPTSystem {
		return 0
	}
	sector := int64(o.SectorBytes)
	return sector + (gpt.UsualEntries*gpt.EntryBytes+sector-1)/sector*sector
}

// writeTable writes the partition table around the volume.
func (o *FormatOptions) writeTable(d *disk, s spot, geo *fatfmt.Geometry) error {
	sector := int64(geo.SectorBytes)
	first, count, all := s.offset/sector, int64(geo.TotalSectors), s.disk/sector
	if o.Table == MBR {
		return o.writeMBR(d, geo, first, count, all)
	}
	seed := o.TableSeed
	if seed == "" {
		seed = fmt.Sprintf("%08x", *o.Serial)
	}
	t, err := gpt.New(geo.SectorBytes, uint64(all), gpt.DeriveGUID([]byte("disk\x00"+seed)))
	if err != nil {
		return err
	}
	p := gpt.Partition{Type: gpt.TypeBasicData, GUID: gpt.DeriveGUID([]byte("partition\x00" + seed)),
		FirstLBA: uint64(first), LastLBA: uint64(first + count - 1), Name: o.Label}
	if o.Table == GPTSystem {
		p.Type, p.Name = gpt.TypeEFISystem, "EFI system partition"
	}
	t.Partitions = []gpt.Partition{p}
	if err := t.Validate(); err != nil {
		return err
	}
	backup := make([]byte, sector*int64(t.CopySectors()))
	t.EncodeBackup(backup)
	if err := d.write(backup, int64(t.BackupLBA())*sector); err != nil {
		return err
	}
	head := make([]byte, sector*(gpt.PrimaryLBA+int64(t.CopySectors())))
	mbr.NewProtective(uint64(all)).Encode(head[:sector])
	t.EncodePrimary(head[sector*gpt.PrimaryLBA:])
	if err := d.write(head, 0); err != nil {
		return err
	}
	return d.flush()
}

// writeMBR writes a master boot record. Its signature, by which Windows knows
// the disk, is derived from the serial number of the volume.
func (o *FormatOptions) writeMBR(d *disk, geo *fatfmt.Geometry, first, count, all int64) error {
	if first+count > math.MaxUint32 {
		return planError("an MBR reaches no further than sector %d: use GPT", uint32(math.MaxUint32))
	}
	g := mbr.AssistedGeometry(uint64(all))
	typ := g.FATType(int(geo.Type), uint32(first), uint32(count))
	t := mbr.Table{Signature: *o.Serial ^ math.MaxUint32}
	t.Partitions[0] = g.NewPartition(typ, o.Active, uint32(first), uint32(count))
	copy(t.Code[:], messageCode(0, ""))
	sector := make([]byte, geo.SectorBytes)
	t.Encode(sector)
	if err := d.write(sector, 0); err != nil {
		return err
	}
	return d.flush()
}
