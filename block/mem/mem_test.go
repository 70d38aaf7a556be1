package mem

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/diskerr"
)

func TestConformance(t *testing.T) {
	for _, size := range []int64{1440 << 10, 9<<20 + 777, 1 << 40} {
		open := func(testing.TB) block.Device { return New(size) }
		blocktest.Run(t, open, blocktest.Options{Seed: uint64(size)})
	}
}

// A segment keeps the bytes that it was made from, whatever is written later.
func TestSegmentsAreSnapshots(t *testing.T) {
	d := FromBytes(bytes.Repeat([]byte("x"), 2*chunkBytes))
	segs, err := block.AppendSegments(d, nil, 10, chunkBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteZeroes(0, d.Size(), block.NoHole); err != nil {
		t.Fatal(err)
	}
	for _, s := range segs {
		if !bytes.Equal(s.Data, bytes.Repeat([]byte("x"), int(s.Len))) {
			t.Error("a write changed a segment that was not released")
		}
	}
	block.ReleaseAll(segs)
	if c := d.shards[0].chunks[0]; c.pins.Load() != 0 {
		t.Errorf("%d pins after release", c.pins.Load())
	}
}

func TestResize(t *testing.T) {
	d := FromBytes(bytes.Repeat([]byte{7}, 3*chunkBytes))
	for _, size := range []int64{chunkBytes + 100, 3 * chunkBytes} {
		if err := d.Resize(size); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, d.Size())
	if err := block.ReadFull(d, got, 0); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3*chunkBytes)
	copy(want, bytes.Repeat([]byte{7}, chunkBytes+100))
	if !bytes.Equal(got, want) {
		t.Error("what was cut off came back")
	}
	for _, size := range []int64{-1, MaxSize + 1} {
		if err := d.Resize(size); !errors.Is(err, diskerr.ErrOutOfRange) {
			t.Errorf("Resize(%d): %v", size, err)
		}
	}
}

// Discarding a huge range costs by what is in use.
func TestEraseHuge(t *testing.T) {
	d := New(MaxSize)
	if _, err := d.WriteAt([]byte{1, 2, 3}, MaxSize-3); err != nil {
		t.Fatal(err)
	}
	if err := d.Discard(1, MaxSize-2); err != nil {
		t.Fatal(err)
	}
	var got [3]byte
	if _, err := d.ReadAt(got[:], MaxSize-3); err != nil || got != [3]byte{0, 0, 3} {
		t.Errorf("got %v, %v", got, err)
	}
	if n := d.chunksInUse(); n != 1 {
		t.Errorf("%d chunks in use", n)
	}
}

func BenchmarkReadAt4K(b *testing.B) {
	d := FromBytes(bytes.Repeat([]byte{1}, 1<<20))
	p := make([]byte, 4096)
	b.ReportAllocs()
	b.SetBytes(4096)
	for i := 0; b.Loop(); i++ {
		if _, err := d.ReadAt(p, int64(i%256)*4096); err != nil {
			b.Fatal(err)
		}
	}
}
