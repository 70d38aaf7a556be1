package stack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
)

// VolumeChoice says which volume of a disk is meant. The zero value is the
// only one there is.
type VolumeChoice struct {
	// Partition is the number of a partition, as in ImageOptions; 0 is none.
	Partition int
	// Offset says that the volume begins OffsetBytes after the start of the
	// disk, whatever lies there. It does not go with Partition.
	Offset      bool
	OffsetBytes int64
	// SectorBytes is the unit in which an MBR counts; 0 is 512.
	SectorBytes int
	// Damaged lets a volume be found whose boot sector cannot be read: that of
	// the only partition made for FAT, or of a disk without partitions.
	Damaged bool
}

// Check refuses what contradicts itself.
func (c *VolumeChoice) Check() error {
	switch s := c.SectorBytes; {
	case c.Partition < 0:
		return &OptionError{"--partition", "partitions are counted from 1"}
	case c.Offset && c.OffsetBytes < 0:
		return &OptionError{"--offset", "is negative"}
	case c.Offset && c.Partition > 0:
		return &OptionError{"--partition", "says where the volume begins, and so does --offset"}
	case s != 0 && s != 512 && s != 1024 && s != 2048 && s != 4096:
		return &OptionError{"--sector", fmt.Sprintf("a sector has 512, 1024, 2048 or 4096 bytes, not %d", s)}
	}
	return nil
}

// AmbiguousError says that a disk holds several FAT volumes and nobody said
// which one is meant.
type AmbiguousError struct {
	Whole      bool        // the disk as a whole is one of them
	Partitions []Partition // the others
}

func (e *AmbiguousError) Error() string {
	var have []string
	if e.Whole {
		have = append(have, "the disk as a whole (--offset 0)")
	}
	for _, p := range e.Partitions {
		have = append(have, fmt.Sprintf("partition %d (%s)", p.Number, diskerr.FormatBytes(p.LenBytes)))
	}
	return fmt.Sprintf("there are several FAT volumes: %s: say --partition N", strings.Join(have, ", "))
}

// FindVolume returns where on dev the volume is that c means. The Number of a
// volume that is in no partition is 0.
//
// Without a choice the volume is found by itself: on a disk without partition
// table it is the disk as a whole, otherwise the only partition with a FAT
// volume. A disk that has several, or none, is an error that says what was
// seen.
func FindVolume(dev block.Device, c VolumeChoice) (Partition, error) {
	if err := c.Check(); err != nil {
		return Partition{}, err
	}
	switch {
	case c.Partition > 0:
		return FindPartition(dev, c.Partition, c.SectorBytes)
	case c.Offset && c.OffsetBytes >= dev.Size():
		return Partition{}, &OptionError{"--offset", fmt.Sprintf("%d is not within the disk, which has %d bytes", c.OffsetBytes, dev.Size())}
	case c.Offset:
		return Partition{OffsetBytes: c.OffsetBytes, LenBytes: dev.Size() - c.OffsetBytes}, nil
	}
	notWhole, err := probe(dev)
	if err != nil {
		return Partition{}, err
	}
	table, err := ListPartitions(dev, c.SectorBytes)
	if err != nil && !errors.Is(err, diskerr.ErrCorrupt) {
		return Partition{}, err
	}
	if err != nil {
		table = nil // not one, then
	}
	holding, err := partitionsWithFAT(dev, table)
	if err != nil {
		return Partition{}, err
	}
	whole := Partition{LenBytes: dev.Size()}
	switch {
	case notWhole == nil && len(holding) == 0:
		return whole, nil
	case notWhole == nil || len(holding) > 1:
		return Partition{}, &AmbiguousError{notWhole == nil, holding}
	case len(holding) == 1:
		return holding[0], nil
	case c.Damaged:
		return damagedVolume(whole, table)
	}
	return Partition{}, noVolumeError(notWhole, table)
}

// probe looks for a volume at the start of dev. notFAT says why there is none;
// err is of the device.
func probe(dev block.Device) (notFAT, err error) {
	notFAT = fat.Probe(dev)
	if notFAT == nil || errors.Is(notFAT, diskerr.ErrCorrupt) || errors.Is(notFAT, errors.ErrUnsupported) {
		return notFAT, nil
	}
	return nil, notFAT
}

// partitionsWithFAT returns those of all that hold a volume.
func partitionsWithFAT(dev block.Device, all []Partition) (holding []Partition, err error) {
	for _, p := range all {
		section, err := block.NewSection(dev, p.OffsetBytes, p.LenBytes, block.SectionOptions{ReadOnly: true})
		if err != nil {
			return nil, err
		}
		switch notFAT, err := probe(section); {
		case err != nil:
			return nil, err
		case notFAT == nil:
			holding = append(holding, p)
		}
	}
	return holding, nil
}

// damagedVolume returns where a volume must be that has lost its boot sector.
func damagedVolume(whole Partition, table []Partition) (Partition, error) {
	var meant []Partition
	for _, p := range table {
		if p.ForFAT {
			meant = append(meant, p)
		}
	}
	switch {
	case len(table) == 0:
		return whole, nil
	case len(meant) == 1:
		return meant[0], nil
	case len(meant) > 1:
		return Partition{}, &AmbiguousError{false, meant}
	}
	return Partition{}, noVolumeError(nil, table)
}

// noVolumeError says that there is no volume on a disk: notFAT is what is wrong
// with its first sector as a boot sector.
func noVolumeError(notFAT error, table []Partition) error {
	if len(table) == 0 {
		return fmt.Errorf("no FAT volume: %w", notFAT)
	}
	var have []string
	for _, p := range table {
		have = append(have, fmt.Sprintf("%d (%s)", p.Number, diskerr.FormatBytes(p.LenBytes)))
	}
	return &diskerr.FormatError{Format: "FAT", Structure: "volume", Offset: -1,
		Reason: fmt.Sprintf("there is none in the partitions of the disk (%s), which are %s", strings.ToUpper(table[0].Table), strings.Join(have, ", "))}
}
