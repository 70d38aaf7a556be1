package block_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
)

// bare is a device without capabilities, so that the fallbacks do the work.
// Embedding is fine here: the embedded interface has none to promote.
type bare struct{ block.Device }

// blocky is bare with blocks of 512 bytes and small transfers, both enforced.
type blocky struct{ bare }

func (blocky) Limits() block.Limits {
	return block.Limits{MinBlock: 512, PreferredBlock: 4096, MaxTransfer: 16 << 10}
}

func (d blocky) check(p []byte, off int64) error {
	if len(p)%512 != 0 || off%512 != 0 || len(p) > 16<<10 {
		return errors.New("not within the limits")
	}
	return nil
}

func (d blocky) ReadAt(p []byte, off int64) (int, error) {
	if err := d.check(p, off); err != nil {
		return 0, err
	}
	return d.bare.ReadAt(p, off)
}

func (d blocky) WriteAt(p []byte, off int64) (int, error) {
	if err := d.check(p, off); err != nil {
		return 0, err
	}
	return d.bare.WriteAt(p, off)
}

func section(t testing.TB, d block.Device, off, n int64, o block.SectionOptions) block.Device {
	t.Helper()
	s, err := block.NewSection(d, off, n, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	const size = 3<<20 + 512
	stacks := []struct {
		name string
		open func(t testing.TB) block.Device
		o    blocktest.Options
	}{
		{"fallbacks", func(t testing.TB) block.Device { return bare{mem.New(size + 7)} }, blocktest.Options{}},
		{"blocks", func(t testing.TB) block.Device { return blocky{bare{mem.New(size)}} }, blocktest.Options{}},
		{"section", func(t testing.TB) block.Device {
			return section(t, mem.New(3*size), size+1, size-3, block.SectionOptions{CloseDevice: true})
		}, blocktest.Options{}},
		{"section of fallbacks", func(t testing.TB) block.Device {
			return section(t, bare{mem.New(3 * size)}, size+1, size, block.SectionOptions{})
		}, blocktest.Options{}},
		{"section of blocks", func(t testing.TB) block.Device {
			return section(t, blocky{bare{mem.New(3 * size)}}, size, size, block.SectionOptions{})
		}, blocktest.Options{}},
		{"read-only", func(t testing.TB) block.Device {
			d := mem.New(size)
			if _, err := d.WriteAt(bytes.Repeat([]byte("some data "), 1<<17), 1<<20); err != nil {
				t.Fatal(err)
			}
			return block.ReadOnly(d)
		}, blocktest.Options{ReadOnly: true}},
	}
	for _, s := range stacks {
		t.Run(s.name, func(t *testing.T) { blocktest.Run(t, s.open, s.o) })
	}
}

// A section never lets its reader or writer past its own edges.
func TestSectionStaysInside(t *testing.T) {
	d := mem.FromBytes(bytes.Repeat([]byte{0xEE}, 300))
	s := section(t, d, 100, 100, block.SectionOptions{})
	for _, write := range []func() error{
		func() error { return block.WriteZeroes(s, 0, 100, 0) },
		func() error { _, err := s.WriteAt(make([]byte, 100), 0); return err },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 300)
	if err := block.ReadFull(d, got, 0); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{0xEE}, 300)
	clear(want[100:200])
	if !bytes.Equal(got, want) {
		t.Errorf("bytes outside of the section changed")
	}
	for _, r := range [][2]int64{{-1, 10}, {0, 301}, {300, 1}, {10, -1}} {
		if _, err := block.NewSection(d, r[0], r[1], block.SectionOptions{}); !errors.Is(err, diskerr.ErrOutOfRange) {
			t.Errorf("section %v of 300 bytes: %v", r, err)
		}
	}
	if _, err := block.NewSection(blocky{bare{mem.New(4096)}}, 256, 512, block.SectionOptions{}); err == nil {
		t.Error("a section off the device's blocks was allowed")
	}
}

// Closing a section leaves the device open unless it was told otherwise.
func TestSectionClose(t *testing.T) {
	d := mem.New(4096)
	if err := section(t, d, 0, 512, block.SectionOptions{}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatalf("the device was closed with its section: %v", err)
	}
	if err := section(t, d, 0, 512, block.SectionOptions{CloseDevice: true}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err == nil {
		t.Fatal("the device is still open")
	}
}

func TestCursor(t *testing.T) {
	c := block.NewCursor(mem.New(10))
	if n, err := c.Write([]byte("abcdefgh")); n != 8 || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
	if n, err := c.Write([]byte("xyz")); n != 0 || !errors.Is(err, diskerr.ErrOutOfRange) {
		t.Fatalf("Write past the end: %d, %v", n, err)
	}
	if pos, err := c.Seek(-9, io.SeekEnd); pos != 1 || err != nil {
		t.Fatalf("Seek: %d, %v", pos, err)
	}
	if got, err := io.ReadAll(c); string(got) != "bcdefgh\x00\x00" || err != nil {
		t.Fatalf("ReadAll: %q, %v", got, err)
	}
	if _, err := c.Seek(-1, io.SeekStart); err == nil {
		t.Fatal("Seek before the start")
	}
	if pos, err := c.Seek(5, io.SeekCurrent); pos != 15 || err != nil {
		t.Fatalf("Seek past the end: %d, %v", pos, err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("Read past the end: %v", err)
	}
	if _, err := c.Seek(0, 3); err == nil {
		t.Fatal("Seek with whence 3")
	}
}

func TestExtentsMerges(t *testing.T) {
	const chunk = 64 << 10
	d := mem.New(5 << 30) // several windows
	for _, off := range []int64{0, chunk, 1<<30 - chunk, 1 << 30, 4 << 30} {
		if _, err := d.WriteAt([]byte{1}, off); err != nil {
			t.Fatal(err)
		}
	}
	const hole = block.Hole | block.Zero
	want := []block.Extent{
		{Off: 1, Len: 2*chunk - 1}, {Off: 2 * chunk, Len: 1<<30 - 3*chunk, Flags: hole},
		{Off: 1<<30 - chunk, Len: 2 * chunk}, {Off: 1<<30 + chunk, Len: 3<<30 - chunk, Flags: hole},
		{Off: 4 << 30, Len: chunk}, {Off: 4<<30 + chunk, Len: 1<<30 - chunk - 1, Flags: hole},
	}
	var got []block.Extent
	for e, err := range block.Extents(d, 1, 5<<30-2) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("extent %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	for _, err := range block.Extents(d, 5<<30, 1) {
		if !errors.Is(err, diskerr.ErrOutOfRange) {
			t.Errorf("past the end: %v", err)
		}
	}
}

// A source that ends early is an error of the copy, not silence.
func TestWriteFileShortSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := block.WriteFile(mem.New(10), 0, f, 0, 4); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}
