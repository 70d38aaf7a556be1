package qcow2

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/fatkit/fatkit/block/mem"
)

// TestRandomDamage damages sound images in places that matter, repairs them,
// and writes to what was repaired.
func TestRandomDamage(t *testing.T) {
	rounds := uint64(1500)
	if os.Getenv("FATKIT_LONG") != "" {
		rounds = 60000
	} else if testing.Short() {
		rounds = 300
	}
	written := 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 17))
		base := uint8(rng.IntN(len(fuzzBases())))
		dev := patched(base, randomPatches(rng, fuzzBases()[base]))
		before, err := Check(t.Context(), dev)
		if err != nil {
			continue // beyond repair
		}
		if _, err := Repair(t.Context(), dev, RepairAll); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, brief(before))
		}
		after, err := Check(t.Context(), dev)
		must(t, err)
		hdr, err := readHeader(dev)
		must(t, err)
		if after.Clean() {
			written++
			writeRepaired(t, seed, dev, rng)
			continue
		}
		// Narrow refcounts cannot tell the truth about clusters that are shared.
		if after.Overlaps == 0 && hdr.RefcountOrder > 3 {
			t.Errorf("seed %d: before %s\nafter %s", seed, brief(before), brief(after))
		}
	}
	if written < int(rounds)/4 {
		t.Errorf("only %d of %d images could be repaired", written, rounds)
	}
}

// writeRepaired writes all over a repaired image, which must stay sound.
func writeRepaired(t *testing.T, seed uint64, dev *mem.Device, rng *rand.Rand) {
	t.Helper()
	img, err := Open(unclosed{dev}, Options{NoBacking: true, Mode: CacheMode(seed % 2)})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if img.Size() == 0 {
		return
	}
	p := make([]byte, 30<<10)
	for range 10 {
		off := rng.Int64N(img.Size())
		if _, err := img.WriteAt(p[:min(int64(len(p)), img.Size()-off)], off); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	must(t, img.Close())
	r, err := Check(t.Context(), dev)
	must(t, err)
	for _, f := range r.Findings {
		// Like qemu-img, Check looks at refcounts up to the end of the file
		// only; wrong ones behind it show as leaks when the file grows. And
		// where two entries shared a cluster, nobody finds the other one when
		// the first gets its own: its flag is cautious, not wrong.
		if f.Code != CodeLeak && f.Code != CodeCopiedFlag {
			t.Fatalf("seed %d: written to after the repair: %s", seed, brief(r))
		}
	}
}

// randomPatches changes one to four words of an image: in its header, in its
// first tables or anywhere, to small numbers, offsets within the file, or noise.
func randomPatches(rng *rand.Rand, image []byte) []byte {
	var patches []byte
	for range 1 + rng.IntN(4) {
		at := []int{rng.IntN(120), rng.IntN(8192) &^ 7, rng.IntN(len(image)) &^ 7}[rng.IntN(3)]
		offset := uint64(rng.IntN(len(image))) &^ 511
		v := []uint64{rng.Uint64() >> rng.IntN(64), offset, offset | 1<<63, 0}[rng.IntN(4)]
		patches = append(patches, byte(at>>16), byte(at>>8), byte(at))
		patches = binary.BigEndian.AppendUint64(patches, v)
	}
	return patches
}
