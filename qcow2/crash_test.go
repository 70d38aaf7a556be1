package qcow2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/crash"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/test/tools"
)

// act is a change of the disk, or a flush, that a script made.
type act struct {
	begin, end int   // events of the device before and after it
	off        int64 // bytes
	data       []byte
	flush      bool
	fua        bool // the write itself is durable
	loose      bool // a discard: afterwards it reads as zeroes or as before
}

// script does random operations on an image and notes them.
func script(t testing.TB, dev *crash.Device, img *Image, rng *rand.Rand, steps int) []act {
	t.Helper()
	var acts []act
	for i := range steps {
		off := rng.Int64N(img.Size()/512) * 512
		n := min(512*(1+rng.Int64N([]int64{1, 8, 60}[rng.IntN(3)])), img.Size()-off)
		a := act{begin: dev.Events(), off: off, data: make([]byte, n)}
		var err error
		switch op := rng.IntN(16); {
		case op < 9:
			for k := range a.data {
				a.data[k] = byte(i + k/512 + 1)
			}
			if op == 8 {
				_, err = img.WriteAtFUA(a.data, off)
				a.fua = true
			} else {
				_, err = img.WriteAt(a.data, off)
			}
		case op < 11:
			err = img.WriteZeroes(off, n, []block.ZeroFlags{0, block.NoHole}[op-9])
		case op == 11:
			err, a.loose = img.Discard(off, n), true
		case op == 12:
			cluster := img.geo.ClusterBytes()
			a.off = off &^ (cluster - 1)
			a.data = bytes.Repeat([]byte{byte(i + 1)}, int(min(2*cluster, img.Size()-a.off)))
			err = img.WriteCompressed(a.data, a.off)
		default:
			err, a.flush, a.data = img.Flush(), true, nil
		}
		must(t, err)
		a.end = dev.Events()
		acts = append(acts, a)
	}
	return acts
}

// possible is what each sector of a disk may hold.
type possible struct {
	values [][][]byte // by sector
}

func newPossible(start []byte) *possible {
	p := &possible{values: make([][][]byte, len(start)/512)}
	for i := range p.values {
		p.values[i] = [][]byte{start[i*512 : i*512+512]}
	}
	return p
}

var zeroSector = make([]byte, 512)

// apply adds what an act leaves. Without sure it may also not have happened.
func (p *possible) apply(a act, sure, zeroesToo bool) {
	for i := 0; i < len(a.data); i += 512 {
		v := &p.values[(a.off+int64(i))/512]
		if sure && !a.loose {
			*v = nil
		}
		*v = append(*v, a.data[i:i+512])
		if zeroesToo && !sure {
			*v = append(*v, zeroSector)
		}
	}
}

// settle makes the newest value of each sector the only one. A discarded sector
// keeps its choice.
func (p *possible) settle(acts []act) {
	for _, a := range acts {
		p.apply(a, true, false)
	}
}

// wrong returns the first sector that holds something impossible, or -1.
func (p *possible) wrong(disk []byte) int {
	for i, values := range p.values {
		found := false
		for _, v := range values {
			found = found || bytes.Equal(v, disk[i*512:i*512+512])
		}
		if !found {
			return i
		}
	}
	return -1
}

// crashCase is an image that is cut.
type crashCase struct {
	name    string
	o       CreateOptions
	mode    CacheMode
	backing bool
	shared  bool // with a snapshot
}

func crashCases() []crashCase {
	var list []crashCase
	for mode, suffix := range []string{"", "-through"} {
		for _, c := range []crashCase{
			{name: "512", o: CreateOptions{ClusterBytes: 512}},
			{name: "512-refcount64", o: CreateOptions{ClusterBytes: 512, RefcountBits: 64}},
			{name: "4k", o: CreateOptions{ClusterBytes: 4096}, backing: true},
			{name: "4k-v2", o: CreateOptions{ClusterBytes: 4096, Version: 2}},
			{name: "extended", o: CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}, backing: true},
			{name: "snapshot", o: CreateOptions{ClusterBytes: 4096}, shared: true},
			{name: "snapshot-extended", o: CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}, shared: true},
		} {
			c.name, c.mode = c.name+suffix, CacheMode(mode)
			list = append(list, c)
		}
	}
	return list
}

const crashDiskBytes = 96 << 10

// prepare makes the image on a device that can be cut, and returns the disk's
// contents and its backing file.
func (c crashCase) prepare(t testing.TB) (*crash.Device, []byte, *mem.Device) {
	t.Helper()
	base := mem.New(crashDiskBytes)
	if c.backing {
		c.o.BackingName = "base"
		for i := range int64(crashDiskBytes / 512) {
			_, err := base.WriteAt(bytes.Repeat([]byte{byte(200 + i%50)}, 512), i*512)
			must(t, err)
		}
	}
	store := mem.New(3 << 20)
	fill := mem.New(0)
	must(t, Create(fill, crashDiskBytes, c.o))
	if c.shared {
		fill = withSnapshot(t, fill)
	}
	p := make([]byte, fill.Size())
	_, err := fill.ReadAt(p, 0)
	must(t, err)
	_, err = store.WriteAt(p, 0)
	must(t, err)
	dev, err := crash.From(store)
	must(t, err)
	img := c.open(t, dev, base)
	start := make([]byte, crashDiskBytes)
	_, err = img.ReadAt(start, 0)
	must(t, err)
	return dev, start, base
}

// withSnapshot writes to an image and makes a snapshot of it.
func withSnapshot(t testing.TB, dev *mem.Device) *mem.Device {
	t.Helper()
	tools.Need(t, "qemu-img")
	img, err := Open(dev, Options{})
	must(t, err)
	_, err = img.WriteAt(bytes.Repeat([]byte{250}, crashDiskBytes/2), 0)
	must(t, err)
	must(t, img.finish())
	p := make([]byte, dev.Size())
	_, err = dev.ReadAt(p, 0)
	must(t, err)
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	must(t, os.WriteFile(path, p, 0o600))
	tools.Run(t, "qemu-img", "snapshot", "-c", "one", path)
	p, err = os.ReadFile(path)
	must(t, err)
	return mem.FromBytes(p)
}

func (c crashCase) open(t testing.TB, dev block.Device, base *mem.Device) *Image {
	t.Helper()
	img, err := Open(dev, Options{Mode: c.mode, TableCacheBytes: 1, Discard: true, Backing: func(BackingRef) (block.Device, error) {
		return block.NewSection(base, 0, base.Size(), block.SectionOptions{})
	}})
	must(t, err)
	return img
}

// survive opens what was left and returns the contents of its disk.
func (c crashCase) survive(t testing.TB, left *crash.Device, base *mem.Device, what string) []byte {
	t.Helper()
	r, err := Check(t.Context(), left)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if r.Corruptions+r.Overlaps > 0 {
		t.Fatalf("%s: %s", what, brief(r))
	}
	img := c.open(t, left, base)
	disk := make([]byte, img.Size())
	if _, err := img.ReadAt(disk, 0); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return disk
}

// TestPowerCut cuts the power at every event of random scripts.
func TestPowerCut(t *testing.T) {
	for _, c := range crashCases() {
		t.Run(c.name, func(t *testing.T) {
			for seed := range crashSeeds(t) {
				dev, start, base := c.prepare(t)
				img := c.open(t, dev, base)
				acts := script(t, dev, img, rand.New(rand.NewPCG(seed, 3)), 60)
				must(t, img.Close())
				for k := range dev.Events() + 1 {
					what := fmt.Sprintf("seed %d, %s", seed, dev.Describe(k))
					disk := c.survive(t, dev.Cut(k, seed+uint64(k)), base, what)
					want, last := newPossible(start), 0
					for i, a := range acts {
						if a.flush && a.end <= k {
							last = i + 1
						}
					}
					want.settle(acts[:last])
					for _, a := range acts[last:] {
						if a.begin <= k {
							want.apply(a, a.fua && a.end <= k, c.mode == WriteThrough)
						}
					}
					if s := want.wrong(disk); s >= 0 {
						t.Fatalf("%s: sector %d holds %d, possible are %d values", what, s, disk[s*512], len(want.values[s]))
					}
				}
			}
		})
	}
}

// TestKill kills the program at every event in the cache mode that promises to
// lose nothing.
func TestKill(t *testing.T) {
	for _, c := range crashCases() {
		if c.mode != WriteThrough {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for seed := range crashSeeds(t) {
				dev, start, base := c.prepare(t)
				img := c.open(t, dev, base)
				acts := script(t, dev, img, rand.New(rand.NewPCG(seed, 5)), 60)
				must(t, img.Close())
				for k := range dev.Events() + 1 {
					what := fmt.Sprintf("seed %d, %s", seed, dev.Describe(k))
					disk := c.survive(t, dev.Kill(k, seed), base, what)
					want := newPossible(start)
					for _, a := range acts {
						if a.begin <= k {
							want.apply(a, a.end <= k, false)
						}
					}
					if s := want.wrong(disk); s >= 0 {
						t.Fatalf("%s: sector %d holds %d", what, s, disk[s*512])
					}
				}
			}
		})
	}
}

// crashSeeds is how many scripts each case gets.
func crashSeeds(t testing.TB) uint64 {
	if os.Getenv("FATKIT_LONG") != "" {
		return 50
	}
	if testing.Short() {
		return 1
	}
	return 4
}
