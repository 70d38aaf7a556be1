package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
	"github.com/fatkit/fatkit/test/tools"
)

// TestCompressionBomb reads clusters whose data would become forty mebibytes: what
// comes out is a cluster, and the memory stays small.
func TestCompressionBomb(t *testing.T) {
	const bomb = 40 << 20
	zeroes := make([]byte, 1<<20)
	var deflated, framed bytes.Buffer
	w, err := flate.NewWriter(&deflated, 1)
	must(t, err)
	z, err := zstd.NewWriter(&framed, zstd.WithWindowSize(32<<20), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	must(t, err)
	for range bomb / len(zeroes) {
		_, err = w.Write(zeroes)
		must(t, err)
		_, err = z.Write(zeroes)
		must(t, err)
	}
	must(t, w.Close())
	must(t, z.Close())
	for _, c := range []struct {
		typ  qcow2fmt.Compression
		data []byte
	}{{qcow2fmt.CompressionDeflate, deflated.Bytes()}, {qcow2fmt.CompressionZstd, framed.Bytes()}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		dst := make([]byte, 64<<10, 128<<10)
		err := decompress(dst, c.data, c.typ)
		runtime.ReadMemStats(&after)
		if err == nil && len(bytes.Trim(dst, "\x00")) > 0 || len(bytes.Trim(dst[:cap(dst)][len(dst):], "\x00")) > 0 {
			t.Errorf("%v: wrong bytes", c.typ)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 20<<20 {
			t.Errorf("%v: %d bytes were allocated", c.typ, n)
		}
	}
}

// full is an image of QEMU's with a snapshot, a bitmap and a compressed
// cluster, to be damaged.
type full struct {
	damaged
	snapshotL1, bitmapTable int64
	packed                  int64 // offset of the entry of the compressed cluster
}

func newFull(t testing.TB) *full {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	tools.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
	tools.Run(t, "qemu-img", "bitmap", "--add", "-g", "512", path, "marks")
	tools.Run(t, "qemu-io", "-f", "qcow2", "-c", "write -P 7 0 300k", "-c", "write -c -P 8 1M 64k", path)
	tools.Run(t, "qemu-img", "bitmap", "--disable", path, "marks")
	tools.Run(t, "qemu-img", "snapshot", "-c", "one", path)
	tools.Run(t, "qemu-io", "-f", "qcow2", "-c", "write -P 9 64k 64k", path)
	p, err := os.ReadFile(path)
	must(t, err)
	f := &full{damaged: damaged{p: p}}
	f.refTable, f.l1 = int64(f.get(48)), int64(f.get(40))
	f.l2 = int64(f.get(f.l1)&^(1<<63)) & (1<<56 - 1)
	f.refcountBlockStart = int64(f.get(f.refTable))
	f.snapshotL1 = int64(f.get(int64(f.get(64))))
	f.packed = f.l2 + 16*8
	hdr, err := qcow2fmt.DecodeHeader(p)
	must(t, err)
	must(t, hdr.DecodeArea(p[:1<<16]))
	list, err := readBitmaps(newContainer(mem.FromBytes(p)), hdr)
	must(t, err)
	f.bitmapTable = int64(list[0].TableOffset)
	if f.get(f.packed)&(1<<62) == 0 || f.get(f.bitmapTable) == 0 {
		t.Fatal("the image is not what it should be")
	}
	return f
}

// TestCheckAndRepairAll damages what belongs to snapshots, bitmaps and
// compressed clusters.
func TestCheckAndRepairAll(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	sound := newFull(t)
	for _, c := range []struct {
		name, code string
		sameAs     bool // qemu-img counts the same
		keepsOne   bool // the snapshot is whole after the repair
		remains    bool // nobody can tell which of two uses is right
		change     func(f *full)
	}{
		{"none", "", true, true, false, func(*full) {}},
		{"snapshot-l1-outside", CodeOutside, false, false, false, func(f *full) { f.put(f.snapshotL1, 1<<50) }},
		{"snapshot-l1-misaligned", CodeMisaligned, false, false, false, func(f *full) { f.put(f.snapshotL1, f.get(f.snapshotL1)+512) }},
		{"snapshot-l1-reserved", CodeReservedBits, false, true, false, func(f *full) { f.put(f.snapshotL1, f.get(f.snapshotL1)|1) }},
		{"shared-counted-once", CodeRefcountLow, true, true, false, func(f *full) { f.putRefcount(f.dataCluster(0), 1) }},
		{"shared-counted-thrice", CodeLeak, true, true, false, func(f *full) { f.putRefcount(f.dataCluster(0), 3) }},
		{"shared-copied", CodeCopiedFlag, true, true, false, func(f *full) { f.put(f.l2, f.get(f.l2)|1<<63) }},
		{"compressed-outside", CodeOutside, false, true, false, func(f *full) { f.put(f.packed, 1<<62|1<<50) }},
		{"compressed-on-header", CodeOverlap, false, true, true, func(f *full) { f.put(f.packed, 1<<62|100) }},
		{"compressed-not-counted", CodeRefcountLow, true, true, false, func(f *full) { f.putRefcount(int64(f.get(f.packed)&(1<<54-1))>>16, 0) }},
		{"bitmap-outside", CodeOutside, false, true, false, func(f *full) { f.put(f.bitmapTable, 1<<50) }},
		{"bitmap-reserved", CodeReservedBits, false, true, false, func(f *full) { f.put(f.bitmapTable, f.get(f.bitmapTable)|2) }},
		{"bitmap-not-counted", CodeRefcountLow, true, true, false, func(f *full) { f.putRefcount(int64(f.get(f.bitmapTable))>>16, 0) }},
		{"bitmap-on-l1", CodeOverlap, false, true, false, func(f *full) { f.put(f.bitmapTable, uint64(f.l1)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := *sound
			f.p = bytes.Clone(sound.p)
			c.change(&f)
			path := filepath.Join(t.TempDir(), "disk.qcow2")
			must(t, os.WriteFile(path, f.p, 0o600))
			r := checkFile(t, path)
			if c.sameAs {
				agreeWithQEMU(t, path)
			}
			if c.code != "" && !slices.ContainsFunc(r.Findings, func(f diskerr.Finding) bool { return f.Code == c.code }) || c.code == "" && !r.Clean() {
				t.Fatalf("want %q in %s", c.code, brief(r))
			}
			dev := mem.FromBytes(f.p)
			_, err := Repair(t.Context(), dev, RepairAll)
			must(t, err)
			must(t, os.WriteFile(path, bytesOf(t, dev), 0o600))
			if c.remains {
				if r := checkFile(t, path); r.Overlaps == 0 || r.Leaks > 0 {
					t.Fatalf("after the repair: %s", brief(r))
				}
				return
			}
			if r := agreeWithQEMU(t, path); !r.Clean() {
				t.Fatalf("after the repair: %s", brief(r))
			}
			if c.keepsOne {
				img := openFile(t, path, Options{Snapshot: "one"})
				want := append(bytes.Repeat([]byte{7}, 300<<10), make([]byte, 8<<20-300<<10)...)
				copy(want[1<<20:], bytes.Repeat([]byte{8}, 64<<10))
				sameContents(t, img, want)
				must(t, img.Close())
			}
			if !testing.Short() { // the race detector sees enough of it elsewhere
				usable(t, dev)
			}
		})
	}
}

// TestEndlessTables opens, reads and checks images whose tables refer to
// themselves and to each other as often as they can.
func TestEndlessTables(t *testing.T) {
	began := time.Now()
	for _, size := range []int64{512, 64 << 10} {
		dev := mem.New(0)
		must(t, Create(dev, 1<<30, CreateOptions{ClusterBytes: size}))
		p := bytesOf(t, dev)
		l1, entries := int64(binary.BigEndian.Uint64(p[40:])), int64(binary.BigEndian.Uint32(p[36:]))
		for i := range entries { // every L2 table is the L1 table
			binary.BigEndian.PutUint64(p[l1+i*8:], 1<<63|uint64(l1))
		}
		bad := mem.FromBytes(p)
		r, err := Check(t.Context(), bad)
		must(t, err)
		if r.Clean() {
			t.Errorf("clusters of %d: nothing was found", size)
		}
		img, err := Open(unclosed{bad}, Options{})
		must(t, err)
		if _, err := img.WriteAt(make([]byte, 1<<20), 0); err == nil {
			t.Errorf("clusters of %d: a table was written to as data", size)
		}
		_, _ = img.ReadAt(make([]byte, 1<<20), 0) // whatever it says, it ends
		_ = img.Close()
		_, err = Repair(t.Context(), bad, RepairAll)
		must(t, err)
		if r, err = Check(t.Context(), bad); err != nil || !r.Clean() {
			t.Errorf("clusters of %d, after the repair: %v, %s", size, err, brief(r))
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	for _, field := range []int{36, 56, 60} { // l1_size, refcount_table_clusters, nb_snapshots
		dev := mem.New(0)
		must(t, Create(dev, 1<<20, CreateOptions{}))
		p := bytesOf(t, dev)
		binary.BigEndian.PutUint32(p[field:], 1<<31-1)
		if _, err := Open(mem.FromBytes(p), Options{}); !errors.Is(err, diskerr.ErrCorrupt) {
			t.Errorf("a huge number at %d: %v", field, err)
		}
	}
}
