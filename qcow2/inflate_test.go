package qcow2

import (
	"bytes"
	stdflate "compress/flate"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"
)

// deflated compresses p with the standard library, at a level.
func deflated(t testing.TB, p []byte, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := stdflate.NewWriter(&out, level)
	must(t, err)
	_, err = w.Write(p)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

// texts are contents of many kinds, for compressors.
func texts() [][]byte {
	rng := rand.New(rand.NewPCG(6, 6))
	var list [][]byte
	for _, size := range []int{1, 2, 100, 512, 4096, 70000} {
		for _, mask := range []byte{0, 1, 3, 15, 63, 255} {
			p := make([]byte, size)
			for i := range p {
				p[i] = byte(rng.Uint32()) & mask
				if i > 300 && rng.IntN(40) == 0 { // copies, near and far
					copy(p[i:], p[i-300:][:rng.IntN(258)])
				}
			}
			list = append(list, p)
		}
	}
	skewed := make([]byte, 60000) // codes of every length
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
	}
	return append(list, skewed)
}

func TestInflate(t *testing.T) {
	cuts := 400
	if testing.Short() {
		cuts = 5
	}
	for i, p := range texts() {
		for level := stdflate.HuffmanOnly; level <= 9; level++ {
			z := deflated(t, p, level)
			got := bytes.Repeat([]byte{0xa5}, len(p))
			if err := inflate(got, append(z, dirtyTail...)); err != nil || !bytes.Equal(got, p) {
				t.Fatalf("text %d, level %d: %v, first difference %d", i, level, err, firstDifference(got, p))
			}
			for cut := range min(len(z)-1, cuts) { // 1 byte may be the empty last block
				short := make([]byte, len(p))
				if err := inflate(short, z[:cut]); err == nil && !bytes.Equal(short, p) {
					t.Fatalf("text %d, level %d: cut to %d it gives something else", i, level, cut)
				}
			}
		}
	}
}

// The bytes of a stored block may be the last of the stream: reading ahead
// past them is no error.
func TestInflateStoredAtTheEnd(t *testing.T) {
	for size := range 20 {
		want := bytes.Repeat([]byte{'x'}, size)
		z := append([]byte{1, byte(size), 0, ^byte(size), 0xff}, want...)
		for name, src := range map[string][]byte{
			"alone":                       z,
			"after an empty block":        append([]byte{0, 0, 0, 0xff, 0xff}, z...),
			"with bytes behind the block": append(bytes.Clone(z), dirtyTail...),
		} {
			got := make([]byte, size)
			if err := inflate(got, src); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %s: %q, %v", size, name, got, err)
			}
		}
		for cut := range z {
			if size == 0 {
				break // nothing has to be read for no bytes
			}
			if err := inflate(make([]byte, size), z[:cut]); err == nil {
				t.Errorf("%d bytes, cut to %d of %d: no error", size, cut, len(z))
			}
		}
	}
}

// FuzzInflate compares the decoder with the standard library's.
func FuzzInflate(f *testing.F) {
	for i, p := range texts() {
		if len(p) <= 4096 {
			f.Add(deflated(f, p, i%9), uint16(len(p)))
			f.Add(deflated(f, p, stdflate.NoCompression), uint16(len(p)))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, size uint16) {
		want := make([]byte, size)
		n, err := io.ReadFull(stdflate.NewReader(bytes.NewReader(p)), want)
		got := make([]byte, size)
		gotErr := inflate(got, p)
		if size > 0 && (err == nil) != (gotErr == nil) {
			t.Fatalf("the standard library says %v after %d bytes, inflate %v", err, n, gotErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("first difference at %d", firstDifference(got, want))
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	src := bytes.Repeat([]byte("0123456789abcdef the quick brown fox"), 2000)[:64<<10]
	for i := range src {
		if i%7 == 0 {
			src[i] = byte(i * i >> 5)
		}
	}
	p := deflated(b, src, 6)
	dst := make([]byte, len(src))
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			must(b, inflate(dst, p))
		}
	})
	b.Run("klauspost", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		r := flate.NewReader(nil)
		for b.Loop() {
			must(b, r.(flate.Resetter).Reset(bytes.NewReader(p), nil))
			_, err := io.ReadFull(r, dst)
			must(b, err)
		}
	})
}
