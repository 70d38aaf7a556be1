package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/vfs"
)

// crashes are the ways in which a session ends without a last word.
var crashes = []struct {
	name string
	do   func(w *world)
}{
	{"kill", func(w *world) { w.abandon(); w.m = w.m.Kill() }},
	{"power cut", func(w *world) {
		w.abandon()
		w.m, w.dev = w.m.Reboot(1), w.dev.Cut(w.dev.Events(), 1)
	}},
}

var smallFixture = map[string]string{"a.txt": "first", "b.txt": "second", "d/x": "x", "d/y": "y", "other": "third"}

// TestHostEditsAfterCrash has the guest write files that arrive, and a crash; then
// the host changes and removes them. That is no conflict: the guest's versions
// were there before. What the guest wrote after the last commit is one.
func TestHostEditsAfterCrash(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		for _, c := range crashes {
			t.Run(fmt.Sprintf("FAT%d, %s", typ, c.name), func(t *testing.T) {
				hostEditsAfterCrash(t, typ, c.do)
			})
		}
	}
}

func hostEditsAfterCrash(t *testing.T, typ int, crash func(w *world)) {
	w := newWorld(t, typ, smallFixture)
	w.must(w.open())
	w.mount()
	for _, name := range []string{"a.txt", "b.txt", "d/made", "d/x"} {
		w.must(vfs.WriteFile(w.guest, name, []byte("the guest's "+name), 0o666))
		w.must(w.guest.Sync())
		w.must(w.s.Sync(t.Context()))
	}
	w.must(vfs.WriteFile(w.guest, "d/x", []byte("not committed yet"), 0o666))
	w.must(w.guest.Sync())
	crash(w)
	share := w.m.Foreign("share")
	w.must(hostPatch(share, "a.txt", hostText))
	w.must(hostUnlink(share, "b.txt"))
	w.must(errors.Join(hostWrite(share, "tmp", hostText), hostRename(share, "tmp", "d/made", hostfs.Replace)))
	w.must(hostPatch(share, "d/x", hostText))
	w.must(w.open())
	for range 2 { // the second time nothing is left to do
		w.must(w.s.Sync(t.Context()))
		tree := w.hostTree()
		if _, ok := tree["b.txt"]; ok || tree["a.txt"] != hostText || tree["d/made"] != hostText || tree["d/x"] != hostText {
			t.Fatalf("the host's edits are lost: %q", tree)
		}
		st := w.s.Status()
		if len(st.Conflicts) != 1 || st.Conflicts[0].Path != "d/x" || tree[st.Conflicts[0].Saved] != "not committed yet" {
			t.Fatalf("%+v\n%q", st.Conflicts, tree)
		}
		if len(tree) != len(smallFixture)+2 { // d/, d/made, the saved one; b.txt is gone
			t.Fatalf("%q", tree)
		}
		crash(w)
		w.must(w.open())
	}
	w.abandon()
}

// TestWaitingAfterCrash crashes while an object waits: it still does, and arrives
// once it is complete.
func TestWaitingAfterCrash(t *testing.T) {
	for _, c := range crashes {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 16, lowerFixture)
			w.must(w.open())
			changed, after := w.changedSectors(orderedOps["create"])
			slices.Reverse(changed) // data, directory, FAT: the entry has no chain before the last write
			for i, at := range changed {
				_, err := w.s.Disk().WriteAt(after[at:at+512], at)
				w.must(err)
				w.must(w.s.Disk().Flush())
				_ = w.s.Sync(t.Context()) // some of them leave something waiting
				waits := len(w.s.Status().Pending)
				c.do(w)
				w.must(w.open())
				_ = w.s.Sync(t.Context())
				if n := len(w.s.Status().Pending); n != waits {
					t.Fatalf("write %d: %d objects waited, and %d after the crash: %+v", i, waits, n, w.s.Status())
				}
			}
			w.mount()
			w.same("at the end")
			w.must(w.s.Close(context.Background()))
		})
	}
}

// TestDiscardAfterCrash discards changes and crashes: they stay discarded.
func TestDiscardAfterCrash(t *testing.T) {
	for _, c := range crashes {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 16, manyFiles(30))
			w.deletes = 1
			w.must(w.open())
			w.mount()
			want := w.hostTree()
			for i := range 20 {
				w.must(w.guest.Remove(fmt.Sprintf("d%d/f%d.txt", i%7, i)))
			}
			w.must(vfs.WriteFile(w.guest, "d1/new", []byte(guestText), 0o666))
			w.must(vfs.WriteFile(w.guest, "d0/f28.txt", []byte(guestText), 0o666))
			w.must(w.guest.Sync())
			_ = w.s.Sync(t.Context()) // the brake holds it back
			if _, err := w.s.Discard(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				c.do(w)
				w.must(w.open())
				if err := w.s.Sync(t.Context()); err != nil {
					t.Fatalf("%v\n%+v", err, w.s.Status())
				}
				if got := w.hostTree(); len(got) != len(want) || got["d0/f28.txt"] != want["d0/f28.txt"] {
					t.Fatalf("discarded changes were carried out: %q", got)
				}
			}
			w.abandon()
		})
	}
}
