package fatfmt

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"pgregory.net/rapid"
)

// dirty returns n bytes that are not zero, so that a byte which an encoder
// forgets shows.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xA5}, n) }

// mustPlan returns the boot sector and the geometry of a planned volume.
func mustPlan(t testing.TB, o PlanOptions) (*BootSector, Geometry) {
	t.Helper()
	g, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	return NewBootSector(&g, BootOptions{Serial: 0x12345678, Label: [11]byte([]byte("A LABEL    "))}), g
}

func encodedBoot(b *BootSector, sectorBytes int) []byte {
	p := dirty(sectorBytes)
	b.Encode(p)
	return p
}

func TestBootSectorIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 512, 512).Draw(t, "sector")
		if rapid.Bool().Draw(t, "fat32") {
			p[22], p[23] = 0, 0
		}
		b, err := DecodeBootSector(p)
		if err != nil {
			t.Fatal(err)
		}
		if out := encodedBoot(b, 4096); !bytes.Equal(out[:512], p) || !bytes.Equal(out[512:], make([]byte, 4096-512)) {
			t.Fatalf("got  % x\nwant % x", out[:512], p)
		}
	})
}

// The places of the fields, spelled out once by hand.
func TestBootSectorPlaces(t *testing.T) {
	b, g := mustPlan(t, PlanOptions{TotalSectors: 1 << 21, HiddenSectors: 0x0800})
	if g.Type != FAT32 {
		t.Fatal(g.Type)
	}
	b.State, b.Code[0], b.Code[CodeBytes32-1] = 3, 0xC0, 0xC1
	p := encodedBoot(b, 512)
	for off, want := range map[int]string{
		0: "\xEB\x58\x90MSWIN4.1", 11: "\x00\x02", 13: "\x08", 14: "\x20\x00", 16: "\x02", 17: "\x00\x00\x00\x00\xF8\x00\x00",
		24: "\x3F\x00\xFF\x00", 28: "\x00\x08\x00\x00", 32: "\x00\x00\x20\x00", 40: "\x00\x00\x00\x00", 44: "\x02\x00\x00\x00",
		48: "\x01\x00\x06\x00", 64: "\x80\x03\x29\x78\x56\x34\x12A LABEL    FAT32   \xC0", 509: "\xC1\x55\xAA",
	} {
		if got := string(p[off : off+len(want)]); got != want {
			t.Errorf("offset %d: % x, want % x", off, got, want)
		}
	}
	if b.StateOffset() != 65 {
		t.Error("StateOffset of FAT32")
	}
	b, _ = mustPlan(t, PlanOptions{TotalSectors: 20000})
	p = encodedBoot(b, 512)
	for off, want := range map[int]string{
		0: "\xEB\x3C\x90", 14: "\x01\x00", 17: "\x00\x02", 19: "\x20\x4E", 32: "\x00\x00\x00\x00", 36: "\x80\x00\x29", 54: "FAT16   ",
	} {
		if got := string(p[off : off+len(want)]); got != want {
			t.Errorf("FAT16, offset %d: % x, want % x", off, got, want)
		}
	}
	if b.StateOffset() != 37 {
		t.Error("StateOffset of FAT16")
	}
}

// One case for each field that Geometry refuses.
func TestGeometryRefuses(t *testing.T) {
	p16 := PlanOptions{TotalSectors: 100000}
	p32 := PlanOptions{TotalSectors: 1 << 21}
	for _, tc := range []struct {
		name, field string
		o           PlanOptions
		spoil       func(b *BootSector)
	}{
		{"signature and jump", "Signature_word", p16, func(b *BootSector) { b.Signature, b.Jump[0] = 0, 0 }},
		{"signature and media", "Signature_word", p16, func(b *BootSector) { b.Signature, b.Media = 0, 0xF1 }},
		{"sector 0", "BPB_BytsPerSec", p16, func(b *BootSector) { b.SectorBytes = 0 }},
		{"sector 256", "BPB_BytsPerSec", p16, func(b *BootSector) { b.SectorBytes = 256 }},
		{"sector 8192", "BPB_BytsPerSec", p16, func(b *BootSector) { b.SectorBytes = 8192 }},
		{"sector 520", "BPB_BytsPerSec", p16, func(b *BootSector) { b.SectorBytes = 520 }},
		{"cluster 0", "BPB_SecPerClus", p16, func(b *BootSector) { b.ClusterSectors = 0 }},
		{"cluster 3", "BPB_SecPerClus", p16, func(b *BootSector) { b.ClusterSectors = 3 }},
		{"reserved", "BPB_RsvdSecCnt", p16, func(b *BootSector) { b.ReservedSectors = 0 }},
		{"FATs", "BPB_NumFATs", p16, func(b *BootSector) { b.FATs = 0 }},
		{"no FAT16 root", "BPB_RootEntCnt", p16, func(b *BootSector) { b.RootEntries = 0 }},
		{"no sectors", "BPB_TotSec32", p16, func(b *BootSector) { b.TotalSectors32 = 0 }},
		{"no data", "BPB_TotSec32", p16, func(b *BootSector) { b.TotalSectors32 = 229 }},
		{"no data, 16 bits", "BPB_TotSec16", p16, func(b *BootSector) { b.TotalSectors16 = 229 }},
		{"no cluster", "BPB_TotSec16", p16, func(b *BootSector) { b.ClusterSectors, b.TotalSectors16 = 128, 300 }},
		{"FAT too short", "BPB_FATSz16", p16, func(b *BootSector) { b.FATSectors16 = 40 }},
		{"too many for FAT16", "BPB_FATSz16", p16, func(b *BootSector) { b.TotalSectors32 = 1 << 24 }},
		{"all numbers at their largest", "BPB_TotSec32", p32, func(b *BootSector) { b.FATs, b.FATSectors32, b.TotalSectors32 = 255, 1<<32-1, 1<<32-1 }},
		{"no FAT32 size", "BPB_FATSz32", p32, func(b *BootSector) { b.FATSectors32 = 0 }},
		{"FAT32 FAT too short", "BPB_FATSz32", p32, func(b *BootSector) { b.FATSectors32 = 8 }},
		{"FAT32 with fixed root", "BPB_RootEntCnt", p32, func(b *BootSector) { b.RootEntries = 512 }},
		{"too many clusters", "BPB_TotSec32", p32, func(b *BootSector) { b.TotalSectors32, b.ClusterSectors = 1<<32-1, 1 }},
		{"active FAT", "BPB_ExtFlags", p32, func(b *BootSector) { b.ExtFlags = 0x82 }},
		{"root 0", "BPB_RootClus", p32, func(b *BootSector) { b.RootCluster = 0 }},
		{"root 1", "BPB_RootClus", p32, func(b *BootSector) { b.RootCluster = 1 }},
		{"root past the end", "BPB_RootClus", p32, func(b *BootSector) { b.RootCluster = 1 << 27 }},
	} {
		b, _ := mustPlan(t, tc.o)
		tc.spoil(b)
		g, err := b.Geometry()
		var fe *diskerr.FormatError
		if !errors.As(err, &fe) || fe.Field != tc.field || fe.Offset < 0 || fe.Reason == "" || g != (Geometry{}) {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
	b, _ := mustPlan(t, p32)
	b.Version = 0x0001
	if _, err := b.Geometry(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("version: got %v", err)
	}
	if _, err := DecodeBootSector(make([]byte, 511)); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("short sector: got %v", err)
	}
}

// What is odd stays readable and is listed.
func TestUnusual(t *testing.T) {
	p16 := PlanOptions{TotalSectors: 100000}
	p32 := PlanOptions{TotalSectors: 1 << 21}
	for _, tc := range []struct {
		code  string
		o     PlanOptions
		spoil func(b *BootSector)
	}{
		{"boot-signature", p16, func(b *BootSector) { b.Signature = 0 }},
		{"boot-jump", p16, func(b *BootSector) { b.Jump = [3]byte{} }},
		{"media-byte", p16, func(b *BootSector) { b.Media = 0x12 }},
		{"total-sectors-twice", p16, func(b *BootSector) { b.TotalSectors16 = 50000 }},
		{"root-entries", p16, func(b *BootSector) { b.RootEntries = 500 }},
		{"fat-count", p16, func(b *BootSector) { b.FATs = 3 }},
		{"cluster-size", PlanOptions{TotalSectors: 1 << 20, ClusterBytes: 64 << 10}, func(b *BootSector) {}},
		{"cluster-count-edge", p16, func(b *BootSector) { b.ClusterSectors, b.TotalSectors32, b.TotalSectors16 = 1, 0, 4086+33+196 }},
		{"cluster-count-edge", p32, func(b *BootSector) { b.TotalSectors32 = 30000 }},
		{"total-sectors-16", p32, func(b *BootSector) { b.TotalSectors16, b.TotalSectors32 = 60000, 60000 }},
		{"no-fsinfo", p32, func(b *BootSector) { b.FSInfoSector = noSector }},
		{"no-fsinfo", p32, func(b *BootSector) { b.FSInfoSector = 32 }},
		{"no-backup-boot", p32, func(b *BootSector) { b.BackupSector = 0 }},
		{"root-cluster-bits", p32, func(b *BootSector) { b.RootCluster |= 1 << 31 }},
	} {
		b, g := mustPlan(t, tc.o)
		if u := b.Unusual(&g); len(u) != 0 && tc.code != "cluster-size" {
			t.Errorf("%s: a planned volume has %+v", tc.code, u)
		}
		tc.spoil(b)
		g, err := b.Geometry()
		if err != nil {
			t.Errorf("%s: %v", tc.code, err)
			continue
		}
		found := false
		for _, f := range b.Unusual(&g) {
			found = found || f.Code == tc.code
		}
		if !found {
			t.Errorf("%s is not among %+v", tc.code, b.Unusual(&g))
		}
	}
}

// Volumes of other makers: what the specification permits beyond the usual.
func TestGeometryOfOtherMakers(t *testing.T) {
	b, want := mustPlan(t, PlanOptions{TotalSectors: 1 << 21, FATs: 3})
	b.ExtFlags, b.RootCluster, b.Media, b.FSInfoSector, b.BackupSector = 0xFF82, 0x80000000|1234, 0x42, noSector, noSector
	g, err := b.Geometry()
	if err != nil {
		t.Fatal(err)
	}
	want.Mirrored, want.ActiveFAT, want.RootCluster, want.Media, want.FSInfoSector, want.BackupSector = false, 2, 1234, 0x42, 0, 0
	if g != want {
		t.Errorf("got %+v\nwant %+v", g, want)
	}
	if back, err := NewBootSector(&g, BootOptions{}).Geometry(); err != nil || back != g {
		t.Errorf("active FAT: got %+v, %v", back, err)
	}
	b, want = mustPlan(t, PlanOptions{TotalSectors: 2880, Media: MediaFloppy})
	b.Signature, b.Jump, b.TotalSectors32 = 0, [3]byte{0xE9, 1, 2}, 2880
	if g, err := b.Geometry(); err != nil || g != want {
		t.Errorf("old floppy: got %+v, %v", g, err)
	}
	if b.DriveNumber != DriveFloppy || !b.HasLabel() || !b.HasSerial() {
		t.Errorf("extension: %+v", b)
	}
}

func TestGeometryPlaces(t *testing.T) {
	_, g := mustPlan(t, PlanOptions{TotalSectors: 100000, FATs: 2})
	rootAt := int64(1+2*g.FATSectors) * 512
	if g.FATOffset(0) != 512 || g.FATOffset(1) != 512+g.FATBytes() || g.RootOffset() != rootAt || g.DataOffset() != rootAt+16384 {
		t.Errorf("FAT16: %d %d %d %d", g.FATOffset(0), g.FATOffset(1), g.RootOffset(), g.DataOffset())
	}
	if g.ClusterOffset(2) != g.DataOffset() || g.ClusterOffset(3)-g.ClusterOffset(2) != int64(g.ClusterBytes()) {
		t.Error("ClusterOffset")
	}
	for _, tc := range []struct {
		off  int64
		c    uint32
		want bool
	}{{0, 0, false}, {g.DataOffset() - 1, 0, false}, {g.DataOffset(), 2, true}, {g.ClusterOffset(10) + 5, 10, true},
		{g.ClusterOffset(g.MaxCluster()+1) - 1, g.MaxCluster(), true}, {g.ClusterOffset(g.MaxCluster() + 1), 0, false}} {
		if c, ok := g.ClusterAt(tc.off); ok != tc.want || ok && c != tc.c {
			t.Errorf("ClusterAt(%d) is %d, %v", tc.off, c, ok)
		}
	}
	if g.Valid(1) || !g.Valid(2) || !g.Valid(g.Clusters+1) || g.Valid(g.Clusters+2) {
		t.Error("Valid")
	}
	cb := int64(g.ClusterBytes())
	for n, want := range map[int64]int64{0: 0, 1: 1, cb: 1, cb + 1: 2, MaxFileBytes: MaxFileBytes/cb + 1} {
		if got := g.ClustersFor(n); got != want {
			t.Errorf("ClustersFor(%d) is %d", n, got)
		}
	}
	_, g = mustPlan(t, PlanOptions{TotalSectors: 1 << 21})
	if g.RootBytes() != 0 || g.RootOffset() != g.DataOffset() || g.DataBytes() != int64(g.Clusters)*4096 {
		t.Error("FAT32")
	}
}

func FuzzBootSector(f *testing.F) {
	for _, o := range []PlanOptions{{TotalSectors: 2880, Media: 0xF0}, {TotalSectors: 100000}, {TotalSectors: 1 << 21}, {TotalSectors: 1 << 20, SectorBytes: 4096, FATs: 1}} {
		b, _ := mustPlan(f, o)
		f.Add(encodedBoot(b, 512))
	}
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := DecodeBootSector(p)
		if err != nil {
			return
		}
		if out := encodedBoot(b, 512); !bytes.Equal(out, p[:512]) {
			t.Fatal("decoded and encoded differs")
		}
		g, err := b.Geometry()
		if err != nil {
			if !errors.Is(err, diskerr.ErrCorrupt) && !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		b.Unusual(&g)
		switch {
		case g.Clusters == 0 || g.Clusters > g.Type.MaxClusters():
			t.Fatalf("%d clusters", g.Clusters)
		case g.Type.EntriesBytes(g.Clusters+2) > g.FATBytes():
			t.Fatal("the FAT is too short")
		case g.FATOffset(g.FATs) > g.DataOffset() || g.DataOffset() >= g.TotalBytes():
			t.Fatal("parts out of order")
		case g.ClusterOffset(g.MaxCluster())+int64(g.ClusterBytes()) > g.TotalBytes():
			t.Fatal("the last cluster ends past the volume")
		case g.ActiveFAT >= g.FATs || g.RootOffset() < g.FATOffset(g.FATs):
			t.Fatal("active FAT or root")
		}
	})
}
