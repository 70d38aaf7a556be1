package volume_test

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
)

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
