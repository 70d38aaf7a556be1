package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// Targets of the rows about qcow2 images, all of them beside QEMU's tools.
const (
	targetConvert    = "≤ 1.0 of qemu-img"
	targetZstd       = "≤ 1.5 of qemu-img"
	targetDeflate    = "≤ 1.3 of qemu-img"
	targetInflate    = "≤ 1.5 of qemu-img"
	targetImageRead  = "≥ 1.5 of qemu-nbd"
	targetCacheReads = "≥ 5 of qemu-nbd"
)

// compressions are the ways in which the clusters of an image can be stored.
var compressions = []string{"", "zlib", "zstd"}

// cachedSpan is the part of a compressed disk that the random reads go to: its
// clusters fit the cache of decompressed ones.
const cachedSpan = 24 << 20

// imageRows are the rows about qcow2 images. Those about one kind of image
// follow each other, since no more than one kind is kept.
func imageRows() []row {
	var rows []row
	packTargets := []string{targetConvert, targetDeflate, targetZstd}
	unpackTargets := []string{targetConvert, targetInflate, targetZstd}
	for i, c := range compressions {
		rows = append(rows, packRow(c, packTargets[i]), unpackRow(c, unpackTargets[i]),
			imageServerRow(c, "nbdcopy read", "MB/s", targetImageRead, "nbdcopy", func(b *bench, s *product.Server) (sample, error) {
				return copyBytes(s, b.mixed(), s.URI, "null:")
			}),
			imageReadsRow(c, 1), imageReadsRow(c, 32))
	}
	return rows
}

// imageReadsRow reads 4 KiB blocks at random: of a whole plain image, or of
// what fits the cache of a compressed one.
func imageReadsRow(compression string, depth int) row {
	j := fioJob{rw: "randread", blockBytes: 4 << 10, depth: depth, conns: 1}
	target := targetImageRead
	if compression != "" {
		target = targetCacheReads
	}
	return imageServerRow(compression, j.name(), j.unit(), target, "fio", func(b *bench, s *product.Server) (sample, error) {
		j := j
		if j.spanBytes = b.mixed(); compression != "" {
			j.spanBytes = min(j.spanBytes, cachedSpan)
		}
		return j.run(b, s)
	})
}

// kindOf names images whose clusters are compressed in a way.
func kindOf(compression string) string {
	if compression == "" {
		return "qcow2"
	}
	return "qcow2 " + compression
}

// packRow makes a qcow2 image of the raw one.
func packRow(compression, target string) row {
	fatkit, qemu := []string{"image", "convert", "-q"}, []string{"convert", "-W", "-m", "8", "-f", "raw", "-O", "qcow2"}
	if compression != "" {
		fatkit = append(fatkit, "--compress", compression)
		qemu = append(qemu, "-c", "-o", "compression_type="+compression)
	}
	return convertRow(kindOf(compression)+": convert from raw", target, "packed.qcow2", fatkit, qemu,
		func(b *bench) (string, error) { return b.mixedImage() })
}

// unpackRow makes a raw image of a qcow2 one.
func unpackRow(compression, target string) row {
	return convertRow(kindOf(compression)+": convert to raw", target, "unpacked.raw",
		[]string{"image", "convert", "-q"}, []string{"convert", "-W", "-m", "8", "-f", "qcow2", "-O", "raw"},
		func(b *bench) (string, error) { return b.qcow2Image(compression) })
}

// convertRow converts what source returns to a file on tmpfs, where durability
// costs nothing: fatkit waits until its file is on stable storage, which
// qemu-img does not.
func convertRow(name, target, out string, fatkit, qemu []string, source func(b *bench) (string, error)) row {
	one := func(program func(b *bench) string, args []string) func(b *bench) (sample, error) {
		return func(b *bench) (sample, error) {
			from, err := source(b)
			if err != nil {
				return sample{}, err
			}
			to, err := b.out(out)
			if err != nil {
				return sample{}, err
			}
			got, err := watched(slices.Concat([]string{program(b)}, args, []string{from, to})...)
			if err == nil {
				err = os.Remove(to)
			}
			return got, err
		}
	}
	return row{name: name, unit: "ms", target: target, contenders: []contender{
		{"fatkit", nil, one(func(b *bench) string { return b.bin }, fatkit)},
		{"qemu-img", []string{"qemu-img"}, one(func(*bench) string { return tools.Lookup("qemu-img") }, qemu)},
	}}
}

// qcow2Image returns the mixed disk as a qcow2 image, made by qemu-img when it
// is first asked for. It takes the place of one of another kind, as each can
// take gigabytes of memory.
func (b *bench) qcow2Image(compression string) (string, error) {
	path := filepath.Join(b.tmp, "mixed"+compression+".qcow2")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	others, err := filepath.Glob(filepath.Join(b.tmp, "mixed*.qcow2"))
	if err != nil {
		return "", err
	}
	for _, other := range others {
		if err := os.Remove(other); err != nil {
			return "", err
		}
	}
	raw, err := b.mixedImage()
	if err != nil {
		return "", err
	}
	args := []string{"convert", "-W", "-m", "8", "-f", "raw", "-O", "qcow2"}
	if compression != "" {
		args = append(args, "-c", "-o", "compression_type="+compression)
	}
	_, _, err = command("qemu-img", append(args, raw, path)...)
	return path, err
}

// imageServers serve a qcow2 image.
var imageServers = []struct {
	name    string
	needs   []string
	command func(b *bench, img, socket string) []string
}{
	{"fatkit", nil, func(b *bench, img, socket string) []string {
		return []string{b.bin, "serve", "--quiet", "--listen", "unix:" + socket, img}
	}},
	{"qemu-nbd", []string{"qemu-nbd"}, func(_ *bench, img, socket string) []string {
		return []string{tools.Lookup("qemu-nbd"), "-r", "-f", "qcow2", "--persistent", "--shared=16", "-k", socket, img}
	}},
}

// imageServerRow has a client read a qcow2 image over NBD.
func imageServerRow(compression, name, unit, target, client string, f func(b *bench, s *product.Server) (sample, error)) row {
	r := row{name: kindOf(compression) + ": " + name, unit: unit, target: target}
	for _, srv := range imageServers {
		r.contenders = append(r.contenders, contender{srv.name, append([]string{client, "qemu-img"}, srv.needs...), func(b *bench) (sample, error) {
			img, err := b.qcow2Image(compression)
			if err != nil {
				return sample{}, err
			}
			start := func(b *bench, _ string) (*product.Server, error) {
				socket, err := b.socket()
				if err != nil {
					return nil, err
				}
				c := srv.command(b, img, socket)
				return product.StartServer(socket, []string{"XDG_RUNTIME_DIR=" + b.tmp}, c[0], c[1:]...)
			}
			return withServer(b, start, "", func(s *product.Server) (sample, error) {
				got, err := f(b, s)
				if err == nil {
					_, got.side["MiB peak"], err = residentMiB(s.PID)
				}
				return got, err
			})
		}})
	}
	return r
}
