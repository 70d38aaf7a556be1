package overlay

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/crash"
	"github.com/fatkit/fatkit/block/mem"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unclosed outlives the devices on it.
type unclosed struct{ *mem.Device }

func (unclosed) Close() error { return nil }

// pattern returns bytes of a base that tell where they are.
func pattern(n int64) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>9) ^ byte(i) | 1
	}
	return p
}

// openNew returns a disk of n bytes over a base with a pattern, and the file of
// its image.
func openNew(t testing.TB, n int64, o Options) (*Disk, unclosed) {
	t.Helper()
	file := unclosed{mem.New(0)}
	must(t, Create(file, n))
	return reopen(t, file, n, o), file
}

func reopen(t testing.TB, file block.Device, n int64, o Options) *Disk {
	t.Helper()
	d, err := Open(context.Background(), file, mem.FromBytes(pattern(n)), o)
	must(t, err)
	return d
}

func contents(t testing.TB, d block.Device) []byte {
	t.Helper()
	p := make([]byte, d.Size())
	must(t, block.ReadFull(d, p, 0))
	return p
}

// segmentBytes returns the same by segments.
func segmentBytes(t testing.TB, d block.Device) []byte {
	t.Helper()
	segs, err := block.AppendSegments(d, nil, 0, d.Size())
	must(t, err)
	defer block.ReleaseAll(segs)
	p, off := make([]byte, d.Size()), int64(0)
	for i := range segs {
		if n, err := segs[i].ReadAt(p[off:off+segs[i].Len], 0); int64(n) != segs[i].Len {
			t.Fatal(err)
		}
		off += segs[i].Len
	}
	return p
}

func TestConformance(t *testing.T) {
	const size = 1<<20 + 1536
	var file unclosed
	open := func(t testing.TB) block.Device {
		var d *Disk
		d, file = openNew(t, size, Options{})
		return d
	}
	again := func(t testing.TB) block.Device { return reopen(t, file, size, Options{}) }
	blocktest.Run(t, open, blocktest.Options{Reopen: again, Ops: 150})
}

// An open epoch changes nothing about the disk.
func TestConformanceFrozen(t *testing.T) {
	open := func(t testing.TB) block.Device {
		d, _ := openNew(t, 1<<20, Options{TempDir: t.TempDir()})
		_, err := d.Freeze(context.Background())
		must(t, err)
		return d
	}
	blocktest.Run(t, open, blocktest.Options{Ops: 100})
}

func TestConformanceEpoch(t *testing.T) {
	open := func(t testing.TB) block.Device {
		d, _ := openNew(t, 256<<10, Options{TempDir: t.TempDir()})
		t.Cleanup(func() { d.Close() })
		write(t, d, 70000, 5000, 1)
		e, err := d.Freeze(context.Background())
		must(t, err)
		write(t, d, 69000, 90000, 2)
		return e
	}
	blocktest.Run(t, open, blocktest.Options{ReadOnly: true})
}

// write writes n bytes of a value.
func write(t testing.TB, d block.Device, off, n int64, value byte) {
	t.Helper()
	_, err := d.WriteAt(bytes.Repeat([]byte{value}, int(n)), off)
	must(t, err)
}

// shadow is what a model knows of a disk: its bytes, and which sectors were
// written since the last epoch that was committed.
type shadow struct {
	bytes []byte
	dirty []bool
}

func (s *shadow) touch(off, n int64) {
	for i, end := sectors(off, n); i < end; i++ {
		s.dirty[i] = true
	}
}

func (s *shadow) clone() *shadow {
	return &shadow{bytes.Clone(s.bytes), append([]bool(nil), s.dirty...)}
}

// covers reports whether the ranges are those of dirty.
func covers(ranges []Range, dirty []bool) bool {
	got := make([]bool, len(dirty))
	for _, r := range ranges {
		for i := r.Off / sectorBytes; i < (r.Off+r.Len)/sectorBytes; i++ {
			got[i] = true
		}
	}
	for i := range got {
		if got[i] != dirty[i] {
			return false
		}
	}
	return true
}

// TestModel does random writes, freezes and restarts and compares disk and epoch with
// a shadow of each.
func TestModel(t *testing.T) {
	seeds := 30
	if os.Getenv("FATKIT_LONG") != "" {
		seeds = 2000
	}
	for seed := range uint64(seeds) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { model(t, seed) }) {
			break
		}
	}
}

func model(t *testing.T, seed uint64) {
	const size = 300 << 10
	rng := rand.New(rand.NewPCG(seed, 6))
	o := Options{TempDir: t.TempDir()}
	d, file := openNew(t, size, o)
	live := &shadow{pattern(size), make([]bool, size/sectorBytes)}
	ever := make([]bool, size/sectorBytes)
	var e *Epoch
	var frozen *shadow
	for range 120 {
		off := rng.Int64N(size)
		n := min(1+rng.Int64N([]int64{10, 2000, 70000}[rng.IntN(3)]), size-off)
		switch op := rng.IntN(12); {
		case op < 5:
			value := byte(rng.IntN(256))
			write(t, d, off, n, value)
			copy(live.bytes[off:], bytes.Repeat([]byte{value}, int(n)))
			live.touch(off, n)
		case op == 5:
			must(t, d.WriteZeroes(off, n, block.ZeroFlags(rng.IntN(2))))
			clear(live.bytes[off : off+n])
			live.touch(off, n)
		case op == 6:
			must(t, d.Discard(off, n))
		case op == 7:
			must(t, d.Flush())
		case op < 10 && e == nil:
			var err error
			e, err = d.Freeze(context.Background())
			must(t, err)
			frozen = live.clone()
			clear(live.dirty)
		case op < 10:
			if _, err := d.Freeze(context.Background()); err != ErrFrozen {
				t.Fatalf("a second epoch: %v", err)
			}
			compareEpoch(t, e, frozen)
			if rng.IntN(2) == 0 {
				must(t, e.Commit())
			} else {
				must(t, e.Abort())
				for i, was := range frozen.dirty {
					live.dirty[i] = live.dirty[i] || was
				}
			}
			if err := e.Commit(); err == nil {
				t.Fatal("an epoch ended twice")
			}
			e = nil
		case op == 10 && rng.IntN(4) == 0: // a kill
			e = nil
			d = reopen(t, file, size, Options{TempDir: o.TempDir, Unclean: true})
			copy(live.dirty, ever)
		}
		for i := range ever {
			ever[i] = ever[i] || live.dirty[i]
		}
	}
	if !bytes.Equal(contents(t, d), live.bytes) || !bytes.Equal(segmentBytes(t, d), live.bytes) {
		t.Fatal("the disk differs from its shadow")
	}
	if e != nil {
		compareEpoch(t, e, frozen)
	}
	if ranges, err := d.Allocated(nil, 0, size); err != nil || !covers(ranges, ever) {
		t.Fatalf("Allocated: %v, %v", ranges, err)
	}
	must(t, d.Close())
	if !bytes.Equal(contents(t, reopen(t, file, size, o)), live.bytes) {
		t.Fatal("the disk differs after closing")
	}
}

func compareEpoch(t *testing.T, e *Epoch, want *shadow) {
	t.Helper()
	if !bytes.Equal(contents(t, e), want.bytes) || !bytes.Equal(segmentBytes(t, e), want.bytes) {
		t.Fatal("the epoch differs from its shadow")
	}
	p := make([]byte, 777)
	must(t, block.ReadFull(e, p, 100_001))
	if !bytes.Equal(p, want.bytes[100_001:100_778]) {
		t.Fatal("a part of the epoch differs")
	}
	if !covers(e.Written(nil), want.dirty) {
		t.Fatal("Written is something else")
	}
}

// TestConcurrent has writers go on while epochs are read: each epoch is one
// moment. A writer gives each of its sectors in turn the number of its round, so
// at any moment its numbers fall by at most one along the disk.
func TestConcurrent(t *testing.T) {
	const size, writers, own = 2 << 20, 4, (2 << 20) / 4
	d, _ := openNew(t, size, Options{TempDir: t.TempDir()})
	for w := range int64(writers) {
		write(t, d, w*own, own, 0)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range int64(writers) {
		wg.Go(func() {
			for round := byte(1); ; round++ {
				for off := w * own; off < (w+1)*own; off += 8 << 10 {
					select {
					case <-stop:
						return
					default:
					}
					write(t, d, off, 8<<10, round)
				}
			}
		})
	}
	epochs := 8
	if os.Getenv("FATKIT_LONG") != "" {
		epochs = 300
	}
	for range epochs {
		e, err := d.Freeze(context.Background())
		must(t, err)
		first, second := contents(t, e), segmentBytes(t, e)
		if !bytes.Equal(first, second) {
			t.Fatal("an epoch changes")
		}
		for w := range writers {
			part := first[w*own : (w+1)*own]
			fell := 0
			for i := 1; i < len(part); i++ {
				switch part[i] {
				case part[i-1]:
				case part[i-1] - 1:
					fell++
				default:
					t.Fatalf("writer %d: %d follows %d", w, part[i], part[i-1])
				}
			}
			if fell > 1 {
				t.Fatalf("writer %d: %d moments in one epoch", w, fell)
			}
		}
		must(t, e.Commit())
	}
	close(stop)
	wg.Wait()
	must(t, d.Close())
}

// moment is the disk after so many events of its image.
type moment struct {
	event int
	bytes []byte
}

// TestCrash cuts the power and kills the process at every write to the image.
func TestCrash(t *testing.T) {
	const size = 256 << 10
	dev := crash.New(2 << 20)
	must(t, Create(dev, size))
	d := reopen(t, dev, size, Options{})
	rng := rand.New(rand.NewPCG(9, 9))
	now := pattern(size)
	answered := []moment{{dev.Events(), bytes.Clone(now)}}
	flushed := answered
	for i := range 40 {
		off, n := rng.Int64N(size/512)*512, 512*(1+rng.Int64N(40))
		n = min(n, size-off)
		write(t, d, off, n, byte(i+1))
		copy(now[off:], bytes.Repeat([]byte{byte(i + 1)}, int(n)))
		answered = append(answered, moment{dev.Events(), bytes.Clone(now)})
		if i%5 == 4 {
			must(t, d.Flush())
			flushed = append(flushed, moment{dev.Events(), bytes.Clone(now)})
		}
	}
	last := func(list []moment, k int) int {
		i := 0
		for ; i+1 < len(list) && list[i+1].event <= k; i++ {
		}
		return i
	}
	step := 3
	if os.Getenv("FATKIT_LONG") != "" {
		step = 1
	}
	for k := answered[0].event; k <= dev.Events(); k += step {
		killed := contents(t, reopen(t, dev.Kill(k, uint64(k)), size, Options{Unclean: true}))
		i := last(answered, k)
		under := answered[min(i+1, len(answered)-1)].bytes
		for off := range killed {
			if killed[off] != answered[i].bytes[off] && killed[off] != under[off] {
				t.Fatalf("killed at %d: byte %d is lost", k, off)
			}
		}
		cut := contents(t, reopen(t, dev.Cut(k, uint64(k)), size, Options{Unclean: true}))
		durable := flushed[last(flushed, k)]
		for off := 0; off < size; off += 512 {
			sector := cut[off : off+512]
			ok := bytes.Equal(sector, durable.bytes[off:off+512]) || bytes.Equal(sector, make([]byte, 512))
			for j := last(answered, durable.event); !ok && j < len(answered) && answered[j].event <= dev.Events(); j++ {
				ok = bytes.Equal(sector, answered[j].bytes[off:off+512])
			}
			if !ok || bytes.Equal(sector, make([]byte, 512)) && unchanged(answered[last(answered, durable.event):], off) {
				t.Fatalf("power cut at %d: sector at %d is impossible", k, off)
			}
		}
	}
}

// unchanged reports whether a sector is the same at all moments of a list.
func unchanged(list []moment, off int) bool {
	for _, m := range list {
		if !bytes.Equal(m.bytes[off:off+512], list[0].bytes[off:off+512]) {
			return false
		}
	}
	return true
}
