package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/fault"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
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
		if !strings.Contains(err.Error(), "until it is reopened") {
			t.Fatalf("%ssync: %v", what, err)
		}
		restarted = true
		w.abandon()
		w.m = w.m.Kill()
		if err := w.open(); err != nil {
			t.Fatalf("%sopen again: %v", what, err)
		}
		if err = w.s.Sync(t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
			t.Fatalf("%ssync after a restart: %v", what, err)
		}
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

// recording is a run of the script that nothing disturbed: where the device of the
// overlay was at each operation of the host, and what the guest had when.
type recording struct {
	events []int               // of the device, before each operation of the host
	end    int                 // of the device
	began  []int               // of the device, when each round of the guest began
	synced []int               // and when it had flushed it
	trees  []map[string]string // before the first round, and after each
}

// record runs the script.
func record(t *testing.T, typ int) *recording {
	w := newWorld(t, typ, lowerFixture)
	w.must(w.open())
	w.mount()
	r := &recording{began: []int{w.dev.Events()}}
	w.m.Before(func(int, string) { r.events = append(r.events, w.dev.Events()) })
	w.flushed = func() { r.synced = append(r.synced, w.dev.Events()) }
	_, err := script(w, func(string) { r.began = append(r.began, w.dev.Events()) })
	w.must(err)
	r.end = w.dev.Events()
	w.abandon()
	w = newWorld(t, typ, lowerFixture) // to look at the trees are operations as well
	w.must(w.open())
	w.mount()
	r.trees = append(r.trees, w.guestTree())
	_, err = script(w, func(string) { r.trees = append(r.trees, w.guestTree()) })
	w.must(err)
	w.abandon()
	return r
}

// TestOverlayCrash stops everything at each operation of the device that holds the
// overlay, in the middle of what the guest writes and of commits: the process dies, or the
// power fails. What the guest had flushed is there after a restart, and no file is
// lost that it had not deleted.
func TestOverlayCrash(t *testing.T) {
	stride, more := 29, 1
	if product.Long() {
		stride, more = 1, 6
	}
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			r := record(t, typ)
			first := r.began[0]
			runs := 0
			for k := first + typ%stride; k < r.end; k += stride {
				for seed := range uint64(2 + more) {
					if seed > 1 {
						seed += 2 + uint64(k*more)
					}
					r.crash(t, typ, k, seed)
					runs++
				}
			}
			t.Logf("%d operations of the device, %d crashes", r.end-first, runs)
		})
	}
}

// crash stops the script at event k of the device. Seed 1 kills the process, others
// cut the power.
func (r *recording) crash(t *testing.T, typ, k int, seed uint64) {
	w := newWorld(t, typ, lowerFixture)
	w.must(w.open())
	w.mount()
	op, _ := slices.BinarySearch(r.events, k+1) // the first operation of the host after the event
	w.m.CutAt(op)
	_, err := script(w, func(string) {})
	what := fmt.Sprintf("FAT%d, event %d (%s), seed %d: %v\n", typ, k, w.dev.Describe(k), seed, err)
	w.abandon()
	if seed == 1 {
		w.m, w.dev = w.m.Kill(), w.dev.Kill(k, seed)
	} else {
		w.m, w.dev = w.m.Reboot(seed), w.dev.Cut(k, seed)
	}
	if err := w.open(); err != nil {
		t.Fatalf("%sresume: %v", what, err)
	}
	err = w.s.Sync(t.Context())
	round := 0
	for round+1 < len(r.began) && r.began[round+1] <= k {
		round++
	}
	flushed := round < len(r.synced) && k >= r.synced[round]
	if err != nil && (flushed || !errors.Is(err, writeback.ErrPending)) {
		t.Fatalf("%ssync: %v\n%+v", what, err, w.s.Status())
	}
	if c := w.s.Status().Conflicts; len(c) > 0 {
		t.Fatalf("%sour own operations were taken for the host's: %+v", what, c)
	}
	if err == nil {
		w.mount()
		w.same(what)
	}
	if flushed {
		if d := fatguest.Difference(r.trees[round+1], w.guestTree()); d != "" {
			t.Fatalf("%sthe guest's disk is not what was flushed:\n%s", what, d)
		}
	}
	if seed == 1 || flushed { // else the guest's own disk may have lost what it had not flushed
		w.holdsBoth(what, r.trees[round], r.trees[min(round+1, len(r.trees)-1)])
	}
	w.must(w.s.Close(context.Background()))
}

// holdsBoth fails unless what a file holds before a round and after it is in
// the tree or aside of it.
func (w *world) holdsBoth(what string, before, after map[string]string) {
	w.t.Helper()
	tree, aside := w.contents()
	all := append(tree, aside...)
	later := slices.Collect(maps.Values(after))
	for name, data := range before {
		if data != "" && slices.Contains(later, data) && !slices.Contains(all, data) {
			w.t.Fatalf("%swhat %s held is lost", what, name)
		}
	}
}

// TestConflictCrash stops the host at every operation of a commit that meets a change
// by the host. After a restart nothing of either is lost, and a second restart
// changes nothing.
func TestConflictCrash(t *testing.T) {
	stride := 37
	if product.Long() {
		stride = 1
	}
	part := guestEdit{"renames and changes a part", func(g *fat.Volume) error {
		return errors.Join(g.Rename("a.txt", "new.txt"), fatguest.Patch(g, "new.txt", []byte(guestText), 0))
	}, guestText}
	for i, ge := range append(slices.Clone(guestEdits), part) {
		for j, he := range hostEdits {
			t.Run(ge.name+", host "+he.name, func(t *testing.T) {
				for k := (i + 7*j) % stride; crashMeeting(t, ge, he, k); k += stride {
				}
			})
		}
	}
}

// crashMeeting reports whether the commit had an operation k.
func crashMeeting(t *testing.T, ge guestEdit, he hostEdit, k int) bool {
	for _, seed := range []uint64{0, 1, 2 + uint64(k)} {
		w := newWorld(t, 16, conflictFixture)
		w.must(w.open())
		w.mount()
		w.must(errors.Join(ge.do(w.guest), w.guest.Sync()))
		edited := he.do(w.m.Foreign("share"))
		w.m.Settle()
		w.m.CutAt(k)
		err := w.s.Sync(t.Context())
		what := fmt.Sprintf("guest %s, host %s, operation %d (%s), seed %d", ge.name, he.name, k, w.m.Describe(k), seed)
		w.abandon()
		if err == nil {
			return false
		}
		if seed == 1 {
			w.m = w.m.Kill()
		} else {
			w.m, w.dev = w.m.Reboot(seed), w.dev.Cut(w.dev.Events(), seed)
		}
		w.must(w.open())
		if err := w.s.Sync(t.Context()); err != nil {
			t.Fatalf("%s: %v\n%+v", what, err, w.s.Status())
		}
		w.judgeMeeting(what, "first", ge, he, edited, false)
		w.resumes(what)
	}
	return true
}
