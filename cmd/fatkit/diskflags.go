package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vvfat"
)

// maxBootFile is the largest file with boot code that is read, in bytes. A FAT32
// volume has 32 reserved sectors as a rule, a sector has at most 4096 bytes.
const maxBootFile = 256 << 10

// floppies are the sizes of --floppy, in KiB.
var floppies = []string{"160", "180", "320", "360", "720", "1200", "1440", "2880"}

// diskFlags are the flags that say how a directory is shown as a disk. serve
// and build share them, so that they show the same disk.
type diskFlags struct {
	fat           string
	size          int64
	cluster       int64
	sector        int64
	table         string
	esp           bool
	floppy        string
	label         labelValue
	serial        *uint32
	signature     *uint32
	bootSector    string
	mbr           string
	oem           string
	codePage      int
	zone          *time.Location
	reserve       int
	first         []string
	hideDots      bool
	dosAttributes bool
	exclude       []string
	symlinks      string
	tooLarge      string
	unreadable    string
}

// register declares the flags on fs. The defaults are the values that f has,
// so that an export can start from what holds for all.
func (f *diskFlags) register(fs *pflag.FlagSet) {
	fs.Var(&choiceValue{word: &f.fat, choices: []string{"auto", "12", "16", "32"}}, "fat", "FAT type; auto takes what fits the size")
	fs.Var(&sizeValue{bytes: &f.size}, "size", "size of the disk (default the contents and generous room)")
	fs.Var(&sizeValue{bytes: &f.cluster}, "cluster", "size of a cluster (default after Microsoft's table)")
	fs.Var(&sizeValue{bytes: &f.sector}, "sector", "size of a sector: 512, 1024, 2048 or 4096 (default 512)")
	fs.Var(&choiceValue{word: &f.table, choices: []string{"mbr", "gpt", "none"}}, "table", "partition table (default mbr)")
	fs.BoolVar(&f.esp, "esp", f.esp, "an EFI system partition; implies --table gpt")
	fs.Var(&choiceValue{word: &f.floppy, choices: floppies, kind: "KIB"}, "floppy", "a floppy disk of 160, 180, 320, 360, 720, 1200, 1440 or 2880 KiB, without a partition table")
	fs.Var(&f.label, "label", "volume label; empty for none (default the directory's name)")
	fs.Var(&hexValue{&f.serial}, "serial", "serial number of the volume (default derived from name and options)")
	fs.Var(&hexValue{&f.signature}, "disk-signature", "signature in the MBR (default derived likewise)")
	fs.StringVar(&f.bootSector, "boot-sector", f.bootSector, "take the boot code of the volume from `FILE`")
	fs.StringVar(&f.mbr, "mbr", f.mbr, "take the boot code of the MBR from `FILE`")
	fs.StringVar(&f.oem, "oem", f.oem, "OEM `NAME` in the boot sector, up to 8 characters")
	fs.IntVar(&f.codePage, "codepage", f.codePage, "code page `N` of short names (default 437)")
	fs.Var(&zoneValue{zone: &f.zone}, "timezone", "zone of the times on the disk: local, utc or ±hh:mm (default local)")
	fs.IntVar(&f.reserve, "reserve-root", f.reserve, "leave room for `N` more entries in the root")
	fs.StringSliceVar(&f.first, "first", f.first, "put the root entries `A,B` and their clusters first")
	fs.BoolVar(&f.hideDots, "hide-dotfiles", f.hideDots, "set the hidden attribute of names with a leading dot")
	fs.BoolVar(&f.dosAttributes, "dos-attributes", f.dosAttributes, "show the hidden, system and archive attributes that the host keeps in the extended attribute user.DOSATTRIB; --rw always does")
	fs.StringArrayVar(&f.exclude, "exclude", f.exclude, "leave out what `GLOB` matches: a name, or with a slash a path; ** crosses directories (repeatable)")
	policies := []string{"error", "skip"}
	fs.Var(&choiceValue{word: &f.symlinks, choices: policies}, "symlinks", "on symbolic links that lead out of the directory; those that lead nowhere are always left out, with a warning")
	fs.Var(&choiceValue{word: &f.tooLarge, choices: policies}, "too-large", "on files larger than 4 GiB - 1")
	fs.Var(&choiceValue{word: &f.unreadable, choices: policies}, "unreadable", "on files and directories that may not be read")
}

// newDiskFlags returns the flags with their defaults.
func newDiskFlags() *diskFlags {
	return &diskFlags{fat: "auto", zone: time.Local, symlinks: "error", tooLarge: "error", unreadable: "error"}
}

// source returns the source that name means, with these flags applied.
func (f *diskFlags) source(name string) (*stack.Directory, error) {
	path, fatName := name, stack.FatName{}
	if stack.IsFatName(name) {
		var err error
		if fatName, err = stack.ParseFatName(name); err != nil {
			return nil, &exitError{exitUsage, err}
		}
		path = fatName.Dir
	}
	dir, err := stack.NewDirectory(path)
	if err != nil {
		return nil, err
	}
	if err := f.scanOptions(&dir.Scan); err != nil {
		return nil, err
	}
	if err := f.layoutOptions(&dir.Layout); err != nil {
		return nil, err
	}
	if stack.IsFatName(name) {
		if err := f.qemuOptions(&dir.Layout, fatName); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return dir, nil
}

// scanOptions says what is taken from the directory.
func (f *diskFlags) scanOptions(o *vvfat.ScanOptions) error {
	o.Exclude = append([]string(nil), f.exclude...)
	o.DOSAttributes = f.dosAttributes
	for _, p := range []struct {
		to   *vvfat.Policy
		word string
	}{{&o.Symlinks, f.symlinks}, {&o.TooLarge, f.tooLarge}, {&o.Unreadable, f.unreadable}} {
		policy, err := vvfat.ParsePolicy(p.word)
		if err != nil {
			return err
		}
		*p.to = policy
	}
	return nil
}

// layoutOptions says what the disk is like.
func (f *diskFlags) layoutOptions(o *vvfat.Options) (err error) {
	o.SizeBytes, o.ESP = f.size, f.esp
	o.Label, o.NoLabel = f.label.text, f.label.none
	o.Serial, o.DiskSignature, o.OEM, o.CodePage = f.serial, f.signature, f.oem, f.codePage
	o.Location, o.HideDotFiles = f.zone, f.hideDots
	o.ReserveRoot, o.First = f.reserve, append([]string(nil), f.first...)
	if f.fat != "auto" {
		o.FAT = atoi(f.fat)
	}
	if f.floppy != "" {
		o.FloppyKiB = atoi(f.floppy)
	}
	if o.ClusterBytes, err = smallSize("--cluster", f.cluster); err != nil {
		return err
	}
	if o.SectorBytes, err = smallSize("--sector", f.sector); err != nil {
		return err
	}
	if f.table != "" {
		if o.Table, err = vvfat.ParseTable(f.table); err != nil {
			return err
		}
	}
	if o.BootSector, err = readSmall("--boot-sector", f.bootSector); err != nil {
		return err
	}
	if o.MBR, err = readSmall("--mbr", f.mbr); err != nil {
		return err
	}
	o.ClampTime, err = unixSeconds(os.Getenv("SOURCE_DATE_EPOCH"))
	return err
}

// qemuOptions gives the disk the shape that QEMU gives to the name n.
func (f *diskFlags) qemuOptions(o *vvfat.Options, n stack.FatName) error {
	switch {
	case n.Bits != 0 && o.FAT != 0 && n.Bits != o.FAT:
		return usageError("the name asks for FAT%d and --fat for FAT%d", n.Bits, o.FAT)
	case f.size != 0 || f.cluster != 0 || f.sector != 0 || f.floppy != "" || f.table != "" || f.esp:
		return usageError("the name gives the disk QEMU's geometry: leave out --size, --cluster, --sector, --floppy, --table and --esp, or name the directory without fat:")
	}
	n.Shape(o)
	return nil
}

// atoi reads a number out of a list of choices.
func atoi(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

// smallSize returns a size of a flag that has to be an int.
func smallSize(flag string, n int64) (int, error) {
	if n > 1<<20 {
		return 0, usageError("%s: %s is far too large", flag, diskerr.FormatBytes(n))
	}
	return int(n), nil
}

// readSmall reads the file that a flag names, or nothing if it names none.
func readSmall(flag, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxBootFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case len(p) > maxBootFile:
		return nil, usageError("%s: %s has more than %s: boot code is not that large", flag, path, diskerr.FormatBytes(maxBootFile))
	case len(p) == 0:
		return nil, usageError("%s: %s is empty", flag, path)
	}
	return p, nil
}
