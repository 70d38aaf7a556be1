package fat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fatkit/fatkit/block/fault"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// faulty does some of everything and returns the first error, but goes on.
func faulty(dev *fault.Device) error {
	v, err := fat.Open(dev, fat.Options{WriteBack: -1, Now: fixed})
	if err != nil {
		return err
	}
	var all []error
	do := func(err error) { all = append(all, err) }
	do(v.Mkdir("new", 0o777))
	for i := range 20 {
		do(vfs.WriteFile(v, fmt.Sprintf("new/a file with the number %d", i), make([]byte, 700*i), 0o666))
	}
	do(v.Sync())
	do(v.Rename("new/a file with the number 3", "moved"))
	do(v.Rename("dir/sub", "new/sub"))
	do(vfs.RemoveAll(v, "other"))
	f, err := v.OpenFile("b", 2, 0) // O_RDWR
	if do(err); err == nil {
		do(f.Truncate(600))
		do(f.Sync())
		_, err = f.WriteAt(make([]byte, 9000), 300)
		do(err)
		do(f.Close())
	}
	do(v.SetLabel("faulty"))
	do(v.Close())
	return errors.Join(all...)
}

// TestFaults lets each write and each flush fail, in turn. What is on the
// device then is what a power cut may leave, and the error is not hidden.
func TestFaults(t *testing.T) {
	for _, typ := range []int{12, 32} {
		original := image(t, newPatient(t, typ).dev)
		count := fault.New(mem.FromBytes(original))
		if err := faulty(count); err != nil {
			t.Fatal(err)
		}
		const ops = fault.Write | fault.Zero | fault.Flush
		for k := 1; k <= count.Count(ops); k++ {
			dev := mem.FromBytes(original)
			err := faulty(fault.New(dev, fault.Rule{Ops: ops, At: k}))
			if !errors.Is(err, fault.ErrInjected) {
				t.Fatalf("operation %d of %d failed, and the volume says %v", k, count.Count(ops), err)
			}
			checkHarmless(t, dev)
			if t.Failed() {
				t.Fatalf("after operation %d of %d failed: %v", k, count.Count(ops), err)
			}
		}
	}
}

// TestReadFaults lets each read fail, in turn.
func TestReadFaults(t *testing.T) {
	original := image(t, newPatient(t, 16).dev)
	count := fault.New(mem.FromBytes(original))
	if err := faulty(count); err != nil {
		t.Fatal(err)
	}
	for k := 1; k <= count.Count(fault.Read); k++ {
		dev := mem.FromBytes(original)
		if err := faulty(fault.New(dev, fault.Rule{Ops: fault.Read, At: k})); !errors.Is(err, fault.ErrInjected) {
			t.Fatalf("read %d of %d failed, and the volume says %v", k, count.Count(fault.Read), err)
		}
		checkHarmless(t, dev)
		if t.Failed() {
			t.Fatalf("after read %d of %d failed", k, count.Count(fault.Read))
		}
	}
}
