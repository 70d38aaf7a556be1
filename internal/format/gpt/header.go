package gpt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/fatkit/fatkit/diskerr"
)

const (
	headerSignature = "EFI PART"
	revision1       = 0x00010000
)

// Header is one of the two headers of a table. UEFI 2.10, table 5-5:
//
//	off len field
//	  0   8 "EFI PART"
//	  8   4 revision 1.0
//	 12   4 HeaderBytes
//	 16   4 CRC32 of HeaderBytes bytes, itself taken as 0
//	 20   4 reserved, 0
//	 24   8 MyLBA
//	 32   8 AlternateLBA
//	 40   8 FirstUsable
//	 48   8 LastUsable
//	 56  16 DiskGUID
//	 72   8 EntriesLBA
//	 80   4 Entries
//	 84   4 EntryBytes
//	 88   4 EntriesCRC
//	 92     reserved, 0, to the end of the sector
type Header struct {
	SectorBytes  int
	HeaderBytes  uint32
	MyLBA        uint64 // where this header is
	AlternateLBA uint64 // where the other one is
	FirstUsable  uint64
	LastUsable   uint64
	DiskGUID     GUID
	EntriesLBA   uint64
	Entries      uint32
	EntryBytes   uint32
	EntriesCRC   uint32
}

// EntriesBytes returns the size of the entries in bytes, not rounded to
// sectors.
func (h *Header) EntriesBytes() int { return int(h.Entries) * int(h.EntryBytes) }

// DecodeHeader decodes and checks the header in sector, which is the whole
// sector lba of a disk of diskSectors sectors.
func DecodeHeader(sector []byte, lba, diskSectors uint64) (*Header, error) {
	le := binary.LittleEndian
	if len(sector) < MinSectorBytes {
		return nil, headerError("", int64(len(sector)), nil, "the sector is shorter than 512 bytes")
	}
	if s := string(sector[:8]); s != headerSignature {
		return nil, headerError("Signature", 0, fmt.Sprintf("%q", s), `must be "EFI PART"`)
	}
	h := &Header{
		SectorBytes:  len(sector),
		HeaderBytes:  le.Uint32(sector[12:]),
		MyLBA:        le.Uint64(sector[24:]),
		AlternateLBA: le.Uint64(sector[32:]),
		FirstUsable:  le.Uint64(sector[40:]),
		LastUsable:   le.Uint64(sector[48:]),
		DiskGUID:     GUID(sector[56:]),
		EntriesLBA:   le.Uint64(sector[72:]),
		Entries:      le.Uint32(sector[80:]),
		EntryBytes:   le.Uint32(sector[84:]),
		EntriesCRC:   le.Uint32(sector[88:]),
	}
	if r := le.Uint32(sector[8:]); r>>16 != revision1>>16 {
		return nil, headerError("Revision", 8, fmt.Sprintf("%#08x", r), "must be 1.0")
	}
	if h.HeaderBytes < MinHeaderBytes || h.HeaderBytes > uint32(len(sector)) {
		return nil, headerError("HeaderSize", 12, h.HeaderBytes, fmt.Sprintf("must be from %d to %d", MinHeaderBytes, len(sector)))
	}
	if got, want := le.Uint32(sector[16:]), headerCRC(sector[:h.HeaderBytes]); got != want {
		return nil, headerError("HeaderCRC32", 16, fmt.Sprintf("%#08x", got), fmt.Sprintf("the header's checksum is %#08x", want))
	}
	if err := h.checkPlaces(lba, diskSectors); err != nil {
		return nil, err
	}
	return h, nil
}

// headerCRC returns the checksum of a header: UEFI 2.10, section 5.3.2.
func headerCRC(p []byte) uint32 {
	sum := crc32.ChecksumIEEE(p[:16])
	sum = crc32.Update(sum, crc32.IEEETable, make([]byte, 4))
	return crc32.Update(sum, crc32.IEEETable, p[20:])
}

// checkPlaces checks where the header says that everything lies.
func (h *Header) checkPlaces(lba, diskSectors uint64) error {
	switch {
	case h.MyLBA != lba:
		return headerError("MyLBA", 24, h.MyLBA, fmt.Sprintf("must be %d, where the header is", lba))
	case h.FirstUsable < 2 || h.FirstUsable > h.LastUsable:
		return headerError("FirstUsableLBA", 40, h.FirstUsable, fmt.Sprintf("must be from 2 to LastUsableLBA, %d", h.LastUsable))
	case h.LastUsable >= diskSectors:
		return headerError("LastUsableLBA", 48, h.LastUsable, fmt.Sprintf("must lie on the disk of %d sectors", diskSectors))
	case h.EntryBytes < EntryBytes || h.EntryBytes&(h.EntryBytes-1) != 0 || h.EntryBytes > MaxSectorBytes:
		return headerError("SizeOfPartitionEntry", 84, h.EntryBytes, "must be a power of two from 128 to 4096")
	case h.Entries == 0 || uint64(h.Entries)*uint64(h.EntryBytes) > MaxEntriesBytes:
		return headerError("NumberOfPartitionEntries", 80, h.Entries, fmt.Sprintf("must make from 1 to %d bytes of entries", MaxEntriesBytes))
	case h.EntriesLBA < 2 || h.EntriesLBA >= diskSectors || diskSectors-h.EntriesLBA < h.entriesSectors():
		return headerError("PartitionEntryLBA", 72, h.EntriesLBA, fmt.Sprintf("must leave room for %d sectors on the disk of %d", h.entriesSectors(), diskSectors))
	case h.EntriesLBA <= h.LastUsable && h.EntriesLBA+h.entriesSectors() > h.FirstUsable:
		return headerError("PartitionEntryLBA", 72, h.EntriesLBA, fmt.Sprintf("must not lie among the usable sectors, %d to %d", h.FirstUsable, h.LastUsable))
	case lba >= h.FirstUsable && lba <= h.LastUsable:
		return headerError("FirstUsableLBA", 40, h.FirstUsable, "makes the header itself usable")
	}
	return nil
}

func (h *Header) entriesSectors() uint64 {
	return uint64((h.EntriesBytes() + h.SectorBytes - 1) / h.SectorBytes)
}

// DecodeEntries decodes the entries of the table, p, which are EntriesBytes
// bytes from sector EntriesLBA on, and checks them.
func (h *Header) DecodeEntries(p []byte, diskSectors uint64) (*Table, error) {
	if len(p) < h.EntriesBytes() {
		return nil, headerError("NumberOfPartitionEntries", 80, h.Entries, fmt.Sprintf("makes %d bytes, there are %d", h.EntriesBytes(), len(p)))
	}
	p = p[:h.EntriesBytes()]
	if sum := crc32.ChecksumIEEE(p); sum != h.EntriesCRC {
		return nil, headerError("PartitionEntryArrayCRC32", 88, fmt.Sprintf("%#08x", h.EntriesCRC), fmt.Sprintf("the entries' checksum is %#08x", sum))
	}
	t := &Table{
		SectorBytes: h.SectorBytes,
		DiskSectors: diskSectors,
		DiskGUID:    h.DiskGUID,
		Entries:     int(h.Entries),
		FirstUsable: h.FirstUsable,
		LastUsable:  h.LastUsable,
	}
	last := 0
	for i := range t.Entries {
		q := decodePartition(p[i*int(h.EntryBytes):])
		t.Partitions = append(t.Partitions, q)
		if q.Used() {
			last = i + 1
		}
	}
	t.Partitions = t.Partitions[:last]
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

// header returns the header of the table, without the places of this copy.
// entries are the encoded entries and may be padded.
func (t *Table) header(entries []byte) *Header {
	return &Header{
		SectorBytes: t.SectorBytes,
		HeaderBytes: MinHeaderBytes,
		FirstUsable: t.FirstUsable,
		LastUsable:  t.LastUsable,
		DiskGUID:    t.DiskGUID,
		Entries:     uint32(t.Entries),
		EntryBytes:  EntryBytes,
		EntriesCRC:  crc32.ChecksumIEEE(entries[:t.Entries*EntryBytes]),
	}
}

// encode writes the header to a sector that is cleared.
func (h *Header) encode(p []byte) {
	le := binary.LittleEndian
	copy(p, headerSignature)
	le.PutUint32(p[8:], revision1)
	le.PutUint32(p[12:], h.HeaderBytes)
	le.PutUint64(p[24:], h.MyLBA)
	le.PutUint64(p[32:], h.AlternateLBA)
	le.PutUint64(p[40:], h.FirstUsable)
	le.PutUint64(p[48:], h.LastUsable)
	copy(p[56:], h.DiskGUID[:])
	le.PutUint64(p[72:], h.EntriesLBA)
	le.PutUint32(p[80:], h.Entries)
	le.PutUint32(p[84:], h.EntryBytes)
	le.PutUint32(p[88:], h.EntriesCRC)
	le.PutUint32(p[16:], headerCRC(p[:h.HeaderBytes]))
}

// An entry is UEFI 2.10, table 5-6:
//
//	off len field
//	  0  16 Type
//	 16  16 GUID
//	 32   8 FirstLBA
//	 40   8 LastLBA
//	 48   8 Attributes
//	 56  72 Name, UTF-16, padded with 0

func decodePartition(p []byte) Partition {
	le := binary.LittleEndian
	var units [nameUnits]uint16
	for i := range units {
		units[i] = le.Uint16(p[56+2*i:])
	}
	name := string(utf16.Decode(units[:]))
	name, _, _ = strings.Cut(name, "\x00")
	return Partition{
		Type:       GUID(p),
		GUID:       GUID(p[16:]),
		FirstLBA:   le.Uint64(p[32:]),
		LastLBA:    le.Uint64(p[40:]),
		Attributes: le.Uint64(p[48:]),
		Name:       name,
	}
}

// encode writes the entry to p, which is cleared.
func (p *Partition) encode(e []byte) {
	le := binary.LittleEndian
	copy(e, p.Type[:])
	copy(e[16:], p.GUID[:])
	le.PutUint64(e[32:], p.FirstLBA)
	le.PutUint64(e[40:], p.LastLBA)
	le.PutUint64(e[48:], p.Attributes)
	units := utf16.Encode([]rune(p.Name))
	for i, u := range units[:min(len(units), nameUnits)] {
		le.PutUint16(e[56+2*i:], u)
	}
}

// checkOverlap checks the partitions with the indexes used, each of which lies
// on the disk.
func (t *Table) checkOverlap(used []int) error {
	slices.SortFunc(used, func(i, j int) int {
		return cmp.Compare(t.Partitions[i].FirstLBA, t.Partitions[j].FirstLBA)
	})
	for k := 1; k < len(used); k++ {
		before, p := &t.Partitions[used[k-1]], &t.Partitions[used[k]]
		if before.LastLBA >= p.FirstLBA {
			return entryError(used[k], "StartingLBA", 32, p.FirstLBA, fmt.Sprintf("lies in partition %d", used[k-1]+1))
		}
	}
	return nil
}

// headerError is a FormatError about a field of a header.
func headerError(field string, off int64, value any, reason string) error {
	return &diskerr.FormatError{Format: "GPT", Structure: "header", Field: field, Offset: off, Value: value, Reason: reason}
}

// entryError is a FormatError about a field of entry i, counted from 0. The
// offset is within the entry.
func entryError(i int, field string, off int64, value any, reason string) error {
	return &diskerr.FormatError{Format: "GPT", Structure: fmt.Sprintf("partition %d", i+1), Field: field, Offset: off, Value: value, Reason: reason}
}
