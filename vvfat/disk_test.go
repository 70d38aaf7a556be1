package vvfat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/test/tools"
	"github.com/fatkit/fatkit/test/trees"
)

// Every type of volume in every kind of table.
func TestDisks(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("dir%d/Some long name %d.text", i%7, i))
	}
	dir := hostTree(t, append(names, "README.TXT", "empty/", "disk", "DISK.TXT")...)
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, fat := range []int{0, 12, 16, 32} {
		for _, table := range []TableKind{TableNone, TableMBR, TableGPT} {
			for _, sector := range []int{512, 1024, 2048, 4096} {
				name := fmt.Sprintf("FAT%d/%v/%d", fat, table, sector)
				t.Run(name, func(t *testing.T) {
					d := newDisk(t, tree, Options{FAT: fat, Table: table, SectorBytes: sector, Name: "disk"}, DiskOptions{})
					verify(t, d, dir)
					fsck(t, d)
				})
			}
		}
	}
}

func TestUnpleasant(t *testing.T) {
	dir := writeTree(t, trees.Unpleasant())
	zone := time.FixedZone("+05:45", 5*3600+45*60)
	for _, o := range []Options{
		{FAT: 16}, {FAT: 32, ClusterBytes: 512}, {FAT: 12, ClusterBytes: 4096, Location: zone},
		{ClampTime: time.Date(2001, 1, 1, 0, 0, 1, 0, time.UTC)}, {CodePage: 866}, {CodePage: 850},
	} {
		t.Run(fmt.Sprintf("%d %d %d", o.FAT, o.ClusterBytes, o.CodePage), func(t *testing.T) {
			mapped := map[string]bool{}
			o.Warn = func(w Warning) { mapped[w.Path] = true }
			tree, _ := mustScan(t, dir, ScanOptions{})
			d := newDisk(t, tree, o, DiskOptions{})
			verify(t, d, dir)
			fsck(t, d)
			for id := RootID + 1; int(id) < tree.count; id++ {
				if shown := d.l.names.of(id); (shown != tree.hostName(id)) != mapped[tree.path(id)] {
					t.Errorf("%q is shown as %q, and a warning says so: %v", tree.path(id), shown, mapped[tree.path(id)])
				}
			}
		})
	}
}

func TestSamePrefix(t *testing.T) {
	dir := writeTree(t, trees.SamePrefix(5000))
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, fat := range []int{16, 32} {
		d := newDisk(t, tree, Options{FAT: fat, ReserveRoot: 1}, DiskOptions{})
		verify(t, d, dir)
		fsck(t, d)
	}
}

// Random trees and random options, judged by the independent reader.
func TestRandomTrees(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		defer func() { unlock(dir); os.RemoveAll(dir) }()
		if _, err := trees.Random(60, 200_000).Draw(rt, "tree").Write(dir); err != nil {
			rt.Fatal(err)
		}
		o := Options{
			FAT:          rapid.SampledFrom([]int{0, 12, 16, 32}).Draw(rt, "fat"),
			SectorBytes:  rapid.SampledFrom([]int{512, 512, 512, 1024, 4096}).Draw(rt, "sector"),
			ClusterBytes: rapid.SampledFrom([]int{0, 0, 4096, 8192, 32768}).Draw(rt, "cluster"),
			Table:        rapid.SampledFrom([]TableKind{TableNone, TableMBR, TableGPT}).Draw(rt, "table"),
			ReserveRoot:  rapid.SampledFrom([]int{0, 0, 1, 700}).Draw(rt, "reserve"),
			Name:         rapid.SampledFrom([]string{"", "x", "a.b c", "漢字"}).Draw(rt, "name"),
		}
		tree, warns := mustScan(t, dir, ScanOptions{Symlinks: Skip})
		for _, w := range warns {
			if w.Kind == WarnName || w.Kind == WarnUnreadable {
				rt.Errorf("unexpected: %v", w)
			}
		}
		l, err := NewLayout(tree, o)
		if err != nil {
			rt.Fatal(err)
		}
		d := NewDisk(l, DiskOptions{MaxOpenFiles: 3})
		defer d.Close()
		verify(t, d, dir)
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}

// The disk passes the suite of all devices.
func TestConformance(t *testing.T) {
	dir := hostTree(t, "a", "sub/b", "sub/long name here", "empty")
	if err := os.WriteFile(filepath.Join(dir, "large"), []byte(strings.Repeat("0123456789", 50_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, consistent := range []bool{false, true} {
		for _, fat := range []int{12, 16, 32} {
			t.Run(fmt.Sprintf("FAT%d/consistent=%v", fat, consistent), func(t *testing.T) {
				l, err := NewLayout(tree, Options{FAT: fat, Table: TableGPT})
				if err != nil {
					t.Fatal(err)
				}
				blocktest.Run(t, func(t testing.TB) block.Device {
					return NewDisk(l, DiskOptions{Consistent: consistent, MaxOpenFiles: 2})
				}, blocktest.Options{ReadOnly: true})
			})
		}
	}
}

// Other tools read every file with its bytes.
func TestMtools(t *testing.T) {
	tools.Need(t, "mcopy", "mdir")
	dir := hostTree(t, "A.TXT", "sub/Some Long Name.text", "sub/deeper/x")
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, fat := range []int{12, 16, 32} {
		d := newDisk(t, tree, Options{FAT: fat, Table: TableNone, Label: "mtools"}, DiskOptions{})
		image, out := volumeImage(t, d), t.TempDir()
		if list := tools.Run(t, "mdir", "-i", image, "-/", "::"); !strings.Contains(list, "Some Long Name.text") || !strings.Contains(list, "MTOOLS") {
			t.Errorf("mdir lists\n%s", list)
		}
		tools.Run(t, "mcopy", "-s", "-i", image, "::*", out)
		for _, name := range []string{"A.TXT", "sub/Some Long Name.text", "sub/deeper/x"} {
			if p, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(p) != name {
				t.Errorf("%s: %q, %v", name, p, err)
			}
		}
	}
}
