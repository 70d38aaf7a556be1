package vvfat

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
)

// Holes of host files come as zeroes, everything else as ranges of the files,
// and every use of a file is given back.
func TestHoles(t *testing.T) {
	dir := t.TempDir()
	const size = 32 << 20
	writeSparse(t, filepath.Join(dir, "a"), size, map[int64]string{0: "begin", 5<<20 + 77: "middle", 9 << 20: "x", 9<<20 + 50<<10: "near"})
	writeSparse(t, filepath.Join(dir, "b"), size, nil)
	writeSparse(t, filepath.Join(dir, "c"), size, map[int64]string{size - 3: "end"})
	full := bytes.Repeat([]byte{1}, size)
	if err := os.WriteFile(filepath.Join(dir, "full"), full, 0o666); err != nil {
		t.Fatal(err)
	}
	tree, _ := mustScan(t, dir, ScanOptions{})
	d := newDisk(t, tree, Options{FAT: 16}, DiskOptions{})
	const window = 1 << 20
	for _, shift := range []int64{0, 512, 333_333} {
		var zeroes int64
		for off := shift; off < d.Size(); off += window {
			zeroes += compareSegments(t, d, off, min(window, d.Size()-off))
		}
		if zeroes < 3*size-8<<20 {
			t.Errorf("shift %d: only %d bytes are told as zeroes", shift, zeroes)
		}
	}
	for id, f := range d.files.byNode {
		if f.pins != 0 {
			t.Errorf("%s is used %d times after all was released", tree.path(id), f.pins)
		}
	}
}

// writeSparse makes a file of size bytes with little data in it.
func writeSparse(t *testing.T, path string, size int64, data map[int64]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for off, text := range data {
		if _, err := f.WriteAt([]byte(text), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if !hasHoles(f) {
		t.Skip("the file system of the tests keeps no holes")
	}
}

// compareSegments compares the segments of a range with what ReadAt reads and
// returns how many bytes of them are zeroes that nobody has to read.
func compareSegments(t *testing.T, d *Disk, off, n int64) (zeroes int64) {
	t.Helper()
	segs, err := d.AppendSegments(nil, off, n)
	if err != nil {
		t.Fatal(err)
	}
	defer block.ReleaseAll(segs)
	got := make([]byte, 0, n)
	for i := range segs {
		s := &segs[i]
		if s.Data == nil && s.File == nil {
			zeroes += s.Len
		}
		got = got[:int64(len(got))+s.Len]
		if _, err := s.ReadAt(got[int64(len(got))-s.Len:], 0); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]byte, n)
	if err := block.ReadFull(d, want, off); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes at %d: segments and ReadAt differ", n, off)
	}
	return zeroes
}
