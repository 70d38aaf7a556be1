package qcow2

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
)

// TestResize changes the size at random and writes in between; what growth
// adds must read as zeroes, also over a larger backing file.
func TestResize(t *testing.T) {
	for _, v := range fewVariants() {
		for _, backed := range []bool{false, true} {
			name := v.name
			if backed {
				name += "-backed"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(3, 9))
				o, size := v.o, int64(300<<10)
				base := mixedDisk(3 << 20)
				want := make([]byte, size)
				if backed {
					o.BackingName = "base"
					must(t, block.ReadFull(base, want, 0))
				}
				dev := unclosed{mem.New(0)}
				must(t, Create(dev, size, o))
				for range 6 {
					img, err := Open(dev, Options{Backing: func(BackingRef) (block.Device, error) { return unclosed{base}, nil }})
					must(t, err)
					next := (1 + rng.Int64N(6000)) * 512
					must(t, img.Resize(next))
					want = append(want, make([]byte, max(next-int64(len(want)), 0))...)[:next:next]
					sameContents(t, img, want)
					m := &model{t: t, rng: rng, img: img, want: want, unit: 512}
					for range 15 {
						m.step()
					}
					sameContents(t, img, want)
					must(t, img.Close())
					r, err := Check(t.Context(), dev)
					must(t, err)
					if !r.Clean() {
						t.Fatalf("%s", brief(r))
					}
				}
			})
		}
	}
}

// TestResizeMovesTables grows an image whose L1 table, and then whose refcount
// table, no longer fits where it is.
func TestResizeMovesTables(t *testing.T) {
	dev := unclosed{mem.New(0)}
	must(t, Create(dev, 64<<10, CreateOptions{ClusterBytes: 512, RefcountBits: 64}))
	img, err := Open(dev, Options{})
	must(t, err)
	const size = 1 << 30
	must(t, img.Resize(size))
	rng := rand.New(rand.NewPCG(1, 8))
	for range 300 {
		off := rng.Int64N(size - 20000)
		_, err := img.WriteAt(make([]byte, 20000), off)
		must(t, err)
	}
	if len(img.refs.table) <= 64 {
		t.Fatalf("the refcount table has %d entries: it did not move", len(img.refs.table))
	}
	must(t, img.Close())
	r, err := Check(t.Context(), dev)
	must(t, err)
	if !r.Clean() {
		t.Fatalf("%s", brief(r))
	}
}

func TestResizeRefuses(t *testing.T) {
	img, _ := newMemory(t, 1<<20, CreateOptions{ClusterBytes: 512}, Options{})
	defer img.Close()
	if err := img.Resize(1000); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("odd size: %v", err)
	}
	if err := img.Resize(1 << 40); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("more than L1 can map: %v", err)
	}
	must(t, img.Resize(1<<20))
}
