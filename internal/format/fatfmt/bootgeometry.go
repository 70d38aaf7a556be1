package fatfmt

import (
	"fmt"
	"math/bits"

	"github.com/fatkit/fatkit/diskerr"
)

// Geometry checks the fields that say where things lie, and returns the
// volume they describe. The first field that makes the volume unreadable is a
// *diskerr.FormatError; a FAT32 version above 0:0 is a *diskerr.FeatureError.
//
// It is as lenient as a reader of old media must be: a missing signature
// passes if a jump and a legal media byte make up for it, any media byte
// passes with the signature, the number of FATs and the place of a FAT32 root
// are free. Such things are listed by [BootSector.Unusual]. Whether the device
// is as large as TotalSectors claims is for the caller to check.
func (b *BootSector) Geometry() (Geometry, error) {
	for _, check := range []func() error{b.checkSignature, b.checkUnits, b.checkAreas} {
		if err := check(); err != nil {
			return Geometry{}, err
		}
	}
	g := Geometry{
		SectorBytes:     int(b.SectorBytes),
		ClusterSectors:  int(b.ClusterSectors),
		ReservedSectors: uint32(b.ReservedSectors),
		FATs:            int(b.FATs),
		FATSectors:      uint32(b.FATSectors16),
		RootEntries:     int(b.RootEntries),
		TotalSectors:    b.totalSectors(),
		Media:           b.Media,
		HiddenSectors:   b.HiddenSectors,
		SectorsPerTrack: b.SectorsPerTrack,
		Heads:           b.Heads,
		Mirrored:        true,
	}
	if b.Is32() {
		g.FATSectors = b.FATSectors32
	}
	if err := b.countClusters(&g); err != nil {
		return Geometry{}, err
	}
	if g.Type != FAT32 {
		return g, nil
	}
	if err := b.addFAT32(&g); err != nil {
		return Geometry{}, err
	}
	return g, nil
}

// fieldError is a FormatError about a field of the boot sector.
func (b *BootSector) fieldError(field string, off int64, value any, reason string) error {
	return &diskerr.FormatError{Format: "FAT", Structure: "boot sector", Field: field,
		Offset: off, Value: value, Reason: reason}
}

// checkSignature makes sure that the sector is meant to be a boot sector.
// ECMA-107 floppies and DOS before 3.3 lack the signature.
func (b *BootSector) checkSignature() error {
	if b.Signature == BootSignature || b.validJump() && validMedia(b.Media) {
		return nil
	}
	return b.fieldError("Signature_word", 510, fmt.Sprintf("%#04x", b.Signature),
		"is not 0xaa55, and no jump and media byte make up for it")
}

func (b *BootSector) validJump() bool {
	return b.Jump[0] == 0xEB && b.Jump[2] == 0x90 || b.Jump[0] == 0xE9
}

func validMedia(m byte) bool { return m == MediaFloppy || m >= MediaFixed }

func (b *BootSector) checkUnits() error {
	switch {
	case b.SectorBytes < MinSectorBytes || b.SectorBytes > MaxSectorBytes || bits.OnesCount16(b.SectorBytes) != 1:
		return b.fieldError("BPB_BytsPerSec", 11, b.SectorBytes, "must be 512, 1024, 2048 or 4096")
	case bits.OnesCount8(b.ClusterSectors) != 1:
		return b.fieldError("BPB_SecPerClus", 13, b.ClusterSectors, "must be a power of two from 1 to 128")
	}
	return nil
}

func (b *BootSector) checkAreas() error {
	switch {
	case b.ReservedSectors == 0:
		return b.fieldError("BPB_RsvdSecCnt", 14, b.ReservedSectors, "must not be 0: the boot sector is one")
	case b.FATs == 0:
		return b.fieldError("BPB_NumFATs", 16, b.FATs, "must not be 0")
	case b.Is32() && b.FATSectors32 == 0:
		return b.fieldError("BPB_FATSz32", 36, b.FATSectors32, "must not be 0 when BPB_FATSz16 is 0")
	case b.Is32() && b.RootEntries != 0:
		return b.fieldError("BPB_RootEntCnt", 17, b.RootEntries, "must be 0 on FAT32")
	case !b.Is32() && b.RootEntries == 0:
		return b.fieldError("BPB_RootEntCnt", 17, b.RootEntries, "must not be 0 on FAT12 and FAT16")
	case b.totalSectors() == 0:
		return b.fieldError("BPB_TotSec32", 32, b.TotalSectors32, "must not be 0 when BPB_TotSec16 is 0")
	}
	return nil
}

// countClusters sets the number of clusters and the type: FAT 1.03, "FAT Type
// Determination", with the FAT32 layout always meaning FAT32, as in Windows
// and Linux.
func (b *BootSector) countClusters(g *Geometry) error {
	before := uint64(g.ReservedSectors) + uint64(g.FATs)*uint64(g.FATSectors) + uint64(g.rootSectors())
	if before >= uint64(g.TotalSectors) {
		return b.totalError(g.TotalSectors, fmt.Sprintf("leaves no data: reserved sectors, FATs and root directory take %d", before))
	}
	g.Clusters = (g.TotalSectors - uint32(before)) / uint32(g.ClusterSectors)
	g.Type = TypeOf(g.Clusters)
	switch {
	case g.Clusters == 0:
		return b.totalError(g.TotalSectors, "leaves no room for a single cluster")
	case b.Is32():
		g.Type = FAT32
	case g.Type == FAT32:
		return b.fieldError("BPB_FATSz16", 22, b.FATSectors16,
			fmt.Sprintf("must be 0 on a volume of %d clusters, which is FAT32", g.Clusters))
	}
	if g.Clusters > maxFAT32 {
		return b.totalError(g.TotalSectors, fmt.Sprintf("makes %d clusters, FAT32 has at most %d", g.Clusters, maxFAT32))
	}
	if room := g.Type.EntriesIn(g.FATBytes()); room < int64(g.Clusters)+2 {
		field, off := "BPB_FATSz16", int64(22)
		if b.Is32() {
			field, off = "BPB_FATSz32", 36
		}
		return b.fieldError(field, off, g.FATSectors,
			fmt.Sprintf("holds %d entries, %d clusters need %d", room, g.Clusters, g.Clusters+2))
	}
	return nil
}

func (b *BootSector) totalError(value uint32, reason string) error {
	if b.TotalSectors16 != 0 {
		return b.fieldError("BPB_TotSec16", 19, value, reason)
	}
	return b.fieldError("BPB_TotSec32", 32, value, reason)
}

// addFAT32 adds what only FAT32 has.
func (b *BootSector) addFAT32(g *Geometry) error {
	if b.Version != 0 {
		return &diskerr.FeatureError{Format: "FAT32",
			Names: []string{fmt.Sprintf("version %d:%d", b.Version>>8, b.Version&0xFF)}}
	}
	if b.ExtFlags&extNotMirrored != 0 {
		g.Mirrored, g.ActiveFAT = false, int(b.ExtFlags&extActiveFAT)
	}
	if g.ActiveFAT >= g.FATs {
		return b.fieldError("BPB_ExtFlags", 40, fmt.Sprintf("%#04x", b.ExtFlags),
			fmt.Sprintf("makes FAT %d of %d the active one", g.ActiveFAT, g.FATs))
	}
	g.RootCluster = b.RootCluster & mask32
	if !g.Valid(g.RootCluster) {
		return b.fieldError("BPB_RootClus", 44, b.RootCluster, fmt.Sprintf("must be from 2 to %d", g.MaxCluster()))
	}
	if b.validReserved(b.FSInfoSector) {
		g.FSInfoSector = b.FSInfoSector
	}
	if b.validReserved(b.BackupSector) {
		g.BackupSector = b.BackupSector
	}
	return nil
}

// validReserved reports whether n is a reserved sector beyond the first.
func (b *BootSector) validReserved(n uint16) bool { return n > 0 && n < b.ReservedSectors }
