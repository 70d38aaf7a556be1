package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/diskerr"
)

// folders returns folders on the file systems at hand: the one of temporary
// files, and one in memory where there is one.
func folders(t testing.TB) map[string]string {
	out := map[string]string{"disk": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "fatkit-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		out["memory"] = dir
	}
	return out
}

func TestConformance(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "image")
			open := func(t testing.TB) block.Device {
				d, err := Create(path, 5<<20+300, Options{Overwrite: true, Lock: true})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			reopen := func(t testing.TB) block.Device {
				d, err := Open(path, Options{})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			blocktest.Run(t, open, blocktest.Options{Reopen: reopen})
		})
	}
}

func TestConformanceReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	data := make([]byte, 2<<20)
	copy(data[1<<20:], bytes.Repeat([]byte("fatkit"), 20000))
	if err := os.WriteFile(path, data, 0o444); err != nil {
		t.Fatal(err)
	}
	open := func(t testing.TB) block.Device {
		d, err := Open(path, Options{ReadOnly: true, Lock: true})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	blocktest.Run(t, open, blocktest.Options{ReadOnly: true})
}

// What an old or foreign host lacks falls back to what every host has.
func TestConformanceTemp(t *testing.T) {
	for name, dir := range folders(t) {
		t.Run(name, func(t *testing.T) {
			open := func(t testing.TB) block.Device {
				d, err := CreateTemp(dir, 3<<20)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			blocktest.Run(t, open, blocktest.Options{})
			if left, _ := filepath.Glob(filepath.Join(dir, "fatkit-*")); len(left) > 0 {
				t.Errorf("temporary files are left: %v", left)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "image")
	if _, err := Open(path, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Open(dir, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder: %v", err)
	}
	d, err := Create(path, 100, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, err := Create(path, 100, Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("existing file: %v", err)
	}
	if _, err := Create(path+"2", 100, Options{ReadOnly: true}); !errors.Is(err, diskerr.ErrReadOnly) {
		t.Errorf("read-only creation: %v", err)
	}
	if _, err := Create(path+"3", -1, Options{}); !errors.Is(err, diskerr.ErrOutOfRange) {
		t.Errorf("negative size: %v", err)
	}
	if _, err := os.Stat(path + "3"); err == nil {
		t.Error("a failed creation left a file")
	}
}

// A file that others shorten gives an error, not a regular end.
func TestShortenedByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	d, err := Create(path, 10000, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 6000)
	if n, err := d.ReadAt(p, 0); n != 5000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	if _, err := d.ReadAtCached(p, 0); !errors.Is(err, block.ErrWouldBlock) {
		t.Errorf("ReadAtCached: %v", err)
	}
	ext, err := block.AppendExtents(d, nil, 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, e := range ext {
		sum += e.Len
	}
	if sum != 10000 {
		t.Errorf("extents cover %d bytes: %v", sum, ext)
	}
}

func TestResize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	d, err := Create(path, 1000, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.WriteAt(bytes.Repeat([]byte{1}, 1000), 0); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{500, 2000} {
		if err := d.Resize(size); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size || d.Size() != size {
			t.Fatalf("size %d: the file has %v, the device %d", size, info.Size(), d.Size())
		}
	}
	got := make([]byte, 2000)
	if err := block.ReadFull(d, got, 0); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 2000)
	copy(want, bytes.Repeat([]byte{1}, 500))
	if !bytes.Equal(got, want) {
		t.Error("what was cut off came back")
	}
}

// After a failed sync nothing is written any more, and everybody is told.
func TestFailedSync(t *testing.T) {
	d, err := CreateTemp(t.TempDir(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt([]byte("abc"), 0); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("bad disk")
	_ = d.fail(bad)
	for name, call := range map[string]func() error{
		"Flush":       d.Flush,
		"WriteAt":     func() error { _, err := d.WriteAt([]byte("x"), 0); return err },
		"WriteAtFUA":  func() error { _, err := d.WriteAtFUA([]byte("x"), 0); return err },
		"WriteZeroes": func() error { return d.WriteZeroes(0, 1, 0) },
		"Discard":     func() error { return d.Discard(0, 1) },
	} {
		if err := call(); !errors.Is(err, bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var got [3]byte
	if _, err := d.ReadAt(got[:], 0); err != nil || string(got[:]) != "abc" {
		t.Errorf("ReadAt: %q, %v", got, err)
	}
	if err := d.Close(); !errors.Is(err, bad) {
		t.Errorf("Close: %v", err)
	}
}

func BenchmarkReadAtCached4K(b *testing.B) {
	for name, dir := range folders(b) {
		b.Run(name, func(b *testing.B) {
			d, err := Create(filepath.Join(dir, "image"), 1<<20, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			if _, err := d.WriteAt(bytes.Repeat([]byte{1}, 1<<20), 0); err != nil {
				b.Fatal(err)
			}
			p := make([]byte, 4096)
			b.SetBytes(4096)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := d.ReadAtCached(p, int64(i%256)*4096); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriteAtFUA4K(b *testing.B) {
	d, err := Create(filepath.Join(b.TempDir(), "image"), 1<<20, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	p := make([]byte, 4096)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := d.WriteAtFUA(p, int64(i%256)*4096); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A file that is written behind holds the same bytes, and its host is told of
// them in time.
func TestWriteBehind(t *testing.T) {
	d, err := Create(filepath.Join(t.TempDir(), "disk"), 1<<20, Options{WriteBehind: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := bytes.Repeat([]byte("written behind. "), 1<<16)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range behindBytes>>20 + 4 {
				if _, err := d.WriteAt(p, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := d.behind.written.Load(); n > behindBytes {
		t.Errorf("%d bytes were written and the host was not told", n)
	}
	got := make([]byte, len(p))
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, p) {
		t.Errorf("other bytes come back, %v", err)
	}
	if err := d.Flush(); err != nil {
		t.Error(err)
	}
}
