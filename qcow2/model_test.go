package qcow2

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/test/tools"
)

// TestModel does random operations on an image and on plain memory, closing
// and opening the image at random.
func TestModel(t *testing.T) {
	for _, v := range variants {
		for mode, suffix := range []string{"", "-through"} {
			t.Run(v.name+suffix, func(t *testing.T) {
				size := min(int64(4<<20), 2000*max(v.o.ClusterBytes, 512)) / 3 * 2 &^ 511
				path := newFile(t, size, v.o)
				want := make([]byte, size)
				for seed := range uint64(3) {
					o := Options{Mode: CacheMode(mode), TableCacheBytes: 1, Discard: seed == 1}
					runModel(t, path, o, want, seed, 120)
				}
			})
		}
	}
}

// runModel does random operations on the image at path, whose contents are
// want, and keeps want up to date.
func runModel(t *testing.T, path string, o Options, want []byte, seed uint64, steps int) {
	t.Helper()
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), unit: []int64{512, 1, 4096}[seed%3], want: want}
	if m.unit > 1 && int64(len(want))%m.unit != 0 {
		m.unit = 512
	}
	for range 2 {
		m.img = openFile(t, path, o)
		m.read(0, m.img.Size())
		for range steps {
			m.step()
		}
		m.read(0, m.img.Size())
		must(t, m.img.Close())
		agreeWithQEMU(t, path)
		judgeContents(t, path, want)
		m.log = append(m.log, "reopen")
	}
	m.img = openFile(t, path, o)
	defer m.img.Close()
	m.read(0, m.img.Size())
}

// judge fails the test unless qemu-img finds nothing wrong with the image.
func judge(t testing.TB, path string) {
	t.Helper()
	tools.Need(t, "qemu-img")
	if r := tools.Try(t, "qemu-img", "check", "-f", "qcow2", path); r.Code != 0 {
		t.Fatalf("%s: %d\n%s%s", r.Command, r.Code, r.Stdout, r.Stderr)
	}
}

// judgeContents fails the test unless qemu-img reads want from the image.
func judgeContents(t testing.TB, path string, want []byte) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "want.raw")
	must(t, os.WriteFile(raw, want, 0o600))
	tools.Run(t, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, raw)
}
