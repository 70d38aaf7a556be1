package copy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/fault"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
)

// bare is a device without capabilities.
type bare struct{ block.Device }

// blocky is bare with blocks of 4 KiB and small transfers, both enforced.
type blocky struct{ bare }

func (blocky) Limits() block.Limits { return block.Limits{MinBlock: 4096, MaxTransfer: 64 << 10} }

func (d blocky) WriteAt(p []byte, off int64) (int, error) {
	if len(p)%4096 != 0 || off%4096 != 0 || len(p) > 64<<10 {
		return 0, fmt.Errorf("write of %d bytes at %d", len(p), off)
	}
	return d.bare.WriteAt(p, off)
}

// pieces is a source that answers in segments of all kinds and sizes, as a
// directory tree does.
type pieces struct {
	*mem.Device
	f   *os.File // holds the same bytes
	cut int64    // the longest segment
	// out counts segments that are not released.
	out *atomic.Int64
}

type countdown struct{ n *atomic.Int64 }

func (c countdown) Release() { c.n.Add(-1) }

func (d pieces) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := block.CheckRange(off, n, d.Size()); err != nil {
		return dst, err
	}
	for n > 0 {
		m := min(n, 1+(off*7919)%d.cut)
		p := make([]byte, m)
		if _, err := d.ReadAt(p, off); err != nil {
			return dst, err
		}
		d.out.Add(1)
		switch {
		case len(bytes.TrimLeft(p, "\x00")) == 0:
			d.out.Add(-1)
			dst = append(dst, block.ZeroSegment(m))
		case off%3 == 0:
			dst = append(dst, block.DataSegment(p, countdown{d.out}))
		default:
			dst = append(dst, block.FileSegment(d.f, off, m, countdown{d.out}))
		}
		off, n = off+m, n-m
	}
	return dst, nil
}

// contents returns bytes of which some runs are zeroes.
func contents(size int64, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, size+8)
	for off := int64(0); off < size; {
		n := min(rng.Int64N(300<<10)+1, size-off)
		if rng.IntN(2) == 0 {
			n = min(rng.Int64N(5<<10)+1, size-off)
		}
		if rng.IntN(3) > 0 {
			for i := off; i < off+n; i += 8 {
				binary.LittleEndian.PutUint64(p[i:i+8], rng.Uint64()|0x0101_0101_0101_0101)
			}
		}
		off += n
	}
	return p[:size]
}

// sources returns devices with the given contents.
func sources(t testing.TB, p []byte) map[string]block.Device {
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := file.Open(path, file.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	sparse := mem.New(int64(len(p)))
	for off := 0; off < len(p); off += 4096 {
		if b := p[off:min(off+4096, len(p))]; !isZero(b) {
			if _, err := sparse.WriteAt(b, int64(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := map[string]block.Device{
		"file": f, "memory": mem.FromBytes(p), "sparse": sparse, "fallbacks": bare{mem.FromBytes(p)},
		"pieces":        pieces{sparse, raw, 200 << 10, new(atomic.Int64)},
		"little pieces": pieces{mem.FromBytes(p), raw, 9 << 10, new(atomic.Int64)},
	}
	t.Cleanup(func() {
		for name, d := range out {
			if s, ok := d.(pieces); ok && s.out.Load() != 0 {
				t.Errorf("%s: %d segments were not released, or twice", name, s.out.Load())
			}
			d.Close()
		}
		raw.Close()
	})
	return out
}

// targets returns devices of size bytes that hold rubbish, or zeroes.
func targets(t testing.TB, size int64, zero bool) map[string]block.Device {
	f, err := file.CreateTemp(t.TempDir(), size)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]block.Device{"file": f, "memory": mem.New(size), "fallbacks": bare{mem.New(size)}}
	if size%4096 == 0 {
		out["blocks"] = blocky{bare{mem.New(size)}}
	}
	for _, d := range out {
		t.Cleanup(func() { d.Close() })
		if zero {
			continue
		}
		under := d
		if b, ok := d.(blocky); ok {
			under = b.bare
		}
		if _, err := under.WriteAt(bytes.Repeat([]byte{0xEE}, int(size)), 0); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func checkHolds(t testing.TB, d block.Device, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := block.ReadFull(d, got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Fatalf("byte %d is %#x, want %#x", i, got[i], want[i])
	}
}

func TestCopy(t *testing.T) {
	for _, size := range []int64{5 << 20, 1<<20 + 1234} {
		want := contents(size, uint64(size))
		for sname, src := range sources(t, want) {
			for _, o := range []Options{{}, {Workers: 1, SparseBytes: 4096}, {Workers: 5, NoHole: true}, {TargetIsZero: true, SparseBytes: 1000}} {
				for dname, dst := range targets(t, size, o.TargetIsZero) {
					var last int64
					o.Progress = func(done, total int64) {
						if done <= last || done > total || total != size {
							t.Errorf("progress %d of %d after %d", done, total, last)
						}
						last = done
					}
					if err := Copy(context.Background(), dst, src, o); err != nil {
						t.Fatalf("%s to %s, %+v: %v", sname, dname, o, err)
					}
					if last != size {
						t.Errorf("progress ended at %d", last)
					}
					checkHolds(t, dst, want)
				}
			}
		}
	}
}

// Random layouts of data and holes, copied by random options.
func TestCopyProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 1<<20).Draw(t, "size")
		src, dst := mem.New(size), mem.New(size+100)
		if _, err := dst.WriteAt(bytes.Repeat([]byte{0xEE}, int(size)+100), 0); err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{0xEE}, int(size)+100)
		clear(want[:size])
		for range rapid.IntRange(0, 12).Draw(t, "writes") {
			off := rapid.Int64Range(0, size).Draw(t, "off")
			n := rapid.Int64Range(0, min(200<<10, size-off)).Draw(t, "n")
			p := want[off : off+n]
			for i := range p {
				p[i] = byte(off) + byte(i) | 1
			}
			if _, err := src.WriteAt(p, off); err != nil {
				t.Fatal(err)
			}
		}
		o := Options{
			Workers:     rapid.IntRange(0, 3).Draw(t, "workers"),
			NoHole:      rapid.Bool().Draw(t, "noHole"),
			SparseBytes: rapid.SampledFrom([]int{0, 1, 512, 4096, 1 << 20}).Draw(t, "sparse"),
		}
		if err := Copy(context.Background(), dst, src, o); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size+100)
		if err := block.ReadFull(dst, got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("the copy differs, or what lies beyond it changed")
		}
	})
}

// A huge sparse source costs by its data, and the target stays sparse.
func TestCopyHugeSparse(t *testing.T) {
	const size = 1 << 37
	src := mem.New(size)
	for _, off := range []int64{0, 12345678, size / 2, size - 5} {
		if _, err := src.WriteAt([]byte("fatky"), off); err != nil {
			t.Fatal(err)
		}
	}
	dst := fault.New(mem.New(size))
	if err := Copy(context.Background(), dst, src, Options{TargetIsZero: true}); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 12345678, size / 2, size - 5} {
		var p [5]byte
		if _, err := dst.ReadAt(p[:], off); err != nil || string(p[:]) != "fatky" {
			t.Errorf("at %d: %q, %v", off, p, err)
		}
	}
	if n := dst.Count(fault.Changes); n > 8 {
		t.Errorf("%d writes for four chunks of data", n)
	}
}

// Many small segments become few large writes.
func TestCopyGathers(t *testing.T) {
	p := bytes.Repeat([]byte{1}, 8<<20)
	src := sources(t, p)["little pieces"]
	dst := fault.New(mem.New(8 << 20))
	if err := Copy(context.Background(), dst, src, Options{}); err != nil {
		t.Fatal(err)
	}
	if n := dst.Count(fault.Changes); n != 8 {
		t.Errorf("8 MiB in small segments took %d writes, want 8", n)
	}
}

// Whatever operation fails, Copy says so, and never without need.
func TestCopyFaults(t *testing.T) {
	want := contents(1<<20+1<<19, 5)
	for name, src := range sources(t, want) {
		for _, side := range []string{"read", "write"} {
			ops := fault.Segments | fault.Extents
			if side == "write" {
				ops = fault.Changes
			}
			for k := 1; ; k++ {
				rule := fault.Rule{Ops: ops, At: k, Partial: 5000}
				fsrc, fdst := fault.New(src), fault.New(mem.New(1<<20+1<<19))
				hit := fsrc
				if side == "write" {
					hit = fdst
				}
				hit.Add(rule)
				err := Copy(context.Background(), fdst, fsrc, Options{Workers: 2})
				if hit.Count(ops) < k {
					if err != nil {
						t.Errorf("%s, no fault: %v", name, err)
					}
					break
				}
				var e *Error
				if !errors.As(err, &e) || !errors.Is(err, fault.ErrInjected) || e.Op != side && e.Op != "copy" {
					t.Fatalf("%s, %s %d fails: %v", name, side, k, err)
				}
			}
		}
	}
}

func TestCopyCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	src, dst := mem.FromBytes(contents(64<<20, 1)), mem.New(64<<20)
	stopped := int64(0)
	err := Copy(ctx, dst, src, Options{Progress: func(done, total int64) {
		cancel()
		stopped = done
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if stopped > 32<<20 {
		t.Errorf("went on to byte %d after it was cancelled", stopped)
	}
}

func TestCopyRefuses(t *testing.T) {
	ctx := context.Background()
	if err := Copy(ctx, mem.New(99), mem.New(100), Options{}); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("smaller target: %v", err)
	}
	if err := Copy(ctx, blocky{bare{mem.New(8192)}}, mem.New(5000), Options{}); err == nil {
		t.Error("a source that does not fill the target's blocks was copied")
	}
	var e *Error
	if err := Copy(ctx, block.ReadOnly(mem.New(100)), mem.FromBytes(make([]byte, 100)), Options{}); !errors.As(err, &e) || !errors.Is(err, diskerr.ErrReadOnly) {
		t.Errorf("read-only target: %v", err)
	}
	if err := Copy(ctx, mem.New(0), mem.New(0), Options{}); err != nil {
		t.Errorf("empty devices: %v", err)
	}
}

func BenchmarkCopy(b *testing.B) {
	const size = 256 << 20
	dir := b.TempDir()
	if d, err := os.MkdirTemp("/dev/shm", "fatkit-bench-"); err == nil {
		dir = d
		b.Cleanup(func() { os.RemoveAll(d) })
	}
	src, err := file.Create(filepath.Join(dir, "src"), size, file.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	if _, err := src.WriteAt(bytes.Repeat([]byte("fat "), size/4), 0); err != nil {
		b.Fatal(err)
	}
	for name, o := range map[string]Options{"kernel": {TargetIsZero: true}, "gather": {TargetIsZero: true, SparseBytes: 4096}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				dst, err := file.CreateTemp(dir, size)
				if err != nil {
					b.Fatal(err)
				}
				if err := Copy(context.Background(), dst, src, o); err != nil {
					b.Fatal(err)
				}
				dst.Close()
			}
		})
	}
}
