package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// fuzzBases are small images of several kinds. A fuzzer patches them, which
// reaches far more than changing bytes anywhere in an image.
var fuzzBases = sync.OnceValue(func() [][]byte {
	var bases [][]byte
	for i, o := range []CreateOptions{
		{ClusterBytes: 512},
		{ClusterBytes: 512, Version: 2},
		{ClusterBytes: 1024, RefcountBits: 1},
		{ClusterBytes: 4096, RefcountBits: 64},
		{ClusterBytes: 16 << 10, ExtendedL2: true},
		{ClusterBytes: 4096, Compression: qcow2fmt.CompressionZstd, BackingName: "base"},
	} {
		const size = 100 << 10
		dev := mem.New(0)
		if err := Create(dev, size, o); err != nil {
			panic(err)
		}
		img, err := Open(dev, Options{NoBacking: true})
		if err != nil {
			panic(err)
		}
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		for range 30 {
			off := rng.Int64N(size/512) * 512
			n := min(512*(1+rng.Int64N(10)), size-off)
			switch rng.IntN(4) {
			case 0:
				err = img.WriteZeroes(off, n, 0)
			default:
				_, err = img.WriteAt(make([]byte, n), off)
			}
			if err != nil {
				panic(err)
			}
		}
		if i == 0 {
			err = addBitmap(img)
		}
		if err == nil {
			err = img.finish()
		}
		if err != nil {
			panic(err)
		}
		p := make([]byte, dev.Size())
		if _, err := dev.ReadAt(p, 0); err != nil {
			panic(err)
		}
		bases = append(bases, p)
	}
	return bases
})

// addBitmap gives an image a bitmap, as another program would.
func addBitmap(img *Image) error {
	run, err := img.refs.allocateTable(3) // directory, table, bits
	if err != nil {
		return err
	}
	size := img.geo.ClusterBytes()
	at := run.first * size
	p := make([]byte, 3*size)
	dir := qcow2fmt.AppendBitmap(nil, &qcow2fmt.Bitmap{TableOffset: uint64(at + size), TableEntries: 1,
		Type: qcow2fmt.BitmapTypeDirty, GranularityBits: 9, Name: "marks"})
	copy(p, dir)
	binary.BigEndian.PutUint64(p[size:], uint64(at+2*size))
	if err := img.file.writeAt(p, at); err != nil {
		return err
	}
	ext := binary.BigEndian.AppendUint64(nil, 1<<32) // one bitmap
	ext = binary.BigEndian.AppendUint64(ext, uint64(len(dir)))
	ext = binary.BigEndian.AppendUint64(ext, uint64(at))
	img.hdr.SetExtension(qcow2fmt.ExtBitmaps, ext)
	img.hdr.Autoclear |= qcow2fmt.AutoclearBitmaps
	area, err := img.hdr.AppendArea(nil)
	if err != nil {
		return err
	}
	return img.file.writeAt(area, 0)
}

// patchBytes is the size of a patch: 3 bytes of offset, 8 bytes to put there.
const patchBytes = 11

// patched returns base number i with patches, as a device.
func patched(i uint8, patches []byte) *mem.Device {
	bases := fuzzBases()
	p := slices.Clone(bases[int(i)%len(bases)])
	for ; len(patches) >= patchBytes; patches = patches[patchBytes:] {
		off := (int(patches[0])<<16 | int(patches[1])<<8 | int(patches[2])) % (len(p) - 8)
		copy(p[off:], patches[3:patchBytes])
	}
	return mem.FromBytes(p)
}

// seeds adds the bases and patches of their headers and tables.
func seeds(f *testing.F) {
	for i, p := range fuzzBases() {
		f.Add(uint8(i), []byte{})
		hdr, err := qcow2fmt.DecodeHeader(p)
		must(f, err)
		l1 := int64(hdr.L1Offset)
		l2 := int64(binary.BigEndian.Uint64(p[l1:]) &^ (1 << 63))
		table := int64(hdr.RefcountTableOffset)
		for _, at := range []int64{4, 16, 20, 24, 32, 36, 40, 48, 56, 60, 64, 72, 88, 96, 100, l1, l2, l2 + 8, table} {
			for _, v := range []uint64{0, 1, 1 << 62, 1 << 63, ^uint64(0), uint64(l1), uint64(l2) | 1<<63, uint64(table), 1<<63 | 512<<10} {
				f.Add(uint8(i), binary.BigEndian.AppendUint64([]byte{byte(at >> 16), byte(at >> 8), byte(at)}, v))
			}
		}
	}
}

// fuzzPatience is far more than any image of fuzzing size can take; a hang is
// a bug.
const fuzzPatience = 20 * time.Second

// FuzzRead opens an image and reads the beginning and the end of every L2
// table's range, in every way there is.
func FuzzRead(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, base uint8, patches []byte) {
		_, _ = Stat(patched(base, patches))
		img, err := Open(patched(base, patches), Options{ReadOnly: true, NoBacking: true, TableCacheBytes: 1, DataCacheBytes: 1 << 20})
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
	f.Fuzz(func(t *testing.T, base uint8, patches []byte) {
		img, err := Open(patched(base, patches), Options{NoBacking: true, TableCacheBytes: 1})
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

// brief is a report for a message.
func brief(r *Report) string {
	b := *r
	b.Findings = b.Findings[:min(len(b.Findings), 6)]
	return fmt.Sprintf("%+v", b)
}

// FuzzCheckRepair checks and repairs any image. What was repaired must be
// right, and stay so when it is written.
func FuzzCheckRepair(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, base uint8, patches []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), fuzzPatience)
		defer cancel()
		dev := patched(base, patches)
		before, err := Check(ctx, dev)
		if ctx.Err() != nil {
			t.Fatal("checking takes too long")
		}
		if err != nil {
			return
		}
		if _, err := Repair(ctx, dev, RepairLeaks); err != nil {
			t.Fatalf("checked, but not repaired: %v\n%s", err, brief(before))
		}
		if _, err := Repair(ctx, dev, RepairAll); err != nil {
			t.Fatalf("checked, but not repaired: %v\n%s", err, brief(before))
		}
		after, err := Check(ctx, dev)
		if err != nil {
			t.Fatalf("repaired, but not checked: %v", err)
		}
		hdr, err := readHeader(dev)
		must(t, err)
		if after.Corruptions+after.Leaks > 0 && after.Overlaps == 0 && hdr.RefcountOrder > 3 {
			t.Fatalf("before %s\nafter %s", brief(before), brief(after))
		}
	})
}
