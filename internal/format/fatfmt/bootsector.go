package fatfmt

import (
	"encoding/binary"
	"strings"

	"github.com/fatkit/fatkit/diskerr"
)

// BootSectorBytes is the size of the part of the boot sector that has a
// layout, whatever the sector size.
const BootSectorBytes = 512

// Values of fixed fields of a boot sector.
const (
	BootSignature = 0xAA55 // bytes 55 AA at offset 510, whatever the sector size
	ExtSignature  = 0x29   // BS_BootSig: serial, label and type name follow
	DriveFloppy   = 0x00   // BS_DrvNum
	DriveHard     = 0x80   // BS_DrvNum
	MediaFixed    = 0xF8   // BPB_Media of a disk that is not removable
	MediaFloppy   = 0xF0   // BPB_Media of 1.44 MB and newer floppies
)

// Bits of BootSector.State. Windows and Linux keep them in the byte that FAT
// 1.03 calls BS_Reserved1; Linux sets StateDirty while a volume is mounted.
const (
	StateDirty = 1 << 0 // not cleanly unmounted
	StateError = 1 << 1 // a disk error was met
)

// Bits of BootSector.ExtFlags: FAT 1.03, "Boot Sector and BPB", BPB_ExtFlags.
const (
	extActiveFAT   = 0x000F
	extNotMirrored = 0x0080
)

// CodeBytes is the room for boot code of each layout.
const (
	CodeBytes   = 448 // FAT12 and FAT16, from offset 62
	CodeBytes32 = 420 // FAT32, from offset 90
)

// noSector in FSInfoSector or BackupSector means that there is none.
const noSector = 0xFFFF

// BootSector is the first sector of a volume, field by field, as it is on the
// medium. FAT 1.03, "Boot Sector and BPB":
//
//	off len field                       off len field (FAT32)
//	  0   3 Jump                         36   4 FATSectors32
//	  3   8 OEM                          40   2 ExtFlags
//	 11   2 SectorBytes                  42   2 Version
//	 13   1 ClusterSectors               44   4 RootCluster
//	 14   2 ReservedSectors              48   2 FSInfoSector
//	 16   1 FATs                         50   2 BackupSector
//	 17   2 RootEntries                  52  12 Reserved
//	 19   2 TotalSectors16               64   1 DriveNumber
//	 21   1 Media                        65   1 State
//	 22   2 FATSectors16                 66   1 ExtSignature
//	 24   2 SectorsPerTrack              67   4 Serial
//	 26   2 Heads                        71  11 Label
//	 28   4 HiddenSectors                82   8 TypeName
//	 32   4 TotalSectors32               90 420 Code
//
//	                off len field (FAT12, FAT16)
//	                 36   1 DriveNumber
//	                 37   1 State
//	                 38   1 ExtSignature
//	                 39   4 Serial
//	                 43  11 Label
//	                 54   8 TypeName
//	                 62 448 Code
//	                510   2 Signature, in both
//
// FATSectors16 selects the layout: 0 means that of FAT32.
type BootSector struct {
	Jump            [3]byte
	OEM             [8]byte
	SectorBytes     uint16
	ClusterSectors  uint8
	ReservedSectors uint16
	FATs            uint8
	RootEntries     uint16
	TotalSectors16  uint16
	Media           byte
	FATSectors16    uint16
	SectorsPerTrack uint16
	Heads           uint16
	HiddenSectors   uint32
	TotalSectors32  uint32

	// The next seven exist in the FAT32 layout only.
	FATSectors32 uint32
	ExtFlags     uint16
	Version      uint16
	RootCluster  uint32
	FSInfoSector uint16
	BackupSector uint16
	Reserved     [12]byte

	DriveNumber  byte
	State        byte
	ExtSignature byte
	Serial       uint32
	Label        [11]byte
	TypeName     [8]byte
	Code         [CodeBytes]byte // the FAT32 layout uses the first CodeBytes32
	Signature    uint16
}

// DecodeBootSector decodes the first BootSectorBytes of p. It checks nothing
// but their number; see [BootSector.Geometry].
func DecodeBootSector(p []byte) (*BootSector, error) {
	if len(p) < BootSectorBytes {
		return nil, &diskerr.FormatError{Format: "FAT", Structure: "boot sector", Offset: int64(len(p)),
			Reason: "the medium ends before byte 512"}
	}
	le := binary.LittleEndian
	b := &BootSector{
		Jump:            [3]byte(p[0:]),
		OEM:             [8]byte(p[3:]),
		SectorBytes:     le.Uint16(p[11:]),
		ClusterSectors:  p[13],
		ReservedSectors: le.Uint16(p[14:]),
		FATs:            p[16],
		RootEntries:     le.Uint16(p[17:]),
		TotalSectors16:  le.Uint16(p[19:]),
		Media:           p[21],
		FATSectors16:    le.Uint16(p[22:]),
		SectorsPerTrack: le.Uint16(p[24:]),
		Heads:           le.Uint16(p[26:]),
		HiddenSectors:   le.Uint32(p[28:]),
		TotalSectors32:  le.Uint32(p[32:]),
		Signature:       le.Uint16(p[510:]),
	}
	if !b.Is32() {
		b.decodeExtension(p[36:], p[62:510])
		return b, nil
	}
	b.FATSectors32 = le.Uint32(p[36:])
	b.ExtFlags = le.Uint16(p[40:])
	b.Version = le.Uint16(p[42:])
	b.RootCluster = le.Uint32(p[44:])
	b.FSInfoSector = le.Uint16(p[48:])
	b.BackupSector = le.Uint16(p[50:])
	b.Reserved = [12]byte(p[52:])
	b.decodeExtension(p[64:], p[90:510])
	return b, nil
}

// decodeExtension decodes the fields that both layouts have, at different
// places.
func (b *BootSector) decodeExtension(p, code []byte) {
	b.DriveNumber = p[0]
	b.State = p[1]
	b.ExtSignature = p[2]
	b.Serial = binary.LittleEndian.Uint32(p[3:])
	b.Label = [11]byte(p[7:])
	b.TypeName = [8]byte(p[18:])
	copy(b.Code[:], code)
}

// Encode writes the boot sector to p, which is one sector of at least
// BootSectorBytes; what follows them is cleared.
func (b *BootSector) Encode(p []byte) {
	le := binary.LittleEndian
	clear(p[BootSectorBytes:])
	copy(p[0:], b.Jump[:])
	copy(p[3:], b.OEM[:])
	le.PutUint16(p[11:], b.SectorBytes)
	p[13] = b.ClusterSectors
	le.PutUint16(p[14:], b.ReservedSectors)
	p[16] = b.FATs
	le.PutUint16(p[17:], b.RootEntries)
	le.PutUint16(p[19:], b.TotalSectors16)
	p[21] = b.Media
	le.PutUint16(p[22:], b.FATSectors16)
	le.PutUint16(p[24:], b.SectorsPerTrack)
	le.PutUint16(p[26:], b.Heads)
	le.PutUint32(p[28:], b.HiddenSectors)
	le.PutUint32(p[32:], b.TotalSectors32)
	le.PutUint16(p[510:], b.Signature)
	if !b.Is32() {
		b.encodeExtension(p[36:], p[62:510])
		return
	}
	le.PutUint32(p[36:], b.FATSectors32)
	le.PutUint16(p[40:], b.ExtFlags)
	le.PutUint16(p[42:], b.Version)
	le.PutUint32(p[44:], b.RootCluster)
	le.PutUint16(p[48:], b.FSInfoSector)
	le.PutUint16(p[50:], b.BackupSector)
	copy(p[52:], b.Reserved[:])
	b.encodeExtension(p[64:], p[90:510])
}

func (b *BootSector) encodeExtension(p, code []byte) {
	p[0] = b.DriveNumber
	p[1] = b.State
	p[2] = b.ExtSignature
	binary.LittleEndian.PutUint32(p[3:], b.Serial)
	copy(p[7:], b.Label[:])
	copy(p[18:], b.TypeName[:])
	copy(code, b.Code[:])
}

// Is32 reports whether the sector has the layout of FAT32. Windows and Linux
// decide this way too; the type by cluster count agrees on every volume that
// follows the specification.
func (b *BootSector) Is32() bool { return b.FATSectors16 == 0 }

// HasSerial reports whether the serial number is there. An older signature,
// 0x28, announces the serial number without label and type name.
func (b *BootSector) HasSerial() bool {
	return b.ExtSignature == ExtSignature || b.ExtSignature == ExtSignature-1
}

// HasLabel reports whether the label and the type name are there.
func (b *BootSector) HasLabel() bool { return b.ExtSignature == ExtSignature }

// StateOffset returns where the byte State is, from the start of the sector.
func (b *BootSector) StateOffset() int {
	if b.Is32() {
		return 65
	}
	return 37
}

// totalSectors joins the two forms of the count. Some media fill both; the
// 16-bit form wins when it is not 0: FAT 1.03, "Boot Sector and BPB",
// BPB_TotSec16.
func (b *BootSector) totalSectors() uint32 {
	if b.TotalSectors16 != 0 {
		return uint32(b.TotalSectors16)
	}
	return b.TotalSectors32
}

// BootOptions are what a boot sector holds beyond the geometry.
type BootOptions struct {
	OEM    string // at most 8 bytes; "" means "MSWIN4.1", which FAT 1.03 recommends
	Serial uint32
	Label  [11]byte // as from [EncodeLabel]; zero means none
	Code   []byte   // boot code for the place after the fields; cut to its room
}

// NewBootSector describes the volume g in a boot sector.
func NewBootSector(g *Geometry, o BootOptions) *BootSector {
	b := &BootSector{
		Jump:            [3]byte{0xEB, 0x3C, 0x90},
		SectorBytes:     uint16(g.SectorBytes),
		ClusterSectors:  uint8(g.ClusterSectors),
		ReservedSectors: uint16(g.ReservedSectors),
		FATs:            uint8(g.FATs),
		RootEntries:     uint16(g.RootEntries),
		Media:           g.Media,
		SectorsPerTrack: g.SectorsPerTrack,
		Heads:           g.Heads,
		HiddenSectors:   g.HiddenSectors,
		DriveNumber:     DriveHard,
		ExtSignature:    ExtSignature,
		Serial:          o.Serial,
		Label:           o.Label,
		Signature:       BootSignature,
	}
	if o.OEM == "" {
		o.OEM = "MSWIN4.1"
	}
	copy(b.OEM[:], o.OEM+strings.Repeat(" ", 8))
	copy(b.TypeName[:], g.Type.String()+"   ")
	if b.Label == ([11]byte{}) {
		b.Label = NoLabel
	}
	if g.Media != MediaFixed {
		b.DriveNumber = DriveFloppy
	}
	if g.Type != FAT32 {
		b.FATSectors16 = uint16(g.FATSectors)
		if g.TotalSectors < 0x10000 {
			b.TotalSectors16 = uint16(g.TotalSectors)
		} else {
			b.TotalSectors32 = g.TotalSectors
		}
		copy(b.Code[:], o.Code)
		return b
	}
	b.Jump[1] = 0x58
	b.TotalSectors32 = g.TotalSectors
	b.FATSectors32 = g.FATSectors
	b.RootCluster = g.RootCluster
	b.FSInfoSector = g.FSInfoSector
	b.BackupSector = g.BackupSector
	if !g.Mirrored {
		b.ExtFlags = extNotMirrored | uint16(g.ActiveFAT)&extActiveFAT
	}
	copy(b.Code[:CodeBytes32], o.Code)
	return b
}
