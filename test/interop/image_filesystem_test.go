package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// TestQcow2FileSystems makes file systems in qcow2 images through nbdfuse and
// lets their checkers look: through nbdfuse, through a second server, and at the
// plain bytes that qemu-img gets from the image.
func TestQcow2FileSystems(t *testing.T) {
	for _, fs := range []struct {
		name        string
		size        int64
		make, check []string
	}{
		{"ext4", 64 << 20, []string{"mkfs.ext4", "-q", "-F"}, []string{"e2fsck", "-f", "-n"}},
		{"xfs", 300 << 20, []string{"mkfs.xfs", "-q", "-f"}, []string{"xfs_repair", "-n", "-f"}},
	} {
		tools.Need(t, fs.make[0], fs.check[0], "qemu-img")
		for i, options := range []string{"cluster_size=64k", "cluster_size=16k,extended_l2=on,compression_type=zstd", "compat=0.10,cluster_size=512"} {
			t.Run(fmt.Sprint(fs.name, "/", options), func(t *testing.T) {
				img := filepath.Join(t.TempDir(), "disk.qcow2")
				tools.Run(t, product.Binary(t), "image", "create", "-o", options, img, fmt.Sprint(fs.size))
				t.Run("make", func(t *testing.T) {
					s := product.Serve(t, "--rw", img)
					mounted := nbdfuse(t, s.URI, fs.size)
					tools.Run(t, fs.make[0], append(fs.make[1:], mounted)...)
					tools.Run(t, fs.check[0], append(fs.check[1:], mounted)...)
				})
				tools.Run(t, "qemu-img", "check", "-q", img)
				if i == 0 {
					t.Run("again", func(t *testing.T) {
						mounted := nbdfuse(t, product.Serve(t, img).URI, fs.size)
						tools.Run(t, fs.check[0], append(fs.check[1:], mounted)...)
					})
				}
				raw := filepath.Join(t.TempDir(), "disk.raw")
				tools.Run(t, "qemu-img", "convert", "-O", "raw", img, raw)
				tools.Run(t, fs.check[0], append(fs.check[1:], raw)...)
				if fi, err := os.Stat(img); err != nil || fi.Size() > fs.size/2 {
					t.Errorf("the image of an empty file system has %d of %d bytes, %v", fi.Size(), fs.size, err)
				}
			})
		}
	}
}
