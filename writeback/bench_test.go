package writeback_test

import (
	"fmt"
	"testing"

	"github.com/fatkit/fatkit/vfs"
)

// BenchmarkOneFile changes one file of 4 KiB in trees of different sizes: the
// time from the guest's flush until the host has it must not depend on the
// tree.
func BenchmarkOneFile(b *testing.B) {
	for _, n := range []int{100, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			files := map[string]string{}
			for i := range n {
				files[fmt.Sprintf("d%03d/file%05d", i/200, i)] = "x"
			}
			r := newRig(b, 32, files)
			data := make([]byte, 4096)
			for i := 0; b.Loop(); i++ {
				data[0], data[1] = byte(i), byte(i>>8)
				r.must(vfs.WriteFile(r.guest, "d000/file00007", data, 0o666))
				r.sync()
			}
		})
	}
}

// BenchmarkManyFiles lets a guest create small files; the time is that of the
// commit.
func BenchmarkManyFiles(b *testing.B) {
	const n = 2000
	data := make([]byte, 4096)
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, 32, map[string]string{"a": "a"})
		for i := range n {
			if i%200 == 0 {
				r.must(r.guest.Mkdir(fmt.Sprintf("d%d", i/200), 0o777))
			}
			r.must(vfs.WriteFile(r.guest, fmt.Sprintf("d%d/f%d", i/200, i), data, 0o666))
		}
		r.must(r.guest.Sync())
		b.StartTimer()
		r.must(r.s.Sync(b.Context()))
	}
	b.ReportMetric(n, "files/op")
}
