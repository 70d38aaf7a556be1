package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/fault"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/writeback"
)

// overlayFaults are what happens to the device that holds the overlay.
var overlayFaults = []struct {
	name string
	rule fault.Rule
}{
	{"a full disk, once", fault.Rule{Ops: fault.Changes, Err: syscall.ENOSPC}},
	{"a full disk, for a while", fault.Rule{Ops: fault.Changes, Err: syscall.ENOSPC, Sticky: true}},
	{"a failing disk, once", fault.Rule{Ops: fault.Any &^ fault.Close, Err: syscall.EIO}},
	{"a failing disk, for a while", fault.Rule{Ops: fault.Any &^ fault.Close, Err: syscall.EIO, Sticky: true}},
	{"half a write, once", fault.Rule{Ops: fault.Changes, Err: syscall.EIO, Partial: 512}},
}

// TestOverlayErrors makes operations of the device fail that holds the overlay, one
// or all from one on, at every k-th operation of a script. Once it works again nothing
// is lost, and the host has what the guest has: at once, or after a restart if
// the device has lost what was written.
func TestOverlayErrors(t *testing.T) {
	stride := 17
	if product.Long() {
		stride = 1
	}
	for i, c := range overlayFaults {
		t.Run(c.name, func(t *testing.T) {
			runs, restarts := 0, 0
			for k := 1 + i*stride/len(overlayFaults); ; k += stride {
				rule := c.rule
				rule.At = k
				reached, restarted := failOverlay(t, rule)
				if !reached {
					break
				}
				if runs++; restarted {
					restarts++
				}
			}
			t.Logf("%d runs, %d of which went on after a restart", runs, restarts)
		})
	}
}

// failOverlay reports whether there was such an operation, and whether the session
// had to be opened again.
func failOverlay(t *testing.T, rule fault.Rule) (reached, restarted bool) {
	w := newWorld(t, 16, lowerFixture)
	var dev *fault.Device
	w.before = func(d block.Device) block.Device {
		dev = fault.New(d)
		return dev
	}
	w.must(w.open())
	w.mount()
	before := dev.Count(rule.Ops)
	dev.Add(rule)
	p, err := script(w, func(string) {})
	reached = dev.Count(rule.Ops)-before >= rule.At
	what := fmt.Sprintf("operation %d: %v\n", rule.At, err)
	dev.Clear()
	if err = w.s.Sync(t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
		restarted = true
		w.abandon()
		w.m = w.m.Kill()
		if err := w.open(); err != nil {
			t.Fatalf("%sopen again: %v", what, err)
		}
		err = w.s.Sync(t.Context())
	}
	switch {
	case err == nil:
		w.mount()
		w.same(what)
	case !p.during || !errors.Is(err, writeback.ErrPending): // the guest may have stopped halfway
		t.Fatalf("%ssync: %v\n%+v", what, err, w.s.Status())
	}
	st := w.s.Status()
	if st.Error != "" || len(st.Conflicts) > 0 {
		t.Fatalf("%s%+v", what, st)
	}
	w.holdsUntouched(what)
	w.must(w.s.Close(context.Background()))
	return reached, restarted
}

// holdsUntouched fails unless the files that no round of the script changes, but for
// one that it deletes, are in the tree or aside of it.
func (w *world) holdsUntouched(what string) {
	w.t.Helper()
	tree, aside := w.contents()
	all := append(tree, aside...)
	for _, name := range []string{"d/e/deep.bin", "Long Name.text", "d/x"} {
		if !slices.Contains(all, lowerFixture[name]) {
			w.t.Fatalf("%sthe contents of %s are lost", what, name)
		}
	}
}
