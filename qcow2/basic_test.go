package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
)

// TestHeaderOfNewImage looks at the bytes of a new image itself.
func TestHeaderOfNewImage(t *testing.T) {
	dev := mem.New(0)
	must(t, Create(dev, 10<<20, CreateOptions{ClusterBytes: 4096, RefcountBits: 32}))
	p := bytesOf(t, dev)
	be := binary.BigEndian
	if string(p[:4]) != "QFI\xfb" || be.Uint32(p[4:]) != 3 || be.Uint32(p[20:]) != 12 || be.Uint64(p[24:]) != 10<<20 || be.Uint32(p[96:]) != 5 {
		t.Errorf("the header begins with % x", p[:104])
	}
}

// TestOpenNames says what is wrong with a header and where.
func TestOpenNames(t *testing.T) {
	dev := mem.New(0)
	must(t, Create(dev, 10<<20, CreateOptions{}))
	good := bytesOf(t, dev)
	for _, c := range []struct {
		field  string
		offset int64
		change func(p []byte)
	}{
		{"magic", 0, func(p []byte) { p[3] = 0xfa }},
		{"magic", 0, func(p []byte) { clear(p[:4]) }},
		{"version", 4, func(p []byte) { p[7] = 4 }},
		{"cluster_bits", 20, func(p []byte) { p[23] = 8 }},
		{"refcount_order", 96, func(p []byte) { p[99] = 7 }},
		{"refcount_order", 96, func(p []byte) { p[96] = 1 }},
	} {
		p := bytes.Clone(good)
		c.change(p)
		_, err := Open(mem.FromBytes(p), Options{})
		var fe *diskerr.FormatError
		if !errors.As(err, &fe) || fe.Structure != "header" || fe.Field != c.field || fe.Offset != c.offset {
			t.Errorf("%s at %d: %v", c.field, c.offset, err)
		}
	}
}

// TestSmallReadsAndWrites writes the first bytes of a disk, bytes over the
// borders of clusters, and its last ones, and reads with buffers that are too
// short and too long.
func TestSmallReadsAndWrites(t *testing.T) {
	for _, v := range variants {
		const size = 5<<20 + 512
		img, _ := newMemory(t, size, v.o, Options{})
		want := make([]byte, size)
		rng := rand.New(rand.NewPCG(6, 6))
		put := func(off, n int64) {
			p := noise(rng, n)
			copy(want[off:], p)
			m, err := img.WriteAt(p, off)
			if err != nil || m != len(p) {
				t.Fatalf("%s: write of %d at %d: %d, %v", v.name, n, off, m, err)
			}
		}
		cluster := img.geo.ClusterBytes()
		put(0, 1)
		put(1, 2)
		put(cluster-1, 2)
		put(cluster-3, 3*min(cluster, 1<<20)+7)
		put(size-1, 1)
		put(size-513, 600-87)
		sameContents(t, img, want)
		for _, n := range []int64{1, 3, 511, 513, cluster + 1} {
			p := bytes.Repeat([]byte{0xee}, int(n)+1)
			for _, off := range []int64{0, 1, cluster - 1, cluster + 1, size - n} {
				m, err := img.ReadAt(p[:n], off)
				if int64(m) != n || err != nil || !bytes.Equal(p[:n], want[off:off+n]) || p[n] != 0xee {
					t.Fatalf("%s: read of %d at %d: %d, %v", v.name, n, off, m, err)
				}
			}
		}
		p := make([]byte, 100)
		if n, err := img.ReadAt(p, size-40); n != 40 || err != io.EOF || !bytes.Equal(p[:n], want[size-40:]) {
			t.Errorf("%s: over the end: %d, %v", v.name, n, err)
		}
		if n, err := img.WriteAt(p, size-40); n != 0 || !errors.Is(err, diskerr.ErrOutOfRange) {
			t.Errorf("%s: write over the end: %d, %v", v.name, n, err)
		}
		must(t, img.Close())
	}
}

// TestBackingDepth opens a chain of as many images as are allowed, and refuses
// one that is longer.
func TestBackingDepth(t *testing.T) {
	chain := func(n int) error {
		var open func(depth int) (block.Device, error)
		open = func(depth int) (block.Device, error) {
			o := CreateOptions{ClusterBytes: 512}
			if depth+1 < n {
				o.BackingName, o.BackingFormat = "next", "qcow2"
			}
			dev := mem.New(0)
			must(t, Create(dev, 1<<10, o))
			return Open(dev, Options{ReadOnly: true, Depth: depth, Backing: func(ref BackingRef) (block.Device, error) {
				return open(ref.Depth)
			}})
		}
		img, err := open(0)
		if err == nil {
			_, err = img.ReadAt(make([]byte, 1<<10), 0)
			must(t, img.Close())
		}
		return err
	}
	must(t, chain(MaxDepth))
	if err := chain(MaxDepth + 1); !errors.Is(err, diskerr.ErrCorrupt) {
		t.Errorf("%d images: %v", MaxDepth+1, err)
	}
}
