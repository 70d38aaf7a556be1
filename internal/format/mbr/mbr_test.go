package mbr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"pgregory.net/rapid"
)

// dirty returns n bytes that are not zero, so that a byte which an encoder
// forgets shows.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xA5}, n) }

func genPartition(t *rapid.T, label string) Partition {
	chs := func(l string) CHS {
		return CHS{rapid.Uint16Range(0, 1023).Draw(t, l+"c"), rapid.Byte().Draw(t, l+"h"), rapid.Uint8Range(0, 63).Draw(t, l+"s")}
	}
	return Partition{
		Active:   rapid.Bool().Draw(t, label+"active"),
		Type:     rapid.Byte().Draw(t, label+"type"),
		FirstCHS: chs(label + "first"),
		LastCHS:  chs(label + "last"),
		FirstLBA: rapid.Uint32().Draw(t, label+"lba"),
		Sectors:  rapid.Uint32().Draw(t, label+"sectors"),
	}
}

func TestEncodeDecodeIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := &Table{Signature: rapid.Uint32().Draw(t, "sig"), Reserved: rapid.Uint16().Draw(t, "res")}
		copy(in.Code[:], rapid.SliceOfN(rapid.Byte(), CodeBytes, CodeBytes).Draw(t, "code"))
		for i := range in.Partitions {
			in.Partitions[i] = genPartition(t, "p")
		}
		sector := dirty(4096)
		in.Encode(sector)
		if !bytes.Equal(sector[Bytes:], make([]byte, 4096-Bytes)) {
			t.Fatal("the rest of the sector is not cleared")
		}
		out, err := Decode(sector)
		if err != nil {
			t.Fatal(err)
		}
		if *out != *in {
			t.Fatalf("got %+v\nwant %+v", out, in)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	sector := make([]byte, 512)
	(&Table{}).Encode(sector)
	for _, tc := range []struct {
		field string
		spoil func(p []byte) []byte
	}{
		{"", func(p []byte) []byte { return p[:511] }},
		{"Signature", func(p []byte) []byte { p[511] = 0; return p }},
		{"BootIndicator 1", func(p []byte) []byte { p[446] = 1; return p }},
		{"BootIndicator 4", func(p []byte) []byte { p[494] = 0x81; return p }},
	} {
		_, err := Decode(tc.spoil(bytes.Clone(sector)))
		var fe *diskerr.FormatError
		if !errors.As(err, &fe) || fe.Field != tc.field {
			t.Errorf("%s: got %v", tc.field, err)
		}
	}
}

func TestValidate(t *testing.T) {
	part := func(first, sectors uint32) Partition {
		return Partition{Type: TypeFAT32, FirstLBA: first, Sectors: sectors}
	}
	for _, tc := range []struct {
		name string
		p    []Partition
		want string
	}{
		{"good", []Partition{part(1, 10), part(11, 89)}, ""},
		{"unused entries may hold anything", []Partition{{FirstLBA: 1000, Sectors: 1000}}, ""},
		{"on the table", []Partition{part(0, 10)}, "StartingLBA is 0"},
		{"empty", []Partition{part(1, 0)}, "SizeInLBA is 0"},
		{"past the end", []Partition{part(1, 100)}, "end at sector 101 of 100"},
		{"overflow", []Partition{part(0xFFFFFFFF, 0xFFFFFFFF)}, "end at sector 8589934590 of 100"},
		{"overlap", []Partition{part(1, 10), part(10, 10)}, "overlaps partition 1"},
		{"within", []Partition{part(1, 50), part(10, 10)}, "overlaps partition 1"},
	} {
		tab := &Table{}
		copy(tab.Partitions[:], tc.p)
		err := tab.Validate(100)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
	if err := NewProtective(1000).Validate(100); err != nil {
		t.Errorf("protective: %v", err)
	}
}

func TestCHS(t *testing.T) {
	for _, tc := range []struct {
		sectors uint64
		heads   int
	}{{1, 16}, {1024 * 16 * 63, 16}, {1024*16*63 + 1, 32}, {1024 * 128 * 63, 128}, {1024*128*63 + 1, 255}, {1 << 40, 255}} {
		if g := AssistedGeometry(tc.sectors); g.Heads != tc.heads || g.SectorsPerTrack != 63 {
			t.Errorf("%d sectors: %+v", tc.sectors, g)
		}
	}
	g := Geometry{255, 63}
	for _, tc := range []struct {
		lba  uint64
		want CHS
	}{{0, CHS{0, 0, 1}}, {62, CHS{0, 0, 63}}, {63, CHS{0, 1, 1}}, {2048, CHS{0, 32, 33}}, {255 * 63, CHS{1, 0, 1}},
		{1024*255*63 - 1, CHS{1023, 254, 63}}, {1024 * 255 * 63, Saturated}, {1 << 40, Saturated}} {
		if got := g.CHS(tc.lba); got != tc.want {
			t.Errorf("sector %d: %+v, want %+v", tc.lba, got, tc.want)
		}
	}
	if p, want := g.NewPartition(TypeFAT16, true, 63, 255*63-63), (Partition{true, TypeFAT16, CHS{0, 1, 1}, CHS{0, 254, 63}, 63, 255*63 - 63}); p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
	var p [3]byte
	Saturated.encode(p[:])
	if p != [3]byte{0xFE, 0xFF, 0xFF} {
		t.Errorf("saturated is % x", p)
	}
}

func TestFATType(t *testing.T) {
	g := Geometry{255, 63}
	const far = 1024 * 255 * 63
	for _, tc := range []struct {
		bits           int
		first, sectors uint32
		want           byte
	}{
		{12, 63, 1000, TypeFAT12}, {12, 63, 0x10000, TypeFAT16}, {12, far, 1000, TypeFAT16LBA},
		{16, 63, 1000, TypeFAT16}, {16, 63, 1 << 20, TypeFAT16}, {16, far - 10, 10, TypeFAT16}, {16, far - 10, 11, TypeFAT16LBA},
		{32, 2048, 1 << 20, TypeFAT32}, {32, 2048, far, TypeFAT32LBA},
	} {
		if got := g.FATType(tc.bits, tc.first, tc.sectors); got != tc.want {
			t.Errorf("%+v: got %#02x", tc, got)
		}
	}
	for typ, want := range map[byte]bool{1: true, 4: true, 6: true, 0xB: true, 0xC: true, 0xE: true, 0xEF: true, 0: false, 5: false, 7: false, 0x83: false, 0xEE: false} {
		if IsFAT(typ) != want {
			t.Errorf("IsFAT(%#02x) is %v", typ, !want)
		}
	}
}

// record returns an extended boot record.
func record(logical, link Partition) []byte {
	t := &Table{}
	t.Partitions[0], t.Partitions[1] = logical, link
	p := dirty(512)
	t.Encode(p)
	return p
}

// walk runs a LogicalWalk over records by sector.
func walk(ext Partition, records map[uint64][]byte) ([]Partition, error) {
	w := NewLogicalWalk(ext)
	for {
		lba, ok := w.Next()
		if !ok {
			return w.Partitions, nil
		}
		sector := records[lba]
		if sector == nil {
			sector = make([]byte, 512)
		}
		if err := w.Add(sector); err != nil {
			return w.Partitions, err
		}
	}
}

func TestLogical(t *testing.T) {
	ext := Partition{Type: TypeExtended, FirstLBA: 1000, Sectors: 10000}
	fat := Partition{Type: TypeFAT16, FirstLBA: 63, Sectors: 500}
	link := func(to uint32) Partition { return Partition{Type: TypeExtended, FirstLBA: to, Sectors: 600} }
	got, err := walk(ext, map[uint64][]byte{
		1000: record(fat, link(3000)), 4000: record(fat, link(1000)), 2000: record(Partition{}, link(5000)), 6000: record(fat, Partition{}),
	})
	if err != nil || len(got) != 3 || got[0].FirstLBA != 1063 || got[1].FirstLBA != 4063 || got[2].FirstLBA != 6063 {
		t.Fatalf("got %+v, %v", got, err)
	}
	whole := Partition{Type: TypeFAT16, FirstLBA: 63, Sectors: 10000 - 63}
	if got, err := walk(ext, map[uint64][]byte{1000: record(whole, Partition{})}); err != nil || len(got) != 1 || got[0].End() != ext.End() {
		t.Fatalf("to the very end: got %+v, %v", got, err)
	}
	for _, tc := range []struct {
		name    string
		records map[uint64][]byte
		want    string
	}{
		{"no record", nil, "Signature"},
		{"loop", map[uint64][]byte{1000: record(fat, link(1000)), 2000: record(fat, link(0))}, "entry 2 is 0"},
		{"itself", map[uint64][]byte{1000: record(fat, link(0))}, "entry 2 is 0"},
		{"out of the extended partition", map[uint64][]byte{1000: record(fat, link(10000))}, "entry 2 is 10000"},
		{"logical too long", map[uint64][]byte{1000: record(Partition{Type: 6, FirstLBA: 63, Sectors: 10000}, Partition{})}, "entry 1 is 63+10000"},
		{"logical on its record", map[uint64][]byte{1000: record(Partition{Type: 6, Sectors: 10}, Partition{})}, "entry 1 is 0+10"},
		{"logical empty", map[uint64][]byte{1000: record(Partition{Type: 6, FirstLBA: 63}, Partition{})}, "entry 1 is 63+0"},
	} {
		if _, err := walk(ext, tc.records); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
	long := map[uint64][]byte{}
	for i := range uint32(9000) {
		long[1000+uint64(i)] = record(Partition{}, link(i+1))
	}
	if _, err := walk(ext, long); err == nil || !strings.Contains(err.Error(), "more than 256") {
		t.Errorf("long chain: got %v", err)
	}
	beyond := Partition{Type: TypeExtendedLBA, FirstLBA: 0xFFFFFFF0, Sectors: 1000}
	if _, err := walk(beyond, map[uint64][]byte{0xFFFFFFF0: record(fat, Partition{})}); err == nil || !strings.Contains(err.Error(), "beyond sector") {
		t.Errorf("beyond 2^32: got %v", err)
	}
}

func TestProtectiveAndExtended(t *testing.T) {
	p := NewProtective(1 << 40)
	sector := dirty(512)
	p.Encode(sector)
	// UEFI 2.10, table 5-4: starting CHS 00 02 00, LBA 1, size 0xFFFFFFFF.
	if want := []byte{0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}; !bytes.Equal(sector[446:462], want) {
		t.Errorf("entry is % x", sector[446:462])
	}
	if !p.Protective() || (&Table{}).Protective() {
		t.Error("Protective is wrong")
	}
	if n := binary.LittleEndian.Uint32(encodeOf(NewProtective(2880))[458:]); n != 2879 {
		t.Errorf("small disk: %d sectors", n)
	}
	tab := &Table{}
	if _, ok := tab.Extended(); ok {
		t.Error("found an extended partition in an empty table")
	}
	tab.Partitions[2] = Partition{Type: TypeLinuxExt, FirstLBA: 5}
	if e, ok := tab.Extended(); !ok || e.FirstLBA != 5 {
		t.Error("extended partition not found")
	}
}

func encodeOf(t *Table) []byte {
	p := dirty(512)
	t.Encode(p)
	return p
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeOf(NewProtective(1000)))
	f.Add(record(Partition{Type: TypeFAT16, FirstLBA: 63, Sectors: 500, Active: true}, Partition{Type: TypeExtended, FirstLBA: 7, Sectors: 9}))
	f.Add(make([]byte, 511))
	f.Fuzz(func(t *testing.T, p []byte) {
		tab, err := Decode(p)
		if err != nil {
			if !errors.Is(err, diskerr.ErrCorrupt) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if out := encodeOf(tab); !bytes.Equal(out, p[:512]) {
			t.Fatalf("decoded and encoded differs:\n% x\n% x", p[:512], out)
		}
		if err := tab.Validate(1 << 20); err == nil {
			for _, q := range tab.Partitions {
				if q.Used() && q.Type != TypeProtective && q.End() > 1<<20 {
					t.Fatalf("accepted %+v", q)
				}
			}
		}
		w := NewLogicalWalk(Partition{Type: TypeExtended, FirstLBA: 1, Sectors: 0xFFFFFFFF})
		for n := 0; ; n++ {
			if _, ok := w.Next(); !ok || w.Add(p) != nil {
				break
			}
			if n > MaxLogical {
				t.Fatal("the walk does not end")
			}
		}
	})
}
