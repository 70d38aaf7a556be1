package fatfmt

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkPlan fails unless g is a volume that keeps every promise of Plan.
func checkPlan(t interface {
	Helper()
	Fatalf(string, ...any)
}, o PlanOptions, g Geometry) {
	t.Helper()
	lo, hi := planned(g.Type)
	fatEntries := g.Type.EntriesIn(g.FATBytes())
	switch {
	case o.Type != 0 && g.Type != o.Type:
		t.Fatalf("type %v, want %v", g.Type, o.Type)
	case TypeOf(g.Clusters) != g.Type:
		t.Fatalf("%d clusters are %v, not %v", g.Clusters, TypeOf(g.Clusters), g.Type)
	case uint64(g.Clusters) < lo || uint64(g.Clusters) > hi:
		t.Fatalf("%d clusters lie outside %d…%d", g.Clusters, lo, hi)
	case uint64(g.TotalSectors) > o.TotalSectors:
		t.Fatalf("%d sectors, asked for %d", g.TotalSectors, o.TotalSectors)
	case uint64(g.TotalSectors) < o.TotalSectors-o.TotalSectors/trimShare-1:
		t.Fatalf("%d sectors, asked for %d", g.TotalSectors, o.TotalSectors)
	case fatEntries < int64(g.Clusters)+2:
		t.Fatalf("FAT of %d entries for %d clusters", fatEntries, g.Clusters)
	case o.AlignBytes == 0 && uint64(g.TotalSectors) == o.TotalSectors && g.FATSectors > 1 && smallerFATWorks(g):
		t.Fatalf("FAT of %d sectors for %d clusters is larger than it need be", g.FATSectors, g.Clusters)
	case o.AlignBytes != 0 && g.DataOffset()%int64(o.AlignBytes) != 0:
		t.Fatalf("data at %d, alignment %d", g.DataOffset(), o.AlignBytes)
	case g.ClusterOffset(g.MaxCluster())+int64(g.ClusterBytes()) > g.TotalBytes():
		t.Fatalf("the last cluster ends past the volume")
	case g.RootBytes()%int64(g.SectorBytes) != 0:
		t.Fatalf("root directory of %d bytes", g.RootBytes())
	}
	again, err := NewBootSector(&g, BootOptions{}).Geometry()
	if err != nil {
		t.Fatalf("boot sector of the plan: %v", err)
	}
	if again != g {
		t.Fatalf("boot sector describes\n%+v, plan is\n%+v", again, g)
	}
}

// smallerFATWorks reports whether FATs with a sector less hold the clusters
// that there would be then.
func smallerFATWorks(g Geometry) bool {
	g.FATSectors--
	clusters := (g.TotalSectors - g.DataSector()) / uint32(g.ClusterSectors)
	return g.Type.EntriesIn(g.FATBytes()) >= int64(clusters)+2
}

// Every option set either gives a volume that keeps the promises or an error
// that says why not.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := PlanOptions{
			Type:            rapid.SampledFrom([]Type{0, FAT12, FAT16, FAT32}).Draw(t, "type"),
			SectorBytes:     rapid.SampledFrom([]int{0, 512, 1024, 2048, 4096}).Draw(t, "sector"),
			FATs:            rapid.SampledFrom([]int{0, 0, 1, 2, 3, 7}).Draw(t, "fats"),
			RootEntries:     rapid.SampledFrom([]int{0, 0, 1, 16, 100, 512, 65520, 65535}).Draw(t, "root"),
			ReservedSectors: rapid.SampledFrom([]int{0, 0, 1, 2, 9, 64, 65535}).Draw(t, "reserved"),
			Media:           0xF8,
		}
		sector := max(o.SectorBytes, 512)
		o.AlignBytes = rapid.SampledFrom([]int{0, 0, 4096, 1 << 20}).Draw(t, "align")
		if n := rapid.IntRange(-8, 7).Draw(t, "cluster"); n >= 0 {
			o.ClusterBytes = min(sector<<n, maxPlanCluster)
		}
		b := rapid.IntRange(1, 32).Draw(t, "bits")
		o.TotalSectors = uint64(rapid.Uint32Range(1<<(b-1), uint32(1<<b-1)).Draw(t, "sectors"))
		g, err := Plan(o)
		if err == nil {
			o.SectorBytes = sector
			checkPlan(t, o, g)
			return
		}
		var pe *PlanError
		if !errors.As(err, &pe) || !errors.Is(err, fs.ErrInvalid) || pe.Reason == "" {
			t.Fatalf("error %T %v", err, err)
		}
	})
}

// Without other wishes every size from a 160 KiB floppy to 2^32-1 sectors has
// a volume, with clusters of at most 32 KiB wherever these suffice.
func TestPlanAnySize(t *testing.T) {
	for _, sector := range []int{512, 1024, 2048, 4096} {
		for s := uint64(160 << 10 / sector); s <= maxTotalSectors; s += s/37 + 1 {
			o := PlanOptions{TotalSectors: s, SectorBytes: sector}
			g, err := Plan(o)
			if err != nil {
				t.Fatalf("%d sectors of %d: %v", s, sector, err)
			}
			checkPlan(t, o, g)
			if g.ClusterBytes() > defaultCluster && g.TotalBytes() < 8<<40 {
				t.Fatalf("%d sectors of %d: clusters of %d bytes", s, sector, g.ClusterBytes())
			}
		}
	}
	o := PlanOptions{TotalSectors: maxTotalSectors}
	g, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	checkPlan(t, o, g)
	if g.TotalSectors != maxTotalSectors {
		t.Fatalf("%d sectors", g.TotalSectors)
	}
}

// The rows of Microsoft's tables, at and just above each of their edges.
func TestPlanFollowsTheTables(t *testing.T) {
	for _, tc := range []struct {
		typ     Type
		sectors uint64
		kib     float64
	}{
		{FAT16, 8400, 0.5}, {FAT16, 8401, 1}, {FAT16, 32680, 1}, {FAT16, 32681, 2}, {FAT16, 262144, 2},
		{FAT16, 262145, 4}, {FAT16, 524288, 4}, {FAT16, 524289, 8}, {FAT16, 1048576, 8}, {FAT16, 1048577, 16},
		{FAT16, 2097152, 16}, {FAT16, 2097153, 32}, {FAT16, 4194304, 32},
		{FAT32, 67000, 0.5}, {FAT32, 532480, 0.5}, {FAT32, 532481, 4}, {FAT32, 16777216, 4}, {FAT32, 16777217, 8},
		{FAT32, 33554432, 8}, {FAT32, 33554433, 16}, {FAT32, 67108864, 16}, {FAT32, 67108865, 32}, {FAT32, maxTotalSectors, 32},
		{FAT12, 320, 0.5}, {FAT12, 8000, 1}, {FAT12, 65536, 8},
	} {
		g, err := Plan(PlanOptions{Type: tc.typ, TotalSectors: tc.sectors})
		if err != nil {
			t.Errorf("%v of %d sectors: %v", tc.typ, tc.sectors, err)
			continue
		}
		if got := float64(g.ClusterBytes()) / 1024; got != tc.kib {
			t.Errorf("%v of %d sectors: clusters of %g KiB, want %g", tc.typ, tc.sectors, got, tc.kib)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	const gib = 1 << 30 / 512
	for _, tc := range []struct {
		name string
		o    PlanOptions
		want string
	}{
		{"FAT16 too large", PlanOptions{Type: FAT16, TotalSectors: 3 * gib}, "FAT16 holds 2 GiB with 32 KiB clusters: use FAT32"},
		{"FAT12 too large", PlanOptions{Type: FAT12, TotalSectors: gib}, "FAT12 holds 127.2 MiB with 32 KiB clusters: use FAT32"},
		{"FAT32 too small", PlanOptions{Type: FAT32, TotalSectors: 2000}, "FAT32 needs at least 32.5 MiB with 512 B clusters: use FAT12"},
		{"FAT16 too small", PlanOptions{Type: FAT16, TotalSectors: 2880}, "FAT16 needs at least 2 MiB with 512 B clusters: use FAT12"},
		{"clusters too small", PlanOptions{Type: FAT16, TotalSectors: gib, ClusterBytes: 4096}, "FAT16 holds 256.2 MiB with 4 KiB clusters: use 16 KiB clusters"},
		{"clusters too small for any", PlanOptions{TotalSectors: maxTotalSectors, ClusterBytes: 512}, "FAT32 holds 130 GiB with 512 B clusters: use 32 KiB clusters"},
		{"nothing", PlanOptions{}, "FAT12 needs at least 5.5 KiB with 512 B clusters"},
		{"sector size", PlanOptions{TotalSectors: gib, SectorBytes: 520}, "sectors have"},
		{"cluster size", PlanOptions{TotalSectors: gib, ClusterBytes: 1000}, "clusters have"},
		{"cluster below the sector", PlanOptions{TotalSectors: gib, SectorBytes: 4096, ClusterBytes: 2048}, "clusters have"},
		{"cluster above 64 KiB", PlanOptions{TotalSectors: gib, SectorBytes: 4096, ClusterBytes: 128 << 10}, "clusters have"},
		{"nothing else fits", PlanOptions{Type: FAT16, TotalSectors: 100, ReservedSectors: 200}, "FAT16 needs at least 2.1 MiB with 512 B clusters"},
		{"alignment", PlanOptions{TotalSectors: gib, AlignBytes: 3 << 20}, "alignment is"},
		{"alignment too far", PlanOptions{TotalSectors: gib, AlignBytes: 64 << 20}, "alignment to 64 MiB needs"},
		{"FATs", PlanOptions{TotalSectors: gib, FATs: 256}, "a volume has 1 to 255 FATs"},
		{"reserved", PlanOptions{TotalSectors: gib, ReservedSectors: 65536}, "a volume has 1 to 65535 reserved"},
		{"root", PlanOptions{TotalSectors: gib, RootEntries: 65536}, "a root directory has"},
		{"root rounded", PlanOptions{Type: FAT16, TotalSectors: gib, RootEntries: 65535}, "a root directory has at most 65520"},
		{"sectors", PlanOptions{TotalSectors: 1 << 32}, "a volume has at most 4294967295 sectors, which is 2 TiB"},
		{"type", PlanOptions{TotalSectors: gib, Type: 13}, "there is FAT12, FAT16 and FAT32, no Type(13)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := Plan(tc.o)
			if err == nil {
				t.Fatalf("planned %+v", g)
			}
			if !strings.HasPrefix(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// Where the tables' clusters would make too few, smaller ones are taken.
func TestPlanLeavesTheTables(t *testing.T) {
	for _, tc := range []struct {
		o    PlanOptions
		want int
	}{
		{PlanOptions{Type: FAT16, TotalSectors: 8401, RootEntries: 65520}, 512},
		{PlanOptions{Type: FAT32, TotalSectors: 532481, FATs: 255}, 2048},
	} {
		g, err := Plan(tc.o)
		if err != nil || g.ClusterBytes() != tc.want {
			t.Errorf("%+v: clusters of %d bytes, %v", tc.o, g.ClusterBytes(), err)
		}
	}
}

// The reserved sectors of FAT32 hold what there is room for.
func TestPlanReserved(t *testing.T) {
	for reserved, want := range map[int][2]uint16{0: {1, 6}, 1: {0, 0}, 2: {1, 0}, 8: {1, 0}, 9: {1, 6}, 65535: {1, 6}} {
		g, err := Plan(PlanOptions{TotalSectors: 1 << 21, ReservedSectors: reserved})
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]uint16{g.FSInfoSector, g.BackupSector}; got != want || reserved != 0 && int(g.ReservedSectors) != reserved {
			t.Errorf("%d reserved sectors: FSInfo and backup at %v, %d reserved", reserved, got, g.ReservedSectors)
		}
	}
}

// SectorsFor gives the smallest size with so many clusters, and Bounds the
// sizes between which a type works.
func TestSectorsForAndBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]Type{FAT12, FAT16, FAT32}).Draw(t, "type")
		lo, hi := planned(typ)
		clusters := uint32(rapid.Uint64Range(lo, min(hi, 20*lo)).Draw(t, "clusters"))
		o := PlanOptions{Type: typ, ClusterBytes: 512 << rapid.IntRange(0, 7).Draw(t, "cluster"),
			RootEntries: 512, AlignBytes: rapid.SampledFrom([]int{0, 4096, 65536}).Draw(t, "align")}
		var err error
		if o.TotalSectors, err = o.SectorsFor(typ, clusters); err != nil {
			t.Fatal(err)
		}
		g, err := Plan(o)
		if err != nil || g.Clusters != clusters {
			t.Fatalf("%d sectors: %d clusters, want %d; %v", o.TotalSectors, g.Clusters, clusters, err)
		}
		if o.TotalSectors--; o.AlignBytes == 0 {
			if g, err := Plan(o); err == nil && g.Clusters >= clusters {
				t.Fatalf("one sector less still holds %d clusters", g.Clusters)
			}
		}
		if o.TotalSectors, _, err = o.Bounds(typ); err != nil {
			t.Fatal(err)
		}
		if _, err := Plan(o); err != nil {
			t.Fatalf("smallest size: %v", err)
		}
		if _, o.TotalSectors, err = o.Bounds(typ); err != nil {
			t.Fatal(err)
		}
		if _, err := Plan(o); err != nil {
			t.Fatalf("largest size: %v", err)
		}
	})
}
