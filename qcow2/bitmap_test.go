package qcow2

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/crash"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/test/tools"
)

// newMarked makes an image with a disabled bitmap of three marks.
func newMarked(t testing.TB, dir string) string {
	path := filepath.Join(dir, "disk.qcow2")
	tools.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "3001k")
	tools.Run(t, "qemu-img", "bitmap", "--add", "-g", "512", path, "marks")
	tools.Run(t, "qemu-io", "-f", "qcow2", "-c", "write 0 1k", "-c", "write 2M 5k", "-c", "write 3000k 1k", path)
	tools.Run(t, "qemu-img", "bitmap", "--disable", path, "marks")
	return path
}

// marksOf returns what is marked in a bitmap, as QEMU reads it.
func marksOf(t testing.TB, path string) string {
	t.Helper()
	return tools.Run(t, "nbdinfo", "--map=qemu:dirty-bitmap:marks", "--", "[", tools.Lookup("qemu-nbd"), "-r", "-f", "qcow2", "-B", "marks", path, "]")
}

// TestResizeBitmaps changes the size of a disk with a bitmap, over the borders
// of tables, and lets QEMU read the marks; it does the same on a copy.
func TestResizeBitmaps(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io", "qemu-nbd", "nbdinfo")
	all := [][]int64{{200 << 20, 1 << 20, 130 << 20}, {4 << 20}, {1 << 20, 3 << 20}, {2<<20 + 1024, 5 << 20}}
	if testing.Short() {
		all = all[:1]
	}
	for _, sizes := range all {
		path, copied := newMarked(t, t.TempDir()), newMarked(t, t.TempDir())
		for _, size := range sizes {
			img := openFile(t, path, Options{})
			must(t, img.Resize(size))
			must(t, img.Close())
			tools.Run(t, "qemu-img", "resize", "-q", "--shrink", "-f", "qcow2", copied, fmt.Sprint(size))
			if r := agreeWithQEMU(t, path); !r.Clean() {
				t.Fatalf("%v: %s", sizes, brief(r))
			}
			if ours, theirs := marksOf(t, path), marksOf(t, copied); ours != theirs || !strings.Contains(ours, "dirty") {
				t.Fatalf("%v, at %d: ours\n%stheirs\n%s", sizes, size, ours, theirs)
			}
		}
	}
}

// TestResizeBitmapsPowerCut cuts the power at every event of changes of the
// size of a disk with a bitmap.
func TestResizeBitmapsPowerCut(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	p, err := os.ReadFile(newMarked(t, t.TempDir()))
	must(t, err)
	dev, err := crash.From(mem.FromBytes(append(p, make([]byte, 1<<20)...)))
	must(t, err)
	img, err := Open(dev, Options{})
	must(t, err)
	for _, size := range []int64{200 << 20, 1 << 20, 3 << 20} {
		must(t, img.Resize(size))
	}
	must(t, img.Close())
	for k := range dev.Events() + 1 {
		for seed := range uint64(4) {
			left := dev.Cut(k, seed)
			r, err := Check(t.Context(), left)
			if err != nil {
				t.Fatalf("%s: %v", dev.Describe(k), err)
			}
			if r.Corruptions+r.Overlaps > 0 {
				t.Fatalf("%s: %s", dev.Describe(k), brief(r))
			}
			again, err := Open(left, Options{})
			if err != nil {
				t.Fatalf("%s: %v", dev.Describe(k), err)
			}
			must(t, again.Close())
		}
	}
}
