package main

import (
	"math"
	"os"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

func TestMain(m *testing.M) {
	beMemory()
	os.Exit(m.Run())
}

// TestRowsRun runs every row in its short form: it shows that they work, and
// asserts no speed.
func TestRowsRun(t *testing.T) {
	tools.Need(t, "nbdkit", "nbdcopy", "nbdinfo", "fio", "qemu-nbd", "qemu-img", "mkfs.fat", "mcopy", "cp", "fsck.fat")
	b, err := newBench(t.TempDir(), t.TempDir(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	results, err := b.runRows(allRows())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, o := range r.Outcomes {
			least := math.SmallestNonzeroFloat64
			if r.Row == idleRow().name {
				least = 0 // what it is meant to be
			}
			if o.Median < least || len(o.Samples) != 1 {
				t.Errorf("%s: %s: %+v", r.Row, o.Name, o)
			}
		}
	}
	if len(results) != len(allRows()) {
		t.Errorf("%d rows of %d", len(results), len(allRows()))
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}
