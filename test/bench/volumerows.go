package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

// volumeRows are the rows about the volume manager: what it costs over the
// driver that it calls, here that of FAT on an image file.
func volumeRows() []row {
	var rows []row
	for _, c := range []struct {
		name string
		size int
		run  func(l volumeLayer, size int) error
	}{
		{"open, read and close a file of 4 KiB", 4 << 10, openReadClose},
		{"open, read and close a file of 64 KiB", 64 << 10, openReadClose},
		{"read 64 KiB by pieces of 4 KiB", 64 << 10, readPieces},
	} {
		run := func(layer int) func(b *bench) (sample, error) {
			return func(b *bench) (sample, error) { return b.throughLayer(layer, c.size, c.run) }
		}
		rows = append(rows, row{
			name: "through the volume manager: " + c.name, unit: "µs", target: "≤ 1.05 of the driver",
			contenders: []contender{{"fatkit's volumes", nil, run(1)}, {"the driver alone", nil, run(0)}},
		})
	}
	return rows
}

// volumeLayer is a way to the files of a volume.
type volumeLayer struct {
	tree  vfs.FS
	names []string
	p     []byte
}

// filesOfLayer is how many files a round opens.
const filesOfLayer = 20

// throughLayer returns how many microseconds a file takes in the fastest of many
// rounds: by the driver (0), or through the manager (1).
func (b *bench) throughLayer(layer, size int, run func(l volumeLayer, size int) error) (s sample, err error) {
	out, err := b.out("volume")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(out)
	if err := os.Mkdir(out, 0o777); err != nil {
		return s, err
	}
	dev, err := file.Create(filepath.Join(out, "disk.img"), 64<<20, file.Options{})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if _, err := fat.Format(dev, fat.FormatOptions{}); err != nil {
		return s, err
	}
	driver, err := fat.Open(dev, fat.Options{})
	if err != nil {
		return s, err
	}
	n := volume.New(nil, volume.Options{DeviceNames: true})
	if err := n.Attach("c:", driver, "driver"); err != nil {
		return s, errors.Join(err, driver.Close())
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	l := []volumeLayer{{tree: driver}, {tree: n}}[layer]
	l.p = make([]byte, size)
	for i := range filesOfLayer {
		name := []string{"", "c:/"}[layer] + fmt.Sprintf("file%d.dat", i)
		if err := vfs.WriteFile(l.tree, name, l.p, 0o666); err != nil {
			return s, err
		}
		l.names = append(l.names, name)
	}
	least := math.Inf(1)
	for range b.rounds() {
		start := time.Now()
		if err := run(l, size); err != nil {
			return s, err
		}
		least = min(least, float64(time.Since(start).Nanoseconds()))
	}
	return sample{value: least / 1000 / filesOfLayer}, nil
}

// rounds is how often a round of calls is repeated.
func (b *bench) rounds() int {
	if b.short {
		return 2
	}
	return 3000
}

func openReadClose(l volumeLayer, size int) error {
	for _, name := range l.names {
		f, err := l.tree.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.ReadFull(f, l.p[:size])
		if cerr := f.Close(); err != nil || cerr != nil {
			return errors.Join(err, cerr)
		}
	}
	return nil
}

// readPieces reads one file as often as the others read their files, without
// opening it each time.
func readPieces(l volumeLayer, size int) error {
	f, err := l.tree.OpenFile(l.names[0], os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	for range filesOfLayer {
		for off := 0; off < size && err == nil; off += 4 << 10 {
			_, err = f.ReadAt(l.p[:4<<10], int64(off))
		}
	}
	return errors.Join(err, f.Close())
}
