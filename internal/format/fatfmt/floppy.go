package fatfmt

// Floppy is a standard format of a floppy disk, all FAT12 with sectors of 512
// bytes, one reserved sector and two FATs.
type Floppy struct {
	KiB             int // the capacity, by which people call the format
	Media           byte
	Cylinders       int
	Heads           int
	SectorsPerTrack int
	ClusterSectors  int
	RootEntries     int
	FATSectors      int
}

// floppies are the formats that DOS made. FAT 1.03, "Boot Sector and BPB",
// lists their media bytes at BPB_Media; the tests compare the rest with what
// mkfs.fat and mformat make.
var floppies = []Floppy{
	{160, 0xFE, 40, 1, 8, 1, 64, 1},
	{180, 0xFC, 40, 1, 9, 1, 64, 2},
	{320, 0xFF, 40, 2, 8, 2, 112, 1},
	{360, 0xFD, 40, 2, 9, 2, 112, 2},
	{720, 0xF9, 80, 2, 9, 2, 112, 3},
	{1200, 0xF9, 80, 2, 15, 1, 224, 7},
	{1440, 0xF0, 80, 2, 18, 1, 224, 9},
	{2880, 0xF0, 80, 2, 36, 2, 240, 9},
}

// Floppies returns the standard formats, the smallest first.
func Floppies() []Floppy { return append([]Floppy(nil), floppies...) }

// FloppyOf returns the standard format of so many KiB.
func FloppyOf(kib int) (Floppy, bool) {
	for _, f := range floppies {
		if f.KiB == kib {
			return f, true
		}
	}
	return Floppy{}, false
}

// FloppyByMedia returns the format of a disk whose boot sector describes
// nothing, as DOS 1 made them, by the media byte in its FAT and its size in
// bytes.
func FloppyByMedia(media byte, sizeBytes int64) (Floppy, bool) {
	for _, f := range floppies {
		if f.Media == media && int64(f.KiB)<<10 == sizeBytes {
			return f, true
		}
	}
	return Floppy{}, false
}

// Geometry returns the volume that the format makes.
func (f Floppy) Geometry() Geometry {
	g := Geometry{
		Type:            FAT12,
		SectorBytes:     512,
		ClusterSectors:  f.ClusterSectors,
		ReservedSectors: 1,
		FATs:            2,
		FATSectors:      uint32(f.FATSectors),
		RootEntries:     f.RootEntries,
		TotalSectors:    uint32(f.KiB) * 2,
		Media:           f.Media,
		SectorsPerTrack: uint16(f.SectorsPerTrack),
		Heads:           uint16(f.Heads),
		Mirrored:        true,
	}
	g.Clusters = (g.TotalSectors - g.DataSector()) / uint32(g.ClusterSectors)
	return g
}
