// Package mbr turns master boot records, and the extended boot records of
// logical partitions, into Go values and back.
//
// No standard defines the format; it is what DOS and Windows do. UEFI 2.10,
// section 5.2 "LBA 0 Format", describes it and the protective form that a GPT
// disk carries. The first 512 bytes of a disk, whatever its sector size:
//
//	off len field
//	  0 440 Code
//	440   4 Signature of the disk
//	444   2 Reserved
//	446  64 Partitions, 4 of 16 bytes:
//	            off len field
//	              0   1 Active: 80h or 00h
//	              1   3 FirstCHS
//	              4   1 Type
//	              5   3 LastCHS
//	              8   4 FirstLBA
//	             12   4 Sectors
//	510   2 55 AA
//
// All integers are little-endian, all counts are in sectors of the disk.
//
// A FAT boot sector ends with 55 AA too, and with code that happens to be zero
// it decodes as an empty table: who does not know whether a disk has a table
// must look for a file system first.
//
// The package does no I/O. Decoding never trusts the medium; what breaks a
// rule is a *diskerr.FormatError. Functions are safe for concurrent use.
package mbr

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
)

// Bytes is the size of the part of the first sector that has a layout.
const Bytes = 512

// CodeBytes is the room for boot code.
const CodeBytes = 440

// Types of partitions.
const (
	TypeEmpty       = 0x00
	TypeFAT12       = 0x01
	TypeFAT16Small  = 0x04 // below 65,536 sectors
	TypeExtended    = 0x05
	TypeFAT16       = 0x06
	TypeFAT32       = 0x0B
	TypeFAT32LBA    = 0x0C
	TypeFAT16LBA    = 0x0E
	TypeExtendedLBA = 0x0F
	TypeLinuxExt    = 0x85 // an extended partition of Linux
	TypeProtective  = 0xEE // covers a GPT disk
	TypeEFI         = 0xEF // an EFI system partition
)

const (
	signature    = 0xAA55
	statusActive = 0x80
	entriesAt    = 446
	entryBytes   = 16
)

// Table is a master boot record.
type Table struct {
	Code       [CodeBytes]byte
	Signature  uint32 // identifies the disk to Windows
	Reserved   uint16 // 0, or 5A5Ah for a disk that is copy-protected
	Partitions [4]Partition
}

// Partition is an entry of a table. The zero Partition is an unused entry.
type Partition struct {
	Active   bool // the BIOS starts from it
	Type     byte
	FirstCHS CHS
	LastCHS  CHS
	FirstLBA uint32
	Sectors  uint32
}

// Used reports whether the entry describes a partition.
func (p *Partition) Used() bool { return p.Type != TypeEmpty }

// End returns the sector after the last one.
func (p *Partition) End() uint64 { return uint64(p.FirstLBA) + uint64(p.Sectors) }

// Extended reports whether the partition holds logical partitions.
func (p *Partition) Extended() bool {
	return p.Type == TypeExtended || p.Type == TypeExtendedLBA || p.Type == TypeLinuxExt
}

// Decode decodes the first Bytes bytes of p. It refuses what is no table: no
// 55 AA, or an entry whose first byte is neither 00h nor 80h, as Linux does.
// Where the partitions lie is checked by [Table.Validate].
func Decode(p []byte) (*Table, error) {
	if err := checkSector(p, "master boot record"); err != nil {
		return nil, err
	}
	t := &Table{
		Code:      [CodeBytes]byte(p),
		Signature: binary.LittleEndian.Uint32(p[CodeBytes:]),
		Reserved:  binary.LittleEndian.Uint16(p[CodeBytes+4:]),
	}
	for i := range t.Partitions {
		t.Partitions[i] = decodeEntry(p, i)
	}
	return t, nil
}

// checkSector checks what makes p a table.
func checkSector(p []byte, structure string) error {
	if len(p) < Bytes {
		return &diskerr.FormatError{Format: "MBR", Structure: structure, Offset: int64(len(p)),
			Reason: "the medium ends before byte 512"}
	}
	if s := binary.LittleEndian.Uint16(p[510:]); s != signature {
		return &diskerr.FormatError{Format: "MBR", Structure: structure, Field: "Signature", Offset: 510,
			Value: fmt.Sprintf("%#04x", s), Reason: "must be 0xaa55"}
	}
	for i := range 4 {
		off := entriesAt + i*entryBytes
		if s := p[off]; s != 0 && s != statusActive {
			return &diskerr.FormatError{Format: "MBR", Structure: structure, Field: fmt.Sprintf("BootIndicator %d", i+1),
				Offset: int64(off), Value: fmt.Sprintf("%#02x", s), Reason: "must be 0x00 or 0x80"}
		}
	}
	return nil
}

func decodeEntry(sector []byte, i int) Partition {
	e := sector[entriesAt+i*entryBytes:]
	return Partition{
		Active:   e[0] == statusActive,
		FirstCHS: decodeCHS(e[1:]),
		Type:     e[4],
		LastCHS:  decodeCHS(e[5:]),
		FirstLBA: binary.LittleEndian.Uint32(e[8:]),
		Sectors:  binary.LittleEndian.Uint32(e[12:]),
	}
}

// Encode writes the table to p, which is one sector of at least Bytes; what
// follows them is cleared.
func (t *Table) Encode(p []byte) {
	clear(p[Bytes:])
	copy(p, t.Code[:])
	binary.LittleEndian.PutUint32(p[CodeBytes:], t.Signature)
	binary.LittleEndian.PutUint16(p[CodeBytes+4:], t.Reserved)
	for i := range t.Partitions {
		t.Partitions[i].encode(p[entriesAt+i*entryBytes:])
	}
	binary.LittleEndian.PutUint16(p[510:], signature)
}

func (p *Partition) encode(e []byte) {
	e[0] = 0
	if p.Active {
		e[0] = statusActive
	}
	p.FirstCHS.encode(e[1:])
	e[4] = p.Type
	p.LastCHS.encode(e[5:])
	binary.LittleEndian.PutUint32(e[8:], p.FirstLBA)
	binary.LittleEndian.PutUint32(e[12:], p.Sectors)
}

// Protective reports whether the table stands in front of a GPT.
func (t *Table) Protective() bool {
	for i := range t.Partitions {
		if t.Partitions[i].Type == TypeProtective {
			return true
		}
	}
	return false
}

// Extended returns the extended partition, if there is one.
func (t *Table) Extended() (Partition, bool) {
	for _, p := range t.Partitions {
		if p.Extended() {
			return p, true
		}
	}
	return Partition{}, false
}

// NewProtective returns the table in front of a GPT on a disk of so many
// sectors: UEFI 2.10, section 5.2.3 "Protective MBR".
func NewProtective(diskSectors uint64) *Table {
	t := &Table{}
	t.Partitions[0] = Partition{
		Type:     TypeProtective,
		FirstCHS: CHS{Sector: 2},
		LastCHS:  CHS{Cylinder: 1023, Head: 255, Sector: 63},
		FirstLBA: 1,
		Sectors:  uint32(min(diskSectors-1, 0xFFFFFFFF)),
	}
	return t
}

// Validate checks that every partition lies on a disk of so many sectors, and
// that no two overlap. The protective partition of a GPT may reach past the
// end, as it does on a disk that was copied to a smaller one.
func (t *Table) Validate(diskSectors uint64) error {
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if !p.Used() {
			continue
		}
		switch {
		case p.FirstLBA == 0:
			return partitionError(i, "StartingLBA", 8, p.FirstLBA, "must not be 0: the table is there")
		case p.Sectors == 0:
			return partitionError(i, "SizeInLBA", 12, p.Sectors, "must not be 0")
		case p.End() > diskSectors && p.Type != TypeProtective:
			return partitionError(i, "SizeInLBA", 12, p.Sectors,
				fmt.Sprintf("makes the partition end at sector %d of %d", p.End(), diskSectors))
		}
		for j := range i {
			q := &t.Partitions[j]
			if q.Used() && uint64(p.FirstLBA) < q.End() && uint64(q.FirstLBA) < p.End() {
				return partitionError(i, "StartingLBA", 8, p.FirstLBA, fmt.Sprintf("lies so that the partition overlaps partition %d", j+1))
			}
		}
	}
	return nil
}

// partitionError is a FormatError about a field of entry i of the table.
func partitionError(i int, field string, off int, value any, reason string) error {
	return &diskerr.FormatError{Format: "MBR", Structure: fmt.Sprintf("partition %d", i+1), Field: field,
		Offset: int64(entriesAt + i*entryBytes + off), Value: value, Reason: reason}
}
