package qcow2

import (
	"math/rand/v2"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

const benchBytes = 256 << 20

// benchImage is an image in a file that is full of data.
func benchImage(b *testing.B, c CreateOptions, compress bool) string {
	b.Helper()
	path := newFile(b, benchBytes, c)
	img := openFile(b, path, Options{})
	must(b, Fill(b.Context(), img, mixedDisk(benchBytes), FillOptions{TargetIsZero: true, Compress: compress}))
	must(b, img.Close())
	return path
}

func BenchmarkRandomRead4K(b *testing.B) {
	for _, c := range []struct {
		name     string
		o        CreateOptions
		compress bool
	}{
		{"plain", CreateOptions{}, false},
		{"extended", CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}, false},
		{"zlib", CreateOptions{}, true},
		{"zstd", CreateOptions{Compression: qcow2fmt.CompressionZstd}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			img := openFile(b, benchImage(b, c.o, c.compress), Options{ReadOnly: true})
			defer img.Close()
			rng := rand.New(rand.NewPCG(1, 1))
			p := make([]byte, 4096)
			const workingSet = 24 << 20 // less than the cache of clusters
			b.SetBytes(4096)
			b.ReportAllocs()
			for b.Loop() {
				_, err := img.ReadAt(p, rng.Int64N(workingSet/4096)*4096)
				must(b, err)
			}
		})
	}
}

func BenchmarkSegments1M(b *testing.B) {
	img := openFile(b, benchImage(b, CreateOptions{}, false), Options{ReadOnly: true})
	defer img.Close()
	var segs []block.Segment
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		var err error
		segs, err = img.AppendSegments(segs[:0], off, 1<<20)
		must(b, err)
		block.ReleaseAll(segs)
		off = (off + 1<<20) % benchBytes
	}
}

func BenchmarkRandomWrite4K(b *testing.B) {
	for mode, name := range []string{"back", "through"} {
		for _, c := range []struct {
			name string
			o    CreateOptions
		}{
			{"plain", CreateOptions{}},
			{"overlay", CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}},
		} {
			b.Run(c.name+"-"+name, func(b *testing.B) {
				const size = 16 << 30
				img := openFile(b, newFile(b, size, c.o), Options{Mode: CacheMode(mode)})
				defer img.Close()
				rng := rand.New(rand.NewPCG(1, 1))
				p := make([]byte, 4096)
				p[0] = 1
				b.SetBytes(4096)
				b.ReportAllocs()
				for b.Loop() {
					_, err := img.WriteAt(p, rng.Int64N(size/4096)*4096)
					must(b, err)
				}
			})
		}
	}
}

// BenchmarkOpen1TiB opens an image of 1 TiB and reads from its end.
func BenchmarkOpen1TiB(b *testing.B) {
	for _, c := range []struct {
		name string
		o    CreateOptions
	}{
		{"64k", CreateOptions{}},
		{"extended-16k", CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true}},
		{"4k", CreateOptions{ClusterBytes: 4096}},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := newFile(b, 1<<40, c.o)
			img := openFile(b, path, Options{})
			_, err := img.WriteAt([]byte{1}, 1<<40-1)
			must(b, err)
			must(b, img.Close())
			p := make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				dev, err := file.Open(path, file.Options{})
				must(b, err)
				img, err := Open(dev, Options{})
				must(b, err)
				_, err = img.ReadAt(p, 1<<40-1)
				must(b, err)
				must(b, img.Close())
			}
		})
	}
}
