package diff_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/writeback/diff"
)

// TestModel lets a guest do random things. After each sync the mirror, kept up
// to date from the changes alone, is the guest's tree.
func TestModel(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			for seed := range fatguest.Seeds(8) {
				rnd := rand.New(rand.NewPCG(uint64(seed), uint64(typ)))
				r := newRig(t, typ)
				var log []string
				for range 40 {
					for range 1 + rnd.IntN(4) {
						log = append(log, fatguest.Step(r.vol, r.guest(), rnd))
					}
					if err := r.vol.Sync(); err != nil {
						t.Fatal(err)
					}
					res := r.commit(false)
					if len(res.Alarms) > 0 {
						t.Fatalf("seed %d: alarms %v", seed, res.Alarms)
					}
					if d := fatguest.Difference(r.guest(), r.mirror()); d != "" {
						t.Fatalf("seed %d: the mirror is not what the guest sees:\n%s\nwaiting: %v\nlog:\n%s", seed, d, res.Waiting, strings.Join(log[max(0, len(log)-8):], "\n"))
					}
				}
			}
		})
	}
}

// TestAnyOrder writes the sectors of random operations to the disk in random
// orders, with a look after every few. Nothing may be removed meanwhile that is
// there before and after; at the end all has arrived.
func TestAnyOrder(t *testing.T) {
	for _, typ := range []int{12, 16, 32} {
		t.Run(fmt.Sprintf("FAT%d", typ), func(t *testing.T) {
			for seed := range fatguest.Seeds(8) {
				anyOrder(t, typ, uint64(seed))
			}
		})
	}
}

func anyOrder(t *testing.T, typ int, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, uint64(typ)))
	r := newRig(t, typ)
	shadow := mem.New(r.dev.Size()) // the disk as the other side sees it
	copyDisk(t, shadow, r.dev.Device)
	for range 12 {
		before := r.guest()
		log := []string{fatguest.Step(r.vol, r.guest(), rnd)}
		for range rnd.IntN(3) {
			log = append(log, fatguest.Step(r.vol, r.guest(), rnd))
		}
		if err := r.vol.Sync(); err != nil {
			t.Fatal(err)
		}
		after := r.guest()
		last := map[int64][]byte{} // the guest's cache writes each sector once
		var order []int64
		for _, w := range r.dev.take() {
			for off := w.Off; off < w.Off+w.Len; off += 512 {
				if last[off] == nil {
					order = append(order, off)
					last[off] = make([]byte, 512)
					if _, err := r.dev.ReadAt(last[off], off); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var res *diff.Result
		for i, off := range order {
			if _, err := shadow.WriteAt(last[off], off); err != nil {
				t.Fatal(err)
			}
			res = r.commitView(shadow, []diff.Range{{Off: off, Len: 512}}, false)
			for _, c := range res.Changes {
				if c.Kind != diff.Remove || c.IsDir() {
					continue
				}
				if name := path(r, c); before[name] != "" && before[name] == after[name] {
					t.Fatalf("seed %d: %s was removed after %d of %d sectors, although it is there before and after\n%v", seed, name, i+1, len(order), log)
				}
			}
		}
		res = r.commitView(shadow, nil, false)
		if d := fatguest.Difference(after, r.mirror()); d != "" {
			res = r.commitView(shadow, nil, true)
			d = fatguest.Difference(after, r.mirror())
			if d != "" {
				t.Fatalf("seed %d: at the end the mirror is not what the guest sees:\n%s\nwaiting: %v\n%s", seed, d, res.Waiting, strings.Join(log, "\n"))
			}
		}
	}
}

func path(r *rig, c *diff.Change) string {
	name := c.Old.Entry.Name
	if up := r.cat.GuestPath(c.Old.Parent); up != "." {
		name = up + "/" + name
	}
	return name
}

func copyDisk(t *testing.T, dst, src interface {
	ReadAt([]byte, int64) (int, error)
	WriteAt([]byte, int64) (int, error)
	Size() int64
}) {
	t.Helper()
	buf := make([]byte, 1<<20)
	for off := int64(0); off < src.Size(); off += int64(len(buf)) {
		n := min(int64(len(buf)), src.Size()-off)
		if _, err := src.ReadAt(buf[:n], off); err != nil {
			t.Fatal(err)
		}
		if strings.Trim(string(buf[:n]), "\x00") == "" {
			continue
		}
		if _, err := dst.WriteAt(buf[:n], off); err != nil {
			t.Fatal(err)
		}
	}
}
