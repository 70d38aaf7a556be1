package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
)

const infoLong = `Explain a disk and the volume on it: the image, its partitions, and the boot sector,
geometry, FSInfo, label and use of the FAT volume. Of a qcow2 image, fatkit image
info tells more.`

// infoJSON is what info tells programs.
type infoJSON struct {
	stack.VolumeFacts
	Partitions []partitionJSON `json:"partitions"`
	Volume     *volumeJSON     `json:"volume,omitempty"`
	Problem    string          `json:"problem,omitempty"` // why there is no volume
}

type partitionJSON struct {
	Number      int    `json:"number"`
	OffsetBytes int64  `json:"offset_bytes"`
	SizeBytes   int64  `json:"size_bytes"`
	ForFAT      bool   `json:"for_fat"` // its type is one that FAT volumes have
	Warning     string `json:"warning,omitempty"`
}

type volumeJSON struct {
	Type            string `json:"type"` // such as FAT16
	Label           string `json:"label"`
	Serial          string `json:"serial"` // eight hexadecimal digits
	OEM             string `json:"oem"`
	Clean           bool   `json:"clean"` // it was unmounted in order
	SectorBytes     int    `json:"sector_bytes"`
	TotalSectors    uint32 `json:"total_sectors"`
	ClusterBytes    int    `json:"cluster_bytes"`
	Clusters        uint32 `json:"clusters"`
	FreeClusters    int64  `json:"free_clusters"`
	ReservedSectors uint32 `json:"reserved_sectors"`
	FATs            int    `json:"fats"`
	FATSectors      uint32 `json:"fat_sectors"`
	ActiveFAT       int    `json:"active_fat"`
	Mirrored        bool   `json:"mirrored"`
	RootEntries     int    `json:"root_entries"` // 0 on FAT32
	RootCluster     uint32 `json:"root_cluster"` // 0 on FAT12 and FAT16
	HiddenSectors   uint32 `json:"hidden_sectors"`
	Media           string `json:"media"` // two hexadecimal digits
	SectorsPerTrack uint16 `json:"sectors_per_track"`
	Heads           uint16 `json:"heads"`
	DriveNumber     byte   `json:"drive_number"`
	DataOffset      int64  `json:"data_offset"` // bytes from the start of the volume
	FSInfoSector    uint16 `json:"fsinfo_sector"`
	FSInfoFree      *int64 `json:"fsinfo_free,omitempty"` // what FSInfo says; absent if it does not
	FSInfoNext      *int64 `json:"fsinfo_next,omitempty"`
	BackupSector    uint16 `json:"backup_sector"`
	Files           int64  `json:"files"`
	Directories     int64  `json:"directories"` // the root included
	FileBytes       int64  `json:"file_bytes"`
}

func newInfo() *cobra.Command {
	f := volumeFlags{}
	var json bool
	cmd := &cobra.Command{
		Use:     "info [flags] IMAGE",
		Short:   "explain a disk and the FAT volume on it",
		Long:    infoLong,
		Example: "  fatkit info disk.img\n  fatkit info --json disk.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f, func(s *session) error {
				info, err := s.info(args[0])
				if err != nil {
					return err
				}
				if json {
					err = printJSON(s.out, info)
				} else {
					err = info.print(s.out)
				}
				if info.Volume == nil && err == nil {
					return exitWith(exitFailed)
				}
				return err
			})
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&json, "json", false, "print JSON")
	f.registerDisk(fs)
	return cmd
}

// info looks at an image.
func (s *session) info(name string) (*infoJSON, error) {
	l, err := s.parseInside(name, true)
	if err != nil {
		return nil, err
	}
	o, err := s.options(l, false)
	if err != nil {
		return nil, err
	}
	d, problem, err := stack.OpenDiskOfVolume(s.ctx, l.Image, o)
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, d.Close)
	info := &infoJSON{VolumeFacts: d.Facts, Partitions: []partitionJSON{}}
	partitions, err := stack.ListPartitions(d.Disk, o.Volume.SectorBytes)
	if err != nil && !errors.Is(err, diskerr.ErrCorrupt) {
		return nil, fmt.Errorf("%s: %w", l.Image, err)
	}
	for _, p := range partitions {
		info.Partitions = append(info.Partitions, partitionJSON{p.Number, p.OffsetBytes, p.LenBytes, p.ForFAT, p.Warning})
		info.Table = p.Table
	}
	if problem == nil {
		o.Fat.ReadOnly = true
		info.Volume, problem = s.describeVolume(d.Device, o.Fat)
	}
	if problem != nil {
		info.Problem = problem.Error()
	}
	return info, s.ctx.Err()
}

// describeVolume looks at the volume on dev.
func (s *session) describeVolume(dev block.Device, o fat.Options) (*volumeJSON, error) {
	v, err := fat.Open(dev, o)
	if err != nil {
		return nil, err
	}
	defer v.Close() // it is read-only
	i, err := v.Info()
	if err != nil {
		return nil, err
	}
	u, err := v.Usage()
	if err != nil {
		return nil, err
	}
	tally, err := vfs.Measure(s.ctx, v, ".", nil)
	if err != nil {
		return nil, err
	}
	j := &volumeJSON{
		Type: fmt.Sprintf("FAT%d", i.Type), Label: i.Label, Serial: fmt.Sprintf("%08X", i.Serial), OEM: i.OEM, Clean: !v.Dirty(),
		SectorBytes: i.SectorBytes, TotalSectors: i.TotalSectors, ClusterBytes: i.ClusterBytes, Clusters: i.Clusters,
		FreeClusters: u.FreeBytes / u.BlockBytes, ReservedSectors: i.ReservedSectors, FATs: i.FATs, FATSectors: i.FATSectors,
		ActiveFAT: i.ActiveFAT, Mirrored: i.Mirrored, RootEntries: i.RootEntries, RootCluster: i.RootCluster,
		HiddenSectors: i.HiddenSectors, Media: fmt.Sprintf("%02X", i.Media), DataOffset: i.DataOffset,
		FSInfoSector: i.FSInfoSector, BackupSector: i.BackupSector,
		Files: tally.Files, Directories: tally.Dirs, FileBytes: tally.Bytes,
	}
	if free, next, ok := v.Hints(); ok {
		j.FSInfoFree, j.FSInfoNext = knownCount(free), knownCount(next)
	}
	return j, j.addDrive(dev)
}

// knownCount returns a number of FSInfo, or nil if it is unknown.
func knownCount(n uint32) *int64 {
	if n == fatfmt.UnknownCount {
		return nil
	}
	n64 := int64(n)
	return &n64
}

// addDrive adds what the boot sector says about the drive, which this program
// has no use for.
func (j *volumeJSON) addDrive(dev block.Device) error {
	sector := make([]byte, fatfmt.BootSectorBytes)
	if err := block.ReadFull(dev, sector, 0); err != nil {
		return err
	}
	boot, err := fatfmt.DecodeBootSector(sector)
	if err != nil {
		return err
	}
	j.SectorsPerTrack, j.Heads, j.DriveNumber = boot.SectorsPerTrack, boot.Heads, boot.DriveNumber
	return nil
}

// print writes the explanation for people.
func (i *infoJSON) print(w io.Writer) error {
	bytes := func(n int64) string { return fmt.Sprintf("%s (%d bytes)", diskerr.FormatBytes(n), n) }
	field(w, "image", "%s", printable(i.Name))
	field(w, "format", "%s", i.Format)
	field(w, "disk size", "%s", bytes(i.DiskBytes))
	for _, p := range i.Partitions {
		mark := ""
		if p.Number == i.Partition {
			mark = ", the volume"
		}
		field(w, "partition", "%d (%s): %s at offset %d%s", p.Number, i.Table, diskerr.FormatBytes(p.SizeBytes), p.OffsetBytes, mark)
	}
	if i.Volume == nil {
		field(w, "volume", "none: %s", printable(i.Problem))
		return nil
	}
	v := i.Volume
	state := "clean"
	if !v.Clean {
		state = "not unmounted in order, or an error was met: see fatkit check"
	}
	field(w, "volume", "%s of %s at offset %d", v.Type, bytes(int64(v.TotalSectors)*int64(v.SectorBytes)), i.OffsetBytes)
	field(w, "label", "%s", printable(v.Label))
	field(w, "serial", "%s-%s", v.Serial[:4], v.Serial[4:])
	field(w, "OEM name", "%s", printable(v.OEM))
	field(w, "state", "%s", state)
	field(w, "files", "%d of %s in %s", v.Files, bytes(v.FileBytes), count(int(v.Directories), "directory", "directories"))
	field(w, "free", "%s, %d of %d clusters", diskerr.FormatBytes(v.FreeClusters*int64(v.ClusterBytes)), v.FreeClusters, v.Clusters)
	field(w, "sectors", "%d of %d bytes, %d reserved, %d hidden", v.TotalSectors, v.SectorBytes, v.ReservedSectors, v.HiddenSectors)
	field(w, "clusters", "%d of %s, from offset %d of the volume", v.Clusters, diskerr.FormatBytes(int64(v.ClusterBytes)), v.DataOffset)
	fats := fmt.Sprintf("%d of %d sectors", v.FATs, v.FATSectors)
	if !v.Mirrored {
		fats += fmt.Sprintf(", of which number %d alone is used", v.ActiveFAT+1)
	}
	field(w, "FATs", "%s", fats)
	if v.RootEntries > 0 {
		field(w, "root directory", "%d entries", v.RootEntries)
	} else {
		field(w, "root directory", "from cluster %d", v.RootCluster)
		v.printFSInfo(w)
	}
	field(w, "media", "%s", v.Media)
	field(w, "drive", "%d sectors a track, %d heads, number %d", v.SectorsPerTrack, v.Heads, v.DriveNumber)
	return nil
}

// printFSInfo writes what FAT32 has besides.
func (v *volumeJSON) printFSInfo(w io.Writer) {
	number := func(n *int64) string {
		if n == nil {
			return "unknown"
		}
		return fmt.Sprint(*n)
	}
	if v.FSInfoSector == 0 {
		field(w, "FSInfo", "none")
	} else {
		field(w, "FSInfo", "in sector %d: %s clusters free, the next at %s", v.FSInfoSector, number(v.FSInfoFree), number(v.FSInfoNext))
	}
	if v.BackupSector == 0 {
		field(w, "backup", "none")
	} else {
		field(w, "backup", "in sector %d", v.BackupSector)
	}
}
