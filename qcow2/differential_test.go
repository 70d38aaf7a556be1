package qcow2

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/test/tools"
)

// TestDifferential lets this package and QEMU's tools work on one image in
// turns. After each turn both must find the image sound and agree on its
// statistics, and qemu-img must read what plain memory holds.
func TestDifferential(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	if os.Getenv("FATKIT_LONG") != "" {
		seeds = 500
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d := newDuel(t, seed)
			for range 8 {
				d.turn()
			}
		})
	}
}

// duel is one image on which two programs work in turns.
type duel struct {
	t         *testing.T
	rng       *rand.Rand
	path      string
	want      []byte
	snapshots map[string][]byte
	canSnap   bool
	canGrow   bool
	leftTail  bool // qemu-img has shrunk the disk and left data behind its end
	canPack   bool // qemu-io writes compressed clusters of one size
	cluster   int64
	log       []string
}

// newDuel makes an image with qemu-img or with this package.
func newDuel(t *testing.T, seed uint64) *duel {
	rng := rand.New(rand.NewPCG(seed, 13))
	pick := func(list ...int64) int64 { return list[rng.IntN(len(list))] }
	d := &duel{t: t, rng: rng, path: filepath.Join(t.TempDir(), "disk.qcow2"), snapshots: make(map[string][]byte)}
	size := (1 + rng.Int64N(6000)) * 512
	d.cluster = pick(512, 1024, 4096, 16<<10, 64<<10, 2<<20)
	opts := []string{fmt.Sprintf("cluster_size=%d", d.cluster)}
	d.canSnap, d.canGrow, d.canPack = true, true, true
	if rng.IntN(5) == 0 {
		opts = append(opts, "compat=0.10")
		d.canGrow = false // not with snapshots
	} else {
		width := pick(1, 2, 4, 8, 16, 16, 32, 64)
		opts = append(opts, fmt.Sprintf("refcount_bits=%d", width))
		d.canSnap, d.canPack = width >= 16, width >= 8
		if d.cluster >= 16<<10 && rng.IntN(2) == 0 {
			opts = append(opts, "extended_l2=on")
		}
		if rng.IntN(3) == 0 {
			opts = append(opts, "compression_type=zstd")
		}
	}
	args := []string{"create", "-q", "-f", "qcow2", "-o", strings.Join(opts, ",")}
	d.want = make([]byte, size)
	if rng.IntN(3) == 0 {
		base := noise(rng, rng.Int64N(size/512+200)*512+512)
		must(t, os.WriteFile(filepath.Join(filepath.Dir(d.path), "base.raw"), base, 0o600))
		args = append(args, "-b", "base.raw", "-F", "raw")
		copy(d.want, base)
		d.canGrow = false // qemu-img shows the backing file in what it adds
	}
	tools.Run(t, "qemu-img", append(args, d.path, fmt.Sprint(size))...)
	d.log = append(d.log, fmt.Sprint(opts, " ", size))
	return d
}

// turn lets one side do something, and then both judge.
func (d *duel) turn() {
	d.t.Helper()
	switch k := d.rng.IntN(10); {
	case k < 5:
		d.ours()
	case k < 8:
		d.theirs()
	case k == 8 && d.canSnap:
		d.snapshot()
	case k == 9 && d.canGrow:
		d.resize()
	}
	d.log = append(d.log, "judge")
	if r := agreeWithQEMU(d.t, d.path); !r.Clean() {
		d.t.Fatalf("%s\nafter %q", brief(r), d.log)
	}
	raw := filepath.Join(d.t.TempDir(), "want.raw")
	must(d.t, os.WriteFile(raw, d.want, 0o600))
	if r := tools.Try(d.t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", d.path, raw); r.Code != 0 {
		d.t.Fatalf("%s%s\nafter %q", r.Stdout, r.Stderr, d.log)
	}
	for name, want := range d.snapshots {
		img := openFile(d.t, d.path, Options{Snapshot: name})
		got := make([]byte, img.Size())
		_, err := img.ReadAt(got, 0)
		must(d.t, err)
		must(d.t, img.Close())
		if i := firstDifference(got, want); i >= 0 {
			d.t.Fatalf("snapshot %q differs at %d\nafter %q", name, i, d.log)
		}
	}
}

func (d *duel) ours() {
	d.t.Helper()
	o := Options{Mode: CacheMode(d.rng.IntN(2)), TableCacheBytes: 1, Discard: d.rng.IntN(2) == 0}
	m := &model{t: d.t, rng: d.rng, img: openFile(d.t, d.path, o), want: d.want, unit: 512, log: d.log}
	m.read(0, m.img.Size())
	for range 10 {
		m.step()
	}
	m.read(0, m.img.Size())
	must(d.t, m.img.Close())
	d.log = append(m.log, "close")
}

func (d *duel) theirs() {
	d.t.Helper()
	size := int64(len(d.want))
	var args []string
	var loose []span // what a discard leaves is QEMU's choice
	for range 6 {
		off := d.rng.Int64N(size/512) * 512
		n := min(512*(1+d.rng.Int64N([]int64{2, 40, 400}[d.rng.IntN(3)])), size-off)
		pattern := byte(1 + d.rng.IntN(255))
		part := d.want[off : off+n]
		switch d.rng.IntN(8) {
		case 0, 1:
			args = append(args, "-c", fmt.Sprintf("write -z%s %d %d", []string{"", " -u"}[d.rng.IntN(2)], off, n))
			clear(part)
			pattern = 0
		case 2:
			args = append(args, "-c", fmt.Sprintf("discard %d %d", off, n))
			loose = append(loose, span{off, n})
		default:
			args = append(args, "-c", fmt.Sprintf("write -P %d %d %d", pattern, off, n))
			for i := range part {
				part[i] = pattern
			}
		}
	}
	d.log = append(d.log, fmt.Sprint(args))
	tools.Run(d.t, "qemu-io", append([]string{"-f", "qcow2"}, append(args, d.path)...)...)
	if d.canPack && d.rng.IntN(2) == 0 {
		d.theirsCompressed()
	}
	if len(loose) == 0 {
		return
	}
	now := rawOf(d.t, d.path)
	for _, s := range loose {
		copy(d.want[s.off:s.off+s.n], now[s.off:])
	}
}

// theirsCompressed writes a compressed cluster with qemu-io, which can do so
// only where there is nothing yet.
func (d *duel) theirsCompressed() {
	img := openFile(d.t, d.path, Options{ReadOnly: true})
	extents, err := img.AppendMap(nil, 0, img.Size())
	must(d.t, err)
	must(d.t, img.Close())
	for _, e := range extents {
		off := (e.Off + d.cluster - 1) &^ (d.cluster - 1)
		if e.State != Absent || off+d.cluster > e.Off+e.Len {
			continue
		}
		command := fmt.Sprintf("write -c -P 77 %d %d", off, d.cluster)
		d.log = append(d.log, command)
		tools.Run(d.t, "qemu-io", "-f", "qcow2", "-c", command, d.path)
		for i := range d.cluster {
			d.want[off+i] = 77
		}
		return
	}
}

// snapshot makes, applies or deletes a snapshot with qemu-img.
func (d *duel) snapshot() {
	if len(d.snapshots) > 0 {
		names := slices.Sorted(maps.Keys(d.snapshots))
		name := names[d.rng.IntN(len(names))]
		contents := d.snapshots[name]
		switch d.rng.IntN(3) {
		case 0:
			d.log = append(d.log, "apply "+name)
			tools.Run(d.t, "qemu-img", "snapshot", "-a", name, d.path)
			d.want = append([]byte(nil), contents...)
			return
		case 1:
			d.log = append(d.log, "delete "+name)
			tools.Run(d.t, "qemu-img", "snapshot", "-d", name, d.path)
			delete(d.snapshots, name)
			return
		}
	}
	name := fmt.Sprintf("snap%d", len(d.log))
	d.log = append(d.log, "snapshot "+name)
	tools.Run(d.t, "qemu-img", "snapshot", "-c", name, d.path)
	d.snapshots[name] = append([]byte(nil), d.want...)
	d.canGrow = false // keeps every snapshot of the size of the disk
}

// resize changes the size with either program.
func (d *duel) resize() {
	size, old := (1+d.rng.Int64N(8000))*512, int64(len(d.want))
	next := make([]byte, size)
	copy(next, d.want)
	d.want = next
	if d.rng.IntN(2) == 0 {
		d.log = append(d.log, fmt.Sprint("qemu-img resize ", size))
		tools.Run(d.t, "qemu-img", "resize", "-q", "--shrink", d.path, fmt.Sprint(size))
		if size > old && d.leftTail { // which shows when it makes it larger again
			copy(next[old:], rawOf(d.t, d.path)[old:min((old+d.cluster-1)&^(d.cluster-1), size)])
		}
		d.leftTail = d.leftTail || size < old
		return
	}
	d.log = append(d.log, fmt.Sprint("our resize ", size))
	dev, err := file.Open(d.path, file.Options{})
	must(d.t, err)
	img, err := Open(dev, Options{})
	must(d.t, err)
	must(d.t, img.Resize(size))
	must(d.t, img.Close())
}
