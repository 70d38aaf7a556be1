package fatfmt

// Limits on what a volume may claim. They bound every later computation: with
// them, offsets fit easily in an int64 and a slot count in an int.
const (
	MinSectorBytes  = 512  // FAT 1.03, "Boot Sector and BPB", BPB_BytsPerSec
	MaxSectorBytes  = 4096 // likewise
	MaxClusterBytes = 128 * MaxSectorBytes

	// DirEntryBytes is the size of one directory slot.
	DirEntryBytes = 32
	// MaxDirSlots is the largest number of slots of a directory: FAT 1.03,
	// "FAT Directory Structure", limits one to 65,536 * 32 bytes.
	MaxDirSlots = 65536
	// MaxFileBytes is the size of the largest file, in bytes.
	MaxFileBytes = 1<<32 - 1
)

// Geometry says where everything of one volume lies. It is normalised: both
// forms of a count are joined, and only what the type has is set. All sector
// numbers are relative to the first sector of the volume.
//
// A Geometry from [BootSector.Geometry] or [Plan] is consistent: the parts lie
// in order within TotalSectors, and the FATs hold an entry for every cluster.
type Geometry struct {
	Type            Type
	SectorBytes     int    // a power of two, 512…4096
	ClusterSectors  int    // a power of two, 1…128
	ReservedSectors uint32 // sectors before the first FAT, at least 1
	FATs            int    // number of FATs, at least 1
	FATSectors      uint32 // sectors of one FAT
	RootEntries     int    // slots of the root directory; 0 on FAT32
	RootCluster     uint32 // first cluster of the root directory; 0 on FAT12/16
	TotalSectors    uint32 // sectors of the whole volume
	Clusters        uint32 // number of data clusters
	Media           byte
	HiddenSectors   uint32 // sectors before the volume on its disk, as the medium claims
	SectorsPerTrack uint16 // for the BIOS only
	Heads           uint16 // for the BIOS only
	FSInfoSector    uint16 // 0 if there is none (always on FAT12/16)
	BackupSector    uint16 // sector of the backup boot sector; 0 if there is none
	ActiveFAT       int    // the FAT that is valid; 0 when mirrored
	Mirrored        bool   // whether all FATs are kept equal
}

// ClusterBytes returns the size of a cluster in bytes.
func (g *Geometry) ClusterBytes() int { return g.ClusterSectors * g.SectorBytes }

// FATBytes returns the size of one FAT in bytes, padding included.
func (g *Geometry) FATBytes() int64 { return int64(g.FATSectors) * int64(g.SectorBytes) }

// FATOffset returns the offset of FAT i, counted from 0, in bytes.
func (g *Geometry) FATOffset(i int) int64 {
	return int64(g.ReservedSectors)*int64(g.SectorBytes) + int64(i)*g.FATBytes()
}

// RootOffset returns the offset of the root directory in bytes: of the fixed
// one on FAT12/16, of its first cluster on FAT32.
func (g *Geometry) RootOffset() int64 {
	if g.Type == FAT32 {
		return g.ClusterOffset(g.RootCluster)
	}
	return g.FATOffset(g.FATs)
}

// RootBytes returns the size of the fixed root directory in bytes; 0 on FAT32,
// where the root directory is a chain.
func (g *Geometry) RootBytes() int64 { return int64(g.RootEntries) * DirEntryBytes }

// rootSectors is the fixed root directory in whole sectors.
func (g *Geometry) rootSectors() uint32 {
	return uint32((g.RootEntries*DirEntryBytes + g.SectorBytes - 1) / g.SectorBytes)
}

// DataSector returns the sector where cluster 2 begins.
func (g *Geometry) DataSector() uint32 {
	return g.ReservedSectors + uint32(g.FATs)*g.FATSectors + g.rootSectors()
}

// DataOffset returns the offset of cluster 2 in bytes.
func (g *Geometry) DataOffset() int64 { return int64(g.DataSector()) * int64(g.SectorBytes) }

// ClusterOffset returns the offset of cluster c in bytes. c must be valid.
func (g *Geometry) ClusterOffset(c uint32) int64 {
	return g.DataOffset() + int64(c-2)*int64(g.ClusterBytes())
}

// ClusterAt returns the cluster that holds the byte at offsetBytes, and
// whether one does: the parts before the data and the tail after the last
// whole cluster belong to none.
func (g *Geometry) ClusterAt(offsetBytes int64) (uint32, bool) {
	i := offsetBytes - g.DataOffset()
	if i < 0 {
		return 0, false
	}
	i /= int64(g.ClusterBytes())
	return uint32(i) + 2, i < int64(g.Clusters)
}

// TotalBytes returns the size of the volume in bytes.
func (g *Geometry) TotalBytes() int64 { return int64(g.TotalSectors) * int64(g.SectorBytes) }

// DataBytes returns the room of all clusters in bytes.
func (g *Geometry) DataBytes() int64 { return int64(g.Clusters) * int64(g.ClusterBytes()) }

// MaxCluster returns the largest valid cluster number. The data area bounds
// it, not the number of entries that the FAT has room for.
func (g *Geometry) MaxCluster() uint32 { return g.Clusters + 1 }

// Valid reports whether c is the number of a data cluster.
func (g *Geometry) Valid(c uint32) bool { return c >= 2 && c <= g.MaxCluster() }

// ClustersFor returns how many clusters a file or directory of n bytes takes.
func (g *Geometry) ClustersFor(n int64) int64 {
	cb := int64(g.ClusterBytes())
	return n/cb + (n%cb+cb-1)/cb
}
