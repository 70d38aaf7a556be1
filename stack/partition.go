package stack

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/gpt"
	"github.com/fatkit/fatkit/internal/format/mbr"
)

// Partition is a part of a disk that its partition table describes.
type Partition struct {
	Number      int
	Table       string // "mbr" or "gpt"
	OffsetBytes int64
	LenBytes    int64
	ForFAT      bool   // its type is one that FAT volumes have
	Warning     string // what is odd about the table; "" as a rule
}

// FindPartition returns partition number of the table of dev: in an MBR 1 to 4
// and from 5 on the logical ones, in a GPT the number of the entry. Sectors of an
// MBR have sectorBytes bytes, or 512 if that is 0; a GPT tells by where it is.
//
// A damaged table is a *diskerr.FormatError. If the first copy of a GPT is
// damaged the second one counts.
func FindPartition(dev block.Device, number, sectorBytes int) (Partition, error) {
	all, err := ListPartitions(dev, sectorBytes)
	if err != nil {
		return Partition{}, err
	}
	for _, p := range all {
		if p.Number == number {
			return p, nil
		}
	}
	return Partition{}, &noPartitionError{number, all}
}

// ListPartitions returns the partitions of the table of dev, as FindPartition
// does. An empty table is none.
func ListPartitions(dev block.Device, sectorBytes int) ([]Partition, error) {
	if sectorBytes == 0 {
		sectorBytes = mbr.Bytes
	}
	sector := make([]byte, mbr.Bytes)
	if dev.Size() < mbr.Bytes {
		return nil, &diskerr.FormatError{Format: "MBR", Structure: "master boot record", Offset: dev.Size(),
			Reason: "the disk ends before byte 512: there is no partition table"}
	}
	if err := block.ReadFull(dev, sector, 0); err != nil {
		return nil, err
	}
	t, err := mbr.Decode(sector)
	if err != nil {
		return nil, fmt.Errorf("no partition table: %w", err)
	}
	if !t.Protective() {
		return mbrPartitions(dev, t, sectorBytes)
	}
	all, warning, err := gptPartitions(dev)
	for i := range all {
		all[i].Warning = warning
	}
	return all, err
}

// noPartitionError says that a table has no partition of a number.
type noPartitionError struct {
	number int
	have   []Partition
}

func (e *noPartitionError) Error() string {
	if len(e.have) == 0 {
		return fmt.Sprintf("no partition %d: the partition table is empty; leave --partition out for the whole disk", e.number)
	}
	var numbers []string
	for _, p := range e.have {
		numbers = append(numbers, fmt.Sprint(p.Number))
	}
	return fmt.Sprintf("no partition %d: the partition table (%s) has %s", e.number, strings.ToUpper(e.have[0].Table), strings.Join(numbers, ", "))
}

// firstLogical is the number of the first logical partition.
const firstLogical = 5

// mbrPartitions lists the partitions of an MBR.
func mbrPartitions(dev block.Device, t *mbr.Table, sectorBytes int) ([]Partition, error) {
	if err := t.Validate(uint64(dev.Size()) / uint64(sectorBytes)); err != nil {
		return nil, err
	}
	place := func(number int, p *mbr.Partition) Partition {
		return Partition{Number: number, Table: "mbr", ForFAT: mbr.IsFAT(p.Type),
			OffsetBytes: int64(p.FirstLBA) * int64(sectorBytes), LenBytes: int64(p.Sectors) * int64(sectorBytes)}
	}
	var all []Partition
	for i := range t.Partitions {
		if p := &t.Partitions[i]; p.Used() && !p.Extended() {
			all = append(all, place(i+1, p))
		}
	}
	extended, ok := t.Extended()
	if !ok {
		return all, nil
	}
	logical, err := logicalPartitions(dev, extended, sectorBytes)
	for i := range logical {
		all = append(all, place(firstLogical+i, &logical[i]))
	}
	return all, err
}

// logicalPartitions follows the chain in an extended partition, which lies on
// the disk.
func logicalPartitions(dev block.Device, extended mbr.Partition, sectorBytes int) ([]mbr.Partition, error) {
	sector := make([]byte, mbr.Bytes)
	w := mbr.NewLogicalWalk(extended)
	for {
		lba, ok := w.Next()
		if !ok {
			return w.Partitions, nil
		}
		if err := block.ReadFull(dev, sector, int64(lba)*int64(sectorBytes)); err != nil {
			return nil, err
		}
		if err := w.Add(sector); err != nil {
			return nil, err
		}
	}
}

// gptPartitions lists the partitions of a GPT. The warning says that the first
// copy is damaged.
func gptPartitions(dev block.Device) (all []Partition, warning string, err error) {
	t, first := readGPT(dev, func(uint64) uint64 { return gpt.PrimaryLBA })
	if first != nil {
		var second error
		t, second = readGPT(dev, func(sectors uint64) uint64 { return sectors - 1 })
		if second != nil {
			return nil, "", fmt.Errorf("%w; the second copy of the table: %w", first, second)
		}
		warning = "the first copy of the partition table is damaged, the second is used: " + first.Error()
	}
	for i := range t.Partitions {
		if p := &t.Partitions[i]; p.Used() {
			all = append(all, Partition{Number: i + 1, Table: "gpt", ForFAT: p.Type == gpt.TypeBasicData || p.Type == gpt.TypeEFISystem,
				OffsetBytes: int64(p.FirstLBA) * int64(t.SectorBytes), LenBytes: int64(p.Sectors()) * int64(t.SectorBytes)})
		}
	}
	return all, warning, nil
}

// readGPT reads the copy of a table whose header is in the sector that place
// returns for a disk of so many sectors. It tries the sizes that sectors have;
// the error is that of the size at which there is a header, else of 512.
func readGPT(dev block.Device, place func(sectors uint64) uint64) (*gpt.Table, error) {
	var failed error
	for size := gpt.MinSectorBytes; size <= gpt.MaxSectorBytes; size *= 2 {
		sectors := uint64(dev.Size()) / uint64(size)
		if sectors < 2 {
			break
		}
		lba := place(sectors)
		sector := make([]byte, size)
		if err := block.ReadFull(dev, sector, int64(lba)*int64(size)); err != nil {
			return nil, err
		}
		h, err := gpt.DecodeHeader(sector, lba, sectors)
		if err == nil {
			return readEntries(dev, h, sectors)
		}
		var format *diskerr.FormatError
		if failed == nil || errors.As(err, &format) && format.Field != "Signature" {
			failed = err
		}
	}
	if failed == nil {
		failed = &diskerr.FormatError{Format: "GPT", Structure: "header", Offset: dev.Size(), Reason: "the disk ends before it"}
	}
	return nil, failed
}

// readEntries reads the entries of a header that is valid on a disk of so many
// sectors.
func readEntries(dev block.Device, h *gpt.Header, sectors uint64) (*gpt.Table, error) {
	p := make([]byte, h.EntriesBytes())
	if err := block.ReadFull(dev, p, int64(h.EntriesLBA)*int64(h.SectorBytes)); err != nil {
		return nil, err
	}
	return h.DecodeEntries(p, sectors)
}
