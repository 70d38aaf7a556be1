package volume_test

import (
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
)

// layers are the ways to one and the same file: the driver alone, and through
// the volume manager by a path.
func layers(b *testing.B) map[string]func(name string) (vfs.File, error) {
	src, _ := fatSource(b, 128<<10)
	v, err := fat.Open(src.Device, fat.Options{})
	must(b, err)
	must(b, vfs.MkdirAll(v, "dir/sub", 0o777))
	for i := range 100 {
		must(b, vfs.WriteFile(v, fmt.Sprintf("dir/sub/file%d.txt", i), make([]byte, 16<<10), 0o666))
	}
	must(b, vfs.WriteFile(v, "dir/sub/large", make([]byte, 32<<20), 0o666))
	n := volume.New(nil, volume.Options{DeviceNames: true})
	must(b, n.Attach("c:", v, "memory"))
	b.Cleanup(func() { n.Close() })
	return map[string]func(name string) (vfs.File, error){
		"driver": func(name string) (vfs.File, error) { return v.OpenFile("dir/sub/"+name, 0, 0) },
		"volume": func(name string) (vfs.File, error) { return n.OpenFile("c:/dir/sub/"+name, 0, 0) },
	}
}

// BenchmarkFiles opens, reads and closes a hundred files of 16 KiB.
func BenchmarkFiles(b *testing.B) {
	open := layers(b)
	for _, layer := range []string{"driver", "volume"} {
		b.Run(layer, func(b *testing.B) {
			p := make([]byte, 16<<10)
			b.SetBytes(100 * int64(len(p)))
			for b.Loop() {
				for i := range 100 {
					f, err := open[layer](fmt.Sprintf("file%d.txt", i))
					must(b, err)
					_, err = io.ReadFull(f, p)
					must(b, err)
					must(b, f.Close())
				}
			}
		})
	}
}

// BenchmarkRead reads 32 MiB in pieces.
func BenchmarkRead(b *testing.B) {
	open := layers(b)
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, layer := range []string{"driver", "volume"} {
			b.Run(fmt.Sprintf("%dK/%s", size>>10, layer), func(b *testing.B) {
				p := make([]byte, size)
				f, err := open[layer]("large")
				must(b, err)
				defer f.Close()
				b.SetBytes(32 << 20)
				for b.Loop() {
					for off := int64(0); off < 32<<20; off += int64(size) {
						_, err := f.ReadAt(p, off)
						must(b, err)
					}
				}
			})
		}
	}
}

// BenchmarkCopy copies a tree of a hundred files and one large one out of a
// volume into another.
func BenchmarkCopy(b *testing.B) {
	target := func(b *testing.B) *fat.Volume {
		dev := mem.New(128 << 20)
		_, err := fat.Format(dev, fat.FormatOptions{})
		must(b, err)
		v, err := fat.Open(dev, fat.Options{})
		must(b, err)
		return v
	}
	src, _ := fatSource(b, 128<<10)
	from, err := fat.Open(src.Device, fat.Options{})
	must(b, err)
	for i := range 100 {
		must(b, vfs.WriteFile(from, fmt.Sprintf("file%d.txt", i), make([]byte, 16<<10), 0o666))
	}
	must(b, vfs.WriteFile(from, "large", make([]byte, 32<<20), 0o666))
	b.Run("driver", func(b *testing.B) {
		b.SetBytes(32 << 20)
		for b.Loop() {
			_, err := vfs.Copy(b.Context(), target(b), "to", fs.FS(from), ".", vfs.CopyOptions{})
			must(b, err)
		}
	})
	b.Run("volume", func(b *testing.B) {
		b.SetBytes(32 << 20)
		n := volume.New(nil, volume.Options{DeviceNames: true})
		must(b, n.Attach("c:", from, ""))
		for b.Loop() {
			must(b, n.Attach("d:", target(b), ""))
			_, err := n.Copy(b.Context(), "d:to", `c:\`, vfs.CopyOptions{})
			must(b, err)
			must(b, n.Unmount("d:", false))
		}
	})
}
