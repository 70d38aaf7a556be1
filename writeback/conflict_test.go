package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
)

// hostEdit is what a program of the host does to a.txt.
type hostEdit struct {
	name  string
	do    func(w hostfs.Writable) error
	keeps string // contents that must be in the tree afterwards, whatever the guest did
}

const hostText = "what the host wrote"

var hostEdits = []hostEdit{
	{"edits it", func(w hostfs.Writable) error { return hostPatch(w, "a.txt", hostText) }, hostText},
	{"deletes it", func(w hostfs.Writable) error { return hostUnlink(w, "a.txt") }, ""},
	{"replaces it", func(w hostfs.Writable) error {
		return errors.Join(hostWrite(w, "tmp", hostText), hostRename(w, "tmp", "a.txt", hostfs.Replace))
	}, hostText},
	{"renames it", func(w hostfs.Writable) error { return hostRename(w, "a.txt", "elsewhere", hostfs.NoReplace) }, ""},
	{"moves it", func(w hostfs.Writable) error { return hostRename(w, "a.txt", "d/elsewhere", hostfs.NoReplace) }, ""},
	{"links it", func(w hostfs.Writable) error { return hostLink(w, "a.txt", "second name") }, ""},
	{"takes the new name", func(w hostfs.Writable) error { return hostCreate(w, "new.txt", hostText) }, hostText},
}

// hostPatch writes to a file that is there.
func hostPatch(w hostfs.Writable, name, data string) error {
	return hostfs.InDir(w, name, func(d hostfs.Dir, name string) error {
		f, err := d.OpenFile(name)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(data), 0)
		return errors.Join(f.Truncate(int64(len(data))), err, f.Close())
	})
}

// hostCreate makes a file that is not there.
func hostCreate(w hostfs.Writable, name, data string) error {
	return hostfs.InDir(w, name, func(d hostfs.Dir, name string) error {
		f, err := d.Create(name, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(data), 0)
		return errors.Join(err, f.Close())
	})
}

func hostUnlink(w hostfs.Writable, name string) error {
	return hostfs.InDir(w, name, func(d hostfs.Dir, name string) error { return d.Unlink(name) })
}

func hostRename(w hostfs.Writable, from, to string, mode hostfs.RenameMode) error {
	return hostfs.InDir(w, from, func(a hostfs.Dir, from string) error {
		return hostfs.InDir(w, to, func(b hostfs.Dir, to string) error { return a.Rename(from, b, to, mode) })
	})
}

func hostLink(w hostfs.Writable, from, to string) error {
	return hostfs.InDir(w, from, func(a hostfs.Dir, from string) error {
		return hostfs.InDir(w, to, func(b hostfs.Dir, to string) error { return a.Link(from, b, to) })
	})
}

// guestEdit is what the guest does to a.txt before the commit.
type guestEdit struct {
	name  string
	do    func(g *fat.Volume) error
	keeps string // contents that must be somewhere afterwards
}

const guestText = "what the guest wrote, which is longer"

var guestEdits = []guestEdit{
	{"overwrites", func(g *fat.Volume) error { return vfs.WriteFile(g, "a.txt", []byte(guestText), 0o666) }, guestText},
	{"deletes", func(g *fat.Volume) error { return g.Remove("a.txt") }, ""},
	{"renames", func(g *fat.Volume) error { return g.Rename("a.txt", "new.txt") }, ""},
	{"renames and overwrites", func(g *fat.Volume) error {
		return errors.Join(g.Rename("a.txt", "new.txt"), vfs.WriteFile(g, "new.txt", []byte(guestText), 0o666))
	}, guestText},
	{"creates", func(g *fat.Volume) error { return vfs.WriteFile(g, "new.txt", []byte(guestText), 0o666) }, guestText},
	{"replaces", func(g *fat.Volume) error {
		return errors.Join(vfs.WriteFile(g, "t", []byte(guestText), 0o666), g.Rename("t", "a.txt"))
	}, guestText},
}

// contents returns all contents that are in the tree, and those aside of it.
func (w *world) contents() (tree, aside []string) {
	tree = slices.Collect(maps.Values(w.hostTree()))
	for _, b := range w.treeAt("state/aside") {
		aside = append(aside, b)
	}
	return tree, aside
}

var conflictFixture = map[string]string{"a.txt": "first", "d/x": "x"}

// meet has the host do its edit before operation k of the commit; k < 0 is
// before the commit. It reports whether there was such an operation.
func meet(t *testing.T, ge guestEdit, he hostEdit, made bool, k int) bool {
	t.Helper()
	w := newWorld(t, 16, conflictFixture)
	w.must(w.open())
	w.mount()
	original := "first"
	if made { // the file is one that a commit made, and will be patched
		original = "first again"
		w.must(vfs.WriteFile(w.guest, "a.txt", []byte(original), 0o666))
		w.must(w.guest.Sync())
		w.must(w.s.Sync(t.Context()))
	}
	w.must(ge.do(w.guest))
	w.must(w.guest.Sync())
	what := fmt.Sprintf("guest %s, host %s, before operation %d (made: %v)", ge.name, he.name, k, made)
	var edited, before error
	hadGuests := false
	edit := func() {
		now, err := readHost(w.m.Foreign("share"))
		for _, b := range now { // a file under a lease, which cannot be read, is none that the host has seen
			hadGuests = hadGuests || err == nil && b == guestText
		}
		edited = he.do(w.m.Foreign("share"))
	}
	done := false
	if k < 0 {
		edit()
		done = true
	} else {
		w.m.Before(func(n int, op string) {
			if n == k && !done {
				done = true
				what += " (" + op + ")"
				edit()
			}
		})
	}
	before = w.s.Sync(t.Context())
	for range 3 {
		if before == nil {
			break
		}
		before = w.s.Sync(t.Context())
	}
	if before != nil {
		t.Fatalf("%s: %v\n%+v", what, before, w.s.Status())
	}
	if !done {
		w.abandon()
		return false
	}
	w.judgeMeeting(what, original, ge, he, edited, hadGuests)
	w.resumes(what)
	return true
}

// judgeMeeting fails if something is lost.
func (w *world) judgeMeeting(what, original string, ge guestEdit, he hostEdit, edited error, hadGuests bool) {
	w.t.Helper()
	tree, aside := w.contents()
	all := append(slices.Clone(tree), aside...)
	if edited == nil && he.keeps != "" && !slices.Contains(tree, he.keeps) {
		w.t.Fatalf("%s: the host's version is not in the tree: %q\n%+v", what, w.hostTree(), w.s.Status())
	}
	if ge.keeps != "" && !hadGuests && !slices.Contains(all, ge.keeps) {
		w.t.Fatalf("%s: the guest's version is lost: %q %q\n%+v", what, w.hostTree(), w.treeAt("state/aside"), w.s.Status())
	}
	kept := he.keeps == "" && he.name != "deletes it"
	if kept && edited == nil && ge.keeps == "" && !slices.Contains(all, original) {
		w.t.Fatalf("%s: the file is lost: %q %q", what, w.hostTree(), w.treeAt("state/aside"))
	}
	for name := range w.treeAt("state/aside") {
		if strings.HasPrefix(name, "stage/") && name != "stage/" {
			w.t.Fatalf("%s: %s was left in the stage folder", what, name)
		}
	}
}

// resumes closes the session and opens it again: nothing more happens.
func (w *world) resumes(what string) {
	w.t.Helper()
	before := w.hostTree()
	w.must(w.s.Close(context.Background()))
	w.must(w.open())
	if err := w.s.Sync(w.t.Context()); err != nil {
		w.t.Fatalf("%s: after a restart: %v\n%+v", what, err, w.s.Status())
	}
	if d := fatguest.Difference(before, w.hostTree()); d != "" {
		w.t.Fatalf("%s: a restart changed the tree:\n%s", what, d)
	}
	w.abandon()
}

// TestConflictEveryCall lets the host change the file, or its new name, that the
// guest has changed too: before the commit and before every operation of it.
// Nothing of either is lost.
func TestConflictEveryCall(t *testing.T) {
	stride := 7
	if os.Getenv("FATKIT_LONG") != "" {
		stride = 1
	}
	for _, ge := range guestEdits {
		for _, he := range hostEdits {
			t.Run(ge.name+", host "+he.name, func(t *testing.T) {
				for _, made := range []bool{false, true} {
					for k := -1; meet(t, ge, he, made, k); k += stride {
					}
				}
			})
		}
	}
}
