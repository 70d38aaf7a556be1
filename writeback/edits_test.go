package writeback_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
)

// partFixture has a file of which a guest's change leaves most to the base.
var partFixture = map[string]string{"a.txt": strings.Repeat("0123456789abcdef", 4096), "d/x": "x"}

// TestConflictPart lets the host change a file of which the guest has changed a
// part. What the guest wrote is saved, what is missing of it is listed, and nothing
// else waits for it.
func TestConflictPart(t *testing.T) {
	patch := func(g *fat.Volume) error { return fatguest.Patch(g, "a.txt", []byte(guestText), 1024) }
	for _, c := range []struct {
		host      string // the name of an edit
		text      string // of the conflict
		at, saved string // where the guest's version is, and as what it is reported
		lost      bool   // the base cannot be read any more
	}{
		{"edits it", `^the host changed it as well; 65024 bytes of the guest's version are missing, see conflicts/\S+\.missing$`, "", `^conflicts/\d+-\d+-\d+-a\.txt$`, true},
		{"replaces it", `^the host replaced it$`, "a (guest 2026-03-04 05.06).txt", `^a \(guest 2026-03-04 05\.06\)\.txt$`, false},
		{"deletes it", `^the host moved or removed it, the guest changed it$`, "a.txt", `^a\.txt$`, false},
		{"moves it", `^the host moved or removed it, the guest changed it$`, "a.txt", `^a\.txt$`, false},
	} {
		t.Run(c.host, func(t *testing.T) {
			w := newWorld(t, 16, partFixture)
			w.must(w.open())
			w.mount()
			w.must(patch(w.guest))
			w.must(vfs.WriteFile(w.guest, "other", []byte("other"), 0o666))
			w.must(w.guest.Sync())
			for _, he := range hostEdits {
				if he.name == c.host {
					w.must(he.do(w.m.Foreign("share")))
				}
			}
			w.must(w.s.Sync(t.Context()))
			st := w.s.Status()
			if len(st.Conflicts) != 1 || st.Conflicts[0].Path != "a.txt" || !regexp.MustCompile(c.text).MatchString(st.Conflicts[0].Text) ||
				!regexp.MustCompile(c.saved).MatchString(st.Conflicts[0].Saved) {
				t.Fatalf("%+v", st.Conflicts)
			}
			w.judgePart(st.Conflicts[0].Saved, c.at, c.lost)
			w.resumes(c.host)
		})
	}
}

// judgePart fails unless the guest's version of partFixture's file is where it
// should be: at a name of the tree, or saved with a map of what is missing.
func (w *world) judgePart(saved, at string, lost bool) {
	w.t.Helper()
	tree, aside := w.hostTree(), w.treeAt("state/aside")
	if tree["other"] != "other" {
		w.t.Fatalf("another file did not arrive: %q", tree)
	}
	old := partFixture["a.txt"]
	if !lost {
		if want := old[:1024] + guestText + old[1024+len(guestText):]; tree[at] != want {
			w.t.Fatalf("%s is not the guest's version", at)
		}
		return
	}
	if tree["a.txt"] != hostText {
		w.t.Fatalf("a.txt is not the host's version: %q", tree["a.txt"])
	}
	sector := guestText + old[1024+len(guestText):1536]
	if want := strings.Repeat("\x00", 1024) + sector + strings.Repeat("\x00", len(old)-1536); aside[saved] != want {
		w.t.Fatalf("%s is not what there is of the guest's version", saved)
	}
	if want := fmt.Sprintf("0 1024\n1536 %d\n", len(old)-1536); aside[saved+".missing"] != want {
		w.t.Fatalf("the map of what is missing is %q, want %q", aside[saved+".missing"], want)
	}
}

// TestCopyKeepsBase changes a part of a file twice, the second time while it has
// another name on the host, so that it is copied. The guest still reads the rest of
// it, which lies in the inode that was displaced first.
func TestCopyKeepsBase(t *testing.T) {
	w := newWorld(t, 16, partFixture)
	w.must(w.open())
	w.mount()
	for i, at := range []int64{1024, 4096, 9000} {
		if i == 1 {
			w.must(hostLink(w.m.Foreign("share"), "a.txt", "second name"))
		}
		w.must(fatguest.Patch(w.guest, "a.txt", []byte(guestText), at))
		w.must(w.guest.Sync())
		w.must(w.s.Sync(t.Context()))
	}
	w.must(w.s.Close(t.Context()))
	w.must(w.open())
	w.mount()
	guest, host := w.guestTree(), w.hostTree()
	if guest["a.txt"] != host["a.txt"] || strings.Count(guest["a.txt"], guestText) != 3 {
		t.Fatalf("guest and host differ, or the changes are not there: %d and %d bytes", len(guest["a.txt"]), len(host["a.txt"]))
	}
	if n := strings.Count(host["second name"], guestText); n != 1 {
		t.Fatalf("the other name shows %d changes, want the one of before", n)
	}
	w.abandon()
}
