package vvfat

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/test/trees"
)

// benchTree is 100 directories of 100 files of 4 KiB.
func benchTree(b *testing.B) (string, *Tree) {
	dir := writeTree(b, trees.Grid(100, 100, 4096))
	tree, err := ScanDir(context.Background(), dir, ScanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tree.Close() })
	return dir, tree
}

func perFile(b *testing.B, files int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(files), "ns/file")
}

func BenchmarkScan(b *testing.B) {
	dir, t := benchTree(b)
	b.ReportAllocs()
	for b.Loop() {
		tree, err := ScanDir(context.Background(), dir, ScanOptions{})
		if err != nil {
			b.Fatal(err)
		}
		tree.Close()
	}
	perFile(b, t.Files())
}

func BenchmarkLayout(b *testing.B) {
	_, tree := benchTree(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewLayout(tree, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	perFile(b, tree.Files())
}

func BenchmarkRenderDirectory(b *testing.B) {
	_, tree := benchTree(b)
	l, err := NewLayout(tree, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l.renderDir(1)
	}
	perFile(b, 100)
}

func BenchmarkRenderFAT(b *testing.B) {
	_, tree := benchTree(b)
	for _, fat := range []int{16, 32} {
		d := newDisk(b, tree, Options{FAT: fat}, DiskOptions{})
		b.Run(fmt.Sprint(fat), func(b *testing.B) {
			p := make([]byte, 16<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				d.ReadAt(p, d.l.volume+d.l.geo.FATOffset(0)+512)
			}
		})
	}
}

// Every file of a tree once, as a copy of the disk reads them.
func BenchmarkReadSmallFiles(b *testing.B) {
	_, tree := benchTree(b)
	d := newDisk(b, tree, Options{}, DiskOptions{})
	start := d.l.volume + d.l.geo.DataOffset()
	end := start + int64(d.l.used()-2)*int64(d.l.geo.ClusterBytes())
	p := make([]byte, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		for off := start; off < end; off += int64(len(p)) {
			if _, err := d.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
	perFile(b, tree.Files())
}

// Reads within large files, as of a guest and of a copy.
func BenchmarkReadLargeFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 8 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, 16<<20), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	tree, err := ScanDir(context.Background(), dir, ScanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	d := newDisk(b, tree, Options{}, DiskOptions{})
	at := func(n int64) int64 {
		return d.l.volume + d.l.geo.DataOffset() + rand.Int64N((8*16<<20)-n)&^4095
	}
	for _, n := range []int{4 << 10, 256 << 10} {
		p := make([]byte, n)
		for name, f := range map[string]func(off int64){
			"ReadAt":       func(off int64) { d.ReadAt(p, off) },
			"ReadAtCached": func(off int64) { d.ReadAtCached(p, off) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					f(at(int64(n)))
				}
			})
		}
		b.Run(fmt.Sprintf("AppendSegments/%d", n), func(b *testing.B) {
			segs := make([]block.Segment, 0, 16)
			b.ReportAllocs()
			for b.Loop() {
				segs, _ = d.AppendSegments(segs[:0], at(int64(n)), int64(n))
				block.ReleaseAll(segs)
			}
		})
	}
}
