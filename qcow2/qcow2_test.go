package qcow2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// variant is a kind of image.
type variant struct {
	name string
	o    CreateOptions
}

// variants are the kinds of images that tests go over.
var variants = []variant{
	{"default", CreateOptions{}},
	{"v2", CreateOptions{Version: 2}},
	{"512", CreateOptions{ClusterBytes: 512}},
	{"512-refcount64", CreateOptions{ClusterBytes: 512, RefcountBits: 64}},
	{"4k-refcount1", CreateOptions{ClusterBytes: 4096, RefcountBits: 1}},
	{"4k-refcount2", CreateOptions{ClusterBytes: 4096, RefcountBits: 2}},
	{"64k-refcount8", CreateOptions{RefcountBits: 8}},
	{"2m", CreateOptions{ClusterBytes: 2 << 20, RefcountBits: 32}},
	{"extended-16k", CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}},
	{"extended-64k", CreateOptions{ExtendedL2: true}},
	{"zstd", CreateOptions{Compression: qcow2fmt.CompressionZstd}},
}

// fewVariants are the variants, or three of them where the race detector looks.
func fewVariants() []variant {
	if testing.Short() {
		return []variant{variants[0], variants[2], variants[8]}
	}
	return variants
}

// fewOps is n operations, or a fifth where the race detector looks.
func fewOps(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

// newFile makes an image in a file.
func newFile(t testing.TB, size int64, o CreateOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	dev, err := file.Create(path, 0, file.Options{})
	must(t, err)
	must(t, Create(dev, size, o))
	must(t, dev.Close())
	return path
}

// openFile opens an image in a file. Backing files beside it are allowed.
func openFile(t testing.TB, path string, o Options) *Image {
	t.Helper()
	dev, err := file.Open(path, file.Options{ReadOnly: o.ReadOnly})
	must(t, err)
	if o.Backing == nil {
		opener, err := NewFileOpener(path, "")
		must(t, err)
		defer opener.Close()
		o.Backing = opener.Open
	}
	img, err := Open(dev, o)
	must(t, err)
	return img
}

// newMemory makes an image in memory and opens it.
func newMemory(t testing.TB, size int64, c CreateOptions, o Options) (*Image, *mem.Device) {
	t.Helper()
	dev := mem.New(0)
	must(t, Create(dev, size, c))
	img, err := Open(dev, o)
	must(t, err)
	return img, dev
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unclosed is a device in memory that outlives the image in it.
type unclosed struct{ *mem.Device }

func (unclosed) Close() error { return nil }

// bytesOf returns the contents of a device.
func bytesOf(t testing.TB, dev block.Device) []byte {
	t.Helper()
	p := make([]byte, dev.Size())
	must(t, block.ReadFull(dev, p, 0))
	return p
}

// model is a disk in plain memory that takes the same operations.
type model struct {
	t    testing.TB
	rng  *rand.Rand
	img  *Image
	want []byte
	unit int64 // offsets and lengths are multiples of it
	log  []string
}

// step does one random operation on both.
func (m *model) step() {
	size := int64(len(m.want))
	units := size / m.unit
	off := m.rng.Int64N(units) * m.unit
	n := min((1+m.rng.Int64N([]int64{1, 4, 200, units}[m.rng.IntN(4)]))*m.unit, size-off)
	op := m.rng.IntN(13)
	m.log = append(m.log, fmt.Sprintf("op %d off %d n %d", op, off, n))
	var err error
	switch {
	case op < 6:
		p := noise(m.rng, n)
		copy(m.want[off:], p)
		if op == 5 {
			_, err = m.img.WriteAtFUA(p, off)
		} else {
			_, err = m.img.WriteAt(p, off)
		}
	case op < 8:
		err = block.WriteZeroes(m.img, off, n, []block.ZeroFlags{0, block.NoHole}[m.rng.IntN(2)])
		clear(m.want[off : off+n])
	case op == 8:
		if err = m.img.Discard(off, n); err == nil {
			_, err = m.img.ReadAt(m.want[off:off+n], off) // contents are unspecified
		}
	case op == 9:
		err = m.img.Flush()
	case op == 12:
		cluster := m.img.geo.ClusterBytes()
		off &^= cluster - 1
		p := m.want[off:min(off+(n+cluster-1)&^(cluster-1), size)]
		copy(p, bytes.Repeat(noise(m.rng, 16), len(p)/16+1)) // compresses well
		err = m.img.WriteCompressed(p, off)
	default:
		m.read(off, n)
	}
	if err != nil {
		m.fail("%v", err)
	}
}

// read compares a range.
func (m *model) read(off, n int64) {
	p := bytes.Repeat([]byte{0xa5}, int(n))
	if _, err := m.img.ReadAt(p, off); err != nil {
		m.fail("read %d+%d: %v", off, n, err)
	}
	if i := firstDifference(p, m.want[off:off+n]); i >= 0 {
		m.fail("byte %d is %#x, want %#x", off+int64(i), p[i], m.want[off+int64(i)])
	}
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	from := max(0, len(m.log)-30)
	m.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), m.log[from:])
}

// noise returns n random bytes.
func noise(rng *rand.Rand, n int64) []byte {
	p := make([]byte, (n+7)&^7)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
	}
	return p[:n]
}

// firstDifference returns where a and b differ, or -1.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
