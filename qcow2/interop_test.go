package qcow2

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/test/tools"
)

// qemuImage makes an image with qemu-img and fills some of it with qemu-io,
// alternating data, zeroes, discards and compressed clusters.
func qemuImage(t testing.TB, path string, size int64, options string, compress bool, rng *rand.Rand) {
	t.Helper()
	args := []string{"create", "-q", "-f", "qcow2"}
	if options != "" {
		args = append(args, "-o", options)
	}
	tools.Run(t, "qemu-img", append(args, path, fmt.Sprint(size))...)
	qemuScribble(t, path, size, compress, rng, 12)
}

// qemuScribble writes to an image with qemu-io.
func qemuScribble(t testing.TB, path string, size int64, compress bool, rng *rand.Rand, steps int) {
	t.Helper()
	var args []string
	for range steps {
		off := rng.Int64N(size/512) * 512
		n := min(512*(1+rng.Int64N(600)), size-off)
		pattern := 1 + rng.IntN(255)
		switch rng.IntN(6) {
		case 0:
			args = append(args, "-c", fmt.Sprintf("write -z %d %d", off, n))
		case 1:
			args = append(args, "-c", fmt.Sprintf("discard %d %d", off, n))
		case 2:
			args = append(args, "-c", fmt.Sprintf("write -z -u %d %d", off, n))
		default:
			args = append(args, "-c", fmt.Sprintf("write -P %d %d %d", pattern, off, n))
		}
	}
	if compress {
		const cluster = 64 << 10
		for i := int64(1); i < min(size/cluster, 6); i += 2 {
			args = append([]string{"-c", fmt.Sprintf("write -c -P %d %d %d", i, i*cluster, cluster)}, args...)
		}
	}
	tools.Run(t, "qemu-io", append([]string{"-f", "qcow2"}, append(args, path)...)...)
}

// rawOf returns the contents of an image as qemu-img reads it.
func rawOf(t testing.TB, path string, more ...string) []byte {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	args := append([]string{"convert", "-f", "qcow2", "-O", "raw"}, more...)
	tools.Run(t, "qemu-img", append(args, path, raw)...)
	p, err := os.ReadFile(raw)
	must(t, err)
	return p
}

// sameContents fails the test unless the image reads as want, in one piece, in
// small pieces, and as segments.
func sameContents(t testing.TB, img *Image, want []byte) {
	t.Helper()
	if img.Size() != int64(len(want)) {
		t.Fatalf("size is %d, want %d", img.Size(), len(want))
	}
	p := make([]byte, len(want))
	check := func(how string, from int) {
		t.Helper()
		if i := firstDifference(p, want); i >= 0 {
			t.Fatalf("%s: byte %d is %#x, want %#x", how, i, p[i], want[i])
		}
		clear(p[from:])
	}
	_, err := img.ReadAt(p, 0)
	must(t, err)
	check("ReadAt", 0)
	for off := 0; off < len(p); off += 12345 {
		_, err := img.ReadAt(p[off:min(off+12345, len(p))], int64(off))
		must(t, err)
	}
	check("small ReadAt", 0)
	segs, err := img.AppendSegments(nil, 0, img.Size())
	must(t, err)
	off := int64(0)
	for i := range segs {
		_, err := segs[i].ReadAt(p[off:off+segs[i].Len], 0)
		must(t, err)
		off += segs[i].Len
	}
	block.ReleaseAll(segs)
	check("AppendSegments", 0)
	ext, err := img.AppendExtents(nil, 0, img.Size())
	must(t, err)
	for _, e := range ext {
		if e.Flags&block.Zero != 0 && strings.Trim(string(want[e.Off:e.Off+e.Len]), "\x00") != "" {
			t.Fatalf("extent %+v is not zero", e)
		}
	}
}

func TestReadsQEMUImages(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	for i, c := range []struct {
		options  string
		size     int64
		compress bool
	}{
		{"", 3 << 20, true},
		{"compat=0.10", 3 << 20, true},
		{"cluster_size=512", 1<<20 + 512, false},
		{"cluster_size=2M", 5 << 20, false},
		{"cluster_size=4k,refcount_bits=1", 2 << 20, false},
		{"cluster_size=4k,refcount_bits=64", 2 << 20, false},
		{"extended_l2=on,cluster_size=16k", 2<<20 + 1536, false},
		{"extended_l2=on", 3 << 20, true},
		{"compression_type=zstd", 3<<20 + 512, true},
		{"lazy_refcounts=on", 2 << 20, false},
		{"preallocation=metadata", 2 << 20, false},
		{"preallocation=falloc,extended_l2=on", 2 << 20, false},
	} {
		t.Run(c.options, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			path := filepath.Join(t.TempDir(), "disk.qcow2")
			qemuImage(t, path, c.size, c.options, c.compress, rng)
			img := openFile(t, path, Options{ReadOnly: true})
			sameContents(t, img, rawOf(t, path))
			must(t, img.Close())

			want := rawOf(t, path)
			runModelOn(t, path, Options{}, want, uint64(i), fewOps(60))
		})
	}
}

// TestBackingChain reads and writes an overlay over a qcow2 image over a raw
// file, each of another size.
func TestBackingChain(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	for i, options := range []string{"", "compat=0.10", "extended_l2=on,cluster_size=16k", "cluster_size=1k"} {
		t.Run(options, func(t *testing.T) {
			dir := t.TempDir()
			rng := rand.New(rand.NewPCG(uint64(i), 9))
			base := noise(rng, 1<<20+512)
			must(t, os.WriteFile(filepath.Join(dir, "base.raw"), base, 0o600))
			mid, top := filepath.Join(dir, "mid.qcow2"), filepath.Join(dir, "top.qcow2")
			tools.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", mid, "2M")
			qemuScribble(t, mid, 2<<20, false, rng, 8)
			args := []string{"create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2"}
			if options != "" {
				args = append(args, "-o", options)
			}
			tools.Run(t, "qemu-img", append(args, top, "1600k")...)
			qemuScribble(t, top, 1600<<10, true, rng, 8)
			want := rawOf(t, top)
			img := openFile(t, top, Options{ReadOnly: true})
			sameContents(t, img, want)
			must(t, img.Close())
			runModelOn(t, top, Options{}, want, uint64(i), fewOps(80))
		})
	}
}

// TestSnapshots reads internal snapshots, and writes to an image that shares
// its clusters with them.
func TestSnapshots(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	for i, options := range []string{"", "compat=0.10", "extended_l2=on,cluster_size=16k", "cluster_size=1k,refcount_bits=8", "compression_type=zstd"} {
		t.Run(options, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 11))
			path := filepath.Join(t.TempDir(), "disk.qcow2")
			const size = 3 << 20
			qemuImage(t, path, size, options, !strings.Contains(options, "refcount_bits"), rng)
			first := rawOf(t, path)
			tools.Run(t, "qemu-img", "snapshot", "-c", "one", path)
			qemuScribble(t, path, size, false, rng, 5)
			second := rawOf(t, path)
			tools.Run(t, "qemu-img", "snapshot", "-c", "two", path)

			want := rawOf(t, path)
			for mode := range uint64(2) {
				runModelOn(t, path, Options{Mode: CacheMode(mode)}, want, uint64(i), fewOps(50))
			}
			for name, want := range map[string][]byte{"one": first, "2": second} {
				img := openFile(t, path, Options{Snapshot: name})
				sameContents(t, img, want)
				must(t, img.Close())
			}
			tools.Run(t, "qemu-img", "snapshot", "-a", "one", path)
			judgeContents(t, path, first)
			tools.Run(t, "qemu-img", "snapshot", "-d", "two", path)
			runModelOn(t, path, Options{}, first, uint64(i), fewOps(50))
		})
	}
}
