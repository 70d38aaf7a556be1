package fault

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
)

func TestConformance(t *testing.T) {
	blocktest.Run(t, func(testing.TB) block.Device {
		return New(mem.New(2<<20), Rule{Ops: Any, At: 1, Sticky: true, NoError: true, Delay: time.Microsecond})
	}, blocktest.Options{})
}

// script does one operation of every kind and returns the first error.
func script(d block.Device) error {
	p := bytes.Repeat([]byte{1}, 100)
	_, cerr := block.ReadAtCached(d, p, 0)
	_, rerr := d.ReadAt(make([]byte, 100), 0)
	segs, serr := block.AppendSegments(d, nil, 0, 100)
	block.ReleaseAll(segs)
	_, eerr := block.AppendExtents(d, nil, 0, 100)
	_, werr := d.WriteAt(p, 0)
	_, ferr := block.WriteAtFUA(d, p, 100)
	return errors.Join(cerr, rerr, serr, eerr, werr, ferr,
		block.WriteFile(d, 0, nil, 0, 0),
		block.WriteZeroes(d, 50, 100, 0),
		block.Discard(d, 300, 100),
		d.Flush(), d.Close())
}

// Each operation can be made to fail, and the failure reaches the caller.
func TestEveryOperationFails(t *testing.T) {
	f := New(mem.New(4096))
	if err := script(f); err != nil {
		t.Fatal(err)
	}
	total := f.Count(Any)
	if total != opKinds {
		t.Fatalf("the script has %d operations of %d kinds", total, opKinds)
	}
	for k := 1; k <= total; k++ {
		f := New(mem.New(4096), Rule{Ops: Any, At: k})
		if err := script(f); !errors.Is(err, ErrInjected) {
			t.Errorf("operation %d: %v", k, err)
		}
	}
	for kind := range opKinds {
		f := New(mem.New(4096), Rule{Ops: 1 << kind, At: 1})
		if err := script(f); !errors.Is(err, ErrInjected) {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

func TestOneShotAndSticky(t *testing.T) {
	bad := errors.New("bad")
	for _, sticky := range []bool{false, true} {
		f := New(mem.New(4096), Rule{Ops: Write, At: 2, Sticky: sticky, Err: bad})
		for i, want := range []bool{false, true, sticky} {
			_, err := f.WriteAt([]byte{1}, 0)
			if errors.Is(err, bad) != want {
				t.Errorf("sticky %v, write %d: %v", sticky, i+1, err)
			}
		}
	}
}

func TestPartial(t *testing.T) {
	f := New(mem.New(10), Rule{Ops: Write, At: 1, Partial: 4}, Rule{Ops: Read, At: 2, Partial: 2}, Rule{Ops: Zero, At: 1, Partial: 1})
	if n, err := f.WriteAt([]byte("abcdefgh"), 0); n != 4 || !errors.Is(err, ErrInjected) {
		t.Errorf("WriteAt: %d, %v", n, err)
	}
	if err := f.WriteZeroes(0, 4, 0); !errors.Is(err, ErrInjected) {
		t.Errorf("WriteZeroes: %v", err)
	}
	p := make([]byte, 6)
	if _, err := f.ReadAt(p, 0); err != nil || string(p) != "\x00bcd\x00\x00" {
		t.Errorf("after partial changes: %q, %v", p, err)
	}
	if n, err := f.ReadAt(p, 0); n != 2 || !errors.Is(err, ErrInjected) {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
}

func TestFailedFlushStops(t *testing.T) {
	f := New(mem.New(10), Rule{Ops: Flush, At: 1})
	if err := f.Flush(); !errors.Is(err, ErrInjected) {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1}, 0); !errors.Is(err, ErrInjected) {
		t.Errorf("WriteAt after a failed flush: %v", err)
	}
	if err := f.Flush(); !errors.Is(err, ErrInjected) {
		t.Errorf("second Flush: %v", err)
	}
	f.Clear()
	if _, err := f.WriteAt([]byte{1}, 0); err != nil {
		t.Errorf("after Clear: %v", err)
	}
}
