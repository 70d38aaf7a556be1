package file

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
)

// A host that can do nothing special passes the same suite.
func TestConformanceWithoutHelp(t *testing.T) {
	open := func(t testing.TB) block.Device {
		d, err := CreateTemp(t.TempDir(), 3<<20)
		if err != nil {
			t.Fatal(err)
		}
		s := &d.sys
		s.memory = false
		s.noPunch.Store(true)
		s.noZero.Store(true)
		s.noCached.Store(true)
		s.noDurable.Store(true)
		s.noExtents.Store(true)
		d.limits = block.Limits{}
		return d
	}
	blocktest.Run(t, open, blocktest.Options{})
}

func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, writer := Options{ReadOnly: true, Lock: true}, Options{Lock: true}
	cases := []struct {
		name          string
		first, second Options
		want          error
	}{
		{"readers share", reader, reader, nil},
		{"a writer shuts out readers", writer, reader, ErrLocked},
		{"a reader shuts out writers", reader, writer, ErrLocked},
		{"a writer shuts out writers", writer, writer, ErrLocked},
		{"who locks nothing is let in", writer, Options{}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := Open(path, c.first)
			if err != nil {
				t.Fatal(err)
			}
			segs, err := block.AppendSegments(a, nil, 0, 512)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Open(path, c.second)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err == nil {
				b.Close()
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			// The lock is gone although a segment keeps the file open.
			if b, err = Open(path, writer); err != nil {
				t.Fatal(err)
			}
			b.Close()
			block.ReleaseAll(segs)
		})
	}
}

// QEMU's own locks count as those of a writer or a reader.
func TestLocksOfQEMU(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_RDLCK, Start: qemuWriter, Len: 1}
	if err := setLock(f, &l); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Lock: true}, {Lock: true, ReadOnly: true}} {
		if _, err := Open(path, o); !errors.Is(err, ErrLocked) {
			t.Errorf("beside a writer, %+v: %v", o, err)
		}
	}
}

// Holes are told, made and kept where the file system knows them.
func TestHoles(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			d, err := CreateTemp(dir, 16<<20)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if !d.Limits().Discard || !d.Limits().Extents {
				t.Skipf("this file system knows no holes: %+v", d.Limits())
			}
			if _, err := d.WriteAt(bytes.Repeat([]byte{1}, 4<<20), 4<<20); err != nil {
				t.Fatal(err)
			}
			if err := block.WriteZeroes(d, 5<<20, 1<<20, block.FastOnly); err != nil {
				t.Fatal(err)
			}
			if err := block.Discard(d, 7<<20, 1<<20); err != nil {
				t.Fatal(err)
			}
			const hole = block.Hole | block.Zero
			want := []block.Extent{
				{Off: 0, Len: 4 << 20, Flags: hole}, {Off: 4 << 20, Len: 1 << 20},
				{Off: 5 << 20, Len: 1 << 20, Flags: hole}, {Off: 6 << 20, Len: 1 << 20},
				{Off: 7 << 20, Len: 9 << 20, Flags: hole},
			}
			got, err := block.AppendExtents(d, nil, 0, 16<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("extent %d is %+v, want %+v", i, got[i], want[i])
				}
			}
		})
	}
}
