package overlay

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/fault"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
)

const testSize = 5<<20 + 1000

// blocky is a device of large blocks, and of no capabilities.
type blocky struct {
	block.Device
	bytes int
}

func (d blocky) Limits() block.Limits {
	return block.Limits{MinBlock: d.bytes, MaxTransfer: 4 * d.bytes}
}

func (d blocky) ReadAt(p []byte, off int64) (int, error) {
	if len(p)%d.bytes != 0 || off%int64(d.bytes) != 0 || len(p) > 4*d.bytes {
		return 0, errors.New("not within the limits")
	}
	return d.Device.ReadAt(p, off)
}

// baseOf returns a base with data and holes, and its bytes.
func baseOf(size int64) (block.Device, []byte) {
	p := make([]byte, size)
	for i := range p {
		if i>>18%3 != 1 {
			p[i] = byte(i*7+i>>8) | 1
		}
	}
	d := mem.New(size)
	for off := int64(0); off < size; off += 1 << 18 {
		if off>>18%3 != 1 {
			_, _ = d.WriteAt(p[off:min(off+1<<18, size)], off)
		}
	}
	return d, p
}

func open(t testing.TB, base, store block.Device) *Device {
	t.Helper()
	d, err := New(base, store, Options{CloseBase: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		blocktest.Run(t, func(t testing.TB) block.Device {
			base, _ := baseOf(testSize)
			return open(t, block.ReadOnly(base), mem.New(testSize))
		}, blocktest.Options{})
	})
	t.Run("file", func(t *testing.T) {
		blocktest.Run(t, func(t testing.TB) block.Device {
			base, _ := baseOf(testSize)
			store, err := file.CreateTemp(t.TempDir(), testSize)
			if err != nil {
				t.Fatal(err)
			}
			return open(t, block.ReadOnly(base), store)
		}, blocktest.Options{})
	})
	t.Run("large blocks", func(t *testing.T) {
		blocktest.Run(t, func(t testing.TB) block.Device {
			base, _ := baseOf(8 << 20)
			return open(t, blocky{block.ReadOnly(base), 64 << 10}, mem.New(9<<20))
		}, blocktest.Options{})
	})
	t.Run("overlay of overlay", func(t *testing.T) {
		blocktest.Run(t, func(t testing.TB) block.Device {
			base, _ := baseOf(testSize)
			return open(t, open(t, block.ReadOnly(base), mem.New(testSize)), mem.New(testSize))
		}, blocktest.Options{})
	})
}

// The overlay begins as the base, and the base stays what it was.
func TestBaseIsUntouched(t *testing.T) {
	base, want := baseOf(testSize)
	counting := fault.New(base)
	store := mem.FromBytes(bytes.Repeat([]byte{0xEE}, testSize)) // rubbish must not show
	d, err := New(counting, store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, testSize)
	if err := block.ReadFull(d, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("an unwritten overlay differs from its base (%v)", err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	model := bytes.Clone(want)
	for range 3000 {
		off := rng.Int64N(testSize)
		n := min(rng.Int64N(20000), testSize-off)
		p := model[off : off+n]
		var err error
		switch rng.IntN(3) {
		case 0:
			clear(p)
			err = block.WriteZeroes(d, off, n, 0)
		case 1:
			clear(p)
			err = block.WriteZeroes(d, off, n, block.NoHole)
		default:
			copy(p, bytes.Repeat([]byte{byte(rng.Uint32())}, len(p)))
			_, err = d.WriteAt(p, off)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := block.ReadFull(d, got, 0); err != nil || !bytes.Equal(got, model) {
		t.Errorf("the overlay differs from the model (%v)", err)
	}
	if err := block.ReadFull(base, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the base changed (%v)", err)
	}
	if n := counting.Count(fault.Changes | fault.Flush); n != 0 {
		t.Errorf("the base saw %d changes", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if counting.Count(fault.Close) != 0 {
		t.Error("the base was closed")
	}
}

// Neighbours within one block are written at the same time, and the rest of it
// is zeroed meanwhile: no write may be lost.
func TestNeighboursInOneBlock(t *testing.T) {
	base, want := baseOf(1 << 20)
	d := open(t, base, mem.New(1<<20))
	const writers, each = 4, 512
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for blk := int64(0); blk < 1<<20; blk += minBlockBytes {
				p := bytes.Repeat([]byte{byte(w + 1)}, each)
				if _, err := d.WriteAt(p, blk+int64(w*each)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for blk := int64(0); blk < 1<<20; blk += minBlockBytes {
			if err := block.WriteZeroes(d, blk+writers*each, minBlockBytes-writers*each, 0); err != nil {
				t.Error(err)
			}
		}
	}()
	wg.Wait()
	for blk := 0; blk < 1<<20; blk += minBlockBytes {
		clear(want[blk : blk+minBlockBytes])
		for w := range writers {
			copy(want[blk+w*each:], bytes.Repeat([]byte{byte(w + 1)}, each))
		}
	}
	got := make([]byte, 1<<20)
	if err := block.ReadFull(d, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("a write was lost (%v)", err)
	}
}

// Whatever fails below, the call says so, and what it did not write reads as
// before.
func TestFaultsBelow(t *testing.T) {
	base, want := baseOf(1 << 20)
	for k := 1; k <= 4; k++ {
		for _, side := range []string{"base", "store"} {
			b, s := fault.New(base), fault.New(mem.New(1<<20))
			hit := map[string]*fault.Device{"base": b, "store": s}[side]
			hit.Add(fault.Rule{Ops: fault.Read | fault.Write, At: k, Partial: 100})
			d, err := New(b, s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.WriteAt(bytes.Repeat([]byte{9}, 5000), 1000) // both ends filled up
			if failed := hit.Count(fault.Read|fault.Write) >= k; failed != errors.Is(err, fault.ErrInjected) {
				t.Errorf("%s, operation %d: %v", side, k, err)
			}
			if err == nil {
				continue
			}
			got := make([]byte, 1<<20)
			if rerr := block.ReadFull(d, got, 0); rerr != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, operation %d: a failed write shows (%v)", side, k, rerr)
			}
		}
	}
}

func TestUsedAndExtents(t *testing.T) {
	base, _ := baseOf(testSize)
	d := open(t, base, mem.New(testSize))
	if _, err := d.WriteAt(make([]byte, 3*minBlockBytes), 100); err != nil {
		t.Fatal(err)
	}
	if got := d.Used(); got != 4*minBlockBytes {
		t.Errorf("Used is %d after a write to four blocks", got)
	}
	if err := d.Discard(0, 2*minBlockBytes); err != nil {
		t.Fatal(err)
	}
	if got := d.Used(); got != 2*minBlockBytes {
		t.Errorf("Used is %d after half was discarded", got)
	}
	ext, err := d.AppendExtents(nil, 0, 5*minBlockBytes)
	if err != nil {
		t.Fatal(err)
	}
	if len(ext) < 2 || ext[0] != (block.Extent{Off: 0, Len: 2 * minBlockBytes, Flags: block.Hole | block.Zero}) {
		t.Errorf("got %v", ext)
	}
}

func TestNewRefuses(t *testing.T) {
	base := mem.New(1 << 20)
	for name, store := range map[string]block.Device{
		"too small": mem.New(1<<20 - 1),
		"read-only": block.ReadOnly(mem.New(1 << 20)),
		"blocks":    blocky{mem.New(1 << 20), 512},
	} {
		if _, err := New(base, store, Options{}); err == nil {
			t.Errorf("a store that is %s was taken", name)
		}
	}
	if _, err := New(blocky{mem.New(4 << 20), 2 << 20}, mem.New(4<<20), Options{}); err == nil {
		t.Error("a base of huge blocks was taken")
	}
}

// The table's runs agree with its single states.
func TestStateRuns(t *testing.T) {
	const blocks = 2*statesPerPage + 77
	rng := rand.New(rand.NewPCG(3, 4))
	var s states
	s.init(blocks)
	model := make([]state, blocks)
	for range 400 {
		i := rng.Int64N(blocks)
		end := min(blocks, i+rng.Int64N(5000))
		st := state(rng.IntN(3))
		s.set(i, end, st)
		for ; i < end; i++ {
			model[i] = st
		}
	}
	var data int64
	for _, st := range model {
		if st == inStore {
			data++
		}
	}
	if got := s.data.Load(); got != data {
		t.Errorf("%d blocks counted in the store, want %d", got, data)
	}
	for range 5000 {
		i := rng.Int64N(blocks)
		end := i + 1 + rng.Int64N(blocks-i)
		want := int64(1)
		for i+want < end && model[i+want] == model[i] {
			want++
		}
		if st, n := s.run(i, end); st != model[i] || n != want {
			t.Fatalf("run(%d, %d) is %d of state %d, want %d of %d", i, end, n, st, want, model[i])
		}
	}
}

func BenchmarkReadAt4K(b *testing.B) {
	base, _ := baseOf(1 << 20)
	d := open(b, base, mem.New(1<<20))
	p := make([]byte, 4096)
	if _, err := d.WriteAt(p, 8192); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := d.ReadAt(p, int64(i%250)*4096); err != nil {
			b.Fatal(err)
		}
	}
}
