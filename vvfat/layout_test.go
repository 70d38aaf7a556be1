package vvfat

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/format/mbr"
	"github.com/fatkit/fatkit/test/fatread"
	"github.com/fatkit/fatkit/test/trees"
)

// sparse makes files that have sizes but take no room.
func sparse(t testing.TB, dir string, sizes map[string]int64) {
	t.Helper()
	for name, size := range sizes {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

func TestFloppies(t *testing.T) {
	dir := hostTree(t, "a.txt", "sub/b")
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, f := range fatfmt.Floppies() {
		d := newDisk(t, tree, Options{FloppyKiB: f.KiB, Name: "floppy"}, DiskOptions{})
		verify(t, d, dir)
		fsck(t, d)
		if got := d.l.geo; d.Size() != int64(f.KiB)<<10 || got.Media != f.Media || int(got.SectorsPerTrack) != f.SectorsPerTrack ||
			int(got.Heads) != f.Heads || got.RootEntries != f.RootEntries {
			t.Errorf("%d KiB: %d bytes, %+v", f.KiB, d.Size(), got)
		}
	}
	d := newDisk(t, tree, Options{FloppyKiB: 2880, FAT: 16}, DiskOptions{})
	verify(t, d, dir)
	if d.l.geo.Type != fatfmt.FAT16 || d.l.geo.Media != 0xF0 {
		t.Errorf("%+v", d.l.geo)
	}
}

// The geometry of QEMU's fat: names.
func TestQEMU(t *testing.T) {
	dir := hostTree(t, "a.txt", "sub/b")
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, c := range []struct {
		fat, floppy int
		size        int64
		clusterKiB  float64
		typ         byte
	}{
		{0, 0, 1024 * 16 * 63 * 512, 8, 0x06},
		{16, 0, 1024 * 16 * 63 * 512, 8, 0x06},
		{12, 0, 64 * 16 * 63 * 512, 8, 0x01},
		{32, 0, 1024 * 16 * 63 * 512, 4, 0x0B},
		{0, 2880, 2880 << 10, 1, 0},
		{12, 1440, 1440 << 10, 0.5, 0},
		{16, 2880, 2880 << 10, 0.5, 0},
	} {
		t.Run(fmt.Sprintf("FAT%d/%d", c.fat, c.floppy), func(t *testing.T) {
			d := newDisk(t, tree, Options{QEMU: true, FAT: c.fat, FloppyKiB: c.floppy}, DiskOptions{})
			verify(t, d, dir)
			fsck(t, d)
			got := judge(t, d)
			if d.Size() != c.size || float64(got.Volume.ClusterBytes)/1024 != c.clusterKiB || got.Volume.Label != "QEMU VVFAT" {
				t.Errorf("%d bytes, clusters of %d, label %q", d.Size(), got.Volume.ClusterBytes, got.Volume.Label)
			}
			if c.floppy != 0 {
				return
			}
			p := got.Disk.Partitions[0]
			if p.StartBytes != 63*512 || p.Type != c.typ || !p.Active || got.Volume.Heads != 16 || got.Volume.SectorsPerTrack != 63 {
				t.Errorf("partition %+v, %d heads", p, got.Volume.Heads)
			}
		})
	}
	sparse(t, dir, map[string]int64{"big": 600 << 20})
	tree, _ = mustScan(t, dir, ScanOptions{})
	if _, err := NewLayout(tree, Options{QEMU: true}); !errors.Is(err, diskerr.ErrNoSpace) || !strings.Contains(err.Error(), "without fat:") {
		t.Errorf("%v", err)
	}
}

// The partition type follows the type of the volume and the reach of CHS.
func TestPartitionTypes(t *testing.T) {
	tree, _ := mustScan(t, hostTree(t, "a"), ScanOptions{})
	for _, c := range []struct {
		fat  int
		size int64
		want byte
	}{
		{12, 8 << 20, mbr.TypeFAT12}, {16, 100 << 20, mbr.TypeFAT16}, {32, 1 << 30, mbr.TypeFAT32},
		{32, 100 << 30, mbr.TypeFAT32LBA},
	} {
		d := newDisk(t, tree, Options{FAT: c.fat, SizeBytes: c.size}, DiskOptions{})
		got, err := fatread.Read(d, d.Size(), fatread.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if p := got.Disk.Partitions[0]; p.Type != c.want || !p.Active {
			t.Errorf("FAT%d of %d bytes: %+v", c.fat, c.size, p)
		}
	}
}

// An EFI system partition is FAT32 unless it is too small for that.
func TestESP(t *testing.T) {
	dir := hostTree(t, "EFI/BOOT/BOOTX64.EFI")
	tree, _ := mustScan(t, dir, ScanOptions{})
	for size, want := range map[int64]string{0: "FAT32", 64 << 20: "FAT32", 20 << 20: "FAT16"} {
		d := newDisk(t, tree, Options{ESP: true, SizeBytes: size}, DiskOptions{})
		verify(t, d, dir)
		got := judge(t, d)
		if p := got.Disk.Partitions[0]; p.TypeGUID != fatread.GUIDSystem || got.Disk.Table != "gpt" || d.l.Info().Type != want {
			t.Errorf("%d bytes: %s, partition %+v", size, d.l.Info().Type, p)
		}
	}
}

// From the smallest floppy to the largest volume.
func TestSizes(t *testing.T) {
	dir := hostTree(t, "a", "b/c")
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, c := range []struct {
		size    int64
		sector  int
		table   TableKind
		want    fatfmt.Type
		cluster int
	}{
		{160 << 10, 512, TableNone, fatfmt.FAT12, 0},
		{4 << 20, 512, TableNone, fatfmt.FAT12, 0},
		{100 << 20, 512, TableMBR, fatfmt.FAT16, 2 << 10},
		{511 << 20, 512, TableMBR, fatfmt.FAT16, 8 << 10},
		{512 << 20, 512, TableNone, fatfmt.FAT32, 4 << 10},
		{(1<<32 - 1) * 512, 512, TableNone, fatfmt.FAT32, 32 << 10},
		{2048*512 + (1<<32-1)*512, 512, TableMBR, fatfmt.FAT32, 32 << 10},
		{(1<<32 - 1) * 4096, 4096, TableNone, fatfmt.FAT32, 64 << 10},
	} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			d := newDisk(t, tree, Options{SizeBytes: c.size, SectorBytes: c.sector, Table: c.table}, DiskOptions{})
			if d.Size() != c.size || d.l.geo.Type != c.want || c.cluster != 0 && d.l.geo.ClusterBytes() != c.cluster {
				t.Errorf("%d bytes, %+v", d.Size(), d.l.geo)
			}
			if c.size < 1<<40 { // the reader looks at every entry of the FAT
				verify(t, d, dir)
			}
			last := make([]byte, 512)
			if _, err := d.ReadAt(last, c.size-512); err != nil {
				t.Error(err)
			}
		})
	}
	for _, size := range []int64{512, 10 << 10, 1<<32*512 + 2049*512} {
		var oe *OptionError
		if _, err := NewLayout(tree, Options{SizeBytes: size}); !errors.As(err, &oe) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// A tree that does not fit says what it needs and what would hold it.
func TestDoesNotFit(t *testing.T) {
	dir := t.TempDir()
	sparse(t, dir, map[string]int64{"1": 3 << 30, "2": 100 << 20})
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{FAT: 16}, "needs 3.1 GiB, FAT16 holds 2 GiB: use --fat 32"},
		{Options{FAT: 12, SizeBytes: 10 << 20}, "needs 3.1 GiB, FAT12 with --size 10 MiB holds 9 MiB: use a larger --size, or none"},
		{Options{FloppyKiB: 1440}, "needs 3.1 GiB, a floppy of 1440 KiB holds 1.4 MiB: use a larger --floppy, or none"},
		{Options{SizeBytes: 2 << 30}, "needs 3.1 GiB, FAT32 with --size 2 GiB holds 2 GiB: use a larger --size, or none"},
	} {
		_, err := NewLayout(tree, c.o)
		var fe *FitError
		if !errors.As(err, &fe) || !errors.Is(err, diskerr.ErrNoSpace) || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
	if l, err := NewLayout(tree, Options{}); err != nil || l.Info().Type != "FAT32" {
		t.Errorf("%v", err)
	}
}

// Where the usual clusters lose too much, smaller ones are taken.
func TestDenseClusters(t *testing.T) {
	dir := writeTree(t, trees.Flat(400, 100))
	tree, _ := mustScan(t, dir, ScanOptions{})
	d := newDisk(t, tree, Options{FAT: 32, SizeBytes: 300 << 20}, DiskOptions{})
	if d.l.geo.ClusterBytes() != 4096 {
		t.Errorf("usual clusters have %d bytes", d.l.geo.ClusterBytes())
	}
	many := writeTree(t, trees.Grid(10, 1000, 100))
	tree, _ = mustScan(t, many, ScanOptions{})
	d = newDisk(t, tree, Options{FAT: 16, SizeBytes: 9 << 20}, DiskOptions{})
	verify(t, d, many)
	if d.l.geo.ClusterBytes() != 512 {
		t.Errorf("clusters have %d bytes", d.l.geo.ClusterBytes())
	}
}

func TestRootOverflow(t *testing.T) {
	dir := writeTree(t, trees.Flat(600, 1))
	tree, _ := mustScan(t, dir, ScanOptions{})
	_, err := NewLayout(tree, Options{FAT: 16})
	var re *RootError
	if !errors.As(err, &re) || !errors.Is(err, diskerr.ErrNoSpace) || !strings.Contains(err.Error(), "--reserve-root") {
		t.Errorf("%v", err)
	}
	d := newDisk(t, tree, Options{FAT: 16, ReserveRoot: 100}, DiskOptions{})
	verify(t, d, dir)
	if free := d.l.geo.RootEntries - int(re.Needed); free < 100 {
		t.Errorf("%d entries free", free)
	}
	if d := newDisk(t, tree, Options{}, DiskOptions{}); d.l.geo.Type != fatfmt.FAT32 {
		t.Errorf("without a type: %v", d.l.geo.Type)
	}
}

// What an error advises has to be something that a floppy can be.
func TestFloppyHints(t *testing.T) {
	dir := writeTree(t, trees.Flat(600, 1))
	tree, _ := mustScan(t, dir, ScanOptions{})
	_, err := NewLayout(tree, Options{FloppyKiB: 1440})
	if err == nil || strings.Contains(err.Error(), "fat 32") || !strings.Contains(err.Error(), "--reserve-root 16") {
		t.Errorf("a root that overflows: %v", err)
	}
	verify(t, newDisk(t, tree, Options{FloppyKiB: 1440, ReserveRoot: 16}, DiskOptions{}), dir)
	var oe *OptionError
	if _, err := NewLayout(tree, Options{FloppyKiB: 1440, FAT: 32}); !errors.As(err, &oe) || oe.Option != "--floppy" {
		t.Errorf("FAT32: %v", err)
	}
}

func TestDirectoryTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 40,000 files")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "crowd"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 22_000 { // 3 slots each
		if err := os.WriteFile(filepath.Join(dir, "crowd", fmt.Sprintf("a rather long name %d", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, _ := mustScan(t, dir, ScanOptions{})
	if _, err := NewLayout(tree, Options{}); !errors.Is(err, errTooManyEntries) || !strings.Contains(err.Error(), "crowd") {
		t.Errorf("%v", err)
	}
}

// Asked-for entries and the system files of DOS come first, in the root and in
// the clusters.
func TestFirst(t *testing.T) {
	dir := hostTree(t, "aaa", "IO.SYS", "msdos.sys", "zzz/x", "command.com", "bbb/")
	tree, _ := mustScan(t, dir, ScanOptions{})
	for _, c := range []struct {
		first []string
		want  string
	}{
		{nil, "IO.SYS msdos.sys aaa bbb command.com zzz zzz/x"},
		{[]string{"ZZZ", "command.com"}, "zzz command.com IO.SYS msdos.sys aaa bbb zzz/x"},
	} {
		for _, fat := range []int{16, 32} {
			d := newDisk(t, tree, Options{FAT: fat, First: c.first, Label: "L"}, DiskOptions{})
			verify(t, d, dir)
			fsck(t, d)
			got := judge(t, d)
			if order := strings.Join(got.Order, " "); order != c.want {
				t.Errorf("order is %s", order)
			}
			first := uint32(2)
			if fat == 32 {
				first = 3 // behind the root
			}
			name, _, _ := strings.Cut(c.want, " ")
			if e := got.Entries[name]; !e.Dir && (len(e.Clusters) != 1 || e.Clusters[0] != first) {
				t.Errorf("%s is at clusters %v", name, e.Clusters)
			}
			slot := make([]byte, 32)
			d.ReadAt(slot, d.l.volume+d.l.geo.RootOffset())
			if fatfmt.KindOf(slot) == fatfmt.SlotLabel {
				t.Error("the label comes before the system files")
			}
		}
	}
	var oe *OptionError
	if _, err := NewLayout(tree, Options{First: []string{"none"}}); !errors.As(err, &oe) {
		t.Errorf("%v", err)
	}
}

func TestLabelAndSerial(t *testing.T) {
	dir := hostTree(t, ".hidden", "file")
	tree, _ := mustScan(t, dir, ScanOptions{})
	serial := uint32(0x1234ABCD)
	for _, c := range []struct {
		o           Options
		label, boot string
	}{
		{Options{Name: "my.project dir"}, "MYPROJECT D", "MYPROJECT D"},
		{Options{Name: "x", NoLabel: true}, "", "NO NAME"},
		{Options{Name: ""}, "", "NO NAME"},
		{Options{Label: "boot disk"}, "BOOT DISK", "BOOT DISK"},
	} {
		c.o.Serial = &serial
		d := newDisk(t, tree, c.o, DiskOptions{})
		got := judge(t, d)
		if got.Volume.Label != c.label || got.Volume.BootLabel != c.boot || got.Volume.Serial != serial {
			t.Errorf("label %q, in the boot sector %q, serial %x", got.Volume.Label, got.Volume.BootLabel, got.Volume.Serial)
		}
		if info := d.l.Info(); info.Label != c.label || info.Serial != "1234-ABCD" {
			t.Errorf("%+v", info)
		}
	}
	got := judge(t, newDisk(t, tree, Options{HideDotFiles: true}, DiskOptions{}))
	for name, e := range got.Entries {
		if hidden := e.Attr&fatread.AttrHidden != 0; hidden != (name == ".hidden") {
			t.Errorf("%s: hidden %v", name, hidden)
		}
	}
}

// The same tree and options give the same disk; a disk that keeps the identity
// of another differs from it by the tree alone.
func TestGenerations(t *testing.T) {
	dir := hostTree(t, "a", "b/c")
	o := Options{Name: "gen", Table: TableGPT, FAT: 32}
	all := func(o Options) []byte {
		tree, _ := mustScan(t, dir, ScanOptions{})
		d := newDisk(t, tree, o, DiskOptions{})
		p := make([]byte, d.Size())
		if _, err := d.ReadAt(p, 0); err != nil {
			t.Fatal(err)
		}
		return p
	}
	one := all(o)
	if !bytes.Equal(one, all(o)) {
		t.Error("the same tree and options give two disks")
	}
	tree, _ := mustScan(t, dir, ScanOptions{})
	first, err := NewLayout(tree, o)
	if err != nil {
		t.Fatal(err)
	}
	id := first.Identity()
	if !bytes.Equal(one, all(Options{Keep: &id})) {
		t.Error("keeping the identity changes the disk")
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), make([]byte, 100_000), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, _ = mustScan(t, dir, ScanOptions{})
	second := newDisk(t, tree, Options{Keep: &id, Name: "other"}, DiskOptions{})
	verify(t, second, dir)
	if second.l.Identity() != id {
		t.Errorf("%+v\nwas %+v", second.l.Identity(), id)
	}
	sparse(t, dir, map[string]int64{"huge": 1 << 30})
	tree, _ = mustScan(t, dir, ScanOptions{})
	if _, err := NewLayout(tree, Options{Keep: &id}); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("%v", err)
	}
}

func TestContradictions(t *testing.T) {
	tree, _ := mustScan(t, hostTree(t, "a"), ScanOptions{})
	for _, o := range []Options{
		{FAT: 8}, {SizeBytes: -1}, {SizeBytes: 1000}, {ESP: true, Table: TableMBR}, {ESP: true, FloppyKiB: 1440},
		{FloppyKiB: 1000}, {FloppyKiB: 1440, Table: TableMBR}, {FloppyKiB: 1440, SizeBytes: 1 << 20}, {FloppyKiB: 1440, SectorBytes: 4096},
		{FloppyKiB: 1440, FAT: 32}, {Label: "too long for a label"}, {Label: "a*b"}, {Label: "x", NoLabel: true}, {OEM: "123456789"},
		{CodePage: 1}, {ReserveRoot: -1}, {ClusterBytes: 1000}, {SectorBytes: 300}, {ClusterBytes: 512, SectorBytes: 4096},
		{QEMU: true, Table: TableGPT}, {QEMU: true, SectorBytes: 1024}, {QEMU: true, SizeBytes: 1 << 20}, {FAT: 16, SizeBytes: 1 << 20}, {FAT: 16, ReserveRoot: 100_000},
	} {
		var oe *OptionError
		if _, err := NewLayout(tree, o); !errors.As(err, &oe) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestClampTime(t *testing.T) {
	clamp := time.Date(2000, 5, 6, 7, 8, 10, 0, time.UTC)
	tree, _ := mustScan(t, hostTree(t, "a", "b/c"), ScanOptions{})
	for name, e := range judge(t, newDisk(t, tree, Options{ClampTime: clamp}, DiskOptions{})).Entries {
		if !e.Modified.Equal(clamp) || !e.Created.Equal(clamp) || e.Accessed.After(clamp) {
			t.Errorf("%s: %v %v %v", name, e.Modified, e.Created, e.Accessed)
		}
	}
}
