package stack

import (
	"errors"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

// TableRegion is where a part of a partition table lies on a disk, in bytes.
type TableRegion struct {
	Name        string
	OffsetBytes int64
	LenBytes    int64
}

// TableRegions returns where the partition table lies that ListPartitions
// reads. It does not list the records of logical partitions.
func TableRegions(dev block.Device) ([]TableRegion, error) {
	sector := make([]byte, mbr.Bytes)
	if err := block.ReadFull(dev, sector, 0); err != nil {
		return nil, err
	}
	t, err := mbr.Decode(sector)
	if err != nil {
		return nil, err
	}
	if !t.Protective() {
		return []TableRegion{{"master boot record", 0, mbr.Bytes}}, nil
	}
	g, err := readGPT(dev, func(uint64) uint64 { return 1 })
	if err != nil {
		var second error
		if g, second = readGPT(dev, func(sectors uint64) uint64 { return sectors - 1 }); second != nil {
			return nil, errors.Join(err, second)
		}
	}
	size := int64(g.SectorBytes)
	n := int64(g.CopySectors()) * size
	return []TableRegion{
		{"protective MBR", 0, mbr.Bytes},
		{"GPT", size, n},
		{"second copy of the GPT", int64(g.BackupLBA()) * size, n},
	}, nil
}
