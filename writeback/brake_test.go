package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// raw writes to the disk beside the guest's file system.
func (w *world) raw(off int64, p []byte) {
	w.t.Helper()
	_, err := w.s.Disk().WriteAt(p, off)
	w.must(err)
	w.must(w.s.Disk().Flush())
}

func (w *world) sector(off int64) []byte {
	w.t.Helper()
	p := make([]byte, 512)
	_, err := w.s.Disk().ReadAt(p, off)
	w.must(err)
	return p
}

// manyFiles is a tree with more files than the brake lets through.
func manyFiles(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("d%d/f%d.txt", i%7, i)] = fmt.Sprintf("file %d", i)
	}
	return files
}

type destruction struct {
	name    string
	do      func(w *world)
	lasting bool
}

// destructions are what the brake must stop, or the diff must wait for: none of
// them may change the host's tree.
var destructions = []destruction{
	{"wiped FAT", func(w *world) {
		g := w.lay.Geometry()
		w.raw(w.lay.VolumeOffset()+g.FATOffset(0), make([]byte, g.FATBytes()))
		w.raw(w.lay.VolumeOffset()+g.FATOffset(1), make([]byte, g.FATBytes()))
	}, false},
	{"wiped FAT and root", func(w *world) {
		g := w.lay.Geometry()
		fat := make([]byte, g.FATBytes())
		head := w.sector(w.lay.VolumeOffset() + g.FATOffset(0))
		copy(fat, head[:4])
		w.raw(w.lay.VolumeOffset()+g.FATOffset(0), fat)
		w.raw(w.lay.VolumeOffset()+g.RootOffset(), make([]byte, g.RootBytes()))
	}, false},
	{"wiped root", func(w *world) {
		g := w.lay.Geometry()
		w.raw(w.lay.VolumeOffset()+g.RootOffset(), make([]byte, g.RootBytes()))
	}, false},
	{"a first sector of the root that was zeroed", func(w *world) {
		g := w.lay.Geometry()
		w.raw(w.lay.VolumeOffset()+g.RootOffset(), make([]byte, 512))
	}, false},
	{"formatted with the same geometry", func(w *world) {
		g := w.lay.Geometry()
		boot := w.sector(w.lay.VolumeOffset())
		copy(boot[39:], "\x01\x02\x03\x04")
		w.raw(w.lay.VolumeOffset(), boot)
		fat := make([]byte, g.FATBytes())
		head := w.sector(w.lay.VolumeOffset() + g.FATOffset(0))
		copy(fat, head[:4])
		w.raw(w.lay.VolumeOffset()+g.FATOffset(0), fat)
		w.raw(w.lay.VolumeOffset()+g.RootOffset(), make([]byte, g.RootBytes()))
	}, false},
	{"another shape", func(w *world) {
		boot := w.sector(w.lay.VolumeOffset())
		boot[13] *= 2
		w.raw(w.lay.VolumeOffset(), boot)
	}, true},
	{"boot sector of zeroes", func(w *world) { w.raw(w.lay.VolumeOffset(), make([]byte, 512)) }, true},
	{"repartitioned", func(w *world) {
		mbr := w.sector(0)
		mbr[446+8]++
		w.raw(0, mbr)
	}, true},
	{"everything zeroed", func(w *world) { w.raw(0, make([]byte, 4<<20)) }, true},
}

// caseDestruction destroys the guest's disk, all at once and slowly, and removes
// directories that hold more than the guest knows.
func caseDestruction(t *testing.T) {
	for _, d := range destructions {
		for _, n := range []int{12, 150} {
			t.Run(fmt.Sprintf("%s, %d files", d.name, n), func(t *testing.T) { destroy(t, d, n) })
		}
	}
	t.Run("half a chain", halfChain)
	t.Run("slow deletion of everything", slowDeletion)
	t.Run("rmdir over hidden children", hiddenChildren)
}

// destroy destroys the disk of a tree of n files: the host's tree stays, also
// over restarts, and the status says why.
func destroy(t *testing.T, d destruction, n int) {
	w := newWorld(t, 16, manyFiles(n))
	w.deletes = 100
	w.must(w.open())
	want := w.hostTree()
	d.do(w)
	for range 3 {
		err := w.s.Sync(t.Context())
		if !errors.Is(err, writeback.ErrPending) {
			t.Fatalf("sync: %v\n%+v", err, w.s.Status())
		}
		if diff := fatguest.Difference(want, w.hostTree()); diff != "" {
			t.Fatalf("the host's tree was changed:\n%s", diff)
		}
		if st := w.s.Status(); len(st.Brake)+len(st.Pending) == 0 || st.BrakeLasts != d.lasting {
			t.Fatalf("status: %+v", st)
		}
		w.must(w.s.Close(context.Background()))
		w.must(w.open())
	}
	w.abandon()
}

// slowDeletion deletes one file at a time: the deletions add up over
// commits and restarts, and a confirmation lets through those that wait.
func slowDeletion(t *testing.T) {
	w := newWorld(t, 16, manyFiles(150))
	w.deletes = 100
	w.must(w.open())
	w.mount()
	names := slices.Sorted(maps.Keys(w.guestTree()))
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			continue
		}
		if n++; n%40 == 0 {
			w.must(w.s.Close(context.Background()))
			w.must(w.open())
			w.mount()
		}
		w.must(w.guest.Remove(name))
		w.must(w.guest.Sync())
		err := w.s.Sync(t.Context())
		if held := n > 100; held != errors.Is(err, writeback.ErrPending) || !held && err != nil {
			t.Fatalf("deletion %d: %v\n%+v", n, err, w.s.Status())
		}
	}
	if st := w.s.Status(); st.BrakeHeld != 50 || len(st.Brake) != 1 || st.TrashFiles != 100 {
		t.Fatalf("%+v", st)
	}
	w.must(w.s.Close(context.Background()))
	w.must(w.open())
	if err := w.s.Sync(t.Context()); !errors.Is(err, writeback.ErrPending) {
		t.Fatalf("a restart released the brake: %v", err)
	}
	w.must(w.s.Confirm(t.Context()))
	w.mount()
	w.same("confirmed")
	if err := w.s.Confirm(t.Context()); !errors.Is(err, writeback.ErrNoBrake) {
		t.Fatalf("confirm without a brake: %v", err)
	}
	if st := w.s.Status(); st.TrashFiles != 150 || st.BrakeHeld != 0 || len(st.Brake) != 0 {
		t.Fatalf("%+v", st)
	}
	w.must(w.s.Close(context.Background()))
}

// hiddenChildren removes a directory in which the host has made something since:
// it stays with that, kept aside and not pending.
func hiddenChildren(t *testing.T) {
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

// TestDiscard gives up what the brake holds back: the host's files stay, what
// the guest wrote is archived, and the guest goes on with its own view, also
// after a restart.
func TestDiscard(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			files := map[string]string{"big": strings.Repeat("big", 4000), "d/x": strings.Repeat("x", 5000), "gone": "gone", "e/y": "y"}
			w := newWorld(t, 16, files)
			w.deletes = 1
			w.must(w.open())
			w.mount()
			want := w.hostTree()
			w.must(errors.Join(
				w.guest.Remove("gone"), w.guest.RemoveAll("e"), w.guest.Sync()))
			if err := w.s.Sync(t.Context()); !errors.Is(err, writeback.ErrPending) {
				t.Fatal(err)
			}
			w.must(errors.Join(
				fatguest.Patch(w.guest, "big", []byte("patched"), 100), w.guest.Rename("d", "dd"),
				vfs.WriteFile(w.guest, "new", []byte("new"), 0o666), w.guest.Sync()))
			if err := w.s.Sync(t.Context()); !errors.Is(err, writeback.ErrPending) {
				t.Fatal(err)
			}
			items, err := w.s.Discard(t.Context(), "")
			w.must(err)
			if len(items) != 6 {
				t.Fatalf("%+v", items)
			}
			w.must(w.s.Sync(t.Context()))
			guest := w.guestTree()
			if restart {
				w.must(w.s.Close(context.Background()))
				w.must(w.open())
				w.mount()
				w.must(w.s.Sync(t.Context()))
			}
			if d := fatguest.Difference(want, w.hostTree()); d != "" {
				t.Fatalf("the host's tree was changed:\n%s\n%v", d, w.events)
			}
			if d := fatguest.Difference(guest, w.guestTree()); d != "" {
				t.Fatalf("the guest's disk is another:\n%s", d)
			}
			_, aside := w.contents()
			if !slices.Contains(aside, "new") || !slices.Contains(aside, guest["big"]) {
				t.Fatalf("what was discarded is not archived: %q", w.treeAt("state/aside"))
			}
			if len(w.s.Status().Conflicts) != 2 {
				t.Fatalf("%+v", w.s.Status().Conflicts)
			}
			w.must(w.s.Close(context.Background()))
		})
	}
}

// TestRestore puts deleted files back: into their place, or beside what has
// taken it. What the guest's disk still stands on stays readable.
func TestRestore(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	w.mount()
	was := w.sectors()
	w.must(errors.Join(w.guest.Remove("b.txt"), w.guest.RemoveAll("d"), w.guest.Sync()))
	w.must(w.s.Sync(t.Context()))
	w.must(hostWrite(w.m.Foreign("share"), "b.txt", "the host's"))
	places := map[string]string{}
	for _, item := range w.s.Trash() {
		if !item.Served || item.Size != int64(len(lowerFixture[item.Path])) {
			t.Fatalf("%+v", item)
		}
		to, err := w.s.Restore(item.Name)
		w.must(err)
		places[item.Path] = to
	}
	tree := w.hostTree()
	for from, to := range places {
		if tree[to] != lowerFixture[from] {
			t.Fatalf("%s is not at %s", from, to)
		}
	}
	if len(places) != 4 || places["b.txt"] != "b.txt (restored 1)" || places["d/y"] != "d/y" || len(w.s.Trash()) != 0 {
		t.Fatalf("%v", places)
	}
	g := w.lay.Geometry()
	data := w.lay.VolumeOffset() + g.DataOffset()
	for range 2 {
		if off := firstDifference(was[data:], w.sectors()[data:]); off >= 0 {
			t.Fatalf("the disk differs at %d", data+off)
		}
		w.must(w.s.Close(context.Background()))
		w.must(w.open())
		w.must(w.s.Sync(t.Context()))
	}
	w.abandon()
}

// sectors returns the beginning of the disk.
func (w *world) sectors() []byte {
	w.t.Helper()
	p := make([]byte, 2<<20)
	_, err := w.s.Disk().ReadAt(p, 0)
	w.must(err)
	return p
}

func firstDifference(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return -1
}

// TestStatusCounts compares what the status counts with what the guest did.
func TestStatusCounts(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	w.mount()
	step := func(do func(g *fat.Volume) error, want writeback.Counts) {
		t.Helper()
		before := w.s.Status().Files
		w.must(errors.Join(do(w.guest), w.guest.Sync()))
		w.must(w.s.Sync(t.Context()))
		st := w.s.Status()
		got := writeback.Counts{Created: st.Files.Created - before.Created, Updated: st.Files.Updated - before.Updated, Removed: st.Files.Removed - before.Removed}
		if want.Updated > 0 && got.Updated > want.Updated {
			got.Updated = want.Updated // a commit came between data and entry
		}
		if got != want || st.Uncommitted || st.Error != "" {
			t.Fatalf("%+v, want %+v\n%+v", got, want, st)
		}
	}
	step(func(g *fat.Volume) error {
		return errors.Join(g.Mkdir("n", 0o777), vfs.WriteFile(g, "n/f", []byte("f"), 0o666))
	}, writeback.Counts{Created: 2})
	step(func(g *fat.Volume) error { return fatguest.Patch(g, "b.txt", []byte("x"), 7) }, writeback.Counts{Updated: 1})
	step(func(g *fat.Volume) error { return g.Rename("a.txt", "n/a.txt") }, writeback.Counts{Updated: 1})
	step(func(g *fat.Volume) error { return g.Remove("empty") }, writeback.Counts{Removed: 1})
	if w.s.Status().Commits < 4 {
		t.Fatalf("%+v", w.s.Status())
	}
	w.must(w.s.Close(context.Background()))
}
