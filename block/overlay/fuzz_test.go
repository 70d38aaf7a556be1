package overlay

import (
	"bytes"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
)

// FuzzOverlay reads its input as a script of changes, five bytes each, and
// compares the overlay with a model of bytes after all of them.
func FuzzOverlay(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 200, 1, 0, 0, 16, 0})
	f.Add([]byte{2, 0x10, 0, 0x20, 0, 0, 0x0f, 0xff, 0, 2, 3, 0, 0, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0, 7, 77, 0, 99, 1, 5, 5, 3, 3, 2, 1, 2, 3, 4, 3, 8, 8, 8, 8}, 5))
	f.Fuzz(func(t *testing.T, script []byte) {
		const size, unit, maxSteps = 300<<10 + 11, 5, 200
		base, model := baseOf(size)
		d := open(t, base, mem.New(size))
		defer d.Close()
		for step := 0; len(script) >= unit && step < maxSteps; step++ {
			op, a, b := script[0]%4, int64(script[1])<<8|int64(script[2]), int64(script[3])<<8|int64(script[4])
			script = script[unit:]
			off := a * 5 % size
			n := min(b, size-off)
			p := model[off : off+n]
			var err error
			switch op {
			case 0:
				for i := range p {
					p[i] = byte(step + i + 1)
				}
				_, err = d.WriteAt(p, off)
			case 1:
				clear(p)
				err = block.WriteZeroes(d, off, n, 0)
			case 2:
				clear(p)
				err = block.WriteZeroes(d, off, n, block.NoHole)
			case 3: // zeroes whole blocks, also the last one, and leaves the rest
				from, to := (off+minBlockBytes-1)/minBlockBytes*minBlockBytes, (off+n)/minBlockBytes*minBlockBytes
				if off+n == size {
					to = size
				}
				if from < to {
					clear(model[from:to])
				}
				err = block.Discard(d, off, n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, size)
		if err := block.ReadFull(d, got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, model) {
			t.Fatal("the overlay differs from the model")
		}
		var end int64
		for e, err := range block.Extents(d, 0, size) {
			if err != nil || e.Off != end {
				t.Fatalf("extent %+v after %d: %v", e, end, err)
			}
			end = e.Off + e.Len
			if e.Flags&block.Zero != 0 && len(bytes.TrimLeft(got[e.Off:end], "\x00")) > 0 {
				t.Fatalf("extent %+v is not zero", e)
			}
		}
		if end != size {
			t.Fatalf("extents end at %d", end)
		}
	})
}
