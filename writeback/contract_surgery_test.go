package writeback_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vvfat"
)

// The methods here change the disk of a FAT16 volume sector by sector.

// edit writes bytes that lie within one sector.
func (w *world) edit(off int64, p []byte) {
	w.t.Helper()
	at := off &^ 511
	s := w.sector(at)
	copy(s[off-at:], p)
	w.put(at, s)
}

// link makes to follow cluster c, in both FATs. 0 frees c, endOfChain ends there.
func (w *world) link(c, to uint32) {
	w.t.Helper()
	g := w.lay.Geometry()
	for i := range g.FATs {
		w.edit(w.lay.VolumeOffset()+g.FATOffset(i)+2*int64(c), binary.LittleEndian.AppendUint16(nil, uint16(to)))
	}
}

const endOfChain = 0xffff

// chain returns the clusters that follow each other from c.
func (w *world) chain(c uint32) []uint32 {
	w.t.Helper()
	g := w.lay.Geometry()
	var out []uint32
	for c >= 2 && c <= g.MaxCluster() {
		out = append(out, c)
		off := w.lay.VolumeOffset() + g.FATOffset(0) + 2*int64(c)
		c = uint32(binary.LittleEndian.Uint16(w.sector(off &^ 511)[off&511:]))
	}
	return out
}

// clusterOffset returns where a cluster lies on the disk.
func (w *world) clusterOffset(c uint32) int64 {
	g := w.lay.Geometry()
	return w.lay.VolumeOffset() + g.ClusterOffset(c)
}

// rawEntry is a directory entry of a name of eight and three characters, and
// where it is on the disk.
type rawEntry struct {
	off   int64
	raw   []byte
	first uint32
}

// entries returns those that lie in a range of the disk, but for parts of long
// names, labels and dots.
func (w *world) entries(off, n int64) []rawEntry {
	w.t.Helper()
	p := make([]byte, n)
	_, err := w.s.Disk().ReadAt(p, off)
	w.must(err)
	var out []rawEntry
	for at := 0; at < len(p) && p[at] != 0; at += 32 {
		e := p[at : at+32]
		if e[0] != 0xE5 && e[0] != '.' && e[11]&0x08 == 0 {
			out = append(out, rawEntry{off + int64(at), e, uint32(binary.LittleEndian.Uint16(e[26:]))})
		}
	}
	return out
}

// rootEntries returns those of the root directory.
func (w *world) rootEntries() []rawEntry {
	w.t.Helper()
	g := w.lay.Geometry()
	return w.entries(w.lay.VolumeOffset()+g.RootOffset(), g.RootBytes())
}

// rootEntry returns the one of a name.
func (w *world) rootEntry(short string) rawEntry {
	w.t.Helper()
	for _, e := range w.rootEntries() {
		if string(e.raw[:11]) == short {
			return e
		}
	}
	w.t.Fatalf("no entry %q", short)
	return rawEntry{}
}

// setFirst changes the first cluster in an entry.
func (w *world) setFirst(e rawEntry, c uint32) {
	w.t.Helper()
	w.edit(e.off+26, binary.LittleEndian.AppendUint16(nil, uint16(c)))
}

// caseTwoOwners has a guest write sectors of one file, beside which in one
// cluster of the overlay lie those of another, which the base serves.
func caseTwoOwners(t *testing.T) {
	files := map[string]string{"a": "of a", "b": "of b", "c": string(pattern("c", 700)), "d": "of d"}
	for name, o := range map[string]vvfat.Options{
		"clusters of 512 bytes":    {FAT: 32, ClusterBytes: 512, SizeBytes: 48 << 20},
		"a partition at sector 63": {FAT: 16, QEMU: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, o, files)
			w.must(w.open())
			if o.QEMU && w.lay.VolumeOffset() != 63*512 {
				t.Fatalf("the volume begins at %d", w.lay.VolumeOffset())
			}
			w.mount()
			before := w.identities()
			w.must(errors.Join(fatguest.Patch(w.guest, "b", []byte("OF"), 0), w.guest.Sync()))
			w.must(w.s.Sync(t.Context()))
			w.same("b was written")
			after := w.identities()
			for _, name := range []string{"a", "c", "d"} {
				if before[name] != after[name] {
					t.Errorf("%s: %+v became %+v", name, before[name], after[name])
				}
			}
			w.kill()
			w.mount()
			w.must(errors.Join(fatguest.Patch(w.guest, "c", []byte("C"), 600), w.guest.Sync()))
			w.must(w.s.Sync(t.Context()))
			w.cut(1)
			w.arrived("c was written")
			w.must(w.s.Close(context.Background()))
		})
	}
}

// identities returns what every file and directory of the share is on the host.
func (w *world) identities() map[string]hostfs.Stat {
	w.t.Helper()
	out := map[string]hostfs.Stat{}
	for name := range w.hostTree() {
		st, err := w.m.Foreign("share").Stat(strings.TrimSuffix(name, "/"))
		w.must(err)
		out[name] = st
	}
	return out
}

// caseSurgery changes FAT and directory only: the first cluster of a file is
// dropped and given to another, and two files swap their tails.
func caseSurgery(t *testing.T) {
	const clusterBytes = 2048
	three := func(name string) string { return string(pattern(name, 3*clusterBytes-100)) }
	files := map[string]string{"x": three("x"), "p": three("p"), "q": three("q"), "other": "other"}
	for _, quiet := range []bool{false, true} {
		w := newWorldOf(t, vvfat.Options{FAT: 16, ClusterBytes: clusterBytes}, files)
		w.must(w.open())
		pause := func() {
			if quiet {
				w.quiet("surgery")
				w.kill()
			}
		}
		x := w.rootEntry("X          ")
		chain := w.chain(x.first)
		w.setFirst(x, chain[1])
		w.edit(x.off+28, binary.LittleEndian.AppendUint32(nil, uint32(2*clusterBytes-100)))
		pause()
		w.link(chain[0], endOfChain)
		y := shortEntry("Y", 0x20, uint16(chain[0]), clusterBytes)
		y[12] = 0x08 // the letters are small ones
		copy(y[22:], x.raw[22:26])
		w.addToRoot(y)
		pause()
		p, q := w.chain(w.rootEntry("P          ").first), w.chain(w.rootEntry("Q          ").first)
		w.link(p[0], q[1])
		pause()
		w.link(q[0], p[1])
		w.arrived("surgery")
		head, tail := func(s string) string { return s[:clusterBytes] }, func(s string) string { return s[clusterBytes:] }
		want := map[string]string{
			"x": tail(files["x"]), "y": head(files["x"]), "p": head(files["p"]) + tail(files["q"]),
			"q": head(files["q"]) + tail(files["p"]), "other": "other",
		}
		if d := fatguest.Difference(want, w.hostTree()); d != "" {
			t.Fatalf("quiet points %v: %s", quiet, d)
		}
		w.must(w.s.Close(context.Background()))
	}
}

// caseDiscard trims what files hold, and what they held: nothing is lost by it,
// and no commit follows. Zeroes are written all the same.
func caseDiscard(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	w.mount()
	w.must(errors.Join(vfs.WriteFile(w.guest, "new", pattern("new", 9000), 0o666), w.guest.Sync()))
	w.must(w.s.Sync(t.Context()))
	chainOf := func(name string) (off, n int64) {
		extents, err := w.guest.Extents(name)
		w.must(err)
		return w.lay.VolumeOffset() + extents[0].Offset, extents[0].Len
	}
	commits, shadow := w.s.Status().Commits, w.sectors()
	for _, name := range []string{"new", "d/y", "b.txt"} { // made by the guest, and served by the base
		off, n := chainOf(name)
		w.must(block.Discard(w.s.Disk(), off, n))
	}
	w.quiet("a discard")
	w.arrived("a discard")
	if off := firstDifference(shadow, w.sectors()); off >= 0 || w.s.Status().Commits != commits {
		t.Fatalf("a discard changed the disk at %d, or was a change: %+v", off, w.s.Status())
	}
	off, n := chainOf("new")
	w.must(errors.Join(w.guest.Remove("new"), w.guest.Sync(), block.Discard(w.s.Disk(), off, n)))
	w.must(w.s.Sync(t.Context()))
	w.same("deleted and discarded")
	_, aside := w.contents()
	if !slices.Contains(aside, string(pattern("new", 9000))) {
		t.Fatal("what was deleted and discarded is not in the trash")
	}
	off, n = chainOf("d/y")
	w.must(block.WriteZeroes(w.s.Disk(), off, n, 0))
	w.kill()
	w.arrived("zeroes")
	if got := w.hostTree()["d/y"]; strings.Trim(got, "\x00") != "" || len(got) != 7000 {
		t.Fatalf("zeroes did not arrive: %d bytes", len(got))
	}
	w.must(w.s.Close(context.Background()))
}

// caseDefragmenter gives every file and directory other clusters, with quiet
// points and kills between: the host sees nothing of it.
func caseDefragmenter(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	before := w.identities()
	g := w.lay.Geometry()
	free := g.MaxCluster()
	buf := make([]byte, g.ClusterBytes())
	moved := 0
	var move func(e rawEntry, parent uint32)
	move = func(e rawEntry, parent uint32) {
		old := w.chain(e.first)
		fresh := make([]uint32, len(old))
		for i, c := range old { // backwards, so that the file is in pieces
			fresh[i] = free - uint32(i)
			_, err := w.s.Disk().ReadAt(buf, w.clusterOffset(c))
			w.must(err)
			w.put(w.clusterOffset(fresh[i]), buf)
		}
		free -= uint32(len(old))
		w.quiet("copied")
		for i, c := range fresh {
			next := uint32(endOfChain)
			if i+1 < len(fresh) {
				next = fresh[i+1]
			}
			w.link(c, next)
		}
		w.quiet("linked")
		dir := e.raw[11]&0x10 != 0
		if dir { // its own dots
			w.edit(w.clusterOffset(fresh[0])+26, binary.LittleEndian.AppendUint16(nil, uint16(fresh[0])))
			w.edit(w.clusterOffset(fresh[0])+32+26, binary.LittleEndian.AppendUint16(nil, uint16(parent)))
		}
		w.setFirst(e, fresh[0])
		w.quiet("named")
		for _, c := range old {
			w.link(c, 0)
		}
		if moved++; moved%3 == 0 {
			w.kill()
		}
		if !dir {
			return
		}
		for _, child := range w.entries(w.clusterOffset(fresh[0]), int64(g.ClusterBytes())) {
			if child.first != 0 {
				move(child, fresh[0])
			}
		}
	}
	for _, e := range w.rootEntries() {
		if e.first != 0 {
			move(e, 0)
		}
	}
	w.arrived("defragmented")
	if moved < 8 {
		t.Fatalf("%d chains were moved", moved)
	}
	for name, was := range before {
		if now := w.identities()[name]; now != was {
			t.Errorf("%s: %+v became %+v", name, was, now)
		}
	}
	w.must(w.s.Close(context.Background()))
}

// halfChain writes an entry whose chain is not whole yet: the file waits, with a
// reason, and arrives when the rest of the chain does.
func halfChain(t *testing.T) {
	w := newWorld(t, 16, lowerFixture)
	w.must(w.open())
	g := w.lay.Geometry()
	size := uint32(2*g.ClusterBytes() + 100)
	free := g.MaxCluster() - 10
	text := pattern("half", int(size))
	for i := range uint32(3) {
		end := min((i+1)*uint32(g.ClusterBytes()), size)
		p := make([]byte, g.ClusterBytes())
		copy(p, text[i*uint32(g.ClusterBytes()):end])
		w.put(w.clusterOffset(free+i), p)
	}
	w.link(free, free+1)
	e := shortEntry("HALF", 0x20, uint16(free), size)
	e[12] = 0x08 // the letters are small ones
	copy(e[22:], w.rootEntry("A       TXT").raw[22:26])
	w.addToRoot(e)
	before := w.hostTree()
	for range 2 {
		w.quiet("half a chain")
		st := w.s.Status()
		if d := fatguest.Difference(before, w.hostTree()); d != "" || len(st.Pending) != 1 || !strings.EqualFold(st.Pending[0].Path, "half") {
			t.Fatalf("%s\n%+v", d, st)
		}
		w.kill()
	}
	w.link(free+1, free+2)
	w.link(free+2, endOfChain)
	w.arrived("the rest of the chain")
	if w.hostTree()["half"] != string(text) {
		t.Fatal("the file has other contents")
	}
	w.must(w.s.Close(context.Background()))
}
