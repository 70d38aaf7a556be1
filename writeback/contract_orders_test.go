package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// changedSectors returns where the disk is another after a guest did something on
// a copy of it, and the copy.
func (w *world) changedSectors(do func(g *fat.Volume) error) ([]int64, []byte) {
	w.t.Helper()
	before := w.sectors() // the rest is free
	dev := mem.New(w.lay.Size())
	_, err := dev.WriteAt(before, 0)
	w.must(err)
	off := w.lay.VolumeOffset()
	section, err := block.NewSection(dev, off, w.lay.Size()-off, block.SectionOptions{})
	w.must(err)
	g, err := fat.Open(section, fat.Options{WriteBack: -1, Now: w.now})
	w.must(err)
	w.must(errors.Join(do(g), g.Sync()))
	after := make([]byte, len(before))
	_, err = dev.ReadAt(after, 0)
	w.must(err)
	var changed []int64
	for at := int64(0); at < int64(len(before)); at += 512 {
		if !bytes.Equal(before[at:at+512], after[at:at+512]) {
			changed = append(changed, at)
		}
	}
	return changed, after
}

var orderedOps = map[string]func(g *fat.Volume) error{
	"create":         func(g *fat.Volume) error { return vfs.WriteFile(g, "new", bytes.Repeat([]byte("n"), 3000), 0o666) },
	"append":         func(g *fat.Volume) error { return fatguest.Patch(g, "d/y", bytes.Repeat([]byte("z"), 5000), 7000) },
	"append within":  func(g *fat.Volume) error { return fatguest.Patch(g, "a.txt", []byte(" and more"), 5) },
	"truncate":       func(g *fat.Volume) error { return fatguest.Truncate(g, "b.txt", 100) },
	"delete":         func(g *fat.Volume) error { return g.Remove("b.txt") },
	"move":           func(g *fat.Volume) error { return g.Rename("b.txt", "d/e/moved") },
	"move directory": func(g *fat.Volume) error { return g.Rename("d", "d2/d") },
	"swap": func(g *fat.Volume) error {
		return errors.Join(g.Rename("a.txt", "t"), g.Rename("b.txt", "a.txt"), g.Rename("t", "b.txt"))
	},
}

// caseWriteOrders writes the sectors of an operation in many orders. The first
// order of each has a quiet point and a kill after each sector, the others now and
// then. The disk is what was written, at every moment.
func caseWriteOrders(t *testing.T) {
	n := 4
	if testing.Short() {
		n = 2
	}
	for name, do := range orderedOps {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(fatguest.Seeds(n)) {
				writeOrder(t, do, seed)
			}
		})
	}
}

func writeOrder(t *testing.T, do func(g *fat.Volume) error, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, []int{12, 16}[seed%2], lowerFixture)
	w.must(w.open())
	changed, after := w.changedSectors(do)
	shadow := w.sectors()
	rnd.Shuffle(len(changed), func(i, j int) { changed[i], changed[j] = changed[j], changed[i] })
	for i, at := range changed {
		w.put(at, after[at:at+512])
		copy(shadow[at:], after[at:at+512])
		what := fmt.Sprintf("seed %d, write %d of %d", seed, i, len(changed))
		if seed == 0 || rnd.IntN(2) == 0 {
			w.quiet(what)
		}
		if seed == 0 || rnd.IntN(4) == 0 {
			w.kill()
		}
		if off := firstDifference(shadow, w.sectors()); off >= 0 {
			t.Fatalf("%s: the disk differs at %d", what, off)
		}
	}
	w.arrived(fmt.Sprintf("seed %d", seed))
	w.must(w.s.Close(context.Background()))
}

// put writes to the disk and does not flush.
func (w *world) put(off int64, p []byte) {
	w.t.Helper()
	_, err := w.s.Disk().WriteAt(p, off)
	w.must(err)
}

// kill ends the server, not the host, and starts another.
func (w *world) kill() {
	w.t.Helper()
	w.abandon()
	w.m = w.m.Kill()
	w.must(w.open())
}

// cut cuts the power of the host and starts another server.
func (w *world) cut(seed uint64) {
	w.t.Helper()
	w.abandon()
	w.m, w.dev = w.m.Reboot(seed), w.dev.Cut(w.dev.Events(), seed)
	w.must(w.open())
}

// quiet is a quiet point: a commit, after which something may wait.
func (w *world) quiet(what string) {
	w.t.Helper()
	if err := w.s.Sync(w.t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// arrived fails unless everything that the guest has is on the host, nothing
// waits and there are no conflicts.
func (w *world) arrived(what string) {
	w.t.Helper()
	if err := w.s.Sync(w.t.Context()); err != nil {
		w.t.Fatalf("%s: %v\n%+v", what, err, w.s.Status())
	}
	w.mount()
	w.same(what)
	if c := w.s.Status().Conflicts; len(c) > 0 {
		w.t.Fatalf("%s: %+v", what, c)
	}
}

// caseDataFirst writes the contents of a new file before anything names it: at
// the quiet point between nothing happens, then the file is there whole.
func caseDataFirst(t *testing.T) {
	for _, kill := range []bool{false, true} {
		w := newWorld(t, 16, lowerFixture)
		w.must(w.open())
		changed, after := w.changedSectors(orderedOps["create"])
		g := w.lay.Geometry()
		data := w.lay.VolumeOffset() + g.DataOffset()
		write := func(which func(at int64) bool) {
			for _, at := range changed {
				if which(at) {
					w.put(at, after[at:at+512])
				}
			}
		}
		before := w.hostTree()
		write(func(at int64) bool { return at >= data })
		w.must(w.s.Sync(t.Context()))
		if d := fatguest.Difference(before, w.hostTree()); d != "" || w.s.Status().Commits != 0 {
			t.Fatalf("data that nothing names changed the host:\n%s", d)
		}
		if kill {
			w.kill()
		}
		write(func(at int64) bool { return at < data })
		w.arrived("FAT and entry")
		if w.hostTree()["new"] != strings.Repeat("n", 3000) {
			t.Fatalf("%q", w.hostTree()["new"])
		}
		w.must(w.s.Close(context.Background()))
	}
}

// caseShadow compares every sector of the disk before and after each commit,
// each kill and each restart of a random guest.
func caseShadow(t *testing.T) {
	for seed := range uint64(fatguest.Seeds(2)) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		w := newWorld(t, []int{12, 16}[seed%2], lowerFixture)
		w.must(w.open())
		w.mount()
		for round := range 12 {
			what := fmt.Sprintf("seed %d, round %d", seed, round)
			for range 1 + rnd.IntN(3) {
				what += ", " + fatguest.Step(w.guest, w.guestTree(), rnd)
			}
			w.must(w.guest.Sync())
			shadow := w.sectors()
			check := func(when string) {
				t.Helper()
				if off := firstDifference(shadow, w.sectors()); off >= 0 {
					t.Fatalf("%s: the disk differs at %d after %s", what, off, when)
				}
			}
			w.must(w.s.Sync(t.Context()))
			check("the commit")
			switch rnd.IntN(4) {
			case 0:
				w.kill()
			case 1:
				w.cut(rnd.Uint64())
			case 2:
				w.must(w.s.Close(context.Background()))
				w.must(w.open())
			default:
				continue
			}
			check("a restart")
			w.mount()
		}
		w.must(w.s.Close(context.Background()))
	}
}
