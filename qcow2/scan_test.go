package qcow2

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
)

// Long reads leave the cache of decompressed clusters as it is, and take from
// it what is there.
func TestScansPassTheCacheBy(t *testing.T) {
	const size = 1 << 20
	want := bytes.Repeat([]byte("sixteen letters."), size/16)
	for _, c := range []CreateOptions{{}, {ClusterBytes: 4096}} {
		img, _ := newMemory(t, size, c, Options{})
		must(t, img.WriteCompressed(want, 0))
		cached := func() int { return img.clusters.order.Len() }
		p := make([]byte, size)

		read := func(off, n int64) {
			t.Helper()
			_, err := img.ReadAt(p[:n], off)
			must(t, err)
			if !bytes.Equal(p[:n], want[off:off+n]) {
				t.Fatalf("%d bytes at %d come back wrong", n, off)
			}
			segs, err := img.AppendSegments(nil, off, n)
			must(t, err)
			defer block.ReleaseAll(segs)
			for _, s := range segs {
				if !bytes.Equal(s.Data, want[off:off+s.Len]) {
					t.Fatalf("the segment at %d is wrong", off)
				}
				off += s.Len
			}
		}
		read(0, size)
		if n := cached(); n != 0 {
			t.Errorf("%d clusters are cached after reading everything", n)
		}
		read(4096, 4096)
		if n := cached(); n != 1 {
			t.Errorf("%d clusters are cached after a short read", n)
		}
		r, err := img.maps.find(4096, 4096)
		must(t, err)
		data, ok := img.clusters.peek(r.entry)
		if !ok {
			t.Fatal("the cluster of the short read is not there")
		}
		data[1]++ // nobody may: it shows who takes it from here
		whole := 4096 &^ (img.geo.ClusterBytes() - 1)
		_, err = img.ReadAt(p, 0)
		must(t, err)
		if p[whole+1] == want[whole+1] {
			t.Error("a long read decompressed what was cached")
		}
		read(size/2, scanBytes)
		if n := cached(); n != 1 {
			t.Errorf("%d clusters are cached after a long read", n)
		}
		must(t, img.Close())
	}
}

// Opening a large image takes memory for its L1 table, and little else.
func TestOpenLargeMemory(t *testing.T) {
	for _, c := range []CreateOptions{{}, {ClusterBytes: 16 << 10, ExtendedL2: true}, {ClusterBytes: 4096}} {
		path := newFile(t, 1<<40, c)
		img := openFile(t, path, Options{})
		_, err := img.WriteAt([]byte{1}, 1<<40-1)
		must(t, err)
		must(t, img.Close())

		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		dev, err := file.Open(path, file.Options{})
		must(t, err)
		img, err = Open(dev, Options{})
		must(t, err)
		var p [1]byte
		_, err = img.ReadAt(p[:], 1<<40-1)
		must(t, err)
		runtime.ReadMemStats(&after)
		if p[0] != 1 {
			t.Errorf("%+v: the last byte is %d", c, p[0])
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%+v: opening took %d bytes of memory", c, n)
		} else {
			t.Logf("clusters of %d: %d bytes", img.geo.ClusterBytes(), n)
		}
		must(t, img.Close())
	}
}
