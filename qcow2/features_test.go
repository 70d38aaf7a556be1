package qcow2

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
	"github.com/fatkit/fatkit/test/tools"
)

// TestLazyRefcounts opens an image that a crash of QEMU left dirty.
func TestLazyRefcounts(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	tools.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "8M")
	tools.Try(t, "qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", "-c", "flush", "-c", "abort", path)
	want := append(bytes.Repeat([]byte{7}, 1<<20), make([]byte, 7<<20)...)

	dev, err := file.Open(path, file.Options{})
	must(t, err)
	if _, err := Open(dev, Options{}); !errors.Is(err, diskerr.ErrDirty) {
		t.Fatalf("a dirty image opens for writing: %v", err)
	}
	before, err := Check(t.Context(), dev)
	must(t, err)
	if before.Corruptions == 0 {
		t.Fatalf("QEMU left nothing to repair: %s", brief(before))
	}
	r, err := Repair(t.Context(), dev, RepairAll)
	must(t, err)
	if r.Corruptions+r.Leaks > 0 || r.CorruptionsFixed != before.Corruptions {
		t.Fatalf("%s", brief(r))
	}
	must(t, dev.Close())
	if r := agreeWithQEMU(t, path); !r.Clean() {
		t.Fatalf("%s", brief(r))
	}
	runModelOn(t, path, Options{}, want, 1, 30)
}

// TestBitmaps writes to an image with persistent bitmaps: a disabled one stays
// good, an enabled one is marked, and neither leaks.
func TestBitmaps(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	tools.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
	tools.Run(t, "qemu-img", "bitmap", "--add", "--enable", path, "on")
	tools.Run(t, "qemu-io", "-f", "qcow2", "-c", "write -P 1 1M 1M", path)
	tools.Run(t, "qemu-img", "bitmap", "--add", "--disable", path, "off")

	dev, err := file.Open(path, file.Options{ReadOnly: true})
	must(t, err)
	info, err := Stat(dev)
	must(t, err)
	must(t, dev.Close())
	if len(info.Bitmaps) != 2 || info.Bitmaps[0].Name != "on" || info.Bitmaps[0].Flags != qcow2fmt.BitmapAuto {
		t.Fatalf("bitmaps are %+v", info.Bitmaps)
	}
	img := openFile(t, path, Options{})
	_, err = img.WriteAt([]byte("changed"), 5<<20)
	must(t, err)
	must(t, img.Close())
	if r := agreeWithQEMU(t, path); !r.Clean() {
		t.Fatalf("%s", brief(r))
	}
	var theirs struct {
		Specific struct {
			Data struct {
				Bitmaps []struct {
					Name  string
					Flags []string
				}
			}
		} `json:"format-specific"`
	}
	must(t, json.Unmarshal([]byte(tools.Run(t, "qemu-img", "info", "--output=json", path)), &theirs))
	for _, b := range theirs.Specific.Data.Bitmaps {
		if slices.Contains(b.Flags, "in-use") != (b.Name == "on") {
			t.Errorf("qemu-img sees %+v", b)
		}
	}
	if len(theirs.Specific.Data.Bitmaps) != 2 {
		t.Errorf("qemu-img sees %+v", theirs)
	}
}

// TestUnknownAutoclear sets an autoclear bit that nobody knows: it goes before
// the first write and stays if there is none.
func TestUnknownAutoclear(t *testing.T) {
	img, dev := newMemory(t, 1<<20, CreateOptions{}, Options{})
	must(t, img.finish())
	p := bytesOf(t, dev)
	p[88] = 0x40
	for _, write := range []bool{false, true} {
		dev := unclosed{mem.FromBytes(p)}
		img, err := Open(dev, Options{})
		must(t, err)
		if write {
			_, err := img.WriteAt([]byte{1}, 0)
			must(t, err)
		}
		must(t, img.Close())
		hdr, err := readHeader(dev)
		must(t, err)
		if (hdr.Autoclear == 0) != write {
			t.Errorf("written %t: autoclear is %#x", write, hdr.Autoclear)
		}
	}
}

// TestRefused opens what is valid and not handled, and what is no image.
func TestRefused(t *testing.T) {
	img, dev := newMemory(t, 1<<20, CreateOptions{}, Options{})
	must(t, img.finish())
	good := bytesOf(t, dev)
	for _, c := range []struct {
		name   string
		change func(p []byte)
		want   error
	}{
		{"AES encryption", func(p []byte) { p[35] = 1 }, errors.ErrUnsupported},
		{"LUKS encryption", func(p []byte) { p[35] = 2 }, errors.ErrUnsupported},
		{"external data file", func(p []byte) { p[79] |= 4 }, errors.ErrUnsupported},
		{"incompatible feature bit 62", func(p []byte) { p[72] |= 0x40 }, errors.ErrUnsupported},
		{"magic", func(p []byte) { p[0] = 0 }, diskerr.ErrCorrupt},
		{"L1 table", func(p []byte) { copy(p[40:48], []byte{0, 0x10, 0, 0, 0, 0, 0, 0}) }, diskerr.ErrCorrupt},
		{"refcount table", func(p []byte) { copy(p[48:56], []byte{0, 0x10, 0, 0, 0, 0, 0, 0}) }, diskerr.ErrCorrupt},
	} {
		p := slices.Clone(good)
		c.change(p)
		_, err := Open(mem.FromBytes(p), Options{})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, n := range []int{0, 1, 71, 72, 103, 104, 512, 1 << 16, 3 << 16} {
		if _, err := Open(mem.FromBytes(good[:n]), Options{}); !errors.Is(err, diskerr.ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := Open(mem.FromBytes(good), Options{Snapshot: "none"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a snapshot that is not there: %v", err)
	}
}

// TestCreateRefuses asks for images that cannot be.
func TestCreateRefuses(t *testing.T) {
	for _, o := range []CreateOptions{
		{ClusterBytes: 256}, {ClusterBytes: 4 << 20}, {ClusterBytes: 3000}, {RefcountBits: 3}, {RefcountBits: 128},
		{Version: 1}, {Version: 4}, {Version: 2, ExtendedL2: true}, {Version: 2, RefcountBits: 8}, {Version: 2, LazyRefcounts: true},
		{Version: 2, Compression: qcow2fmt.CompressionZstd}, {ClusterBytes: 8 << 10, ExtendedL2: true},
		{BackingName: strings.Repeat("x", 1024)}, {ClusterBytes: 512, BackingName: strings.Repeat("x", 500)},
		{ExtraL1: 1 << 30},
	} {
		if err := Create(mem.New(0), 1<<20, o); err == nil {
			t.Errorf("%+v was made", o)
		}
	}
	if err := Create(mem.New(0), -1, CreateOptions{}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative size: %v", err)
	}
	if err := Create(mem.New(0), 1<<40, CreateOptions{ClusterBytes: 512}); !errors.Is(err, diskerr.ErrNoSpace) {
		t.Errorf("too large: %v", err)
	}
}

// TestFarOffsets writes at the ends of a disk of 1 TiB, whose file stays small.
func TestFarOffsets(t *testing.T) {
	for _, v := range variants {
		if v.o.ClusterBytes == 512 || v.o.ClusterBytes == 4096 {
			continue
		}
		const size = 1 << 40
		dev := unclosed{mem.New(0)}
		must(t, Create(dev, size, v.o))
		for range 2 {
			img, err := Open(dev, Options{})
			must(t, err)
			for _, off := range []int64{0, size / 3, size - 7} {
				p := []byte(fmt.Sprintf("%07d", off%1e7))
				got := make([]byte, 7)
				_, err := img.WriteAt(p, off)
				must(t, err)
				_, err = img.ReadAt(got, off)
				must(t, err)
				if !bytes.Equal(got, p) {
					t.Errorf("%s: at %d %q, want %q", v.name, off, got, p)
				}
			}
			must(t, img.Close())
		}
		r, err := Check(t.Context(), dev)
		must(t, err)
		if !r.Clean() || dev.Size() > 40<<20 {
			t.Errorf("%s: %d bytes, %s", v.name, dev.Size(), brief(r))
		}
	}
}

// TestPreallocate gives places to a disk that holds something already.
func TestPreallocate(t *testing.T) {
	tried := variants
	if testing.Short() {
		tried = variants[:2]
	}
	for _, v := range tried {
		for kind := PreallocateOff; kind <= PreallocateFull; kind++ {
			const size = 5<<20 + 512
			path := newFile(t, size, v.o)
			img := openFile(t, path, Options{})
			want := make([]byte, size)
			copy(want[1<<20:], bytes.Repeat([]byte("data"), 5000))
			_, err := img.WriteAt(want[1<<20:2<<20], 1<<20)
			must(t, err)
			must(t, img.WriteZeroes(3<<20, 100<<10, 0))
			must(t, img.Preallocate(t.Context(), 0, size, kind))
			sameContents(t, img, want)
			own, err := img.AppendMap(nil, 0, size)
			must(t, err)
			if kind != PreallocateOff && slices.ContainsFunc(own, func(e MapExtent) bool { return e.State != Data }) {
				t.Errorf("%s, %v: %+v", v.name, kind, own)
			}
			must(t, img.Close())
			if r := checkFile(t, path); !r.Clean() {
				t.Errorf("%s, %v: %s", v.name, kind, brief(r))
			}
			judgeContents(t, path, want)
		}
	}
	if _, err := ParsePreallocation("some"); err == nil {
		t.Error("an unknown kind was parsed")
	}
}

// TestPreallocatePart gives places to what a disk gained, over a backing file
// as well, where nothing of that shows.
func TestPreallocatePart(t *testing.T) {
	for _, backed := range []bool{false, true} {
		o := CreateOptions{}
		if backed {
			o.BackingName, o.BackingFormat = "base.raw", "raw"
		}
		path := newFile(t, 1<<20, o)
		must(t, os.WriteFile(filepath.Join(filepath.Dir(path), "base.raw"), bytes.Repeat([]byte{9}, 2<<20), 0o600))
		img := openFile(t, path, Options{})
		want := bytesOf(t, img)
		must(t, img.Resize(4<<20))
		must(t, img.Preallocate(t.Context(), 1<<20, 3<<20, PreallocateFalloc))
		if err := img.Preallocate(t.Context(), 0, 1<<20, PreallocateFalloc); backed != errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("backed %t: %v", backed, err)
		}
		sameContents(t, img, append(want, make([]byte, 3<<20)...))
		must(t, img.Close())
		if r := agreeWithQEMU(t, path); !r.Clean() || r.AllocatedClusters < 48 {
			t.Errorf("backed %t: %s", backed, brief(r))
		}
	}
}

// fixedSize is a device that cannot be made larger or smaller, as a block device
// is one.
type fixedSize struct{ *mem.Device }

func (fixedSize) Resize(int64) error { return errors.ErrUnsupported }

// TestFixedSize puts images where something else was.
func TestFixedSize(t *testing.T) {
	for _, v := range fewVariants() {
		store := mem.FromBytes(bytes.Repeat([]byte{0xdb}, 14<<20))
		must(t, Create(fixedSize{store}, 1<<20, v.o))
		img, err := Open(fixedSize{store}, Options{})
		must(t, err)
		want := mixedDisk(1 << 20)
		must(t, Fill(t.Context(), img, want, FillOptions{TargetIsZero: true}))
		sameContents(t, img, bytesOf(t, want))
		must(t, img.Flush())
		must(t, img.finish())
		path := filepath.Join(t.TempDir(), "disk.qcow2")
		must(t, os.WriteFile(path, bytesOf(t, store), 0o600))
		judgeContents(t, path, bytesOf(t, want))
		if err := Create(fixedSize{mem.New(1 << 10)}, 1<<20, v.o); !errors.Is(err, diskerr.ErrNoSpace) {
			t.Errorf("%s: on a device that is too small: %v", v.name, err)
		}
	}
}

// TestFileLimit fills an image up to a limit: writes are refused with
// diskerr.ErrNoSpace, what was written stays writable, and the image is sound.
func TestFileLimit(t *testing.T) {
	for mode := range CacheMode(2) {
		dev := unclosed{mem.New(0)}
		must(t, Create(dev, 64<<20, CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}))
		const limit = 3 << 20
		img, err := Open(dev, Options{Mode: mode, MaxFileBytes: limit})
		must(t, err)
		p := bytes.Repeat([]byte{1}, 16<<10)
		full := int64(0)
		for off := int64(0); ; off += int64(len(p)) {
			if _, err := img.WriteAt(p, off); err != nil {
				if !errors.Is(err, diskerr.ErrNoSpace) {
					t.Fatal(err)
				}
				full = off
				break
			}
		}
		if full < limit*8/10 {
			t.Errorf("mode %d: only %d bytes found room", mode, full)
		}
		_, err = img.WriteAt(bytes.Repeat([]byte{2}, int(full)), 0)
		must(t, err)
		must(t, img.Flush())
		must(t, img.Discard(0, full/2)) // makes room, after a flush
		must(t, img.Flush())
		_, err = img.WriteAt(p, 60<<20)
		must(t, err)
		must(t, img.Close())
		r, err := Check(t.Context(), dev)
		must(t, err)
		if !r.Clean() || dev.Size() > limit {
			t.Errorf("mode %d: %d bytes, %s", mode, dev.Size(), brief(r))
		}
	}
}
