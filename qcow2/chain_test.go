package qcow2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/test/tools"
)

// chainSeeds is how many of the seeds a test goes over; the race detector sees
// few.
func chainSeeds(all uint64) uint64 {
	if testing.Short() {
		return min(all, 2)
	}
	return all
}

// randomChain makes images, each over the one before, with random contents. The
// levels differ in size and in kind.
func randomChain(t testing.TB, rng *rand.Rand, levels int) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i := range levels {
		path := filepath.Join(dir, fmt.Sprintf("%d.qcow2", i))
		opts := []string{"cluster_size=4k", "cluster_size=64k", "cluster_size=16k,extended_l2=on", "compat=0.10,cluster_size=512"}[rng.IntN(4)]
		args := []string{"create", "-q", "-f", "qcow2", "-o", opts}
		if i > 0 {
			args = append(args, "-F", "qcow2", "-b", filepath.Base(paths[i-1]))
		}
		size := (1 + rng.Int64N(60)) * 32 << 10
		tools.Run(t, "qemu-img", append(args, path, fmt.Sprint(size))...)
		args = []string{"-f", "qcow2"}
		for range 3 + rng.IntN(4) {
			off := rng.Int64N(size/512) * 512
			n := min(size-off, 512*(1+rng.Int64N(200)))
			command := fmt.Sprintf("write -q -P %d %d %d", rng.IntN(3)+1, off, n)
			if rng.IntN(3) == 0 {
				command = fmt.Sprintf("write -q -z %d %d", off, n)
			}
			args = append(args, "-c", command)
		}
		tools.Run(t, "qemu-io", append(args, path)...)
		paths = append(paths, path)
	}
	return paths
}

// mapEntry is an element of what qemu-img map prints.
type mapEntry struct {
	Start, Length       int64
	Depth               int
	Present, Zero, Data bool
	Offset              *int64
}

// TestChainAsQEMU compares what the levels of chains hold with qemu-img map.
func TestChainAsQEMU(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	for seed := range chainSeeds(6) {
		rng := rand.New(rand.NewPCG(seed, 21))
		paths := randomChain(t, rng, 1+int(seed)%4)
		path := paths[len(paths)-1]
		var theirs []mapEntry
		must(t, json.Unmarshal([]byte(tools.Run(t, "qemu-img", "map", "--output=json", path)), &theirs))
		img := openFile(t, path, Options{ReadOnly: true})
		next := int64(0)
		for e, err := range Chain(img, 0, img.Size()) {
			must(t, err)
			if e.Off != next {
				t.Fatalf("seed %d: extent at %d, want %d", seed, e.Off, next)
			}
			next += e.Len
			for off := e.Off; off < e.Off+e.Len; off += 512 {
				for theirs[0].Start+theirs[0].Length <= off {
					theirs = theirs[1:]
				}
				q := theirs[0]
				ours := mapEntry{Start: q.Start, Length: q.Length, Depth: e.Depth, Present: e.State != Absent, Zero: e.State != Data, Data: e.State == Data, Offset: q.Offset}
				if ours != q {
					t.Fatalf("seed %d, offset %d: ours %+v, theirs %+v", seed, off, ours, q)
				}
				if e.State == Data && *q.Offset+off-q.Start != e.FileOff+off-e.Off {
					t.Fatalf("seed %d, offset %d: ours %+v, theirs at %d", seed, off, e, *q.Offset+off-q.Start)
				}
			}
		}
		if next != img.Size() {
			t.Fatalf("seed %d: the walk ends at %d of %d", seed, next, img.Size())
		}
		must(t, img.Close())
	}
}

// TestRebase gives images new backing files, of other sizes and none at all,
// and compares what they show.
func TestRebase(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	for seed := range chainSeeds(8) {
		rng := rand.New(rand.NewPCG(seed, 22))
		paths := randomChain(t, rng, 1+int(seed)%3)
		path := paths[len(paths)-1]
		want := rawOf(t, path)
		name := ""
		var base block.Device
		if seed%4 != 3 {
			name = "other.raw"
			data := bytes.Clone(want)[:rng.IntN(len(want)/512)*512]
			for i := range len(data) / 4 {
				data[rng.IntN(len(data))] = byte(i)
			}
			must(t, os.WriteFile(filepath.Join(filepath.Dir(path), name), data, 0o600))
			base = mem.FromBytes(data)
		}
		img := openFile(t, path, Options{})
		must(t, img.Rebase(t.Context(), base, name, "raw", nil))
		must(t, img.Close())
		if r := agreeWithQEMU(t, path); !r.Clean() {
			t.Fatalf("seed %d: %s", seed, brief(r))
		}
		if i := firstDifference(rawOf(t, path), want); i >= 0 {
			t.Fatalf("seed %d: differs at %d", seed, i)
		}
	}
}

// TestCommitThrough commits several levels at once.
func TestCommitThrough(t *testing.T) {
	tools.Need(t, "qemu-img", "qemu-io")
	for seed := range chainSeeds(6) {
		rng := rand.New(rand.NewPCG(seed, 23))
		paths := randomChain(t, rng, 3+int(seed)%2)
		path, depth := paths[len(paths)-1], 1+rng.IntN(len(paths)-1)
		want := rawOf(t, path)
		img := openFile(t, path, Options{ReadOnly: true})
		target := openFile(t, paths[len(paths)-1-depth], Options{})
		size := max(target.Size(), img.Size())
		must(t, target.Resize(size))
		must(t, Commit(t.Context(), target, img, depth, nil))
		must(t, img.Close())
		must(t, target.Close())
		got := rawOf(t, paths[len(paths)-1-depth])
		if i := firstDifference(got[:len(want)], want); i >= 0 {
			t.Fatalf("seed %d, depth %d: differs at %d", seed, depth, i)
		}
		if r := agreeWithQEMU(t, paths[len(paths)-1-depth]); !r.Clean() {
			t.Fatalf("seed %d: %s", seed, brief(r))
		}
	}
}

// TestFillDifference copies a disk over a backing file that is similar.
func TestFillDifference(t *testing.T) {
	tools.Need(t, "qemu-img")
	for _, v := range fewVariants() {
		for _, pack := range []bool{false, true} {
			const size = 3<<20 + 512
			want := noise(rand.New(rand.NewPCG(1, 2)), size)
			clear(want[1<<20 : 2<<20])
			base := bytes.Clone(want)
			clear(base[:100<<10])
			copy(base[1500<<10:], "not there")
			copy(want[2500<<10:], bytes.Repeat([]byte{7}, 80<<10))
			o := v.o
			o.BackingName, o.BackingFormat = "base.raw", "raw"
			path := newFile(t, size, o)
			must(t, os.WriteFile(filepath.Join(filepath.Dir(path), "base.raw"), base, 0o600))
			img := openFile(t, path, Options{NoBacking: true})
			must(t, FillDifference(t.Context(), img, mem.FromBytes(want), mem.FromBytes(base), FillOptions{Compress: pack}))
			own, err := img.AppendMap(nil, 0, size)
			must(t, err)
			held := int64(0)
			for _, e := range own {
				if e.State != Absent {
					held += e.Len
				}
			}
			if v.o.ClusterBytes < 1<<20 && held > 1<<20 {
				t.Errorf("%s: %d bytes are not left to the backing file", v.name, held)
			}
			must(t, img.Close())
			if r := agreeWithQEMU(t, path); !r.Clean() {
				t.Fatalf("%s: %s", v.name, brief(r))
			}
			if i := firstDifference(rawOf(t, path), want); i >= 0 {
				t.Fatalf("%s: differs at %d", v.name, i)
			}
		}
	}
}
