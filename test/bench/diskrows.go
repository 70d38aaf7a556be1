package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fatkit/fatkit/test/product"
)

// Targets of the rows about disks, of the better peer in each row.
const (
	targetDepth1  = "≥ 1.1 of the better peer"
	targetDepth32 = "≥ 1.25 of the better peer, CPU/request ≤ 0.75"
	targetRead    = "≥ 1.5 of the better peer"
	targetWrite   = "≥ 1.3 of the better peer"
)

// diskRows are the rows about raw images and memory.
func diskRows() []row {
	var rows []row
	for _, m := range []medium{imageFile, memory} {
		for _, rw := range []string{"randread", "randwrite"} {
			rows = append(rows,
				fioRow(m, fioJob{rw: rw, blockBytes: 4 << 10, depth: 1, conns: 1}, targetDepth1),
				fioRow(m, fioJob{rw: rw, blockBytes: 4 << 10, depth: 32, conns: 1}, targetDepth32),
				fioRow(m, fioJob{rw: rw, blockBytes: 4 << 10, depth: 32, conns: 4}, targetDepth32))
		}
		rows = append(rows,
			fioRow(m, fioJob{rw: "read", blockBytes: 256 << 10, depth: 8, conns: 1}, targetRead),
			fioRow(m, fioJob{rw: "write", blockBytes: 256 << 10, depth: 8, conns: 1}, targetWrite),
			diskCopyRow(m, false, targetRead), diskCopyRow(m, true, targetWrite))
	}
	rows = append(rows, fuaRow(1, "≥ 1.0 of the better peer"), fuaRow(32, "≥ 1.5 of the better peer"))
	return append(rows, tlsRows()...)
}

// diskRow is a row in which every server of disks has a turn.
func diskRow(name, unit, target string, m medium, needs []string, f func(b *bench, s *product.Server) (sample, error)) row {
	r := row{name: fmt.Sprintf("%s: %s", m, name), unit: unit, target: target}
	if m == memory {
		needs = append([]string{"nbdcopy"}, needs...)
	}
	for _, d := range diskServers {
		r.contenders = append(r.contenders, contender{d.name, append(needs[:len(needs):len(needs)], d.needs...), func(b *bench) (sample, error) {
			return d.with(b, m, func(s *product.Server) (sample, error) { return f(b, s) })
		}})
	}
	return r
}

// fioRow has fio ask for random or sequential blocks.
func fioRow(m medium, j fioJob, target string) row {
	return diskRow(j.name(), j.unit(), target, m, []string{"fio"}, func(b *bench, s *product.Server) (sample, error) {
		j.spanBytes = b.disk()
		return j.run(b, s)
	})
}

// diskCopyRow has nbdcopy read or write the whole disk, which it does in
// requests of 256 KiB.
func diskCopyRow(m medium, write bool, target string) row {
	name := "nbdcopy read"
	if write {
		name = "nbdcopy write"
	}
	return diskRow(name, "MB/s", target, m, []string{"nbdcopy"}, func(b *bench, s *product.Server) (sample, error) {
		if !write {
			return diskCopy(b, s, s.URI, "null:")
		}
		source, err := b.rawImage(b.tmp)
		if err != nil {
			return sample{}, err
		}
		return diskCopy(b, s, source, s.URI)
	})
}

// diskCopy copies the whole disk with nbdcopy and returns megabytes in a second,
// with the server's CPU time for each gigabyte.
func diskCopy(b *bench, s *product.Server, from, to string, options ...string) (sample, error) {
	return copyBytes(s, b.disk(), from, to, options...)
}

// copyBytes is diskCopy for a disk of any size.
func copyBytes(s *product.Server, sizeBytes int64, from, to string, options ...string) (sample, error) {
	before, err := cpuTime(s.PID)
	if err != nil {
		return sample{}, err
	}
	took, _, err := command("nbdcopy", append(options, from, to)...)
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime(s.PID)
	bytes := float64(sizeBytes)
	return sample{bytes / 1e6 / took.Seconds(), map[string]float64{
		"ms CPU/GB": (after - before).Seconds() * 1000 / (bytes / 1e9),
	}}, err
}

// fuaRow writes 4 KiB blocks that are durable when they are answered. fio's
// engine cannot ask for that; qemu-img does where its cache is writethrough.
func fuaRow(depth int, target string) row {
	name := fmt.Sprintf("qemu-img bench FUA write 4k depth %d", depth)
	return diskRow(name, "IOPS", target, imageFile, []string{"qemu-img"}, func(b *bench, s *product.Server) (sample, error) {
		return fuaWrites(b, s, depth)
	})
}

func fuaWrites(b *bench, s *product.Server, depth int) (sample, error) {
	// About as long as the other rows on a disk with half a millisecond a sync.
	count := int(2 * b.runtime / time.Millisecond)
	before, err := cpuTime(s.PID)
	if err != nil {
		return sample{}, err
	}
	_, out, err := command("qemu-img", "bench", "-f", "raw", "-t", "writethrough", "-w", "-s", "4096",
		"-c", strconv.Itoa(count), "-d", strconv.Itoa(depth), s.URI)
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime(s.PID)
	if err != nil {
		return sample{}, err
	}
	seconds, err := benchSeconds(out)
	return sample{float64(count) / seconds, map[string]float64{
		"µs CPU/request": float64((after - before).Microseconds()) / float64(count),
	}}, err
}

// benchSeconds takes the time from what qemu-img bench prints.
func benchSeconds(out string) (float64, error) {
	_, rest, ok := strings.Cut(out, "Run completed in ")
	number, _, ok2 := strings.Cut(rest, " seconds")
	seconds, err := strconv.ParseFloat(number, 64)
	if !ok || !ok2 || err != nil || seconds <= 0 {
		return 0, fmt.Errorf("qemu-img bench: %q", out)
	}
	return seconds, nil
}
