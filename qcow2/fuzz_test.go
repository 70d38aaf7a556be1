package qcow2

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// seeds adds small images of several kinds to a fuzz corpus.
func seeds(f *testing.F) {
	for i, o := range []CreateOptions{
		{ClusterBytes: 512},
		{ClusterBytes: 512, Version: 2},
		{ClusterBytes: 1024, RefcountBits: 1},
		{ClusterBytes: 4096, RefcountBits: 64},
		{ClusterBytes: 16 << 10, ExtendedL2: true},
		{ClusterBytes: 4096, Compression: qcow2fmt.CompressionZstd, BackingName: "base"},
	} {
		img, dev := newMemory(f, 200<<10, o, Options{NoBacking: true})
		m := &model{t: f, rng: rand.New(rand.NewPCG(uint64(i), 2)), img: img, want: make([]byte, 200<<10), unit: 512}
		for range 40 {
			m.step()
		}
		must(f, img.finish())
		p := make([]byte, dev.Size())
		_, err := dev.ReadAt(p, 0)
		must(f, err)
		f.Add(p)
	}
}

// fuzzPatience is far more than any image of fuzzing size can take; a hang is
// a bug.
const fuzzPatience = 20 * time.Second

const maxFuzzBytes = 1 << 20

// FuzzRead opens an image and reads the beginning and the end of every L2
// table's range, in every way there is.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > maxFuzzBytes {
			return
		}
		_, _ = Stat(mem.FromBytes(p))
		img, err := Open(mem.FromBytes(p), Options{ReadOnly: true, NoBacking: true, TableCacheBytes: 1, DataCacheBytes: 1 << 20})
		if err != nil {
			return
		}
		defer img.Close()
		buf := make([]byte, 64<<10)
		step := max(img.geo.L2Covers()/2, img.Size()/64, 1)
		for off := int64(0); off < img.Size(); off += min(step, img.Size()-off) {
			n := min(int64(len(buf)), img.Size()-off)
			_, readErr := img.ReadAt(buf[:n], off)
			segs, err := img.AppendSegments(nil, off, n)
			if (readErr == nil) != (err == nil) {
				t.Fatalf("at %d ReadAt gives %v, AppendSegments %v", off, readErr, err)
			}
			block.ReleaseAll(segs)
			_, _ = img.AppendExtents(nil, off, n)
			_, _ = img.AppendMap(nil, off, n)
		}
	})
}

// FuzzWrite does the same operations on any image.
func FuzzWrite(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > maxFuzzBytes {
			return
		}
		img, err := Open(mem.FromBytes(p), Options{NoBacking: true, TableCacheBytes: 1})
		if err != nil || img.Size() == 0 {
			return
		}
		defer img.Close()
		rng := rand.New(rand.NewPCG(1, 2))
		buf := make([]byte, 20<<10)
		for i := range 30 {
			off := rng.Int64N(img.Size())
			n := min(1+rng.Int64N(int64(len(buf))), img.Size()-off)
			switch i % 5 {
			case 0, 1:
				_, _ = img.WriteAt(buf[:n], off)
			case 2:
				_ = img.WriteZeroes(off, n, 0)
			case 3:
				_ = img.Discard(off, n)
			default:
				_ = img.Flush()
			}
		}
		_ = img.Resize(min(img.Size()+(100<<10), 1<<40) &^ 511)
	})
}

// FuzzCheckRepair checks and repairs any image. What was repaired must be
// right, and stay so when it is written.
func FuzzCheckRepair(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > maxFuzzBytes {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), fuzzPatience)
		defer cancel()
		dev := mem.FromBytes(p)
		before, err := Check(ctx, dev)
		if ctx.Err() != nil {
			t.Fatal("checking takes too long")
		}
		if err != nil {
			return
		}
		if _, err := Repair(ctx, dev, RepairLeaks); err != nil {
			t.Fatalf("checked, but not repaired: %v\n%+v", err, before)
		}
		if _, err := Repair(ctx, dev, RepairAll); err != nil {
			t.Fatalf("checked, but not repaired: %v\n%+v", err, before)
		}
		after, err := Check(ctx, dev)
		if err != nil {
			t.Fatalf("repaired, but not checked: %v", err)
		}
		hdr, err := readHeader(dev)
		must(t, err)
		if after.Corruptions+after.Leaks > 0 && after.Overlaps == 0 && hdr.RefcountOrder > 3 {
			t.Fatalf("before %+v\nafter %+v", before, after)
		}
	})
}
