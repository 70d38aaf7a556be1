package qcow2fmt

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
)

func TestL2Entry(t *testing.T) {
	g := Geometry{ClusterBits: 16, RefcountOrder: 4, ZeroFlag: true}
	e := NewL2Entry(0x123450000, true)
	if e.Offset() != 0x123450000 || !e.Copied() || e.Compressed() || e.Zero() || g.Reserved(e) != 0 {
		t.Errorf("%#x decodes wrongly", uint64(e))
	}
	z := e.WithZero(true).WithCopied(false)
	if !z.Zero() || z.Copied() || z.Offset() != e.Offset() || g.Reserved(z) != 0 {
		t.Errorf("%#x decodes wrongly", uint64(z))
	}
	g.ExtendedL2 = true
	if g.Reserved(z) != 1 {
		t.Error("the zero flag is reserved with extended L2 entries")
	}
	if g.Reserved(L2Entry(1<<56|1<<8)) != 1<<56|1<<8 {
		t.Error("reserved bits are not seen")
	}
}

func TestCompressedRange(t *testing.T) {
	for bits := MinClusterBits; bits <= MaxClusterBits; bits++ {
		g := Geometry{ClusterBits: bits, RefcountOrder: 4}
		for _, offset := range []int64{512, 513, 1023, 1 << 30, g.MaxCompressedOffset() - 1} {
			for _, n := range []int64{1, 511, 512, 513, g.ClusterBytes() - 1} {
				e := g.NewCompressedEntry(offset, n)
				at, room := g.CompressedRange(e)
				if !e.Compressed() || at != offset || room < n || room >= n+SectorBytes || (at+room)%SectorBytes != 0 {
					t.Fatalf("bits %d, offset %d, %d bytes: decodes to %d, %d", bits, offset, n, at, room)
				}
				if g.Reserved(e) != 0 {
					t.Fatalf("bits %d, offset %#x: reserved bits in %#x", bits, offset, uint64(e))
				}
			}
		}
	}
}

func TestRefcountPacking(t *testing.T) {
	for order := 0; order <= MaxRefcountOrder; order++ {
		g := Geometry{ClusterBits: 9, RefcountOrder: order}
		p := dirty(512)
		n := 1 << g.RefcountBlockBits()
		for i := range n {
			PutRefcount(p, i, order, uint64(i)&g.MaxRefcount())
		}
		for i := range n {
			if got := Refcount(p, i, order); got != uint64(i)&g.MaxRefcount() {
				t.Fatalf("order %d: refcount %d is %d", order, i, got)
			}
		}
	}
	p := make([]byte, 1)
	PutRefcount(p, 0, 1, 3) // Refcount block entry: bit 0 is the least significant one
	if p[0] != 3 {
		t.Errorf("the first 2-bit refcount is stored as %08b", p[0])
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	g := Geometry{ClusterBits: 16, RefcountOrder: 4, ZeroFlag: true}
	s := &Snapshot{
		L1Offset: 7 << 16, L1Entries: 3, Seconds: 1, Nanoseconds: 2, GuestNanos: 3,
		StateBytes: 1 << 33, DiskBytes: 1 << 30, HasDisk: true, Icount: 9, ID: "1", Name: "before",
		ExtraRest: []byte{1, 2, 3}, extraBytes: 27,
	}
	p := AppendSnapshot(nil, s)
	got, n, err := g.DecodeSnapshot(append(p, dirty(50)...), 0, 77)
	if err != nil || n != len(p) || n%8 != 0 || !reflect.DeepEqual(got, s) {
		t.Fatalf("got %+v, %d, %v", got, n, err)
	}
	for cut := range len(p) - 7 {
		if _, _, err := g.DecodeSnapshot(p[:cut], 0, 0); !errors.Is(err, diskerr.ErrCorrupt) {
			t.Errorf("cut to %d: %v", cut, err)
		}
	}
	old := *s
	old.L1Offset++
	if _, _, err := g.DecodeSnapshot(AppendSnapshot(nil, &old), 0, 0); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("misaligned L1: %v", err)
	}
	old = *s
	old.L1Entries = 1 << 31
	if _, _, err := g.DecodeSnapshot(AppendSnapshot(nil, &old), 0, 0); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("huge L1: %v", err)
	}
}

func TestBitmapRoundTrip(t *testing.T) {
	g := Geometry{ClusterBits: 16, RefcountOrder: 4, ZeroFlag: true}
	b := &Bitmap{TableOffset: 9 << 16, TableEntries: 4, Flags: BitmapAuto, Type: 1, GranularityBits: 16, Name: "b0"}
	p := AppendBitmap(nil, b)
	got, n, err := g.DecodeBitmap(append(p, dirty(9)...), 0)
	if err != nil || n != len(p) || !reflect.DeepEqual(got, b) {
		t.Fatalf("got %+v, %d, %v", got, n, err)
	}
	for i, change := range []func(*Bitmap){
		func(b *Bitmap) { b.TableOffset = 0 }, func(b *Bitmap) { b.TableOffset = 5 },
		func(b *Bitmap) { b.TableEntries = 1 << 30 }, func(b *Bitmap) { b.Flags = 8 },
		func(b *Bitmap) { b.Type = 2 }, func(b *Bitmap) { b.GranularityBits = 64 },
		func(b *Bitmap) { b.Name = "" }, func(b *Bitmap) { b.Name = string(make([]byte, 1024)) },
	} {
		bad := *b
		change(&bad)
		if _, _, err := g.DecodeBitmap(AppendBitmap(nil, &bad), 0); !errors.Is(err, diskerr.ErrCorrupt) {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

func FuzzTables(f *testing.F) {
	g := Geometry{ClusterBits: 16, RefcountOrder: 4, ZeroFlag: true}
	f.Add(AppendSnapshot(nil, &Snapshot{L1Offset: 1 << 16, ID: "1", Name: "n"}))
	f.Add(AppendBitmap(nil, &Bitmap{TableOffset: 1 << 16, Type: 1, Name: "b"}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if s, n, err := g.DecodeSnapshot(p, 0, 0); err == nil {
			if n > len(p) || n < snapshotFixedBytes {
				t.Fatalf("an entry of %d bytes out of %d", n, len(p))
			}
			again, _, err := g.DecodeSnapshot(AppendSnapshot(nil, s), 0, 0)
			if err != nil && len(s.ExtraRest)+snapshotKnownExtra <= MaxSnapshotExtraBytes {
				t.Fatal(err)
			}
			if err == nil && (again.Name != s.Name || again.ID != s.ID || again.DiskBytes != s.DiskBytes) {
				t.Fatalf("got %+v, want %+v", again, s)
			}
		}
		if b, n, err := g.DecodeBitmap(p, 0); err == nil {
			if q := AppendBitmap(nil, b); len(q) != n || !bytes.Equal(q[:bitmapFixedBytes], p[:bitmapFixedBytes]) {
				t.Fatalf("%x became %x", p, q)
			}
		}
	})
}
