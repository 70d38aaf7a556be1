package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// mixed returns how many bytes the disk of the rows about qcow2 images has.
func (b *bench) mixed() int64 {
	if b.short {
		return 16 << 20
	}
	return b.mixedBytes
}

// Contents of the mixed disk, as shares of 16: what a disk with a system and
// people's files on it holds.
const (
	textShare   = 6 // prose and logs, which compress to a third
	tableShare  = 3 // records of numbers, which compress to a half
	noiseShare  = 4 // what is compressed already
	allShares   = 16
	minLog      = 12 // the shortest extent, as a power of two
	maxLog      = 23 // the longest
	sampleBytes = 8 << 20
)

// mixedImage returns a sparse raw image on tmpfs of text, tables, noise and
// holes, made when it is first asked for. The same seed gives the same image
// everywhere.
func (b *bench) mixedImage() (path string, err error) {
	path = filepath.Join(b.tmp, "mixed.raw")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	random := rand.New(rand.NewPCG(5, 4096))
	text, table, noise := textSample(random), tableSample(random), make([]byte, 1<<maxLog)
	source := rand.NewChaCha8([32]byte{5})
	end := b.mixed()
	for off := int64(0); off < end; {
		n := int64(1)<<(minLog+random.IntN(maxLog-minLog+1)) - 1
		n = min((1+random.Int64N(n))&^4095+4096, end-off) // whole pages, as files lie on disks
		var p []byte
		switch kind := random.IntN(allShares); {
		case kind < textShare:
			p = piece(random, text, n)
		case kind < textShare+tableShare:
			p = piece(random, table, n)
		case kind < textShare+tableShare+noiseShare:
			p = noise[:min(n, int64(len(noise)))]
			_, _ = source.Read(p) // never fails
		}
		if _, err := f.WriteAt(p, off); err != nil {
			return "", err
		}
		off += n
	}
	return path, f.Truncate(end)
}

// piece returns n bytes of a sample, or fewer, from a random place on.
func piece(random *rand.Rand, sample []byte, n int64) []byte {
	n = min(n, int64(len(sample)/2))
	at := random.Int64N(int64(len(sample)) - n)
	return sample[at : at+n]
}

// textSample returns lines of words, some of which are frequent, as in prose.
func textSample(random *rand.Rand) []byte {
	words := make([]string, 6000)
	for i := range words {
		w := make([]byte, 2+random.IntN(9))
		for k := range w {
			w[k] = "etaoinshrdlucmfwypvbgkjqxz"[min(random.IntN(26), random.IntN(26))]
		}
		words[i] = string(w)
	}
	zipf := rand.NewZipf(random, 1.2, 4, uint64(len(words)-1))
	p := make([]byte, 0, sampleBytes+100)
	for line := 0; len(p) < sampleBytes; line++ {
		if line%3 == 0 {
			p = strconv.AppendInt(p, 1700000000+int64(line), 10)
		}
		for range 4 + random.IntN(12) {
			p = append(append(p, ' '), words[zipf.Uint64()]...)
		}
		p = append(p, '\n')
	}
	return p
}

// tableSample returns records of a number, a time, a few flags and a value with
// some random bits.
func tableSample(random *rand.Rand) []byte {
	p := make([]byte, 0, sampleBytes+100)
	for i := uint64(0); len(p) < sampleBytes; i++ {
		at, value := 1700000000+i*17+random.Uint64N(16), random.Uint64N(1<<20)
		p = fmt.Appendf(p, "%c%c%c%c", byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
		p = append(p, byte(at), byte(at>>8), byte(at>>16), byte(at>>24), byte(random.IntN(4)), 0, 0, 0,
			byte(value), byte(value>>8), byte(value>>16), 0)
	}
	return p
}
