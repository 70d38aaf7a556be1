package qcow2

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/test/tools"
)

// TestModel does random operations on an image and on plain memory, closing
// and opening the image at random.
func TestModel(t *testing.T) {
	for _, v := range fewVariants() {
		for mode, suffix := range []string{"", "-through"} {
			t.Run(v.name+suffix, func(t *testing.T) {
				size := min(int64(4<<20), 2000*max(v.o.ClusterBytes, 512)) / 3 * 2 &^ 511
				dev := unclosed{mem.New(0)}
				must(t, Create(dev, size, v.o))
				want := make([]byte, size)
				for seed := range chainSeeds(3) {
					o := Options{Mode: CacheMode(mode), TableCacheBytes: 1, Discard: seed == 1}
					runModel(t, dev, o, want, seed, 120)
				}
				path := filepath.Join(t.TempDir(), "disk.qcow2")
				must(t, os.WriteFile(path, bytesOf(t, dev), 0o600))
				agreeWithQEMU(t, path)
				judgeContents(t, path, want)
			})
		}
	}
}

// runModel does random operations on the image in dev, whose contents are
// want, and keeps want up to date.
func runModel(t *testing.T, dev block.Device, o Options, want []byte, seed uint64, steps int) {
	t.Helper()
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), unit: []int64{512, 1, 4096}[seed%3], want: want}
	if m.unit > 1 && int64(len(want))%m.unit != 0 {
		m.unit = 512
	}
	for range 3 {
		img, err := Open(dev, o)
		must(t, err)
		m.img = img
		m.read(0, img.Size())
		for range steps {
			m.step()
		}
		m.read(0, img.Size())
		must(t, img.Close())
		r, err := Check(t.Context(), dev)
		must(t, err)
		if !r.Clean() {
			m.fail("%s", brief(r))
		}
		m.log = append(m.log, "reopen")
	}
}

// runModelOn is runModel for an image in a file, which qemu-img judges.
func runModelOn(t *testing.T, path string, o Options, want []byte, seed uint64, steps int) {
	t.Helper()
	p, err := os.ReadFile(path)
	must(t, err)
	dev := unclosed{mem.FromBytes(p)}
	o.Backing = func(ref BackingRef) (block.Device, error) {
		again, err := NewFileOpener(path, "")
		must(t, err)
		defer again.Close()
		return again.Open(ref)
	}
	runModel(t, dev, o, want, seed, steps)
	must(t, os.WriteFile(path, bytesOf(t, dev), 0o600))
	agreeWithQEMU(t, path)
	judgeContents(t, path, want)
}

// judgeContents fails the test unless qemu-img reads want from the image.
func judgeContents(t testing.TB, path string, want []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "want.raw")
	must(t, os.WriteFile(raw, want, 0o600))
	tools.Run(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, raw)
}
