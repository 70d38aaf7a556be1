package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// fragmentsRow has a guest write a file whose every cluster lies by itself. The peer
// is the same file in one piece.
func fragmentsRow() row {
	r := row{name: "write-back: a file in 100,000 extents", unit: "ms to the host", target: "memory in proportion to extents"}
	for _, c := range []struct {
		name string
		step uint32
	}{{"fatkit", 2}, {"in one piece", 1}} {
		r.contenders = append(r.contenders, contender{c.name, nil, func(b *bench) (sample, error) {
			dir := filepath.Join(b.dir, "share")
			if err := fresh(dir); err != nil {
				return sample{}, err
			}
			what := served{dir, filepath.Join(b.dir, "state"), []string{"--table", "none", "--fat", "32", "--cluster", "512", "--size", "256M", "--settle", "10s"}}
			return b.withGuest(what, func(g *guest) (sample, error) { return b.fragments(g, c.step) })
		}})
	}
	return r
}

// fragments writes the data, the FAT and the entry of a file whose clusters are
// step apart.
func (b *bench) fragments(g *guest, step uint32) (sample, error) {
	count := uint32(100_000)
	if b.short {
		count /= 16
	}
	boot := make([]byte, fatfmt.BootSectorBytes)
	if _, err := g.disk.ReadAt(boot, 0); err != nil {
		return sample{}, err
	}
	sector, err := fatfmt.DecodeBootSector(boot)
	if err != nil {
		return sample{}, err
	}
	geo, err := sector.Geometry()
	if err != nil {
		return sample{}, err
	}
	const first = 1000
	data := bytes.Repeat([]byte{0x5a}, int(count*step)*geo.ClusterBytes())
	table := make([]byte, 4*count*step)
	for i := range count {
		next := uint32(0x0fffffff)
		if i+1 < count {
			next = first + (i+1)*step
		}
		geo.Type.EncodeEntry(table[4*i*step:], first, next)
	}
	size := int64(count) * int64(geo.ClusterBytes())
	entry := make([]byte, fatfmt.DirEntryBytes)
	e := fatfmt.DirEntry{Name: [11]byte([]byte("PIECES  BIN")), Attr: fatfmt.AttrArchive, Cluster: first, Size: uint32(size), WriteDate: 0x5000, CreateDate: 0x5000}
	e.Encode(entry)
	for _, w := range []struct {
		p   []byte
		off int64
	}{
		{data, geo.ClusterOffset(first)}, {table, geo.FATOffset(0) + 4*first}, {table, geo.FATOffset(1) + 4*first},
		{entry, geo.ClusterOffset(geo.RootCluster) + fatfmt.DirEntryBytes}, // behind the label
	} {
		if _, err := g.disk.WriteAt(w.p, w.off); err != nil {
			return sample{}, err
		}
	}
	start := time.Now()
	if err := g.disk.Flush(); err != nil {
		return sample{}, err
	}
	if err := b.sync(g); err != nil {
		return sample{}, err
	}
	took := time.Since(start)
	fi, err := os.Stat(filepath.Join(g.dir, "pieces.bin"))
	if err != nil || fi.Size() != size {
		return sample{}, fmt.Errorf("the host has not the whole file: %w", err)
	}
	_, peak, err := residentMiB(g.s.PID)
	return sample{milliseconds(took), map[string]float64{"MiB peak": peak}}, err
}
