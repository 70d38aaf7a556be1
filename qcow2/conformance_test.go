package qcow2

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
)

// TestConformance runs the suite that every device passes.
func TestConformance(t *testing.T) {
	for _, v := range fewVariants() {
		for mode, suffix := range []string{"", "-through"} {
			t.Run(v.name+suffix, func(t *testing.T) {
				t.Parallel()
				o := Options{Mode: CacheMode(mode)}
				var dev unclosed
				reopen := func(t testing.TB) block.Device {
					img, err := Open(dev, o)
					must(t, err)
					return img
				}
				open := func(t testing.TB) block.Device {
					dev = unclosed{mem.New(0)}
					must(t, Create(dev, 1<<20+1536, v.o))
					return reopen(t)
				}
				blocktest.Run(t, open, blocktest.Options{Reopen: reopen, Ops: 150})
			})
		}
	}
}

// TestConformanceInFile runs it where reads give ranges of a host file.
func TestConformanceInFile(t *testing.T) {
	var path string
	open := func(t testing.TB) block.Device {
		path = newFile(t, 1<<20+1536, CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true})
		return openFile(t, path, Options{})
	}
	reopen := func(t testing.TB) block.Device { return openFile(t, path, Options{}) }
	blocktest.Run(t, open, blocktest.Options{Reopen: reopen, Ops: 100})
}

// TestConformanceReadOnly runs the suite over an image with every kind of
// content, which must not change.
func TestConformanceReadOnly(t *testing.T) {
	dev := layered(t)
	blocktest.Run(t, func(t testing.TB) block.Device {
		p := make([]byte, dev.Size())
		_, err := dev.ReadAt(p, 0)
		must(t, err)
		base := mem.FromBytes(bytes.Repeat([]byte("backing "), 40<<10))
		img, err := Open(mem.FromBytes(p), Options{ReadOnly: true, Backing: func(BackingRef) (block.Device, error) { return base, nil }})
		must(t, err)
		return img
	}, blocktest.Options{ReadOnly: true})
}

// layered returns an image with data, zeroes, and clusters that show a backing
// file which is shorter than the image.
func layered(t testing.TB) *mem.Device {
	img, dev := newMemory(t, 700<<10, CreateOptions{ClusterBytes: 16 << 10, ExtendedL2: true, BackingName: "base"}, Options{NoBacking: true})
	_, err := img.WriteAt(bytes.Repeat([]byte("data"), 9000), 20<<10)
	must(t, err)
	must(t, img.WriteZeroes(100<<10, 50<<10, 0))
	must(t, img.WriteZeroes(40<<10, 8<<10, block.NoHole))
	must(t, img.finish())
	return dev
}

func TestFileOpener(t *testing.T) {
	dir := t.TempDir()
	make1 := func(name, backing, format string) string {
		path := fmt.Sprintf("%s/%s", dir, name)
		dev, err := file.Create(path, 0, file.Options{})
		must(t, err)
		must(t, Create(dev, 1<<20, CreateOptions{BackingName: backing, BackingFormat: format}))
		must(t, dev.Close())
		return path
	}
	raw, err := file.Create(dir+"/plain.img", 1<<20, file.Options{})
	must(t, err)
	must(t, raw.Close())
	for _, c := range []struct {
		name, backing, format string
		ok                    bool
	}{
		{"good.qcow2", "plain.img", "raw", true},
		{"suffix.qcow2", "plain.img", "", true},
		{"chain.qcow2", "good.qcow2", "qcow2", true},
		{"chain-by-suffix.qcow2", "good.qcow2", "", true},
		{"self.qcow2", "self.qcow2", "qcow2", false},
		{"missing.qcow2", "nowhere.img", "raw", false},
		{"escape.qcow2", "../../../../etc/passwd", "raw", false},
		{"absolute.qcow2", "/etc/passwd", "raw", false},
		{"json.qcow2", `json:{"driver":"file","filename":"/etc/passwd"}`, "", false},
		{"url.qcow2", "nbd://localhost", "raw", false},
		{"format.qcow2", "plain.img", "vmdk", false},
		{"loop-a.qcow2", "loop-b.qcow2", "qcow2", false},
	} {
		make1("loop-b.qcow2", "loop-a.qcow2", "qcow2")
		path := make1(c.name, c.backing, c.format)
		opener, err := NewFileOpener(path, "")
		must(t, err)
		dev, err := file.Open(path, file.Options{ReadOnly: true})
		must(t, err)
		img, err := Open(dev, Options{ReadOnly: true, Backing: opener.Open})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if img != nil {
			must(t, img.Close())
		} else {
			must(t, dev.Close())
		}
		must(t, opener.Close())
		must(t, os.Remove(dir+"/loop-b.qcow2"))
	}
}
