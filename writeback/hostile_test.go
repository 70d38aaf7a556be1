package writeback_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/writeback"
)

// outside returns what lies beside the shared directory and is nobody's but
// the host's.
func (w *world) outside() map[string]string {
	out := w.treeAt(".")
	for name := range out {
		if strings.HasPrefix(name, "share/") || strings.HasPrefix(name, "state/") {
			delete(out, name)
		}
	}
	return out
}

// survives syncs, and fails unless the session lives, nothing outside the
// shared directory has changed, and each file that was there is in the tree or
// aside of it.
func (w *world) survives(what string, files map[string]string) {
	w.t.Helper()
	before := w.outside()
	for range 2 {
		if err := w.s.Sync(w.t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
			w.t.Fatalf("%s: %v", what, err)
		}
	}
	if d := fatguest.Difference(before, w.outside()); d != "" {
		w.t.Fatalf("%s: something outside the directory was changed:\n%s", what, d)
	}
	tree, aside := w.contents()
	all := append(tree, aside...)
	for name, data := range files {
		if !strings.HasSuffix(name, "/") && !slices.Contains(all, data) {
			w.t.Fatalf("%s: what %s held is lost", what, name)
		}
	}
}

// scribble writes sectors that a list of bytes describes: places at the
// beginning of the volume are the likeliest.
func (w *world) scribble(p []byte) {
	g := w.lay.Geometry()
	end := w.lay.VolumeOffset() + g.DataOffset() + 64*int64(g.ClusterBytes())
	for len(p) >= 4 {
		sector := int64(binary.LittleEndian.Uint16(p)) % (end / 512)
		n := min(int(p[2])%33, len(p)-4)
		at := int(p[3]) * 2 % 480
		buf := w.sector(sector * 512)
		if p[2]&0x80 != 0 { // repeat it
			for i := range buf {
				buf[i] = p[3]
			}
		}
		copy(buf[at:], p[4:4+n])
		if _, err := w.s.Disk().WriteAt(buf, sector*512); err != nil {
			w.t.Fatal(err)
		}
		p = p[4+n:]
	}
}

// TestHostileSectors writes random sectors over the beginning of the disk.
func TestHostileSectors(t *testing.T) {
	for seed := range uint64(fatguest.Seeds(40)) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t, []int{12, 16}[seed%2], lowerFixture)
		w.must(hostWrite(w.m.Foreign("."), "secret", "outside"))
		w.must(w.open())
		for round := range 4 {
			p := make([]byte, rnd.IntN(300))
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			w.scribble(p)
			w.survives(fmt.Sprintf("seed %d round %d", seed, round), lowerFixture)
		}
		w.must(w.s.Close(context.Background()))
		w.must(w.open())
		w.abandon()
	}
}

// FuzzDiffAndPlan writes arbitrary sectors to a small disk, and syncs.
func FuzzDiffAndPlan(f *testing.F) {
	f.Add([]byte{1, 0, 4, 0, 0xf8, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0x80, 0})
	f.Add([]byte{40, 0, 32, 16, '.', '.', ' ', ' ', 'A', '/', 'B', 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		w := newWorld(t, 12, lowerFixture)
		w.must(w.open())
		for half := range 2 { // what the first half made is in the catalog for the second
			w.scribble(p[half*len(p)/2 : (half+1)*len(p)/2])
			w.survives("fuzz", lowerFixture)
		}
		w.must(w.s.Close(context.Background()))
	})
}

// shortEntry is a directory entry of 32 bytes with a raw name.
func shortEntry(name string, attr byte, cluster uint16, size uint32) []byte {
	e := make([]byte, 32)
	copy(e, fmt.Sprintf("%-11s", name))
	e[11] = attr
	binary.LittleEndian.PutUint16(e[26:], cluster)
	binary.LittleEndian.PutUint32(e[28:], size)
	return e
}

// addToRoot puts entries behind those of the root directory.
func (w *world) addToRoot(entries ...[]byte) {
	w.t.Helper()
	g := w.lay.Geometry()
	off := w.lay.VolumeOffset() + g.RootOffset()
	root := make([]byte, g.RootBytes())
	_, err := w.s.Disk().ReadAt(root, off)
	w.must(err)
	at := 0
	for root[at] != 0 {
		at += 32
	}
	for _, e := range entries {
		at += copy(root[at:], e)
	}
	w.raw(off, root)
}

// TestHostileNames puts entries into the root directory by hand whose names
// would lead out of it, or cannot be names.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{"..", ".", "../..", "A/B", "/ETC", "..\\SECRET", "A\x00B", "\x00", "NUL", "CON", "A\x01", "          B", "\x05x", "\xff\xfe"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			w := newWorld(t, 16, lowerFixture)
			w.must(hostWrite(w.m.Foreign("."), "secret", "outside"))
			w.must(w.open())
			w.addToRoot(shortEntry(name, 0x20, 0, 0), shortEntry(name[:len(name)-1]+"D", 0x10, 0, 0))
			w.survives(name, lowerFixture)
			for host := range w.hostTree() {
				for part := range strings.SplitSeq(strings.TrimSuffix(host, "/"), "/") {
					if part == "." || part == ".." || strings.ContainsAny(part, "\x00\\") {
						t.Fatalf("%q is on the host", host)
					}
				}
			}
			w.abandon()
		})
	}
}

// TestHostileChains makes directories that hold themselves, and files that
// share clusters: they wait, with a reason, and the rest goes on.
func TestHostileChains(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	g := w.lay.Geometry()
	want := w.hostTree()
	var dir, file uint16
	root := make([]byte, g.RootBytes())
	_, err := w.s.Disk().ReadAt(root, w.lay.VolumeOffset()+g.RootOffset())
	w.must(err)
	for at := 0; root[at] != 0; at += 32 {
		e := root[at : at+32]
		switch first := binary.LittleEndian.Uint16(e[26:]); {
		case e[11] == 0x10 && strings.HasPrefix(string(e), "D  "):
			dir = first
		case strings.HasPrefix(string(e), "B       TXT"):
			file = first
		}
	}
	if dir == 0 || file == 0 {
		t.Fatal("the fixture has other names")
	}
	w.addToRoot(
		shortEntry("LOOP", 0x10, dir, 0),          // a directory that is another's
		shortEntry("CROSSED", 0x20, file, 100),    // a file that is another's
		shortEntry("NOCHAIN", 0x20, 0xfff0, 100),  // behind the end
		shortEntry("SIZEONLY", 0x20, 0, 100),      // no cluster
		shortEntry("FREE", 0x20, file+1000, 1000)) // free clusters
	w.survives("chains", lowerFixture)
	if d := fatguest.Difference(want, w.hostTree()); d != "" {
		t.Fatalf("%s\n%+v", d, w.s.Status())
	}
	for _, name := range []string{"loop", "crossed", "nochain", "sizeonly", "free"} {
		if !slices.ContainsFunc(w.s.Status().Pending, func(i writeback.Item) bool { return strings.EqualFold(i.Path, name) && i.Text != "" }) {
			t.Errorf("%s does not wait: %+v", name, w.s.Status().Pending)
		}
	}
	w.abandon()
}
