package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/fatkit/fatkit/writeback"
)

// TestHostErrors makes host operations fail, one or all from one on, with a full
// disk or a failing one, at every k-th operation of a script. Once the host works
// again the session goes on by itself, and nothing is lost.
func TestHostErrors(t *testing.T) {
	stride := 17
	if os.Getenv("FATKIT_LONG") != "" {
		stride = 1
	}
	for _, fail := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, sticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, sticky %v", fail, sticky), func(t *testing.T) {
				for k := 0; failHost(t, k, fail, sticky); k += stride {
				}
			})
		}
	}
}

// failHost reports whether there was an operation k.
func failHost(t *testing.T, k int, fail error, sticky bool) bool {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	w.mount()
	w.m.FailAt(k, fail, sticky)
	p, err := script(w, func(string) {})
	reached := w.m.Ops() > k
	what := fmt.Sprintf("%v (sticky %v) at operation %d (%s): %v\n", fail, sticky, k, w.m.Describe(k), err)
	w.m.FailAt(-1, nil, false)
	w.mount()
	for range 3 {
		if err = w.s.Sync(t.Context()); err == nil {
			break
		}
	}
	switch {
	case err == nil:
		w.same(what)
	case !p.during || !errors.Is(err, writeback.ErrPending): // the guest may have stopped halfway
		t.Fatalf("%ssync: %v\n%+v", what, err, w.s.Status())
	}
	st := w.s.Status()
	if st.Error != "" || len(st.Conflicts) > 0 {
		t.Fatalf("%s%+v", what, st)
	}
	tree, aside := w.contents()
	all := append(tree, aside...)
	if !slices.Contains(all, lowerFixture["d/e/deep.bin"]) || !slices.Contains(all, lowerFixture["Long Name.text"]) {
		t.Fatalf("%sa file of the host is lost", what)
	}
	w.must(w.s.Close(context.Background()))
	return reached
}
