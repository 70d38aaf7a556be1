package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/stack"
)

// driveFlags are the flags that define drive letters.
type driveFlags struct{ drives []string }

// register declares the flags on fs.
func (f *driveFlags) register(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.drives, "drive", nil, "let a drive letter stand for an image, an archive, a directory or a server: `LETTER=NAME[,partition=N][,offset=BYTES][,format=raw|qcow2][,driver=NAME][,ro]` (repeatable)")
}

// table returns the drives of the configuration, and instead of them or beside
// them those of the command line.
func (f *driveFlags) table() (stack.DriveTable, error) {
	table, err := readDriveFile(driveFile())
	if err != nil {
		return nil, err
	}
	for _, text := range f.drives {
		d, err := stack.ParseDrive(text)
		if err == nil && d.Letter == 0 {
			err = fmt.Errorf("%s: a drive is a letter", text)
		}
		if err != nil {
			return nil, usageError("--drive: %w", err)
		}
		table[d.Letter] = d
	}
	return table, nil
}

// driveFile returns the file of the configuration that defines drives, or "".
func driveFile() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(dir, "fatkit", "drives.toml")
}

// maxDriveFile is the size of the largest configuration that is read, in bytes.
const maxDriveFile = 1 << 20

// driveEntry is one drive of the file.
type driveEntry struct {
	Image     string
	Partition int
	Offset    *int64
	Format    string
	Driver    string
	ReadOnly  bool `toml:"read-only"`
}

// readDriveFile reads the drives of a file:
//
//	[a]
//	image = "~/floppies/dos.img"
//
//	[c]
//	image = "disk.qcow2"  # beneath the folder of the file
//	partition = 2
//
// No file means no drives.
func readDriveFile(path string) (stack.DriveTable, error) {
	table := stack.DriveTable{}
	if path == "" {
		return table, nil
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return table, nil
	}
	if err == nil && fi.Size() > maxDriveFile {
		err = fmt.Errorf("%s: has more than %d bytes", path, maxDriveFile)
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	entries := map[string]driveEntry{}
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(&entries)
	if err == nil && len(meta.Undecoded()) > 0 {
		err = fmt.Errorf("what is %s?", meta.Undecoded()[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, letter := range slices.Sorted(maps.Keys(entries)) {
		d, err := entries[letter].drive(letter, filepath.Dir(path))
		if err != nil {
			return nil, fmt.Errorf("%s: drive %s: %w", path, letter, err)
		}
		if _, ok := table[d.Letter]; ok {
			return nil, fmt.Errorf("%s: drive %c is there twice", path, d.Letter)
		}
		table[d.Letter] = d
	}
	return table, nil
}

// drive turns an entry into a drive, by the way of its written form, which
// checks it.
func (e driveEntry) drive(letter, dir string) (stack.DriveSpec, error) {
	if e.Image == "" {
		return stack.DriveSpec{}, errors.New("image is missing")
	}
	text := letter + "=x"
	if e.Partition != 0 {
		text += fmt.Sprintf(",partition=%d", e.Partition)
	}
	if e.Offset != nil {
		text += fmt.Sprintf(",offset=%d", *e.Offset)
	}
	if e.Format != "" {
		text += ",format=" + e.Format
	}
	if e.Driver != "" {
		text += ",driver=" + e.Driver
	}
	if e.ReadOnly {
		text += ",ro"
	}
	d, err := stack.ParseDrive(text)
	if err == nil && d.Letter == 0 {
		err = errors.New("a drive is a letter")
	}
	if err != nil {
		return d, err
	}
	d.Name = e.Image
	switch rest, home := strings.CutPrefix(e.Image, "~/"); {
	case stack.IsURI(e.Image) || stack.IsFatName(e.Image) || filepath.IsAbs(e.Image):
	case home:
		var base string
		if base, err = os.UserHomeDir(); err == nil {
			d.Name = filepath.Join(base, rest)
		}
	default:
		d.Name = filepath.Join(dir, e.Image)
	}
	return d, err
}
