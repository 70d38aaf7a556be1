package fat_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
)

// patches turns a volume into a hostile one: the input is a list of places in
// its metadata and what to write there.
func patches(dev *mem.Device, input []byte) {
	for len(input) >= 4 {
		// Three bytes of place: the low quarter of them hits the boot sector,
		// FATs and root, which is where it matters.
		off := (int64(input[0]) | int64(input[1])<<8 | int64(input[2]&0x0F)<<16) % dev.Size()
		n := min(int(input[3]%8)+1, len(input)-4, int(dev.Size()-off))
		if _, err := dev.WriteAt(input[4:4+n], off); err != nil {
			panic(err)
		}
		input = input[4+n:]
	}
}

// fuzzVolume makes the volume that is damaged, of one type.
func fuzzVolume(t testing.TB, kind byte) *mem.Device {
	return newPatient(t, []int{12, 16, 32}[kind%3]).dev
}

func fuzzSeeds(f *testing.F) {
	f.Add(byte(0), []byte{})
	f.Add(byte(0), []byte{13, 0, 0, 0, 0})                        // cluster size 0
	f.Add(byte(1), []byte{22, 0, 0, 1, 0xFF, 0xFF})               // a huge FAT
	f.Add(byte(2), []byte{44, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0x0F})   // root nowhere
	f.Add(byte(0), []byte{3, 2, 0, 7, 3, 0x40, 0, 3, 0x40, 0, 1}) // loops in FAT12
	f.Add(byte(1), []byte{4, 2, 0, 5, 2, 0, 3, 0, 2, 0})
	f.Add(byte(2), []byte{0x20, 0xA0, 8, 7, 'X', 'X', 0x10, 0, 0, 0, 0, 2})
	f.Add(byte(1), []byte("\x00\x22\x01\x07DIR\x00\x00\x00\x00\x00"))
}

// FuzzWalk opens hostile volumes and reads all that they show.
func FuzzWalk(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, kind byte, input []byte) {
		dev := fuzzVolume(t, kind)
		patches(dev, input)
		v, err := fat.Open(dev, fat.Options{WriteBack: -1})
		if err != nil {
			if !errors.Is(err, diskerr.ErrCorrupt) && !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("Open gives %v, which names no field", err)
			}
			return
		}
		defer v.Close()
		readAll(t, v)
		changeAll(v)
		v.Sync()
	})
}

// maxSeen bounds a walk of the small volume: a damaged one can show a directory
// in several places, but not without end.
const maxSeen = 5000

// readAll reads a tree that may be damaged anywhere.
func readAll(t *testing.T, v *fat.Volume) {
	seen := 0
	fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if seen++; seen > maxSeen {
			t.Fatalf("the tree has no end")
		}
		if err != nil || d.IsDir() {
			return nil
		}
		in, err := v.Open(name)
		if err != nil {
			return nil
		}
		defer in.Close()
		n, err := io.CopyN(io.Discard, in, 1<<20)
		if info, serr := in.Stat(); serr == nil && n > info.Size() {
			t.Fatalf("%s has %d bytes and reads %d (%v)", name, info.Size(), n, err)
		}
		return nil
	})
}

// changeAll changes a tree that may be damaged anywhere.
func changeAll(v *fat.Volume) {
	vfs.WriteFile(v, "a new file with a long name", make([]byte, 5000), 0o666)
	vfs.MkdirAll(v, "dir/new/deeper", 0o777)
	v.Rename("dir/c", "other/moved here")
	v.Rename("other", "dir/other")
	v.Remove("b")
	vfs.WriteFile(v, "a", make([]byte, 100), 0o666)
	v.SetLabel("FUZZED")
	v.Usage()
}

// FuzzCheck checks hostile volumes without repair: nothing may change.
func FuzzCheck(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, kind byte, input []byte) {
		dev := fuzzVolume(t, kind)
		patches(dev, input)
		before := image(t, dev)
		_, err := fat.Check(t.Context(), dev, fat.CheckOptions{Now: fixed})
		if err != nil && !expected(err) {
			t.Fatal(err)
		}
		if string(before) != string(image(t, dev)) {
			t.Fatal("a check without repair changed the volume")
		}
	})
}

// expected reports whether Check may fail so: nothing tells where the volume
// is.
func expected(err error) bool {
	return errors.Is(err, diskerr.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported)
}

// FuzzRepair repairs hostile volumes: the result is clean, and can be mounted
// and read without an error.
func FuzzRepair(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, kind byte, input []byte) {
		dev := fuzzVolume(t, kind)
		patches(dev, input)
		first, err := fat.Check(t.Context(), dev, fat.CheckOptions{Repair: true, Now: fixed})
		if err != nil {
			if !expected(err) {
				t.Fatal(err)
			}
			return
		}
		again, err := fat.Check(t.Context(), dev, fat.CheckOptions{Now: fixed})
		if err != nil {
			t.Fatalf("after a repair: %v", err)
		}
		if !again.Clean() && first.Clean() {
			t.Fatalf("found at first:\n%safter the repair:\n%s", findings(first), findings(again))
		}
		readSound(t, dev, again)
	})
}

// readSound reads a volume in which nothing is wrong.
func readSound(t *testing.T, dev block.Device, r *fat.CheckResult) {
	v, err := fat.Open(dev, fat.Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("after a repair: %v", err)
	}
	defer v.Close()
	if !r.Clean() {
		return
	}
	seen := 0
	err = fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if seen++; seen > maxSeen {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		in, err := v.Open(name)
		if err != nil {
			return err
		}
		defer in.Close()
		if n, err := io.Copy(io.Discard, in); err != nil || n != info.Size() {
			return fmt.Errorf("%s has %d bytes and reads %d: %w", name, info.Size(), n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("after a repair: %v", err)
	}
}
