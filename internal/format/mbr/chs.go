package mbr

// CHS is an address by cylinder, head and sector, in three bytes:
//
//	byte 0  head
//	byte 1  7…6 cylinder, bits 9…8   5…0 sector, from 1
//	byte 2  cylinder, bits 7…0
type CHS struct {
	Cylinder uint16 // 0…1023
	Head     uint8
	Sector   uint8 // 1…63
}

const (
	maxCylinder = 1023
	maxHeads    = 255 // DOS cannot use 256
	maxSectors  = 63
)

// Saturated is the address of what lies beyond the reach of CHS, as Windows
// writes it: bytes FE FF FF.
var Saturated = CHS{Cylinder: maxCylinder, Head: maxHeads - 1, Sector: maxSectors}

func decodeCHS(p []byte) CHS {
	return CHS{Cylinder: uint16(p[1]&0xC0)<<2 | uint16(p[2]), Head: p[0], Sector: p[1] & 0x3F}
}

func (c CHS) encode(p []byte) {
	p[0] = c.Head
	p[1] = byte(c.Cylinder>>2)&0xC0 | c.Sector&0x3F
	p[2] = byte(c.Cylinder)
}

// Geometry is how a BIOS divides a disk.
type Geometry struct {
	Heads           int // 1…255
	SectorsPerTrack int // 1…63
}

// AssistedGeometry returns the geometry that a BIOS gives a disk of so many
// sectors ("LBA-assisted translation"): 63 sectors a track and the smallest
// number of heads of 16, 32, 64, 128 and 255 that reaches the whole disk.
func AssistedGeometry(diskSectors uint64) Geometry {
	g := Geometry{Heads: 16, SectorsPerTrack: maxSectors}
	for g.Heads < 128 && g.reach() < diskSectors {
		g.Heads *= 2
	}
	if g.reach() < diskSectors {
		g.Heads = maxHeads
	}
	return g
}

// reach returns how many sectors have an address.
func (g Geometry) reach() uint64 {
	return (maxCylinder + 1) * uint64(g.Heads) * uint64(g.SectorsPerTrack)
}

// Reaches reports whether sector lba has an address.
func (g Geometry) Reaches(lba uint64) bool { return lba < g.reach() }

// CHS returns the address of sector lba, or [Saturated] if it has none.
func (g Geometry) CHS(lba uint64) CHS {
	if !g.Reaches(lba) {
		return Saturated
	}
	perCylinder := uint64(g.Heads) * uint64(g.SectorsPerTrack)
	return CHS{
		Cylinder: uint16(lba / perCylinder),
		Head:     uint8(lba % perCylinder / uint64(g.SectorsPerTrack)),
		Sector:   uint8(lba%uint64(g.SectorsPerTrack)) + 1,
	}
}

// NewPartition returns an entry whose addresses by CHS agree with those by
// sector, as far as g reaches.
func (g Geometry) NewPartition(typ byte, active bool, firstLBA, sectors uint32) Partition {
	p := Partition{Type: typ, Active: active, FirstLBA: firstLBA, Sectors: sectors, FirstCHS: g.CHS(uint64(firstLBA))}
	p.LastCHS = g.CHS(max(p.End(), 1) - 1)
	return p
}

// FATType returns the type of a partition that holds a volume of FAT12, FAT16
// or FAT32 (fatBits 12, 16, 32): 01h, 06h or 0Bh while CHS reaches its last
// sector, else 0Eh or 0Ch, which tell DOS to address by sector. FAT12 is 01h
// only below 65,536 sectors and 06h from there on: DOS takes the width of the FAT
// from the boot sector and the width of the sector count from the type.
func (g Geometry) FATType(fatBits int, firstLBA, sectors uint32) byte {
	reached := g.Reaches(uint64(firstLBA) + uint64(sectors) - 1)
	switch {
	case fatBits == 32 && reached:
		return TypeFAT32
	case fatBits == 32:
		return TypeFAT32LBA
	case !reached:
		return TypeFAT16LBA
	case fatBits == 12 && sectors < 0x10000:
		return TypeFAT12
	}
	return TypeFAT16
}

// IsFAT reports whether a partition of type typ may hold a FAT volume.
func IsFAT(typ byte) bool {
	switch typ {
	case TypeFAT12, TypeFAT16Small, TypeFAT16, TypeFAT32, TypeFAT32LBA, TypeFAT16LBA, TypeEFI:
		return true
	}
	return false
}
