package fat

import (
	"bytes"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

const (
	// maxRebuildSectors is how far into the device a FAT is looked for.
	maxRebuildSectors = 8192
	// rebuildProbe is how much of two FATs is compared.
	rebuildProbe = 512
)

// rebuildBoot makes a boot sector from what else a volume has: the FATs, which
// begin with known entries and are equal, and a directory whose "." tells where
// its cluster lies.
func (c *checker) rebuildBoot() (*fatfmt.BootSector, fatfmt.Geometry, bool) {
	for _, f := range fatfmt.Floppies() {
		if int64(f.KiB)<<10 == c.disk.dev.Size() {
			if g := f.Geometry(); c.isFAT(g.FATOffset(0), fatfmt.FAT12, f.Media) && c.twins(g.FATOffset(0), g.FATOffset(1)) {
				return fatfmt.NewBootSector(&g, fatfmt.BootOptions{}), g, true
			}
		}
	}
	for _, typ := range []fatfmt.Type{fatfmt.FAT32, fatfmt.FAT16, fatfmt.FAT12} {
		for reserved := int64(1); reserved < maxRebuildSectors; reserved++ {
			for _, media := range []byte{fatfmt.MediaFixed, fatfmt.MediaFloppy} {
				if !c.isFAT(reserved*sectorBytes, typ, media) {
					continue
				}
				if g, ok := c.fitGeometry(typ, uint32(reserved), media); ok {
					return fatfmt.NewBootSector(&g, fatfmt.BootOptions{}), g, true
				}
			}
		}
	}
	return nil, fatfmt.Geometry{}, false
}

// isFAT reports whether a FAT of this type may begin at off.
func (c *checker) isFAT(off int64, typ fatfmt.Type, media byte) bool {
	p := make([]byte, 12)
	if c.disk.read(p, off) != nil {
		return false
	}
	e0, e1 := typ.FirstEntries(media)
	flags := typ.CleanBit() | typ.NoErrorBit()
	return typ.Entry(p, 0) == e0 && typ.Entry(p, 1)|flags == e1 &&
		(typ != fatfmt.FAT32 || p[3]&0xF0 == 0 && typ.Entry(p, 2) != 0)
}

// twins reports whether the sectors at two places are equal.
func (c *checker) twins(a, b int64) bool {
	p, q := make([]byte, rebuildProbe), make([]byte, rebuildProbe)
	return c.disk.read(p, a) == nil && c.disk.read(q, b) == nil && bytes.Equal(p, q)
}

// fitGeometry looks for a geometry with two FATs that begin after reserved
// sectors of 512 bytes, in which the device has as many clusters as the FATs
// have entries for, and directories lie where they say.
func (c *checker) fitGeometry(typ fatfmt.Type, reserved uint32, media byte) (fatfmt.Geometry, bool) {
	total := min(c.disk.dev.Size()/sectorBytes, 1<<32-1)
	roots := []int{512, 224, 112, 64, 128, 240, 256, 1024, 2048}
	if typ == fatfmt.FAT32 {
		roots = []int{0}
	}
	for per := 1; per <= 128; per *= 2 {
		for _, root := range roots {
			rest := total - int64(reserved) - int64(root)*slotBytes/sectorBytes
			// n clusters take n*per sectors, and n entries in each of two FATs.
			most := rest / int64(per)
			size := (typ.EntriesBytes(uint32(min(most, 1<<28))+2) + sectorBytes - 1) / sectorBytes
			for slack := int64(-16); slack <= 2; slack++ {
				g := fatfmt.Geometry{Type: typ, SectorBytes: sectorBytes, ClusterSectors: per, ReservedSectors: reserved, FATs: 2,
					FATSectors: uint32(max(1, c.fatSectors(typ, rest, int64(per), size)+slack)), RootEntries: root,
					TotalSectors: uint32(total), Media: media, Mirrored: true}
				if typ == fatfmt.FAT32 {
					g.RootCluster = 2
				}
				if c.fits(&g) {
					return g, true
				}
			}
		}
	}
	return fatfmt.Geometry{}, false
}

// fatSectors returns the size of each of two FATs that leave room for as many
// clusters as they describe.
func (c *checker) fatSectors(typ fatfmt.Type, rest, per, guess int64) int64 {
	for range 32 {
		clusters := (rest - 2*guess) / per
		need := (typ.EntriesBytes(uint32(max(0, clusters)+2)) + sectorBytes - 1) / sectorBytes
		if need == guess {
			break
		}
		guess = need
	}
	return guess
}

// fits reports whether the volume may have the geometry g, whose number of
// clusters it sets. What decides is a directory that is where it says.
func (c *checker) fits(g *fatfmt.Geometry) bool {
	boot := fatfmt.NewBootSector(g, fatfmt.BootOptions{})
	full, err := boot.Geometry()
	if err != nil || full.Type != g.Type || !c.twins(full.FATOffset(0), full.FATOffset(1)) ||
		!c.isFAT(full.FATOffset(1), g.Type, g.Media) {
		return false
	}
	if g.Type == fatfmt.FAT32 { // FSInfo and backup where they usually are
		if full.ReservedSectors > usualBackup+1 {
			full.FSInfoSector, full.BackupSector = usualInfo, usualBackup
		}
	}
	*g = full
	root := make([]byte, min(full.RootBytes(), 64<<10))
	if g.Type == fatfmt.FAT32 {
		root = make([]byte, full.ClusterBytes())
	}
	if c.disk.read(root, full.RootOffset()) != nil {
		return false
	}
	proved := false
	scanSlots(root, c.cp, func(_ position, _ string, e *fatfmt.DirEntry) bool {
		first := e.FirstCluster(g.Type)
		if !e.IsDir() || !full.Valid(first) {
			return true
		}
		p := make([]byte, slotBytes)
		if c.disk.read(p, full.ClusterOffset(first)) != nil {
			return true
		}
		dot := fatfmt.DecodeDirEntry(p)
		proved = dot.Name == fatfmt.DotName && dot.FirstCluster(g.Type) == first
		return !proved
	})
	return proved
}
