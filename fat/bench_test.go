package fat_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
)

// onFile formats a volume in a file.
func onFile(b *testing.B, size int64, o fat.FormatOptions) (*file.Device, *fat.Volume) {
	dev, err := file.Create(filepath.Join(b.TempDir(), "img"), size, file.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	if _, err := fat.Format(dev, o); err != nil {
		b.Fatal(err)
	}
	v, err := fat.Open(dev, fat.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return dev, v
}

// BenchmarkCollidingNames creates 20,000 files whose short names all collide,
// in one directory.
func BenchmarkCollidingNames(b *testing.B) {
	for b.Loop() {
		_, v := onFile(b, 300<<20, fat.FormatOptions{Type: 32, ClusterBytes: 4096})
		for i := range 20_000 {
			if err := vfs.WriteFile(v, fmt.Sprintf("a common prefix %d.txt", i), nil, 0o666); err != nil {
				b.Fatal(err)
			}
		}
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopyIn copies a host tree into a fresh volume: the directory in
// FATKIT_TREE, or 2,000 files of 4 KiB.
func BenchmarkCopyIn(b *testing.B) {
	tree := os.Getenv("FATKIT_TREE")
	if tree == "" {
		tree = b.TempDir()
		for i := range 2000 {
			dir := filepath.Join(tree, fmt.Sprint("d", i/100))
			if err := os.MkdirAll(dir, 0o777); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file", i)), make([]byte, 4096), 0o666); err != nil {
				b.Fatal(err)
			}
		}
	}
	src, err := host.New(tree)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	for b.Loop() {
		_, v := onFile(b, 5<<30, fat.FormatOptions{Type: 32})
		done, err := vfs.Copy(b.Context(), v, ".", src, ".", vfs.CopyOptions{Preserve: true})
		if err == nil {
			err = v.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(done.Bytes)
	}
}

// BenchmarkRead reads a file of 64 MiB.
func BenchmarkRead(b *testing.B) {
	dev := mem.New(100 << 20)
	if _, err := fat.Format(dev, fat.FormatOptions{Type: 32, ClusterBytes: 512}); err != nil {
		b.Fatal(err)
	}
	v, err := fat.Open(dev, fat.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	const size = 64 << 20
	if err := vfs.WriteFile(v, "f", make([]byte, size), 0o666); err != nil {
		b.Fatal(err)
	}
	f, err := v.OpenFile("f", os.O_RDONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{4096, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if _, err := f.ReadAt(p, off); err != nil {
					b.Fatal(err)
				}
				off = (off + int64(n)) % size
			}
		})
	}
}

// BenchmarkCheck checks the image in FATKIT_IMAGE, or a fresh volume of 2 TiB.
func BenchmarkCheck(b *testing.B) {
	var dev *file.Device
	if path := os.Getenv("FATKIT_IMAGE"); path != "" {
		var err error
		if dev, err = file.Open(path, file.Options{ReadOnly: true}); err != nil {
			b.Fatal(err)
		}
		defer dev.Close()
	} else {
		var v *fat.Volume
		dev, v = onFile(b, 2<<40-1<<20, fat.FormatOptions{Type: 32})
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := fat.Check(b.Context(), dev, fat.CheckOptions{})
		if err != nil || !r.Clean() {
			b.Fatal(err, r.Findings)
		}
	}
}
