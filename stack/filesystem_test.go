package stack

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/format/mbr"
	"github.com/fatkit/fatkit/vfs"
)

// formatImage makes an image with a volume in it.
func formatImage(t *testing.T, name string, sizeBytes int64, o fat.FormatOptions) string {
	t.Helper()
	path := writeImage(t, name, sizeBytes, "")
	withDisk(t, path, func(d block.Device) {
		if _, err := fat.Format(d, o); err != nil {
			t.Fatal(err)
		}
	})
	return path
}

// withDisk changes a raw image.
func withDisk(t *testing.T, path string, change func(block.Device)) {
	t.Helper()
	d, err := file.Open(path, file.Options{})
	if err != nil {
		t.Fatal(err)
	}
	change(d)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// twoVolumes makes a disk whose partitions 1 and 3 hold a volume, and whose
// partition 2 does not although it is of a type that FAT volumes have.
func twoVolumes(t *testing.T) string {
	path := writeImage(t, "two.img", 16<<20, "")
	withDisk(t, path, func(d block.Device) {
		sector := make([]byte, mbr.Bytes)
		table := &mbr.Table{}
		for i := range 3 {
			table.Partitions[i] = mbr.Partition{Type: mbr.TypeFAT12, FirstLBA: uint32(2048 + i*8192), Sectors: 8192}
		}
		table.Encode(sector)
		d.WriteAt(sector, 0)
		for _, i := range []int64{0, 2} {
			_, err := fat.Format(d, fat.FormatOptions{Offset: (2048 + i*8192) * 512, Size: 8192 * 512})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	return path
}

func openIt(t *testing.T, name string, o FileSystemOptions) (VolumeFacts, error) {
	t.Helper()
	f, err := OpenFileSystem(t.Context(), name, o)
	if err != nil {
		return VolumeFacts{}, err
	}
	if err := f.Close(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return f.Facts, nil
}

// Volumes are found by themselves.
func TestOpenFileSystem(t *testing.T) {
	whole := formatImage(t, "whole.img", 4<<20, fat.FormatOptions{})
	part := formatImage(t, "part.img", 8<<20, fat.FormatOptions{Table: fat.MBR})
	esp := formatImage(t, "esp.img", 8<<20, fat.FormatOptions{Table: fat.GPTSystem})
	two := twoVolumes(t)
	for _, c := range []struct {
		name   string
		choice VolumeChoice
		table  string
		number int
		offset int64
	}{
		{whole, VolumeChoice{}, "", 0, 0},
		{whole, VolumeChoice{Offset: true}, "", 0, 0},
		{part, VolumeChoice{}, "mbr", 1, 1 << 20},
		{part, VolumeChoice{Offset: true, OffsetBytes: 1 << 20}, "", 0, 1 << 20},
		{esp, VolumeChoice{}, "gpt", 1, 1 << 20},
		{two, VolumeChoice{Partition: 1}, "mbr", 1, 1 << 20},
		{two, VolumeChoice{Partition: 3}, "mbr", 3, (2048 + 2*8192) * 512},
	} {
		f, err := openIt(t, c.name, FileSystemOptions{Volume: c.choice})
		if err != nil || f.Table != c.table || f.Partition != c.number || f.OffsetBytes != c.offset || f.Format != FormatRaw {
			t.Errorf("%s, %+v: %+v, %v", filepath.Base(c.name), c.choice, f, err)
		}
	}
}

// What cannot be found is said, and nothing is guessed.
func TestOpenFileSystemErrors(t *testing.T) {
	two := twoVolumes(t)
	stale := formatImage(t, "stale.img", 8<<20, fat.FormatOptions{Table: fat.MBR})
	withDisk(t, stale, func(d block.Device) { // a boot sector before the table, as partitioning tools leave it
		sector, old := make([]byte, 512), make([]byte, 512)
		d.ReadAt(sector, 0)
		fat.Format(d, fat.FormatOptions{Size: 1 << 20})
		d.ReadAt(old, 0)
		copy(old[446:], sector[446:])
		d.WriteAt(old, 0)
	})
	empty := writeImage(t, "empty.img", 1<<20, "")
	whole := formatImage(t, "whole.img", 4<<20, fat.FormatOptions{})
	for _, c := range []struct {
		name   string
		choice VolumeChoice
		want   string
	}{
		{two, VolumeChoice{}, "partition 1 (4 MiB), partition 3 (4 MiB): say --partition"},
		{two, VolumeChoice{Damaged: true}, "partition 1 (4 MiB), partition 3 (4 MiB): say --partition"},
		{two, VolumeChoice{Partition: 2}, "boot sector"},
		{two, VolumeChoice{Partition: 4}, "no partition 4"},
		{two, VolumeChoice{Partition: 1, Offset: true}, "so does --offset"},
		{stale, VolumeChoice{}, "the disk as a whole (--offset 0), partition 1"},
		{empty, VolumeChoice{}, "no FAT volume: FAT"},
		{empty, VolumeChoice{Offset: true, OffsetBytes: 1 << 20}, "is not within the disk"},
		{empty, VolumeChoice{Offset: true, OffsetBytes: -1}, "negative"},
		{empty, VolumeChoice{Partition: -1}, "counted from 1"},
		{whole, VolumeChoice{Partition: 1}, "no partition 1: the partition table is empty"},
		{whole + "x", VolumeChoice{}, "no such file"},
	} {
		f, err := openIt(t, c.name, FileSystemOptions{Volume: c.choice})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %+v: %+v, %v; want %q", filepath.Base(c.name), c.choice, f, err, c.want)
		}
	}
	for _, name := range []string{whole, two} { // nothing stays locked after an error
		withDisk(t, name, func(block.Device) {})
	}
}

// A volume without boot sector is found for the checker where it can only be in
// one place.
func TestOpenDamagedVolume(t *testing.T) {
	part := formatImage(t, "part.img", 8<<20, fat.FormatOptions{Table: fat.GPT})
	two := twoVolumes(t)
	zero := make([]byte, 512)
	withDisk(t, part, func(d block.Device) { d.WriteAt(zero, 1<<20) })
	withDisk(t, two, func(d block.Device) { d.WriteAt(zero, 1<<20); d.WriteAt(zero, (2048+2*8192)*512) })
	if _, err := openIt(t, part, FileSystemOptions{}); !errors.Is(err, diskerr.ErrCorrupt) || !strings.Contains(err.Error(), "(GPT), which are 1 (") {
		t.Errorf("damaged volume mounted: %v", err)
	}
	damaged := FileSystemOptions{Volume: VolumeChoice{Damaged: true}}
	v, err := OpenVolume(t.Context(), part, damaged)
	if err != nil {
		t.Fatal(err)
	}
	if v.Facts.Partition != 1 || v.Device.Size() != v.Facts.SizeBytes {
		t.Errorf("%+v", v.Facts)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	var ambiguous *AmbiguousError
	if _, err := OpenVolume(t.Context(), two, damaged); !errors.As(err, &ambiguous) || len(ambiguous.Partitions) != 3 {
		t.Errorf("three partitions that may be meant: %v", err)
	}
}

// A directory is a file system as the disk it would be shown as.
func TestOpenDirectoryAsFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("hello"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, "fat:" + dir, "fat:floppy:" + dir, "fat:32:" + dir} {
		f, err := OpenFileSystem(t.Context(), name, FileSystemOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if data, err := fs.ReadFile(f, "HELLO.TXT"); err != nil || string(data) != "hello" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if err := vfs.WriteFile(f, "x", nil, 0o666); !errors.Is(err, diskerr.ErrReadOnly) {
			t.Errorf("%s: written to: %v", name, err)
		}
		if err := f.Close(); err != nil || f.Facts.Format != "directory" {
			t.Errorf("%s: %+v, %v", name, f.Facts, err)
		}
	}
	o := FileSystemOptions{}
	o.Image.Writable = true
	if _, err := openIt(t, dir, o); err == nil || !strings.Contains(err.Error(), "change its files themselves") {
		t.Errorf("a directory opened for writing: %v", err)
	}
}

// A disk is opened once, under whatever name.
func TestMounts(t *testing.T) {
	two := twoVolumes(t)
	link := filepath.Join(filepath.Dir(two), "link")
	if err := os.Symlink(two, link); err != nil {
		link = filepath.Join(filepath.Dir(two), ".", filepath.Base(two))
	}
	var m Mounts
	open := func(name string, partition int, writable bool) (*FileSystem, error) {
		o := FileSystemOptions{Volume: VolumeChoice{Partition: partition}}
		o.Image.Writable = writable
		return m.Open(context.Background(), name, o)
	}
	first, err := open(two, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(link, 1, false)
	if err != nil || again != first {
		t.Errorf("the same volume again: %p and %p, %v", first, again, err)
	}
	other, err := open(link, 3, true)
	if err != nil || other == first {
		t.Fatalf("the other volume: %p and %p, %v", first, other, err)
	}
	for _, v := range []*FileSystem{first, other} {
		if err := vfs.WriteFile(v, "f", []byte("x"), 0o666); err != nil {
			t.Error(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(two, 3, false); err != nil {
		t.Fatal(err)
	}
	if _, err := open(two, 1, true); err == nil || !strings.Contains(err.Error(), "open for reading already") {
		t.Errorf("writing to what is open for reading: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}
