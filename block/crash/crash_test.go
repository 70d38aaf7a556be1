package crash

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
)

func TestConformance(t *testing.T) {
	blocktest.Run(t, func(testing.TB) block.Device { return New(2<<20 + 300) }, blocktest.Options{})
}

func put(t testing.TB, d *Device, off int64, mark byte, n int) {
	t.Helper()
	if _, err := d.WriteAt(bytes.Repeat([]byte{mark}, n), off); err != nil {
		t.Fatal(err)
	}
}

func contents(t testing.TB, d *Device) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	if err := block.ReadFull(d, p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// What each sector may hold after a cut, by a model that keeps every version.
type versions struct {
	durable [][]byte            // the durable version of each sector
	pending [][][]byte          // later ones
	events  []func(v *versions) // what each event does to them
}

func (v *versions) add(sector int64, p []byte) { v.pending[sector] = append(v.pending[sector], p) }

func (v *versions) settle(sector int64, p []byte) {
	v.durable[sector], v.pending[sector] = p, nil
}

// TestEverySectorIsAVersion runs random scripts and checks each sector of each
// cut against the versions that it may have.
func TestEverySectorIsAVersion(t *testing.T) {
	const sectors = 40
	rapid.Check(t, func(t *rapid.T) {
		size := int64(sectors*sectorBytes - rapid.SampledFrom([]int{0, 100}).Draw(t, "short"))
		d := New(size)
		model := &versions{durable: make([][]byte, sectors), pending: make([][][]byte, sectors)}
		now := make([]byte, size)
		sectorsOf := func(off, n int64) map[int64][]byte {
			out := map[int64][]byte{}
			for s := off / sectorBytes; s*sectorBytes < off+n; s++ {
				out[s] = bytes.Clone(now[s*sectorBytes : min((s+1)*sectorBytes, size)])
			}
			return out
		}
		for s, p := range sectorsOf(0, size) {
			model.durable[s] = p
		}
		for i := range rapid.IntRange(1, 25).Draw(t, "events") {
			off := rapid.Int64Range(0, size-1).Draw(t, "off")
			n := rapid.Int64Range(1, min(4*sectorBytes, size-off)).Draw(t, "n")
			op := rapid.SampledFrom([]kind{write, write, write, fua, zero, discard, flush}).Draw(t, "op")
			p := bytes.Repeat([]byte{byte(i + 1)}, int(n))
			var err error
			switch op {
			case write:
				_, err = d.WriteAt(p, off)
			case fua:
				_, err = d.WriteAtFUA(p, off)
			case zero:
				err = d.WriteZeroes(off, n, 0)
			case discard:
				err = d.Discard(off, n)
			case flush:
				err = d.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
			if op == zero || op == discard {
				clear(p)
			}
			if op != flush {
				copy(now[off:], p)
			}
			after := sectorsOf(off, n)
			model.events = append(model.events, func(v *versions) {
				if op == flush {
					for s, p := range v.pending {
						if len(p) > 0 {
							v.settle(int64(s), p[len(p)-1])
						}
					}
					return
				}
				for s, p := range after {
					if v.add(s, p); op == fua {
						v.settle(s, p)
					}
				}
			})
		}
		checkVersions(t, d, model)
	})
}

func checkVersions(t *rapid.T, d *Device, v *versions) {
	for k := range d.Events() + 1 {
		for seed := range uint64(9) {
			img := make([]byte, d.Size())
			if err := block.ReadFull(d.Cut(k, seed), img, 0); err != nil {
				t.Fatal(err)
			}
			for s := range v.durable {
				got := img[s*sectorBytes : min((s+1)*sectorBytes, len(img))]
				ok := bytes.Equal(got, v.durable[s])
				for _, p := range v.pending[s] {
					ok = ok || bytes.Equal(got, p)
				}
				if k < len(v.events) && !ok { // the one under way may have come
					w := &versions{durable: make([][]byte, len(v.durable)), pending: make([][][]byte, len(v.durable))}
					if !isFlush(d, k) {
						v.events[k](w)
					}
					for _, p := range append(w.pending[s], w.durable[s]) {
						ok = ok || p != nil && bytes.Equal(got, p)
					}
				}
				if !ok {
					t.Fatalf("cut %d, seed %d: sector %d holds %d, which it never should", k, seed, s, got[0])
				}
			}
		}
		if k < len(v.events) {
			v.events[k](v)
		}
	}
}

func isFlush(d *Device, k int) bool { return d.events[k].kind == flush }

// A commit record that is written without a flush between is found out by a
// few seeds, and one with a flush is not accused.
func TestFindsMissingFlush(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		d := New(64 << 10)
		put(t, d, 0, 1, 16<<10) // the data
		if flushed {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		put(t, d, 32<<10, 2, 512) // the record that it is there
		found := false
		for k := range d.Events() + 1 {
			for seed := range uint64(10) {
				p := contents(t, d.Cut(k, seed))
				found = found || p[32<<10] == 2 && !bytes.Equal(p[:16<<10], bytes.Repeat([]byte{1}, 16<<10))
			}
		}
		if found == flushed {
			t.Errorf("flushed %v: a record without its data was seen: %v", flushed, found)
		}
	}
}

func TestFUAIsDurableAlone(t *testing.T) {
	d := New(8 << 10)
	put(t, d, 0, 1, 512)
	put(t, d, 1024, 2, 512)
	if _, err := d.WriteAtFUA(bytes.Repeat([]byte{3}, 512), 1024); err != nil {
		t.Fatal(err)
	}
	lost := contents(t, d.Cut(d.Events(), 0))
	if lost[1024] != 3 {
		t.Error("a durable write was lost")
	}
	if lost[0] != 0 {
		t.Error("it made another write durable")
	}
	for seed := range uint64(50) {
		if p := contents(t, d.Cut(d.Events(), seed)); p[1024] != 3 {
			t.Fatalf("seed %d: a durable write was undone by an earlier one", seed)
		}
	}
}

func TestKill(t *testing.T) {
	d := New(8 << 10)
	put(t, d, 0, 1, 512)
	put(t, d, 1024, 2, 1024)
	torn := map[[2]byte]bool{}
	for seed := range uint64(50) {
		p := contents(t, d.Kill(1, seed))
		if p[0] != 1 {
			t.Fatal("an answered write was lost")
		}
		torn[[2]byte{p[1024], p[1536]}] = true
	}
	if len(torn) != 4 {
		t.Errorf("the write under way was torn in %d of 4 ways", len(torn))
	}
	if p := contents(t, d.Kill(d.Events(), 0)); p[1024] != 2 || p[1536] != 2 {
		t.Error("an answered write was lost at the end")
	}
}

// Cuts are the same each time, independent of each other, and can be cut again.
func TestImagesAreIndependent(t *testing.T) {
	d := New(64 << 10)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 300 {
		put(t, d, rng.Int64N(60<<10), byte(i), 700)
		if i%40 == 0 {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for k := 0; k <= d.Events(); k += 7 {
		first := d.Cut(k, uint64(k))
		want := contents(t, first)
		put(t, first, 0, 0xEE, 32<<10)
		if !bytes.Equal(contents(t, d.Cut(k, uint64(k))), want) {
			t.Fatalf("cut %d differs after its image was written to", k)
		}
		if !bytes.Equal(contents(t, first.Cut(0, 0)), want) {
			t.Fatalf("cut %d: a cut of its image before the first write differs", k)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt([]byte{1}, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("WriteAt after Close: %v", err)
	}
	live := d.Kill(d.Events(), 0)
	if !bytes.Equal(contents(t, live), contents(t, d.Cut(d.Events(), 0))) {
		t.Error("after Close something can still be lost")
	}
}

func TestFrom(t *testing.T) {
	src := mem.New(3 << 20)
	if _, err := src.WriteAt([]byte("fatkit"), 2<<20+5); err != nil {
		t.Fatal(err)
	}
	d, err := From(src)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, 0, 1, 512)
	want := make([]byte, 3<<20)
	copy(want[2<<20+5:], "fatkit")
	if !bytes.Equal(contents(t, d.Cut(d.Events(), 0)), want) {
		t.Error("what the disk began with is not durable")
	}
}

func BenchmarkCut(b *testing.B) {
	d := New(64 << 20)
	p := bytes.Repeat([]byte{1}, 4096)
	for i := range 2000 {
		if _, err := d.WriteAt(p, int64(i)*8192); err != nil {
			b.Fatal(err)
		}
		if i%20 == 0 {
			if err := d.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	for i := 0; b.Loop(); i++ {
		d.Cut(i*37%2000, uint64(i))
	}
}
