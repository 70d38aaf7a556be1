package fatfmt

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

var allTypes = []Type{FAT12, FAT16, FAT32}

func TestTypeOf(t *testing.T) {
	for n, want := range map[uint32]Type{1: FAT12, 4084: FAT12, 4085: FAT16, 65524: FAT16, 65525: FAT32, 1 << 28: FAT32} {
		if got := TypeOf(n); got != want {
			t.Errorf("%d clusters: %v", n, got)
		}
	}
	for _, typ := range allTypes {
		if TypeOf(typ.MinClusters()) != typ || TypeOf(typ.MaxClusters()) != typ {
			t.Errorf("limits of %v", typ)
		}
		if k := typ.Classify(typ.MaxClusters()+1, typ.MaxClusters()+1); k != Data {
			t.Errorf("%v: the largest cluster number is %v", typ, k)
		}
	}
}

// Writing entries in any order gives what a slice of numbers gives, and
// touches nothing else.
func TestEntriesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(allTypes).Draw(t, "type")
		n := rapid.IntRange(1, 50).Draw(t, "n")
		fat := dirty(int(typ.EntriesBytes(uint32(n))) + 1)
		model := make([]uint32, n)
		for i := range model {
			model[i] = typ.Entry(fat, uint32(i))
		}
		guard := fat[len(fat)-1]
		for range rapid.IntRange(0, 100).Draw(t, "writes") {
			c, v := rapid.IntRange(0, n-1).Draw(t, "c"), rapid.Uint32().Draw(t, "v")
			typ.PutEntry(fat, uint32(c), v)
			model[c] = v & typ.Mask()
		}
		for i, want := range model {
			if got := typ.Entry(fat, uint32(i)); got != want {
				t.Fatalf("entry %d is %#x, want %#x", i, got, want)
			}
			if typ == FAT32 && fat[4*i+3]>>4 != 0xA {
				t.Fatalf("entry %d: the reserved bits changed", i)
			}
		}
		if fat[len(fat)-1] != guard {
			t.Fatal("wrote past the FAT")
		}
	})
}

// The packing of FAT12, spelled out once by hand.
func TestFAT12Packing(t *testing.T) {
	fat := make([]byte, 6)
	for c, v := range []uint32{0xFF8, 0xFFF, 0x123, 0xABC} {
		FAT12.PutEntry(fat, uint32(c), v)
	}
	if want := []byte{0xF8, 0xFF, 0xFF, 0x23, 0xC1, 0xAB}; !bytes.Equal(fat, want) {
		t.Errorf("got % x, want % x", fat, want)
	}
}

func TestClassify(t *testing.T) {
	for _, typ := range allTypes {
		top := typ.Mask()
		for v, want := range map[uint32]Kind{0: Free, 1: Reserved, 2: Data, 100: Data, 101: Reserved, top - 9: Reserved,
			top - 8: Bad, top - 7: End, top - 1: End, top: End} {
			if got := typ.Classify(v, 100); got != want {
				t.Errorf("%v: %#x is %v, want %v", typ, v, got, want)
			}
		}
		if at := typ.EntryOffset(7) + int64(typ.EntryBytes()); at != typ.EntriesBytes(8) {
			t.Errorf("%v: entry 7 ends at %d", typ, at)
		}
		if typ.Classify(typ.EndMark(), 100) != End || typ.Classify(typ.BadMark(), 100) != Bad {
			t.Errorf("%v: marks", typ)
		}
	}
	if FAT32.Classify(0xF0000000, 100) != Free || FAT32.Classify(0x50000007, 100) != Data {
		t.Error("the reserved bits of FAT32 count")
	}
}

func TestFirstEntries(t *testing.T) {
	for typ, want := range map[Type][2]uint32{FAT12: {0xFF0, 0xFFF}, FAT16: {0xFFF0, 0xFFFF}, FAT32: {0x0FFFFFF0, 0x0FFFFFFF}} {
		e0, e1 := typ.FirstEntries(0xF0)
		if e0 != want[0] || e1 != want[1] || e1&typ.CleanBit() != typ.CleanBit() || e1&typ.NoErrorBit() != typ.NoErrorBit() {
			t.Errorf("%v: %#x %#x", typ, e0, e1)
		}
	}
	if FAT12.CleanBit() != 0 || FAT16.CleanBit() != 0x8000 || FAT32.CleanBit() != 0x08000000 ||
		FAT16.NoErrorBit() != 0x4000 || FAT32.NoErrorBit() != 0x04000000 {
		t.Error("bits")
	}
}

// numbers is an EntrySource over a slice; entries past it are 0.
type numbers []uint32

var _ EntrySource = numbers(nil)

func (s numbers) FillEntries(first uint32, dst []uint32) {
	for i := range dst {
		dst[i] = 0
		if at := int(first) + i; at < len(s) {
			dst[i] = s[at]
		}
	}
}

// Any window of a rendered FAT equals the same window of one that was built
// entry by entry.
func TestRenderEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(allTypes).Draw(t, "type")
		src := numbers(rapid.SliceOfN(rapid.Uint32(), 1, 200).Draw(t, "entries"))
		fat := make([]byte, int(typ.EntriesBytes(uint32(len(src))))+16)
		for c, v := range src {
			typ.PutEntry(fat, uint32(c), v)
		}
		from := rapid.IntRange(0, len(fat)-8).Draw(t, "from")
		to := rapid.IntRange(from, len(fat)-8).Draw(t, "to")
		p := dirty(to - from + 1)
		typ.RenderEntries(p[:to-from], int64(from), make([]uint32, rapid.IntRange(2, 64).Draw(t, "scratch")), src)
		if !bytes.Equal(p[:to-from], fat[from:to]) {
			t.Fatalf("bytes %d to %d: % x, want % x", from, to, p[:to-from], fat[from:to])
		}
		if p[to-from] != 0xA5 {
			t.Fatal("wrote past the window")
		}
	})
}

func FuzzEntries(f *testing.F) {
	f.Add([]byte{0xF8, 0xFF, 0xFF, 0x23, 0xC1, 0xAB}, uint32(1), uint32(0x777))
	f.Fuzz(func(t *testing.T, p []byte, c, v uint32) {
		for _, typ := range allTypes {
			n := typ.EntriesIn(int64(len(p)))
			if n == 0 {
				continue
			}
			c := c % uint32(n)
			q := bytes.Clone(p)
			old := typ.Entry(q, c)
			typ.PutEntry(q, c, v)
			if got := typ.Entry(q, c); got != v&typ.Mask() {
				t.Fatalf("%v: wrote %#x, read %#x", typ, v, got)
			}
			typ.PutEntry(q, c, old)
			if !bytes.Equal(q, p) {
				t.Fatalf("%v: writing the old value back does not restore the FAT", typ)
			}
			typ.Classify(old, uint32(n))
		}
	})
}

func BenchmarkRenderEntries(b *testing.B) {
	src := numbers(make([]uint32, 70000))
	p, scratch := make([]byte, 128<<10), make([]uint32, 1024)
	for _, typ := range allTypes {
		b.Run(typ.String(), func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				typ.RenderEntries(p, 0, scratch, src)
			}
		})
	}
}
