package volume_test

import (
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// BenchmarkOverhead compares the ways to a file piece by piece, in turns, by the
// shortest time of each: what else the machine does counts little so. It
// reports by how much the volume layer is slower, in percent.
func BenchmarkOverhead(b *testing.B) {
	open := layers(b)
	p := make([]byte, 64<<10)
	reads := func(size int) func(b *testing.B, f func(string) (vfs.File, error)) {
		return func(b *testing.B, open func(string) (vfs.File, error)) {
			f, err := open("large")
			must(b, err)
			defer f.Close()
			for off := int64(0); off < 1<<20; off += int64(size) {
				_, err := f.ReadAt(p[:size], off)
				must(b, err)
			}
		}
	}
	for _, c := range []struct {
		name string
		run  func(b *testing.B, open func(string) (vfs.File, error))
	}{
		{"files-16K", func(b *testing.B, open func(string) (vfs.File, error)) {
			for i := range 20 {
				f, err := open(fmt.Sprintf("file%d.txt", i))
				must(b, err)
				_, err = io.ReadFull(f, p[:16<<10])
				must(b, err)
				must(b, f.Close())
			}
		}},
		{"read-4K", reads(4 << 10)},
		{"read-64K", reads(64 << 10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			least := map[string]float64{"driver": math.Inf(1), "volume": math.Inf(1)}
			for b.Loop() {
				for _, layer := range []string{"driver", "volume"} {
					start := time.Now()
					c.run(b, open[layer])
					least[layer] = min(least[layer], time.Since(start).Seconds())
				}
			}
			b.ReportMetric(100*(least["volume"]/least["driver"]-1), "%slower")
		})
	}
}
