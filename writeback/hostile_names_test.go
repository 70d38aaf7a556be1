package writeback_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/test/fatguest"
	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback"
	"github.com/fatkit/fatkit/writeback/plan"
)

// longEntries are the slots of a long name and its short entry (FAT32 File System
// Specification 1.03, section 7), for any units.
func longEntries(units []uint16, short []byte) [][]byte {
	var sum byte
	for _, c := range short[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	units = slices.Clone(units)
	if len(units)%13 != 0 {
		units = append(units, 0)
	}
	for len(units)%13 != 0 {
		units = append(units, 0xFFFF)
	}
	var out [][]byte
	n := len(units) / 13
	for i := n; i > 0; i-- {
		e := make([]byte, 32)
		if e[0] = byte(i); i == n {
			e[0] |= 0x40
		}
		e[11], e[13] = 0x0F, sum
		for j, u := range units[(i-1)*13 : i*13] {
			at := 1 + 2*j
			if j >= 5 {
				at = 14 + 2*(j-5)
			}
			if j >= 11 {
				at = 28 + 2*(j-11)
			}
			binary.LittleEndian.PutUint16(e[at:], u)
		}
		out = append(out, e)
	}
	return append(out, short)
}

// hostileLong are long names that would lead somewhere else, or are no text. The
// characters from U+F000 on stand for bytes in host names.
var hostileLong = map[string][]uint16{
	"dots":                     utf16.Encode([]rune("..")),
	"one dot":                  utf16.Encode([]rune(".")),
	"a path":                   utf16.Encode([]rune("../../secret")),
	"a path from the root":     utf16.Encode([]rune("/etc/passwd")),
	"a backslash":              utf16.Encode([]rune(`..\secret`)),
	"a slash in the middle":    utf16.Encode([]rune("d/planted")),
	"NUL in the middle":        {'a', 0, 'b'},
	"NUL at the beginning":     {0, 'a'},
	"half of a pair":           {'a', 0xD800, 'b'},
	"the other half":           {0xDC00},
	"a pair the wrong way":     {0xDE00, 0xD83D},
	"padding in the middle":    {'a', 0xFFFF, 'b'},
	"a stand-in for a slash":   {'d', 0xF02F, 'x'},
	"stand-ins for dots":       {0xF02E, 0xF02E},
	"a stand-in for one dot":   {0xF02E},
	"dots, half of them":       {'.', 0xF02E},
	"a path of stand-ins":      {0xF02E, 0xF02E, 0xF02F, 's', 'e', 'c', 'r', 'e', 't'},
	"a stand-in for NUL":       {'a', 0xF000},
	"our own folder":           utf16.Encode([]rune(".fatkit-kept")),
	"our own folder, mapped":   {0xF02E, 'f', 'a', 't', 'k', 'i', 't', '-', 'k', 'e', 'p', 't'},
	"spaces and dots":          utf16.Encode([]rune(" . . ")),
	"255 units of three bytes": utf16.Encode([]rune(strings.Repeat("日", 255))),
	"control characters":       {1, 2, '\n', 0x7F},
	"a name that is there":     utf16.Encode([]rune("A.TXT")),
}

// TestHostileLongNames puts files and directories with such names into the root.
// Nothing outside the directory is touched, nothing of the host's is lost, whatever
// the host gets is a name in that directory, and the status has a reason for the
// others.
func TestHostileLongNames(t *testing.T) {
	for what, units := range hostileLong {
		t.Run(what, func(t *testing.T) {
			for _, attr := range []byte{0x20, 0x10} {
				w := newWorld(t, 16, lowerFixture)
				w.must(hostWrite(w.m.Foreign("."), "secret", "outside"))
				w.must(w.open())
				before := w.hostTree()
				w.addToRoot(longEntries(units, shortEntry("HOSTILE1", attr, w.freshDir(attr), 0))...)
				w.survives(what, lowerFixture)
				w.judgeNames(before)
				for range 2 { // the same after a restart
					w.kill()
					w.survives(what, lowerFixture)
				}
				w.judgeNames(before)
				w.abandon()
			}
		})
	}
}

// freshDir makes an empty directory in a free cluster, and returns that; 0 for
// attributes of a file.
func (w *world) freshDir(attr byte) uint16 {
	w.t.Helper()
	if attr&0x10 == 0 {
		return 0
	}
	g := w.lay.Geometry()
	c := uint16(g.MaxCluster() - 7)
	p := make([]byte, g.ClusterBytes())
	copy(p, shortEntry(".", 0x10, c, 0))
	copy(p[32:], shortEntry("..", 0x10, 0, 0))
	w.raw(w.clusterOffset(uint32(c)), p)
	w.link(uint32(c), endOfChain)
	return c
}

// judgeNames compares the tree with what it was: at most one name is new, which
// is a whole one and in the root, else something waits.
func (w *world) judgeNames(before map[string]string) {
	w.t.Helper()
	var fresh []string
	for name := range w.hostTree() {
		if _, ok := before[name]; !ok {
			fresh = append(fresh, name)
		}
	}
	pending := w.s.Status().Pending
	switch {
	case len(fresh) == 0:
		if len(pending) == 0 || slices.ContainsFunc(pending, func(i writeback.Item) bool { return i.Text == "" }) {
			w.t.Errorf("nothing arrived, and there is no reason: %+v", w.s.Status())
		}
		return
	case len(fresh) > 1 || len(pending) > 0:
		w.t.Errorf("%q is new, %+v wait", fresh, pending)
	}
	base := strings.TrimSuffix(fresh[0], "/")
	if base == "" || base == "." || base == ".." || strings.ContainsAny(base, "/\x00") || base == ".fatkit-kept" {
		w.t.Errorf("%q is on the host", fresh[0])
	}
}

// TestHostileLinks puts symbolic links out of the directory in the place of what
// the guest changes. What they lead to stays as it is.
func TestHostileLinks(t *testing.T) {
	for what, change := range map[string]func(g *fat.Volume) error{
		"a file is written":      func(g *fat.Volume) error { return fatguest.Patch(g, "d/x", []byte("changed"), 0) },
		"a file is created":      func(g *fat.Volume) error { return vfs.WriteFile(g, "d/planted", []byte("planted"), 0o666) },
		"a file is deleted":      func(g *fat.Volume) error { return g.Remove("d/x") },
		"a file is moved in":     func(g *fat.Volume) error { return g.Rename("a.txt", "d/a.txt") },
		"a file is moved out":    func(g *fat.Volume) error { return g.Rename("d/x", "x") },
		"a directory is deleted": func(g *fat.Volume) error { return g.RemoveAll("d") },
		"a directory is made":    func(g *fat.Volume) error { return g.MkdirAll("d/new/newer", 0o777) },
	} {
		for _, link := range []string{"d", "d/x"} {
			t.Run(what+", a link at "+link, func(t *testing.T) { plantLink(t, change, link) })
		}
	}
}

func plantLink(t *testing.T, change func(g *fat.Volume) error, link string) {
	outside := t.TempDir()
	files := map[string]string{"x": "outside", "y": "outside as well"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, 16, fixture)
	target := outside
	if link == "d/x" {
		target = filepath.Join(outside, "x")
	}
	r.must(os.Rename(filepath.Join(r.dir, link), filepath.Join(r.dir, "moved by the host")))
	r.must(os.Symlink(target, filepath.Join(r.dir, link)))
	r.must(errors.Join(change(r.guest), r.guest.Sync()))
	for range 2 {
		if err := r.s.Sync(t.Context()); err != nil && !errors.Is(err, writeback.ErrPending) {
			t.Fatal(err)
		}
	}
	if d := fatguest.Difference(files, fatguest.Read(t, os.DirFS(outside))); d != "" {
		t.Fatalf("outside of the directory: %s", d)
	}
	for _, name := range []string{"a.txt", "d/y"} { // wherever it is now
		found := false
		for _, dir := range []string{r.dir, r.state} {
			r.must(filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					var b []byte
					b, err = os.ReadFile(p)
					found = found || string(b) == fixture[name]
				}
				return err
			}))
		}
		if !found {
			t.Errorf("what %s held is lost", name)
		}
	}
	st := r.s.Status()
	if len(st.Pending)+len(st.Settled)+len(st.Conflicts) == 0 && st.Commits == 0 {
		t.Errorf("%+v", st)
	}
}

// TestHostileDirectory makes directories of as many slots as there can be, and of
// more: the first arrives, the second waits with a reason. When the first is wiped
// the brake holds.
func TestHostileDirectory(t *testing.T) {
	const slots = 65536
	for _, c := range []struct {
		slots, files int
		lost         bool // too large
	}{{slots, 300, false}, {slots + 64, 300, true}, {slots, slots - 2, false}} {
		if c.files > 1000 && !product.Long() {
			continue
		}
		t.Run(fmt.Sprintf("%d slots, %d files", c.slots, c.files), func(t *testing.T) {
			w := newWorldOf(t, vvfat.Options{FAT: 16, ClusterBytes: 2048, SizeBytes: 32 << 20}, lowerFixture)
			w.deletes = 100
			w.m.FreshInodes = true // to look for free numbers takes the square of the files
			w.must(w.open())
			before := w.hostTree()
			first := w.bigDirectory(c.slots, c.files)
			w.quiet("a large directory")
			got := w.hostTree()
			if st := w.s.Status(); c.lost {
				if d := fatguest.Difference(before, got); d != "" || len(st.Pending) != 1 || st.Pending[0].Text == "" {
					t.Fatalf("%s\n%+v", d, st.Pending)
				}
				w.abandon()
				return
			}
			if n := len(got) - len(before); n != c.files+1 || len(w.s.Status().Pending) > 0 {
				t.Fatalf("%d files and directories arrived: %+v", n, w.s.Status().Pending)
			}
			wiped := make([]byte, 2048)
			copy(wiped, w.sector(w.clusterOffset(first))[:64])
			for _, c := range w.chain(first) {
				w.put(w.clusterOffset(c), wiped)
				wiped = make([]byte, 2048)
			}
			for range 2 {
				w.survives("wiped", lowerFixture)
				if d := fatguest.Difference(got, w.hostTree()); d != "" {
					t.Fatalf("the brake let deletions through: %.500s", d)
				}
				if st := w.s.Status(); len(st.Brake)+len(st.Pending) == 0 {
					t.Fatalf("%+v", st)
				}
				w.kill()
			}
			w.abandon()
		})
	}
}

// bigDirectory makes a directory of a number of slots at the end of the disk,
// whose last ones are empty files, and returns its first cluster.
func (w *world) bigDirectory(slots, files int) uint32 {
	w.t.Helper()
	g := w.lay.Geometry()
	raw := make([]byte, slots*32)
	n := uint32(len(raw) / g.ClusterBytes())
	first := g.MaxCluster() - n
	copy(raw, shortEntry(".", 0x10, uint16(first), 0))
	copy(raw[32:], shortEntry("..", 0x10, 0, 0))
	for i := 2; i < slots; i++ {
		e := shortEntry(fmt.Sprintf("F%07d", i), 0x20, 0, 0)
		if i < slots-files {
			e[0] = 0xE5
		}
		copy(raw[32*i:], e)
	}
	w.put(w.clusterOffset(first), raw)
	fat := make([]byte, 2*n)
	for i := range n {
		next := uint16(first + i + 1)
		if i == n-1 {
			next = endOfChain
		}
		binary.LittleEndian.PutUint16(fat[2*i:], next)
	}
	for i := range g.FATs {
		w.put(w.lay.VolumeOffset()+g.FATOffset(i)+2*int64(first), fat)
	}
	w.addToRoot(shortEntry("BIG", 0x10, uint16(first), 0))
	return first
}

// TestShortNames makes files whose names have the short form only, with and
// without case bits.
func TestShortNames(t *testing.T) {
	for names, want := range map[plan.ShortNames][]string{
		plan.LowerNames: {"plain.dat", "lower.dat", "base.DAT"},
		plan.UpperNames: {"PLAIN.DAT", "LOWER.DAT", "BASE.DAT"},
		plan.BitsNames:  {"PLAIN.DAT", "lower.dat", "base.DAT"},
	} {
		w := newWorld(t, 16, lowerFixture)
		w.tune = func(o *writeback.Options) { o.ShortNames = names }
		w.must(w.open())
		before := w.hostTree()
		lower, base := shortEntry("LOWER   DAT", 0x20, 0, 0), shortEntry("BASE    DAT", 0x20, 0, 0)
		lower[12], base[12] = 0x18, 0x08
		w.addToRoot(shortEntry("PLAIN   DAT", 0x20, 0, 0), lower, base)
		w.must(w.s.Sync(t.Context()))
		got := w.hostTree()
		maps.DeleteFunc(got, func(name, _ string) bool { _, old := before[name]; return old })
		if list := slices.Sorted(maps.Keys(got)); !slices.Equal(list, slices.Sorted(slices.Values(want))) {
			t.Errorf("names %v: %q, want %q", names, list, want)
		}
		w.abandon()
	}
}
