package fat

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// TableKind is the kind of partition table that Format writes.
type TableKind uint8

const (
	// NoTable puts the volume at Offset of the device, and writes nothing else.
	NoTable TableKind = iota
	// MBR makes a master boot record with one partition.
	MBR
	// GPT makes a GUID partition table with one partition of basic data.
	GPT
	// GPTSystem is GPT with an EFI system partition.
	GPTSystem
)

// FormatOptions say which volume Format makes. The zero value stands for the
// usual volume on the whole device.
type FormatOptions struct {
	Type            int   // 12, 16 or 32; 0: by size
	SectorBytes     int   // 512 to 4096; 0: 512, or the device's smallest block
	ClusterBytes    int   // 0: by Microsoft's table
	FATs            int   // 0: 2
	ReservedSectors int   // 0: 1, on FAT32 32
	RootEntries     int   // FAT12/16 only; 0: 512, fewer on floppies
	AlignBytes      int   // the data area begins at a multiple of this; 0: anywhere
	FloppyKiB       int   // a standard floppy format, such as 1440; goes with none of the above and the next three
	Media           byte  // 0: F8h, on floppies what the format has
	SectorsPerTrack int   // 0: 63
	Heads           int   // 0: 255
	HiddenSectors   int64 // negative: none; 0: the start of the volume on the device
	BackupSector    int   // FAT32 only; 0: 6, negative: no backup boot sector
	DriveNumber     int   // 0: 80h, on floppies 0; negative: 0

	Offset int64 // bytes from the start of the device to the volume, without a table
	Size   int64 // bytes of the volume; 0: to the end of the device

	Table TableKind
	// TableSeed makes the identifiers of a partition table reproducible; empty
	// means that they depend on Serial.
	TableSeed string // of a GPT
	Active    bool   // mark the partition of an MBR as the one to boot from

	Label    string
	CodePage int     // of Label; 0: 437
	Serial   *uint32 // nil: from Now
	OEM      string  // at most 8 bytes; "": MSWIN4.1
	// BootCode is machine code for the room behind the fields of the boot
	// sector. Without it there is code that prints BootMessage and waits for a
	// key.
	BootCode    []byte
	BootMessage string // "": "This is not a bootable disk."
	// BadBytes are offsets within the volume that cannot be used. Their
	// clusters are marked bad.
	BadBytes []int64

	Location *time.Location   // of the label's time stamp; nil: local time
	Now      func() time.Time // nil: time.Now
}

// Info describes a volume: see [Volume.Info] and [Format].
type Info struct {
	Type            int // 12, 16, 32
	SectorBytes     int
	ClusterBytes    int
	Clusters        uint32
	FATs            int
	FATSectors      uint32
	ReservedSectors uint32
	RootEntries     int    // 0 on FAT32
	RootCluster     uint32 // 0 on FAT12 and FAT16
	TotalSectors    uint32
	HiddenSectors   uint32
	Media           byte
	ActiveFAT       int // the one that is valid; 0 with Mirrored
	Mirrored        bool
	FSInfoSector    uint16 // 0 if there is none
	BackupSector    uint16 // 0 if there is none
	DataOffset      int64  // bytes from the start of the volume to cluster 2
	Serial          uint32
	Label           string
	OEM             string
}

// Format makes an empty volume on dev and returns what it made. What was there
// is lost, although only the first sectors, the FATs and the root directory are
// written. A power cut leaves either no volume or a whole one.
func Format(dev block.Device, o FormatOptions) (Info, error) {
	if block.LimitsOf(dev).ReadOnly {
		return Info{}, diskerr.ErrReadOnly
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Serial == nil {
		serial := serialOf(o.Now())
		o.Serial = &serial
	}
	if o.FloppyKiB != 0 && o.shaped() {
		return Info{}, planError("a standard floppy format fixes sectors, clusters, FATs, root directory, media and geometry: leave them out")
	}
	if o.SectorBytes == 0 {
		o.SectorBytes = max(fatfmt.MinSectorBytes, block.LimitsOf(dev).MinBlock)
	}
	if why := o.contradiction(); why != "" {
		return Info{}, planError("%s", why)
	}
	cp, err := fatfmt.LookupCodePage(o.CodePage)
	if err != nil {
		return Info{}, err
	}
	label, err := fatfmt.EncodeLabel(o.Label, cp)
	if err != nil {
		return Info{}, err
	}
	spot, err := o.place(dev.Size())
	if err != nil {
		return Info{}, err
	}
	geo, err := o.geometry(spot)
	if err != nil {
		return Info{}, err
	}
	f := formatter{o: &o, geo: geo, label: label}
	section, err := block.NewSection(dev, spot.offset, geo.TotalBytes(), block.SectionOptions{})
	if err != nil {
		return Info{}, err
	}
	f.disk = newDisk(section)
	bad, err := f.badClusters()
	if err != nil {
		return Info{}, err
	}
	if geo.Type == fatfmt.FAT32 {
		for slices.Contains(bad, f.geo.RootCluster) {
			f.geo.RootCluster++
		}
	}
	boot, err := f.bootSector()
	if err != nil {
		return Info{}, err
	}
	if err := f.write(boot, bad); err != nil {
		return Info{}, err
	}
	if o.Table != NoTable {
		if err := o.writeTable(newDisk(dev), spot, &geo); err != nil {
			return Info{}, err
		}
	}
	return infoOf(&f.geo, boot, cp), nil
}

// shaped reports whether anything is asked for that a floppy format fixes.
func (o *FormatOptions) shaped() bool {
	return o.Type != 0 && o.Type != 12 || o.SectorBytes != 0 && o.SectorBytes != 512 || o.ClusterBytes != 0 || o.FATs != 0 ||
		o.ReservedSectors != 0 || o.RootEntries != 0 || o.AlignBytes != 0 || o.Media != 0 || o.SectorsPerTrack != 0 ||
		o.Heads != 0 || o.HiddenSectors > 0 || o.BackupSector > 0
}

// contradiction says which options exclude each other.
func (o *FormatOptions) contradiction() string {
	switch {
	case o.Active && o.Table != MBR:
		return "only a partition in an MBR is marked as the one to boot from"
	case o.TableSeed != "" && o.Table != GPT && o.Table != GPTSystem:
		return "only a GPT has identifiers that a seed can make"
	}
	return ""
}

// serialOf makes a serial number of the time, as DOS does: FAT 1.03, "Boot
// Sector and BPB", BS_VolID.
func serialOf(t time.Time) uint32 {
	hi := uint32(t.Hour())<<8 + uint32(t.Minute()) + uint32(t.Year())
	lo := uint32(t.Month())<<8 + uint32(t.Day()) + uint32(t.Second())<<8 + uint32(t.Nanosecond()/10_000_000)
	return hi<<16 | lo&0xFFFF
}

// spot is where the volume lies on the device.
type spot struct {
	offset, size int64 // bytes
	disk         int64 // size of the device, in bytes
}

// planError is an error about what was asked for.
func planError(format string, args ...any) error {
	return &fatfmt.PlanError{Reason: fmt.Sprintf(format, args...)}
}

// place finds room for the volume on a device of size bytes.
func (o *FormatOptions) place(size int64) (spot, error) {
	s := spot{offset: o.Offset, size: o.Size, disk: size}
	if o.Table != NoTable {
		if o.Offset != 0 || o.FloppyKiB != 0 {
			return s, planError("a partition table goes neither with an offset nor with a floppy format")
		}
		s.offset = tableAlign
		size -= o.tableTail()
	}
	if o.FloppyKiB != 0 && s.size == 0 {
		s.size = int64(o.FloppyKiB) << 10
	}
	if s.size == 0 {
		s.size = size - s.offset
	}
	if s.offset < 0 || s.offset%int64(o.SectorBytes) != 0 || s.size <= 0 || s.offset > size || s.size > size-s.offset {
		return s, fmt.Errorf("%w: a volume of %s at offset %d on a device of %s", diskerr.ErrOutOfRange,
			diskerr.FormatBytes(s.size), s.offset, diskerr.FormatBytes(s.disk))
	}
	return s, nil
}

// geometry plans the volume.
func (o *FormatOptions) geometry(s spot) (fatfmt.Geometry, error) {
	if o.FloppyKiB != 0 {
		f, ok := fatfmt.FloppyOf(o.FloppyKiB)
		if !ok {
			return fatfmt.Geometry{}, planError("there is no standard floppy of %d KiB", o.FloppyKiB)
		}
		return f.Geometry(), nil
	}
	if o.Type != 0 && o.Type != 12 && o.Type != 16 && o.Type != 32 {
		return fatfmt.Geometry{}, planError("there is no FAT%d: use 12, 16 or 32", o.Type)
	}
	hidden := o.HiddenSectors
	if hidden == 0 {
		hidden = s.offset / int64(o.SectorBytes)
	}
	if hidden > math.MaxUint32 {
		return fatfmt.Geometry{}, planError("%d hidden sectors do not fit in 32 bits", hidden)
	}
	geo, err := fatfmt.Plan(fatfmt.PlanOptions{
		Type:            fatfmt.Type(o.Type),
		TotalSectors:    min(uint64(s.size)/uint64(o.SectorBytes), math.MaxUint32),
		SectorBytes:     o.SectorBytes,
		ClusterBytes:    o.ClusterBytes,
		FATs:            o.FATs,
		ReservedSectors: o.ReservedSectors,
		RootEntries:     o.RootEntries,
		AlignBytes:      o.AlignBytes,
		Media:           o.Media,
		HiddenSectors:   uint32(max(0, hidden)),
		SectorsPerTrack: uint16(o.SectorsPerTrack),
		Heads:           uint16(o.Heads),
	})
	if err != nil {
		return geo, err
	}
	if geo.Type != fatfmt.FAT32 {
		if o.BackupSector > 0 {
			err = planError("%v has no backup boot sector: leave it out", geo.Type)
		}
		return geo, err
	}
	switch {
	case o.RootEntries != 0:
		return geo, planError("the root directory of FAT32 grows: leave the number of its entries out, or use FAT12 or FAT16")
	case o.BackupSector < 0:
		geo.BackupSector = 0
	case o.BackupSector > 0:
		if o.BackupSector == int(geo.FSInfoSector) || int64(o.BackupSector) >= int64(geo.ReservedSectors) {
			return geo, planError("sector %d cannot hold the backup boot sector", o.BackupSector)
		}
		geo.BackupSector = uint16(o.BackupSector)
	}
	return geo, nil
}
