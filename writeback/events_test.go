package writeback_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback"
)

// TestEvents has one event of each kind happen.
func TestEvents(t *testing.T) {
	write := func(g *fat.Volume) error { return vfs.WriteFile(g, "a.txt", []byte(guestText), 0o666) }
	for _, c := range []struct {
		name  string
		kind  writeback.EventKind
		path  string
		text  string // a part of it
		set   func(o *writeback.Options)
		guest func(g *fat.Volume) error
		host  func(w *world) // after the guest
	}{
		{"commit", writeback.EventCommit, "", "1 changed", nil, write, nil},
		{"conflict", writeback.EventConflict, "a.txt", "the guest's version is a (guest 2026-03-04 05.06).txt", nil, write,
			func(w *world) { w.must(hostPatch(w.m.Foreign("share"), "a.txt", hostText)) }},
		{"brake", writeback.EventBrake, "", "deletions", func(o *writeback.Options) { o.MaxDeletes = 1 },
			func(g *fat.Volume) error { return errors.Join(g.Remove("a.txt"), g.RemoveAll("d")) }, nil},
		{"failed", writeback.EventFailed, "", syscall.EIO.Error(), func(o *writeback.Options) { o.Settle, o.Now = time.Millisecond, time.Now }, write,
			func(w *world) { w.m.FailAt(0, syscall.EIO, true) }},
		{"dry run", writeback.EventDryRun, "a.txt", "not carried out: change", func(o *writeback.Options) { o.DryRun = true }, write, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 16, lowerFixture)
			events := make(chan writeback.Event, 100)
			w.tune = func(o *writeback.Options) {
				o.Event = func(e writeback.Event) { events <- e }
				if c.set != nil {
					c.set(o)
				}
			}
			w.must(w.open())
			w.mount()
			if c.kind == writeback.EventFailed {
				c.host(w)
			}
			w.must(errors.Join(c.guest(w.guest), w.guest.Sync()))
			if c.host != nil && c.kind != writeback.EventFailed {
				c.host(w)
			}
			if c.kind != writeback.EventFailed { // that is of commits that nobody asks for
				w.quiet(c.name)
			}
			var seen []writeback.Event
			for {
				select {
				case e := <-events:
					seen = append(seen, e)
				case <-time.After(20 * time.Second):
					t.Fatalf("no such event: %+v\n%+v", seen, w.s.Status())
				}
				if slices.ContainsFunc(seen, func(e writeback.Event) bool {
					return e.Kind == c.kind && e.Path == c.path && strings.Contains(e.Text, c.text)
				}) {
					break
				}
			}
			w.abandon()
		})
	}
}

// TestLabel gives the volume another label: status tells it, and nothing of it
// reaches the host.
func TestLabel(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		w := newWorld(t, typ, lowerFixture)
		w.must(w.open())
		w.mount()
		before := w.hostTree()
		w.must(errors.Join(w.guest.SetLabel("ANOTHER"), w.guest.Sync(), w.s.Sync(t.Context())))
		if st := w.s.Status(); st.Label != "ANOTHER" || st.Commits != 0 || len(st.Brake) > 0 {
			t.Errorf("FAT%d: %+v", typ, st)
		}
		if len(w.hostTree()) != len(before) {
			t.Errorf("FAT%d: %q", typ, w.hostTree())
		}
		w.must(w.s.Close(t.Context()))
	}
}
