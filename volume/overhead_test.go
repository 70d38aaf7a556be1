package volume_test

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/volume"
)

// media are what the drivers stand on: FAT in memory, where a call costs next to
// nothing, FAT in an image file, and a directory of the host.
var media = []struct {
	name string
	open func(b *testing.B) vfs.FS
}{
	{"memory", func(b *testing.B) vfs.FS { return openFAT(b, mem.New(64<<20)) }},
	{"image", func(b *testing.B) vfs.FS {
		dev, err := file.Create(filepath.Join(b.TempDir(), "disk.img"), 64<<20, file.Options{})
		must(b, err)
		return openFAT(b, dev)
	}},
	{"host", func(b *testing.B) vfs.FS {
		h, err := host.New(b.TempDir())
		must(b, err)
		return h
	}},
}

// openFAT makes a volume on a device, which is closed with it.
func openFAT(b *testing.B, dev block.Device) vfs.FS {
	_, err := fat.Format(dev, fat.FormatOptions{})
	must(b, err)
	v, err := fat.Open(dev, fat.Options{})
	must(b, err)
	b.Cleanup(func() { dev.Close() })
	return v
}

// layer is one way to the files of a directory.
type layer struct {
	tree  vfs.FS
	dir   string
	names map[int][]string // of files, by their size in bytes
}

// sizes are those of the files: some to be opened, and one to be read and
// written in pieces.
var sizes = map[int]int{4 << 10: 20, 64 << 10: 20, 1 << 20: 1}

// layers makes the files and returns the ways to them: by the driver alone, and
// through the volume manager by a path.
func layers(b *testing.B, driver vfs.FS) [2]layer {
	n := volume.New(nil, volume.Options{DeviceNames: true})
	must(b, n.Attach("c:", driver, "the driver"))
	b.Cleanup(func() { n.Close() })
	must(b, n.MkdirAll("c:/dir/sub", 0o777))
	all := [2]layer{{tree: driver, dir: "dir/sub"}, {tree: n, dir: "c:/dir/sub"}}
	for i := range all {
		l := &all[i]
		l.names = map[int][]string{}
		for size, count := range sizes {
			for i := range count {
				name := fmt.Sprintf("%s/%d-%d.dat", l.dir, size, i)
				l.names[size] = append(l.names[size], name)
				must(b, vfs.WriteFile(l.tree, name, make([]byte, size), 0o666))
			}
		}
	}
	return all
}

// openReadClose returns a run that opens, reads and closes each file of a size.
func openReadClose(b *testing.B, size int) func(l layer) {
	p := make([]byte, size)
	return func(l layer) {
		for _, name := range l.names[size] {
			f, err := l.tree.OpenFile(name, os.O_RDONLY, 0)
			must(b, err)
			_, err = io.ReadFull(f, p)
			must(b, err)
			must(b, f.Close())
		}
	}
}

// inPieces returns a run that reads or writes a file from its beginning to its
// end.
func inPieces(b *testing.B, flag, piece int) func(l layer) {
	p := make([]byte, piece)
	return func(l layer) {
		f, err := l.tree.OpenFile(l.names[1<<20][0], flag, 0)
		must(b, err)
		for range 1 << 20 / piece {
			if flag == os.O_RDONLY {
				_, err = f.Read(p)
			} else {
				_, err = f.Write(p)
			}
			must(b, err)
		}
		must(b, f.Close())
	}
}

// BenchmarkOverhead does the same on both layers, in turns, and reports by how
// much the volume layer is slower, in percent, by the shortest time of each: what
// else the machine does counts little so.
func BenchmarkOverhead(b *testing.B) {
	for _, m := range media {
		b.Run(m.name, func(b *testing.B) { overhead(b, layers(b, m.open(b))) })
	}
}

func overhead(b *testing.B, all [2]layer) {
	for _, c := range []struct {
		name string
		run  func(l layer)
	}{
		{"open-read-close-4K", openReadClose(b, 4<<10)},
		{"open-read-close-64K", openReadClose(b, 64<<10)},
		{"read-4K", inPieces(b, os.O_RDONLY, 4<<10)},
		{"read-64K", inPieces(b, os.O_RDONLY, 64<<10)},
		{"write-4K", inPieces(b, os.O_WRONLY, 4<<10)},
		{"write-64K", inPieces(b, os.O_WRONLY, 64<<10)},
		{"readdir", func(l layer) {
			list, err := fs.ReadDir(l.tree, l.dir)
			if err != nil || len(list) != 41 {
				b.Fatal(len(list), err)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			least := [2]float64{math.Inf(1), math.Inf(1)}
			for b.Loop() {
				for i, l := range all {
					start := time.Now()
					c.run(l)
					least[i] = min(least[i], time.Since(start).Seconds())
				}
			}
			b.ReportMetric(100*(least[1]/least[0]-1), "%slower")
		})
	}
}
