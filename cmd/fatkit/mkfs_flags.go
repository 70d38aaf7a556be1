package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/fat"
)

// mkfsFlags are the flags of mkfs.
type mkfsFlags struct {
	format      fat.FormatOptions
	sizeBytes   int64 // of the file that is made; 0: the image exists
	imageFormat string
	partition   int
	force, json bool

	clusterBytes, alignBytes int64
	table                    string
	media                    *uint32
	bootCode                 string
}

// mkfsTables are the words of --table.
var mkfsTables = map[string]fat.TableKind{"": fat.NoTable, "none": fat.NoTable, "mbr": fat.MBR, "gpt": fat.GPT, "gpt-system": fat.GPTSystem}

func (f *mkfsFlags) register(fs *pflag.FlagSet) {
	o := &f.format
	o.Location = time.Local
	fs.SortFlags = false
	fs.Var(&sizeValue{bytes: &f.sizeBytes}, "size", "make the image, of this size")
	fs.IntVar(&o.FloppyKiB, "floppy", 0, "make the image of a standard floppy of `KIB`, such as 1440")
	fs.BoolVar(&f.force, "force", false, "let --size and --floppy replace a file")
	fs.VarP(formatFlag(&f.imageFormat), "format", "f", "format of the image (default what its suffix says, else raw)")
	fs.IntVar(&f.partition, "partition", 0, "format partition `N` of the image")
	fs.Var(&sizeValue{bytes: &o.Offset}, "offset", "where the volume begins on the disk")
	fs.Var(&sizeValue{bytes: &o.Size}, "volume-size", "size of the volume (default up to the end)")
	fs.Var(&choiceValue{word: &f.table, choices: []string{"none", "mbr", "gpt", "gpt-system"}}, "table", "write a partition table")
	fs.StringVar(&o.TableSeed, "table-seed", "", "make the identifiers of a partition table from `TEXT`")
	fs.BoolVar(&o.Active, "active", false, "mark the partition of an MBR as the one to boot from")
	fs.IntVarP(&o.Type, "type", "F", 0, "12, 16 or 32 `BITS` (default by size)")
	fs.IntVar(&o.SectorBytes, "sector", 0, "`BYTES` of a sector, 512 to 4096 (default 512, or what the disk has)")
	fs.Var(&sizeValue{bytes: &f.clusterBytes}, "cluster", "size of a cluster (default by size of the volume)")
	fs.IntVar(&o.FATs, "fats", 0, "number `N` of FATs (default 2)")
	fs.IntVar(&o.ReservedSectors, "reserved", 0, "number `N` of reserved sectors (default 1, on FAT32 32)")
	fs.IntVar(&o.RootEntries, "root-entries", 0, "number `N` of root directory entries of FAT12 and FAT16 (default 512)")
	fs.Var(&sizeValue{bytes: &f.alignBytes}, "align", "begin the data area at a multiple of this (default anywhere)")
	fs.Var(&hexValue{&f.media}, "media", "media byte (default F8)")
	fs.IntVar(&o.SectorsPerTrack, "track-sectors", 0, "sectors `N` of a track (default 63)")
	fs.IntVar(&o.Heads, "heads", 0, "number `N` of heads (default 255)")
	fs.Int64Var(&o.HiddenSectors, "hidden", 0, "hidden sectors `N`; -1 for none (default the start of the volume)")
	fs.IntVar(&o.BackupSector, "backup-sector", 0, "sector `N` of FAT32's backup boot sector; -1 for none (default 6)")
	fs.IntVar(&o.DriveNumber, "drive-number", 0, "BIOS drive `N`; -1 for 0 (default 128, on floppies 0)")
	fs.StringVarP(&o.Label, "label", "n", "", "volume label")
	fs.IntVar(&o.CodePage, "codepage", 0, "OEM code page `N` of the label (default 437)")
	fs.Var(&hexValue{&o.Serial}, "serial", "volume serial number (default from the time)")
	fs.StringVar(&o.OEM, "oem", "", "OEM name, at most 8 bytes (default MSWIN4.1)")
	fs.StringVar(&f.bootCode, "boot-code", "", "`FILE` with machine code for the boot sector")
	fs.StringVar(&o.BootMessage, "boot-message", "", "what a boot from the volume prints")
	fs.Int64SliceVar(&o.BadBytes, "bad", nil, "`OFFSETS` in bytes within the volume that cannot be used")
	fs.Var(&zoneValue{zone: &o.Location, text: "local"}, "timezone", "time zone of the stamps: local, utc or an offset")
	fs.BoolVar(&f.json, "json", false, "print JSON")
}

// finish refuses what contradicts itself and fills in the rest of f.format.
func (f *mkfsFlags) finish() (err error) {
	o := &f.format
	creates := f.sizeBytes > 0 || o.FloppyKiB != 0
	switch {
	case f.partition != 0 && (creates || f.table != "" || o.Offset != 0):
		return usageError("--partition formats a partition that exists: it goes with none of --size, --floppy, --table and --offset")
	case f.force && !creates:
		return usageError("--force is about the file that --size or --floppy makes")
	case f.clusterBytes > 1<<30 || f.alignBytes > 1<<30:
		return usageError("--cluster and --align are at most 1G")
	case o.FloppyKiB < 0 || o.FloppyKiB > 1<<20:
		return usageError("--floppy: there is no floppy of %d KiB", o.FloppyKiB)
	case f.media != nil && (*f.media < 0xF0 || *f.media > 0xFF):
		return usageError("--media: %02X is not a media byte: write F0, or F8 to FF", *f.media)
	}
	o.ClusterBytes, o.AlignBytes = int(f.clusterBytes), int(f.alignBytes)
	o.Table = mkfsTables[f.table]
	if f.media != nil {
		o.Media = byte(*f.media)
	}
	if f.bootCode != "" {
		if o.BootCode, err = readBootCode(f.bootCode); err != nil {
			return err
		}
	}
	o.Now, err = clock()
	return err
}

// maxBootCodeBytes is more than any boot sector has room for.
const maxBootCodeBytes = 4096

func readBootCode(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxBootCodeBytes {
		return nil, fmt.Errorf("%s: is not a file of at most %d bytes, as boot code is", path, maxBootCodeBytes)
	}
	return os.ReadFile(path)
}
