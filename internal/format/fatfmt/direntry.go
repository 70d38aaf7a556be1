package fatfmt

import "encoding/binary"

// Attr is the attribute byte of a directory entry.
type Attr uint8

// The attributes: FAT 1.03, "FAT Directory Structure", DIR_Attr.
const (
	AttrReadOnly  Attr = 0x01
	AttrHidden    Attr = 0x02
	AttrSystem    Attr = 0x04
	AttrLabel     Attr = 0x08 // the entry is the label of the volume
	AttrDirectory Attr = 0x10
	AttrArchive   Attr = 0x20 // changed since the last backup

	// AttrLong marks a slot of a long name: all of read-only, hidden, system
	// and label, which no other entry has.
	AttrLong     Attr = 0x0F
	attrLongMask Attr = 0x3F
)

// Bits of DirEntry.Case, an addition of Windows NT that FAT 1.03 calls
// reserved (DIR_NTRes). The other bits are to be kept.
const (
	CaseLowerBase = 0x08 // show the base name in lower case
	CaseLowerExt  = 0x10 // show the extension in lower case
)

// Special first bytes of a slot: FAT 1.03, "FAT Directory Structure",
// DIR_Name[0].
const (
	slotEnd     = 0x00 // this slot and all that follow are free
	slotDeleted = 0xE5
	nameE5      = 0x05 // stands for a real 0xE5, a lead byte in code page 932
)

// SlotKind is what a directory slot is used for.
type SlotKind uint8

// The kinds of slots.
const (
	SlotEnd   SlotKind = iota // free, and nothing follows in this directory
	SlotFree                  // free or deleted
	SlotLong                  // a piece of a long name
	SlotLabel                 // the volume label
	SlotEntry                 // a file or a directory
)

// KindOf returns what the DirEntryBytes bytes of slot are used for. Long-name
// pieces are told apart before labels, since they carry the label bit: FAT
// 1.03, "FAT Long Directory Entries".
func KindOf(slot []byte) SlotKind {
	attr := Attr(slot[11])
	switch {
	case slot[0] == slotEnd:
		return SlotEnd
	case slot[0] == slotDeleted:
		return SlotFree
	case attr&attrLongMask == AttrLong:
		return SlotLong
	case attr&AttrLabel != 0:
		return SlotLabel
	}
	return SlotEntry
}

// MarkDeleted turns a slot into a deleted one and leaves the rest of it, as
// undelete tools expect.
func MarkDeleted(slot []byte) { slot[0] = slotDeleted }

// DirEntry is a directory entry with a short name, as it is on the medium.
// FAT 1.03, "FAT Directory Structure":
//
//	off len field
//	  0  11 Name, 8 + 3 bytes in the OEM code page, padded with spaces
//	 11   1 Attr
//	 12   1 Case
//	 13   1 CreateTenths, in units of 10 ms, 0…199
//	 14   2 CreateTime
//	 16   2 CreateDate
//	 18   2 AccessDate
//	 20   2 Cluster, high half (FAT12/16: not part of the cluster)
//	 22   2 WriteTime
//	 24   2 WriteDate
//	 26   2 Cluster, low half
//	 28   4 Size in bytes; 0 for a directory
type DirEntry struct {
	Name         [11]byte
	Attr         Attr
	Case         byte
	CreateTenths byte
	CreateTime   uint16
	CreateDate   uint16
	AccessDate   uint16
	WriteTime    uint16
	WriteDate    uint16
	Cluster      uint32 // both halves; see FirstCluster
	Size         uint32
}

// DecodeDirEntry decodes the first DirEntryBytes bytes of slot. Every pattern
// of bytes is an entry; use [KindOf] first.
func DecodeDirEntry(slot []byte) DirEntry {
	le := binary.LittleEndian
	_ = slot[DirEntryBytes-1]
	return DirEntry{
		Name:         [11]byte(slot),
		Attr:         Attr(slot[11]),
		Case:         slot[12],
		CreateTenths: slot[13],
		CreateTime:   le.Uint16(slot[14:]),
		CreateDate:   le.Uint16(slot[16:]),
		AccessDate:   le.Uint16(slot[18:]),
		WriteTime:    le.Uint16(slot[22:]),
		WriteDate:    le.Uint16(slot[24:]),
		Cluster:      uint32(le.Uint16(slot[20:]))<<16 | uint32(le.Uint16(slot[26:])),
		Size:         le.Uint32(slot[28:]),
	}
}

// Encode writes the entry to the first DirEntryBytes bytes of slot.
func (e *DirEntry) Encode(slot []byte) {
	le := binary.LittleEndian
	_ = slot[DirEntryBytes-1]
	copy(slot, e.Name[:])
	slot[11] = byte(e.Attr)
	slot[12] = e.Case
	slot[13] = e.CreateTenths
	le.PutUint16(slot[14:], e.CreateTime)
	le.PutUint16(slot[16:], e.CreateDate)
	le.PutUint16(slot[18:], e.AccessDate)
	le.PutUint16(slot[20:], uint16(e.Cluster>>16))
	le.PutUint16(slot[22:], e.WriteTime)
	le.PutUint16(slot[24:], e.WriteDate)
	le.PutUint16(slot[26:], uint16(e.Cluster))
	le.PutUint32(slot[28:], e.Size)
}

// FirstCluster returns the first cluster of the chain; 0 means none, or the
// root directory in a ".." entry. FAT12 and FAT16 ignore the high half, which
// OS/2 used otherwise; FAT32 ignores the top four bits.
func (e *DirEntry) FirstCluster(t Type) uint32 {
	if t == FAT32 {
		return e.Cluster & mask32
	}
	return e.Cluster & 0xFFFF
}

// IsDir reports whether the entry is a directory.
func (e *DirEntry) IsDir() bool { return e.Attr&AttrDirectory != 0 }

// The names of the first two entries of every directory but the root: FAT
// 1.03, "FAT Directory Structure".
var (
	DotName    = [11]byte{'.', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}
	DotDotName = [11]byte{'.', '.', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}
)

// IsDot reports whether the entry is named "." or "..".
func (e *DirEntry) IsDot() bool { return e.Name == DotName || e.Name == DotDotName }

// ShortName returns the short name as people read it: "README.TXT", or with
// Case bits "readme.txt". It maps a leading 0x05 to 0xE5, strips the padding
// and decodes the bytes from cp; bytes without a meaning there become U+FFFD.
func (e *DirEntry) ShortName(cp *CodePage) string {
	return ShortNameString(e.Name, e.Case, cp)
}

// ShortNameString is [DirEntry.ShortName] for a name and its case bits.
func ShortNameString(name [11]byte, caseBits byte, cp *CodePage) string {
	if name == DotName {
		return "."
	}
	if name == DotDotName {
		return ".."
	}
	if name[0] == nameE5 {
		name[0] = slotDeleted
	}
	var buf [32]byte
	s := appendPart(buf[:0], name[:8], caseBits&CaseLowerBase != 0, cp)
	n := len(s)
	s = append(s, '.')
	if s = appendPart(s, name[8:], caseBits&CaseLowerExt != 0, cp); len(s) == n+1 {
		s = s[:n]
	}
	return string(s)
}

// appendPart appends base or extension without padding, decoded. Only ASCII
// letters follow the case bits: systems differ on the others.
func appendPart(dst, part []byte, lower bool, cp *CodePage) []byte {
	for len(part) > 0 && part[len(part)-1] == ' ' {
		part = part[:len(part)-1]
	}
	n := len(dst)
	dst = cp.AppendDecoded(dst, part)
	if lower {
		for i := n; i < len(dst); i++ {
			if c := dst[i]; 'A' <= c && c <= 'Z' {
				dst[i] += 'a' - 'A'
			}
		}
	}
	return dst
}
