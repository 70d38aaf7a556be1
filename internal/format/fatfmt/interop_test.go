package fatfmt

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// described is what fsck.fat says of a volume.
type described struct {
	sectorBytes, clusterBytes, reserved, fatAt, fats, fatBits, fatBytes, dataAt, clusters, hidden, total int
	rootAt, rootEntries                                                                                  int // FAT12, FAT16
	rootCluster                                                                                          int // FAT32
	media                                                                                                int
}

// describe lists the same of a geometry.
func describe(g *Geometry) described {
	d := described{
		sectorBytes: g.SectorBytes, clusterBytes: g.ClusterBytes(), reserved: int(g.ReservedSectors), fatAt: int(g.FATOffset(0)),
		fats: g.FATs, fatBits: int(g.Type), fatBytes: int(g.FATBytes()), dataAt: int(g.DataOffset()), clusters: int(g.Clusters),
		hidden: int(g.HiddenSectors), total: int(g.TotalSectors), rootCluster: int(g.RootCluster), media: int(g.Media),
	}
	if g.Type != FAT32 {
		d.rootAt, d.rootEntries = int(g.RootOffset()), g.RootEntries
	}
	return d
}

// fsckSays returns what fsck.fat says of the volume in a file, which it must
// find without fault.
func fsckSays(t *testing.T, image string) described {
	t.Helper()
	out := tools.Run(t, "fsck.fat", "-n", "-v", image)
	number := func(expr string, base int) int {
		m := regexp.MustCompile(`(?m)` + expr).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("fsck.fat does not say %s:\n%s", expr, out)
		}
		n, err := strconv.ParseInt(m[1], base, 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	d := described{
		sectorBytes: number(`(\d+) bytes per logical sector`, 10), clusterBytes: number(`(\d+) bytes per cluster`, 10),
		reserved: number(`(\d+) reserved sectors?`, 10), fatAt: number(`First FAT starts at byte (\d+)`, 10),
		fats: number(`(\d+) FATs?,`, 10), fatBits: number(`FATs?, (\d+) bit entries`, 10), fatBytes: number(`(\d+) bytes per FAT`, 10),
		dataAt: number(`Data area starts at byte (\d+)`, 10), clusters: number(`(\d+) data clusters`, 10),
		hidden: number(`(\d+) hidden sectors`, 10), total: number(`(\d+) sectors total`, 10), media: number(`Media byte 0x([0-9a-f]+)`, 16),
	}
	if d.fatBits == 32 {
		d.rootCluster = number(`Root directory start at cluster (\d+)`, 10)
	} else {
		d.rootAt, d.rootEntries = number(`Root directory starts at byte (\d+)`, 10), number(`(\d+) root directory entries`, 10)
	}
	return d
}

// readGeometry decodes the boot sector of an image.
func readGeometry(t *testing.T, image string) (*BootSector, Geometry) {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, BootSectorBytes)
	if _, err := io.ReadFull(f, p); err != nil {
		t.Fatal(err)
	}
	b, err := DecodeBootSector(p)
	if err != nil {
		t.Fatal(err)
	}
	g, err := b.Geometry()
	if err != nil {
		t.Fatal(err)
	}
	return b, g
}

// What mkfs.fat makes we read as fsck.fat does.
func TestReadsWhatMkfsMakes(t *testing.T) {
	tools.Need(t, "mkfs.fat", "fsck.fat")
	for _, args := range [][]string{
		{"1440"}, {"160"}, {"2880"}, {"-F", "12", "8192"}, {"-F", "16", "20480"}, {"-F", "16", "-s", "1", "16384"}, {"-F", "16", "1048576"},
		{"-F", "32", "-s", "1", "40960"}, {"-F", "32", "2097152"}, {"-F", "32", "67108864"},
		{"-F", "32", "-s", "1", "16384"}, // too few clusters for its type
		{"-F", "16", "-S", "1024", "65536"}, {"-F", "32", "-S", "4096", "524288"}, {"-F", "12", "-S", "2048", "4096"},
		{"-F", "32", "-f", "1", "300000"}, {"-F", "32", "-R", "100", "-b", "50", "300000"},
		{"-F", "16", "-r", "64", "-h", "63", "-M", "0xf9", "30000"}, {"-F", "32", "-s", "128", "8388608"}, {"-a", "-F", "16", "30000"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "image")
			last := len(args) - 1
			tools.Run(t, "mkfs.fat", append(append([]string{"-C"}, args[:last]...), image, args[last])...)
			b, g := readGeometry(t, image)
			if got, want := describe(&g), fsckSays(t, image); got != want {
				t.Errorf("we read     %+v\nfsck.fat has %+v", got, want)
			}
			if b.TypeName != [8]byte([]byte(g.Type.String()+"   ")) || b.Label != NoLabel {
				t.Errorf("type name %q, label %q", b.TypeName, b.Label)
			}
			if g.Type == FAT32 {
				checkFSInfo(t, image, &g)
			}
		})
	}
}

// checkFSInfo fails unless an image of mkfs.fat has an FSInfo with a count of
// all clusters but that of the root directory.
func checkFSInfo(t *testing.T, image string, g *Geometry) {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, FSInfoBytes)
	if _, err := f.ReadAt(p, int64(g.FSInfoSector)*int64(g.SectorBytes)); err != nil {
		t.Fatal(err)
	}
	info, err := DecodeFSInfo(p)
	if err != nil || info.Free != g.Clusters-1 {
		t.Errorf("FSInfo %+v, %v; %d clusters", info, err, g.Clusters)
	}
}

// writeEmpty writes an empty volume to a sparse file.
func writeEmpty(t *testing.T, g *Geometry) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(g.TotalBytes()); err != nil {
		t.Fatal(err)
	}
	put := func(p []byte, off int64) {
		if _, err := f.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	boot, info := make([]byte, g.SectorBytes), make([]byte, g.SectorBytes)
	NewBootSector(g, BootOptions{Serial: 0xCAFE}).Encode(boot)
	put(boot, 0)
	FSInfo{Free: g.Clusters - 1, Next: 3}.Encode(info)
	if g.FSInfoSector != 0 {
		put(info, int64(g.FSInfoSector)*int64(g.SectorBytes))
	}
	if g.BackupSector != 0 {
		put(boot, int64(g.BackupSector)*int64(g.SectorBytes))
		put(info, int64(g.BackupSector+g.FSInfoSector)*int64(g.SectorBytes))
	}
	fat := make([]byte, g.SectorBytes)
	e0, e1 := g.Type.FirstEntries(g.Media)
	g.Type.PutEntry(fat, 0, e0)
	g.Type.PutEntry(fat, 1, e1)
	if g.Type == FAT32 {
		g.Type.PutEntry(fat, g.RootCluster, g.Type.EndMark())
	}
	for i := range g.FATs {
		put(fat, g.FATOffset(i))
	}
	return image
}

// What we plan fsck.fat reads as we do, and finds no fault with.
func TestFsckReadsWhatWePlan(t *testing.T) {
	tools.Need(t, "fsck.fat")
	for _, o := range []PlanOptions{
		{TotalSectors: 320}, {TotalSectors: 2880, Media: MediaFloppy}, {TotalSectors: 8400}, {TotalSectors: 8401}, {TotalSectors: 100000},
		{TotalSectors: 1032192, HiddenSectors: 63, SectorsPerTrack: 63, Heads: 16, ClusterBytes: 8192}, {TotalSectors: 1 << 20},
		{TotalSectors: 1 << 22, Type: FAT16}, {TotalSectors: 67000, Type: FAT32}, {TotalSectors: 1 << 25},
		{TotalSectors: 30000, SectorBytes: 4096}, {TotalSectors: 100000, SectorBytes: 2048}, {TotalSectors: 1 << 19, SectorBytes: 4096, Type: FAT32},
		{TotalSectors: 1 << 21, FATs: 1}, {TotalSectors: 1 << 21, AlignBytes: 1 << 20}, {TotalSectors: 100000, AlignBytes: 4096, RootEntries: 17},
		{TotalSectors: 1 << 21, ReservedSectors: 1}, {TotalSectors: 1 << 21, ReservedSectors: 9}, {TotalSectors: 16384, Type: FAT12},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			g, err := Plan(o)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := describe(&g), fsckSays(t, writeEmpty(t, &g)); got != want {
				t.Errorf("we planned  %+v\nfsck.fat has %+v", got, want)
			}
		})
	}
}

// The standard floppies are those of mformat, field by field.
func TestFloppiesAreThoseOfMformat(t *testing.T) {
	tools.Need(t, "mformat", "fsck.fat")
	for _, f := range Floppies() {
		image := filepath.Join(t.TempDir(), "image")
		tools.Run(t, "mformat", "-C", "-f", strconv.Itoa(f.KiB), "-i", image, "::")
		_, want := readGeometry(t, image)
		got := f.Geometry()
		if got != want {
			t.Errorf("%d KiB: got %+v\nmformat: %+v", f.KiB, got, want)
		}
		if d := fsckSays(t, writeEmpty(t, &got)); d != describe(&got) {
			t.Errorf("%d KiB: fsck.fat has %+v", f.KiB, d)
		}
		if got.TotalBytes() != int64(f.KiB)<<10 || f.Cylinders*f.Heads*f.SectorsPerTrack != int(got.TotalSectors) {
			t.Errorf("%d KiB: %d bytes", f.KiB, got.TotalBytes())
		}
		if again, ok := FloppyByMedia(f.Media, got.TotalBytes()); !ok || again != f {
			t.Errorf("%d KiB: by media %+v, %v", f.KiB, again, ok)
		}
		if again, ok := FloppyOf(f.KiB); !ok || again != f {
			t.Errorf("%d KiB: by size %+v, %v", f.KiB, again, ok)
		}
	}
	if _, ok := FloppyOf(1); ok {
		t.Error("there is a floppy of 1 KiB")
	}
	if _, ok := FloppyByMedia(0xF8, 1440<<10); ok {
		t.Error("there is a floppy with the media byte F8")
	}
}
