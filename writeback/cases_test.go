package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// TestCase01WriteOrders writes the sectors of an operation in many orders, with
// a quiet point after each, and now and then a kill. Case 5 with it: the disk is
// what was written, at every moment.
func TestCase01WriteOrders(t *testing.T) {
	for name, do := range orderedOps {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(fatguest.Seeds(4)) {
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
		_, err := w.s.Disk().WriteAt(after[at:at+512], at)
		w.must(err)
		copy(shadow[at:], after[at:at+512])
		what := fmt.Sprintf("seed %d, write %d of %d", seed, i, len(changed))
		if rnd.IntN(4) == 0 {
			w.abandon()
			w.m = w.m.Kill()
			w.must(w.open())
		}
		if rnd.IntN(2) == 0 {
			if err := w.s.Sync(t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if off := firstDifference(shadow, w.sectors()); off >= 0 {
			t.Fatalf("%s: the disk differs at %d", what, off)
		}
	}
	if err := w.s.Sync(t.Context()); err != nil {
		t.Fatalf("seed %d: %v\n%+v", seed, err, w.s.Status())
	}
	w.mount()
	w.same(fmt.Sprintf("seed %d", seed))
	if len(w.s.Status().Conflicts) > 0 {
		t.Fatalf("seed %d: %+v", seed, w.s.Status().Conflicts)
	}
	w.must(w.s.Close(context.Background()))
}

// The contract's cases, and where each is shown:
//
//	1, 5  TestCase01WriteOrders; kills and power cuts at every host operation: TestCrash
//	2     "create" in TestCase01WriteOrders: data before FAT and entry, in some orders
//	8     TestCrash; recovery cut again: apply.TestCutRecovery
//	9     TestConflictEveryCall; apply.TestHostPrograms
//	11    not at this level: package overlay says what a discard does
//	12    TestCase12ReusedNames, "swap" above, and the cycle of names in script
//	13    diff.TestModel
//	14    TestBrakeDestructions, TestBrakeSlowDeletion, TestCase14HiddenChildren, TestHostileChains
//	15    TestHostErrors for the host's side; room and limits: overlay.TestRoom

// TestCase12ReusedNames deletes, creates and replaces on the same names with
// none, one and two quiet points between.
func TestCase12ReusedNames(t *testing.T) {
	steps := []func(g *fat.Volume) error{
		func(g *fat.Volume) error { return g.Remove("a.txt") },
		func(g *fat.Volume) error { return vfs.WriteFile(g, "a.txt", []byte("again"), 0o666) },
		func(g *fat.Volume) error { return vfs.WriteFile(g, "t", []byte("by rename"), 0o666) },
		func(g *fat.Volume) error { return g.Rename("t", "b.txt") },
		func(g *fat.Volume) error { return g.Rename("b.txt", "B.txt") },
	}
	for quiet := range 1 << len(steps) {
		w := newWorld(t, 16, lowerFixture)
		w.must(w.open())
		w.mount()
		for i, step := range steps {
			w.must(errors.Join(step(w.guest), w.guest.Sync()))
			if quiet&(1<<i) != 0 {
				w.must(w.s.Sync(t.Context()))
				w.same(fmt.Sprintf("quiet %b, step %d", quiet, i))
			}
		}
		w.must(w.s.Sync(t.Context()))
		w.same(fmt.Sprintf("quiet %b", quiet))
		w.must(w.s.Close(context.Background()))
	}
}

// TestCase14HiddenChildren removes a directory in which the host has made
// something since: it stays with that, kept aside and not pending.
func TestCase14HiddenChildren(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	w.mount()
	w.must(hostCreate(w.m.Foreign("share"), "d/e/hidden", hostText))
	w.must(errors.Join(w.guest.RemoveAll("d"), w.guest.Sync()))
	for range 2 {
		w.must(w.s.Sync(t.Context()))
		tree := w.hostTree()
		if _, ok := tree["d/x"]; ok || tree["d/e/hidden"] != hostText {
			t.Fatalf("%q", tree)
		}
		if st := w.s.Status(); len(st.Settled) != 2 || len(st.Pending) != 0 || st.Settled[0].Path != "d/e" {
			t.Fatalf("%+v", st)
		}
		w.must(w.s.Close(context.Background()))
		w.must(w.open())
	}
	w.abandon()
}
