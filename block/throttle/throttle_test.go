package throttle

import (
	"context"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
)

func TestConformance(t *testing.T) {
	blocktest.Run(t, func(testing.TB) block.Device {
		return New(context.Background(), mem.New(300<<10), 1<<50)
	}, blocktest.Options{})
}

// TestRate moves data for as long as it takes at least, and zeroes at once.
func TestRate(t *testing.T) {
	d := New(t.Context(), mem.New(1<<20), 1<<20)
	p := make([]byte, 64<<10)
	began := time.Now()
	for range 3 { // the last one does not wait for itself
		if _, err := d.WriteAt(p, 0); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 120*time.Millisecond {
		t.Errorf("three times 64 KiB at 1 MiB a second took %v", took)
	}
	slow := New(t.Context(), mem.New(1<<40), 1)
	for range 3 {
		if err := slow.WriteZeroes(0, 1<<40, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := slow.AppendSegments(nil, 0, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStops ends the waiting with the context.
func TestStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	d := New(ctx, mem.New(1<<20), 1)
	p := make([]byte, 1<<20)
	if _, err := d.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := d.ReadAt(p, 0); err != nil { // in eleven days, else
		t.Fatal(err)
	}
}
