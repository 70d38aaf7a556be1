package concat

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/blocktest"
	"github.com/fatkit/fatkit/block/mem"
)

// noise returns random bytes, among them some zeroes.
func noise(seed uint64, n int) []byte {
	rng, p := rand.New(rand.NewPCG(seed, 1)), make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	clear(p[n/3 : n/2])
	return p
}

func TestConformance(t *testing.T) {
	for _, sizes := range [][]int{{100000}, {70000, 0, 512, 12345, 1}, {1, 1, 300000}} {
		blocktest.Run(t, func(testing.TB) block.Device {
			var devs []block.Device
			for i, n := range sizes {
				devs = append(devs, mem.FromBytes(noise(uint64(i), n)))
			}
			return New(devs, 512)
		}, blocktest.Options{ReadOnly: true})
	}
}

// TestContents reads over the borders.
func TestContents(t *testing.T) {
	var devs []block.Device
	var want []byte
	for i, n := range []int{1000, 0, 512, 77} {
		p := noise(uint64(i), n)
		devs = append(devs, mem.FromBytes(p))
		want = append(want, p...)
		want = append(want, make([]byte, -n&511)...)
	}
	d := New(devs, 512)
	if d.Size() != int64(len(want)) {
		t.Fatalf("size is %d, want %d", d.Size(), len(want))
	}
	got := make([]byte, len(want))
	for off := range want {
		p := got[off:]
		if err := block.ReadFull(d, p, int64(off)); err != nil || !bytes.Equal(p, want[off:]) {
			t.Fatalf("at %d: %v", off, err)
		}
	}
	if err := New(nil, 512).Close(); err != nil {
		t.Error(err)
	}
}
