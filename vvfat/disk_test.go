package vvfat

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/tools"
)

// newDisk lays out a tree and returns its disk, closed when the test ends.
func newDisk(t testing.TB, tree *Tree, o Options, do DiskOptions) *Disk {
	t.Helper()
	l, err := NewLayout(tree, o)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDisk(l, do)
	t.Cleanup(func() { d.Close() })
	return d
}

// judge reads the disk with the independent reader.
func judge(t testing.TB, d *Disk) *fatread.Tree {
	t.Helper()
	got, err := fatread.Read(d, d.Size(), fatread.Options{LBABytes: int64(d.l.geo.SectorBytes)})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// volumeImage writes the volume of a disk, without a partition table, to a
// sparse file.
func volumeImage(t testing.TB, d *Disk) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "volume.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := d.l.geo.TotalBytes()
	extents, err := d.AppendExtents(nil, d.l.volume, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range extents {
		if e.Flags != 0 {
			continue
		}
		if _, err := io.Copy(io.NewOffsetWriter(f, e.Off-d.l.volume), io.NewSectionReader(d, e.Off, e.Len)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSmoke(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("dir%d/Some long name %d.text", i%7, i))
	}
	tree, _ := mustScan(t, hostTree(t, append(names, "README.TXT", "empty/")...), ScanOptions{})
	for _, fat := range []int{0, 12, 16, 32} {
		for _, table := range []TableKind{TableNone, TableMBR, TableGPT} {
			t.Run(fmt.Sprintf("FAT%d %v", fat, table), func(t *testing.T) {
				d := newDisk(t, tree, Options{FAT: fat, Table: table, Name: "smoke"}, DiskOptions{})
				got := judge(t, d)
				if len(got.Entries) != tree.count-1 {
					t.Errorf("%d entries", len(got.Entries))
				}
				t.Logf("%+v", d.l.Info())
				tools.Need(t, "fsck.fat")
				t.Log(tools.Run(t, "fsck.fat", "-n", "-v", volumeImage(t, d)))
			})
		}
	}
}
