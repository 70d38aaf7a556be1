// Package gpt turns GUID partition tables into Go values and back.
//
// It implements UEFI 2.10, section 5.3 "GUID Partition Table (GPT) Disk
// Layout". The table stands twice on a disk, at its start behind the
// protective MBR and at its end, in sectors of the disk:
//
//	0     1        2          FirstUsable      LastUsable         last
//	+-----+--------+---------+-------------------+---------+--------+
//	| MBR | header | entries | partitions        | entries | backup |
//	|     |        |         |                   | again   | header |
//	+-----+--------+---------+-------------------+---------+--------+
//
// [Table] is the content that both copies share. [Header] is one of the two
// headers. To read a table, decode the header of either copy with
// [DecodeHeader], read the entries where it says, and give them to
// [Header.DecodeEntries]; when the first copy is damaged, use the second.
//
// The package does no I/O. Decoding never trusts the medium; what breaks a
// rule is a *diskerr.FormatError. Functions are safe for concurrent use.
package gpt

import (
	"fmt"
	"unicode/utf16"
)

// Limits and usual values.
const (
	MinSectorBytes = 512
	MaxSectorBytes = 4096

	// MinHeaderBytes is the size of a header's fields.
	MinHeaderBytes = 92
	// UsualEntries and EntryBytes make the 16 KiB that a table takes at least:
	// UEFI 2.10, section 5.3.1.
	UsualEntries = 128
	EntryBytes   = 128
	// MaxEntriesBytes bounds the entries of a table that is read.
	MaxEntriesBytes = 1 << 20

	// PrimaryLBA is the sector of the first header.
	PrimaryLBA = 1

	nameUnits = 36 // UTF-16 code units of a partition's name
)

// Bits of Partition.Attributes: UEFI 2.10, table 5-8, and of Windows for Basic
// Data partitions.
const (
	AttrRequired   = 1 << 0
	AttrLegacyBoot = 1 << 2
	AttrReadOnly   = 1 << 60
	AttrHidden     = 1 << 62
	AttrNoLetter   = 1 << 63
)

// Partition is an entry of a table. An entry whose Type is zero is unused.
type Partition struct {
	Type       GUID
	GUID       GUID // of this very partition
	FirstLBA   uint64
	LastLBA    uint64 // the last sector, inclusive
	Attributes uint64
	Name       string // at most 36 UTF-16 code units
}

// Used reports whether the entry describes a partition.
func (p *Partition) Used() bool { return p.Type != GUID{} }

// Sectors returns the size of the partition in sectors.
func (p *Partition) Sectors() uint64 { return p.LastLBA - p.FirstLBA + 1 }

// Table is a partition table. Partitions lists the entries in their order,
// unused ones included as far as a used one follows.
type Table struct {
	SectorBytes int
	DiskSectors uint64
	DiskGUID    GUID
	Entries     int // number of entries there is room for
	FirstUsable uint64
	LastUsable  uint64
	Partitions  []Partition
}

// New returns an empty table with room for UsualEntries entries on a disk of
// diskSectors sectors of sectorBytes bytes.
func New(sectorBytes int, diskSectors uint64, diskGUID GUID) (*Table, error) {
	if sectorBytes < MinSectorBytes || sectorBytes > MaxSectorBytes || sectorBytes&(sectorBytes-1) != 0 {
		return nil, fmt.Errorf("gpt: sectors have 512, 1024, 2048 or 4096 bytes, not %d", sectorBytes)
	}
	t := &Table{SectorBytes: sectorBytes, DiskSectors: diskSectors, DiskGUID: diskGUID, Entries: UsualEntries}
	if need := 2*t.CopySectors() + 2; diskSectors < need {
		return nil, fmt.Errorf("gpt: a disk of %d sectors is too small: the table needs %d", diskSectors, need)
	}
	t.FirstUsable = PrimaryLBA + t.CopySectors()
	t.LastUsable = t.BackupLBA() - 1
	return t, nil
}

// entriesSectors returns the size of the entries in sectors.
func (t *Table) entriesSectors() uint64 {
	return uint64((t.Entries*EntryBytes + t.SectorBytes - 1) / t.SectorBytes)
}

// CopySectors returns the size of one copy of the table in sectors: header and
// entries.
func (t *Table) CopySectors() uint64 { return 1 + t.entriesSectors() }

// BackupLBA returns the sector where the second copy begins, with its entries.
// Its header is the last sector of the disk.
func (t *Table) BackupLBA() uint64 { return t.DiskSectors - t.CopySectors() }

// EncodePrimary writes the first copy to p, which is CopySectors sectors: what
// lies from sector PrimaryLBA on. t must be valid; see [Table.Validate].
func (t *Table) EncodePrimary(p []byte) {
	clear(p)
	entries := p[t.SectorBytes:]
	t.encodeEntries(entries)
	h := t.header(entries)
	h.MyLBA, h.AlternateLBA, h.EntriesLBA = PrimaryLBA, t.DiskSectors-1, PrimaryLBA+1
	h.encode(p[:t.SectorBytes])
}

// EncodeBackup writes the second copy to p, which is CopySectors sectors: what
// lies from sector BackupLBA on.
func (t *Table) EncodeBackup(p []byte) {
	clear(p)
	headerAt := int(t.entriesSectors()) * t.SectorBytes
	t.encodeEntries(p[:headerAt])
	h := t.header(p[:headerAt])
	h.MyLBA, h.AlternateLBA, h.EntriesLBA = t.DiskSectors-1, PrimaryLBA, t.BackupLBA()
	h.encode(p[headerAt:])
}

func (t *Table) encodeEntries(p []byte) {
	for i := range t.Partitions {
		t.Partitions[i].encode(p[i*EntryBytes:])
	}
}

// Validate checks that the entries fit, that every partition lies in the
// usable sectors of the disk and that no two overlap.
func (t *Table) Validate() error {
	if len(t.Partitions) > t.Entries {
		return entryError(t.Entries, "", 0, nil, fmt.Sprintf("there is room for %d entries only", t.Entries))
	}
	var used []int
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if !p.Used() {
			continue
		}
		switch {
		case p.FirstLBA < t.FirstUsable || p.FirstLBA > t.LastUsable:
			return entryError(i, "StartingLBA", 32, p.FirstLBA, fmt.Sprintf("must be from %d to %d", t.FirstUsable, t.LastUsable))
		case p.LastLBA < p.FirstLBA || p.LastLBA > t.LastUsable:
			return entryError(i, "EndingLBA", 40, p.LastLBA, fmt.Sprintf("must be from %d to %d", p.FirstLBA, t.LastUsable))
		case len(utf16.Encode([]rune(p.Name))) > nameUnits:
			return entryError(i, "PartitionName", 56, p.Name, fmt.Sprintf("has more than %d UTF-16 code units", nameUnits))
		}
		used = append(used, i)
	}
	return t.checkOverlap(used)
}
