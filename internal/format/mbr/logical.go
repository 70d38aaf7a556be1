package mbr

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// Logical partitions lie in an extended partition as a chain. Each has an
// extended boot record in front, a table of which two entries count:
//
//	entry 1  the logical partition; FirstLBA counts from this record
//	entry 2  the next record; FirstLBA counts from the extended partition

// MaxLogical bounds the chain of logical partitions that is followed.
const MaxLogical = 256

// LogicalWalk follows the chain of logical partitions. The caller does the
// reading:
//
//	w := mbr.NewLogicalWalk(extended)
//	for {
//		lba, ok := w.Next()
//		if !ok {
//			break
//		}
//		// read sector lba
//		if err := w.Add(sector); err != nil { … }
//	}
//	use(w.Partitions)
type LogicalWalk struct {
	// Partitions are those found so far. FirstLBA counts from the start of the
	// disk.
	Partitions []Partition

	extended Partition
	next     uint64 // sector of the next record; 0 at the end
	seen     map[uint64]bool
}

// NewLogicalWalk starts at the first record of an extended partition.
func NewLogicalWalk(extended Partition) *LogicalWalk {
	return &LogicalWalk{extended: extended, next: uint64(extended.FirstLBA), seen: map[uint64]bool{}}
}

// Next returns the sector of the record to read, and false after the last.
func (w *LogicalWalk) Next() (lba uint64, ok bool) { return w.next, w.next != 0 }

// Add takes the record at the sector that Next named. An error ends the walk;
// the partitions found before stay. Records may follow each other in any order,
// as partitioning tools leave them, but none may come twice.
func (w *LogicalWalk) Add(sector []byte) error {
	at := w.next
	w.next = 0
	structure := fmt.Sprintf("extended boot record at sector %d", at)
	if err := checkSector(sector, structure); err != nil {
		return err
	}
	if w.seen[at] = true; len(w.seen) > MaxLogical {
		return &diskerr.FormatError{Format: "MBR", Structure: structure, Offset: -1,
			Reason: fmt.Sprintf("more than %d logical partitions", MaxLogical)}
	}
	if p := decodeEntry(sector, 0); p.Used() && !p.Extended() {
		first := at + uint64(p.FirstLBA)
		if p.FirstLBA == 0 || p.Sectors == 0 || first+uint64(p.Sectors) > w.extended.End() {
			return &diskerr.FormatError{Format: "MBR", Structure: structure, Field: "entry 1", Offset: entriesAt,
				Value: fmt.Sprintf("%d+%d", p.FirstLBA, p.Sectors), Reason: "must lie in the extended partition, behind its record"}
		}
		if first > 0xFFFFFFFF {
			return &diskerr.FormatError{Format: "MBR", Structure: structure, Field: "entry 1", Offset: entriesAt + 8,
				Value: p.FirstLBA, Reason: "begins beyond sector 2^32-1"}
		}
		p.FirstLBA = uint32(first)
		w.Partitions = append(w.Partitions, p)
	}
	link := decodeEntry(sector, 1)
	if !link.Extended() {
		return nil
	}
	next := uint64(w.extended.FirstLBA) + uint64(link.FirstLBA)
	if next >= w.extended.End() || w.seen[next] {
		return &diskerr.FormatError{Format: "MBR", Structure: structure, Field: "entry 2", Offset: entriesAt + entryBytes + 8,
			Value: link.FirstLBA, Reason: "must lead to another record in the extended partition"}
	}
	w.next = next
	return nil
}
