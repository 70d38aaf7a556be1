package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fatkit/fatkit/test/product"
)

// The contenders that serve, and what they need.
var servers = []struct {
	name  string
	needs []string
	start serverOf
}{
	{"fatkit", nil, serveFatkit},
	{"nbdkit file", []string{"nbdkit"}, serveFile},
	{"nbdkit floppy", []string{"nbdkit"}, serveFloppy},
}

// allRows is the table.
func allRows() []row {
	rows := []row{
		copyRow("T1"), copyRow("T4"),
		randomRow(1, "≥ 1.1 of nbdkit file, CPU/request ≤ 1"),
		randomRow(32, "≥ 1.25 of nbdkit file, CPU/request ≤ 0.75"),
		readyRow(),
		buildT2(), buildT4(),
	}
	return slices.Concat(rows, fatRows(), volumeRows(), mountRows(), diskRows(), imageRows(), writeRows())
}

// copyRow reads a whole disk with nbdcopy.
func copyRow(tree string) row {
	r := row{name: "nbdcopy " + tree, unit: "MB/s", target: "≥ 1.5 of each"}
	for _, srv := range servers {
		r.contenders = append(r.contenders, contender{srv.name, append([]string{"nbdcopy"}, srv.needs...), func(b *bench) (sample, error) {
			return withServer(b, srv.start, tree, func(s *product.Server) (sample, error) { return copyOnce(b, s, tree) })
		}})
	}
	return r
}

// copyOnce copies the disk of a server to nowhere. The bytes are those of the
// files: the disks differ in how much free space they have, which costs nothing
// where it is known to be zero.
func copyOnce(b *bench, s *product.Server, tree string) (sample, error) {
	bytes := float64(b.bytes[tree])
	before, err := cpuTime(s.PID)
	if err != nil {
		return sample{}, err
	}
	took, _, err := command("nbdcopy", s.URI, "null:")
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime(s.PID)
	return sample{bytes / 1e6 / took.Seconds(), map[string]float64{
		"ms CPU/GB": (after - before).Seconds() * 1000 / (bytes / 1e9),
	}}, err
}

// randomRow reads 4 KiB blocks at random with fio.
func randomRow(depth int, target string) row {
	r := row{name: fmt.Sprintf("fio randread 4k depth %d", depth), unit: "IOPS", target: target}
	for _, srv := range servers[:2] {
		r.contenders = append(r.contenders, contender{srv.name, append([]string{"fio"}, srv.needs...), func(b *bench) (sample, error) {
			return withServer(b, srv.start, "T1", func(s *product.Server) (sample, error) {
				return fioJob{rw: "randread", blockBytes: 4 << 10, depth: depth, conns: 1, spanBytes: filledBytes(b)}.run(b, s)
			})
		}})
	}
	return r
}

// filledBytes is the part of the disk of T1 that files fill.
func filledBytes(b *bench) int64 {
	if b.short {
		return 8 * 48 << 20 / 16
	}
	return 8 * 48 << 20
}

// readyRow starts a server of the tree with the most files.
func readyRow() row {
	r := row{name: "ready to serve T3", unit: "ms", target: "≤ 1 of nbdkit floppy, memory ≤ 1"}
	for _, i := range []int{0, 2} {
		srv := servers[i]
		r.contenders = append(r.contenders, contender{srv.name, srv.needs, func(b *bench) (sample, error) {
			if _, err := b.tree("T3"); err != nil {
				return sample{}, err
			}
			start := time.Now()
			return withServer(b, srv.start, "T3", func(s *product.Server) (sample, error) {
				took := time.Since(start)
				now, peak, err := residentMiB(s.PID)
				return sample{milliseconds(took), map[string]float64{"MiB resident": now, "MiB peak": peak}}, err
			})
		}})
	}
	return r
}

// buildT2 makes an image of many small files on tmpfs.
func buildT2() row {
	return row{name: "build T2", unit: "ms", target: "≤ 0.33 of mkfs.fat + mcopy, ≤ 0.7 of nbdkit floppy", contenders: []contender{
		{"fatkit", nil, func(b *bench) (sample, error) { return buildOnce(b, "T2") }},
		{"mkfs.fat + mcopy", []string{"mkfs.fat", "mcopy"}, mkfsOnce},
		{"nbdkit floppy + nbdcopy", []string{"nbdkit", "nbdcopy"}, floppyCopyOnce},
	}}
}

// buildT4 makes an image of a few large files on tmpfs.
func buildT4() row {
	return row{name: "build T4", unit: "ms", target: "≤ 1.2 of cp -r", contenders: []contender{
		{"fatkit", nil, func(b *bench) (sample, error) { return buildOnce(b, "T4") }},
		{"cp -r", []string{"cp"}, func(b *bench) (sample, error) {
			return timedOut(b, "T4", func(dir, out string) (time.Duration, error) {
				took, _, err := command("cp", "-r", dir, out)
				return took, err
			})
		}},
	}}
}

// timedOut runs a command that makes something of a tree on tmpfs, and removes
// what it made.
func timedOut(b *bench, tree string, f func(dir, out string) (time.Duration, error)) (sample, error) {
	dir, err := b.tree(tree)
	if err != nil {
		return sample{}, err
	}
	out, err := b.out("built")
	if err != nil {
		return sample{}, err
	}
	took, err := f(dir, out)
	if err == nil {
		err = os.RemoveAll(out)
	}
	return sample{value: milliseconds(took)}, err
}

func buildOnce(b *bench, tree string) (sample, error) {
	return timedOut(b, tree, func(dir, out string) (time.Duration, error) {
		took, _, err := command(b.bin, "build", dir, out)
		return took, err
	})
}

// mkfsOnce is what people do without fatkit: an empty file system, then copies.
func mkfsOnce(b *bench) (sample, error) {
	return timedOut(b, "T2", func(dir, out string) (time.Duration, error) {
		mkfs, _, err := command("mkfs.fat", "-C", "-F", "32", out, fmt.Sprint(160<<10))
		if err != nil {
			return 0, err
		}
		dirs, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return 0, err
		}
		mcopy, _, err := command("mcopy", append(append([]string{"-s", "-m", "-Q", "-i", out}, dirs...), "::/")...)
		return mkfs + mcopy, err
	})
}

func floppyCopyOnce(b *bench) (sample, error) {
	return timedOut(b, "T2", func(dir, out string) (time.Duration, error) {
		took, _, err := command("nbdkit", "-r", "-U", "-", "floppy", "dir="+dir, "--run", `nbdcopy "$uri" '`+out+`'`)
		return took, err
	})
}
