package qcow2

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// mixedDisk returns a disk with text, noise, zeroes and holes.
func mixedDisk(size int64) *mem.Device {
	dev := mem.New(size)
	rng := rand.New(rand.NewPCG(4, 4))
	for off := int64(0); off < size; {
		n := min(1+rng.Int64N(200<<10), size-off)
		p := make([]byte, n)
		switch rng.IntN(4) {
		case 0:
			p = noise(rng, n)
		case 1, 2:
			copy(p, bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog; "), len(p)/40))
			p[rng.IntN(len(p))] = byte(rng.Uint32())
		default:
			off += n
			continue
		}
		if _, err := dev.WriteAt(p, off); err != nil {
			panic(err)
		}
		off += n
	}
	return dev
}

func TestFill(t *testing.T) {
	size := int64(3<<20 + 512)
	if testing.Short() {
		size = 1<<20 + 512 // two pieces, so that workers meet
	}
	for _, v := range fewVariants() {
		for i, o := range []FillOptions{
			{Workers: 1, TargetIsZero: true},
			{Workers: 1, TargetIsZero: true, Compress: true},
			{Workers: 1, Compress: true},
		} {
			t.Run(v.name+[]string{"", "-compressed", "-over-data"}[i], func(t *testing.T) {
				t.Parallel()
				src := mixedDisk(size)
				want := bytesOf(t, src)
				var first []byte
				for range 2 {
					dev := unclosed{mem.New(0)}
					must(t, Create(dev, size+1024, v.o))
					img, err := Open(dev, Options{})
					must(t, err)
					tail := make([]byte, 1024)
					if !o.TargetIsZero {
						_, err := img.WriteAt(bytes.Repeat([]byte{9}, int(size)+1024), 0)
						must(t, err)
						tail = bytes.Repeat([]byte{9}, 1024)
					}
					last := int64(0)
					o.Progress = func(done, total int64) { last = done }
					must(t, Fill(t.Context(), img, src, o))
					if last != size {
						t.Errorf("progress ends at %d of %d", last, size)
					}
					sameContents(t, img, append(want[:size:size], tail...))
					must(t, img.Close())
					got := bytesOf(t, dev)
					if first == nil {
						first = got
					} else if !bytes.Equal(first, got) {
						t.Error("another number of workers gives another file")
					}
					o.Workers = 5
				}
				path := filepath.Join(t.TempDir(), "disk.qcow2")
				must(t, os.WriteFile(path, first, 0o600))
				if r := agreeWithQEMU(t, path); !r.Clean() || o.Compress && r.CompressedClusters == 0 {
					t.Fatalf("%s", brief(r))
				}
				if o.TargetIsZero {
					judgeContents(t, path, append(want[:size:size], make([]byte, 1024)...))
				}
			})
		}
	}
}

func TestFillStops(t *testing.T) {
	img, _ := newMemory(t, 8<<20, CreateOptions{}, Options{})
	defer img.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Fill(ctx, img, mixedDisk(8<<20), FillOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := Fill(t.Context(), img, mem.New(9<<20), FillOptions{}); !errors.Is(err, diskerr.ErrOutOfRange) {
		t.Errorf("too large: %v", err)
	}
	broken := errors.New("broken")
	if err := Fill(t.Context(), img, &brokenAt{mixedDisk(8 << 20), 5 << 20, broken}, FillOptions{}); !errors.Is(err, broken) {
		t.Errorf("broken source: %v", err)
	}
	must(t, img.Flush())
	_, err := img.WriteAt([]byte{1}, 0) // nothing may be left waiting
	must(t, err)
}

// brokenAt is a device that cannot be read from an offset on.
type brokenAt struct {
	block.Device
	off int64
	err error
}

func (b *brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.off {
		return 0, b.err
	}
	return b.Device.ReadAt(p, off)
}

func TestCodecs(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, typ := range []qcow2fmt.Compression{qcow2fmt.CompressionDeflate, qcow2fmt.CompressionZstd} {
		for _, size := range []int{512, 4096, 64 << 10, 2 << 20} {
			src := make([]byte, size)
			for i := range src {
				src[i] = byte(rng.Uint32()) & 1
			}
			out, smaller := compress([]byte("before"), src, typ)
			if !smaller || string(out[:6]) != "before" {
				t.Fatalf("%v: %d bytes became %d", typ, size, len(out))
			}
			dst := bytes.Repeat([]byte{0xa5}, size)
			must(t, decompress(dst, append(out[6:], dirtyTail...), typ))
			if !bytes.Equal(dst, src) {
				t.Fatalf("%v: %d bytes come back wrong", typ, size)
			}
			if err := decompress(dst, out[6:len(out)/2], typ); err == nil {
				t.Errorf("%v: cut data was accepted", typ)
			}
		}
	}
}

var dirtyTail = bytes.Repeat([]byte{0xff, 0x28, 0xb5}, 99)

func FuzzDecompress(f *testing.F) {
	for _, typ := range []qcow2fmt.Compression{qcow2fmt.CompressionDeflate, qcow2fmt.CompressionZstd} {
		p, _ := compress(nil, bytes.Repeat([]byte("abc"), 4096/3+1)[:4096], typ)
		f.Add(p, typ == qcow2fmt.CompressionZstd)
	}
	f.Fuzz(func(t *testing.T, p []byte, zstd bool) {
		typ := qcow2fmt.CompressionDeflate
		if zstd {
			typ = qcow2fmt.CompressionZstd
		}
		dst := make([]byte, 4096, 5000)
		_ = decompress(dst, p, typ)
		if len(bytes.Trim(dst[4096:5000], "\x00")) > 0 {
			t.Fatal("more than a cluster came out")
		}
	})
}
