package diff_test

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// recorder is a disk that remembers what was written, sector by sector.
type recorder struct {
	block.Device
	mu      sync.Mutex
	written []diff.Range
}

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	r.written = append(r.written, diff.Range{Off: off &^ 511, Len: (off+int64(len(p))+511)&^511 - off&^511})
	r.mu.Unlock()
	return r.Device.WriteAt(p, off)
}

// take returns what was written since the last take.
func (r *recorder) take() []diff.Range {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.written
	r.written = nil
	sort.Slice(out, func(i, j int) bool { return out[i].Off < out[j].Off })
	return out
}

// emptyBase is a generation of an empty directory.
type emptyBase struct{ g *fatfmt.Geometry }

func (b emptyBase) Count() int { return 1 }
func (b emptyBase) Node(catalog.ID) catalog.Node {
	n := catalog.Node{Inode: catalog.Inode{Name: "."}}
	if b.g.Type == fatfmt.FAT32 {
		n.Chain = catalog.Extent{First: b.g.RootCluster, Count: 1}
	}
	return n
}
func (b emptyBase) Children(catalog.ID) ([]catalog.ID, []catalog.Entry, error) { return nil, nil, nil }
func (b emptyBase) Owner(c uint32) (catalog.ID, bool) {
	return catalog.Root, b.g.Type == fatfmt.FAT32 && c == b.g.RootCluster
}

// rig is a guest, its disk, and the committed mirror of it: contents by object.
type rig struct {
	t       testing.TB
	dev     *recorder
	vol     *fat.Volume
	geo     fatfmt.Geometry
	cat     *catalog.Catalog
	differ  *diff.Differ
	content map[catalog.ID][]byte
	clock   time.Time
}

var sizes = map[int]int64{12: 2 << 20, 16: 16 << 20, 32: 40 << 20}

func newRig(t testing.TB, fatType int) *rig {
	t.Helper()
	dev := &recorder{Device: mem.New(sizes[fatType])}
	serial := uint32(0x12345678)
	o := fat.FormatOptions{Type: fatType, Serial: &serial}
	if fatType == 32 {
		o.ClusterBytes = 512
	}
	if _, err := fat.Format(dev, o); err != nil {
		t.Fatal(err)
	}
	boot := make([]byte, 512)
	if _, err := dev.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	b, err := fatfmt.DecodeBootSector(boot)
	if err != nil {
		t.Fatal(err)
	}
	g, err := b.Geometry()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dev: dev, geo: g, content: map[catalog.ID][]byte{}, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	dev.take()
	r.mount()
	cp, _ := fatfmt.LookupCodePage(0)
	r.cat = catalog.New(emptyBase{&r.geo})
	r.differ = diff.New(r.cat, diff.Options{Geometry: g, CodePage: cp, Serial: serial})
	return r
}

func (r *rig) mount() {
	v, err := fat.Open(r.dev, fat.Options{WriteBack: -1, Location: time.UTC, Now: func() time.Time {
		r.clock = r.clock.Add(20 * time.Millisecond)
		return r.clock
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.vol = v
}

// commit compares and carries everything out.
func (r *rig) commit(settled bool) *diff.Result {
	r.t.Helper()
	return r.commitView(r.dev.Device, r.dev.take(), settled)
}

func (r *rig) commitView(dev io.ReaderAt, written []diff.Range, settled bool) *diff.Result {
	r.t.Helper()
	res, err := r.differ.Diff(diff.View{ReaderAt: dev, Written: written, Settled: settled})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range res.Changes {
		r.carry(dev, c)
	}
	err = r.differ.Commit(res, func(c *diff.Change) diff.Outcome {
		o := diff.Outcome{Done: true}
		if c.Kind != diff.Remove {
			o.Object = &catalog.Object{ID: c.ID, Parent: c.Parent, Entry: c.Entry, Chain: c.Chain}
		}
		return o
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// carry brings the mirrored contents up to date: only what the change says
// was written is taken from the disk, so that what it leaves out is noticed.
func (r *rig) carry(dev io.ReaderAt, c *diff.Change) {
	switch {
	case c.Kind == diff.Remove:
		delete(r.content, c.ID)
	case !c.IsDir():
		old := r.content[c.ID]
		now := make([]byte, c.Entry.Size)
		copy(now, old)
		for _, w := range c.Written {
			r.readChain(dev, c.Chain, now[w.Off:w.Off+w.Len], w.Off)
		}
		r.content[c.ID] = now
	}
}

func (r *rig) readChain(dev io.ReaderAt, chain []catalog.Extent, p []byte, off int64) {
	cb := int64(r.geo.ClusterBytes())
	at := int64(0)
	for _, e := range chain {
		n := int64(e.Count) * cb
		if off < at+n && off+int64(len(p)) > at {
			lo, hi := max(off, at), min(off+int64(len(p)), at+n)
			if _, err := dev.ReadAt(p[lo-off:hi-off], r.geo.ClusterOffset(e.First)+lo-at); err != nil {
				r.t.Fatal(err)
			}
		}
		at += n
	}
}

// mirror returns the committed tree: paths and contents.
func (r *rig) mirror() map[string]string {
	out := map[string]string{}
	var walk func(catalog.ID, string)
	walk = func(id catalog.ID, at string) {
		ids, err := r.cat.Children(id)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, c := range ids {
			o, err := r.cat.Get(c)
			if err != nil || o == nil {
				r.t.Fatalf("child %d of %s: %v %v", c, at, o, err)
			}
			name := at + o.Entry.Name
			if o.IsDir() {
				out[name+"/"] = ""
				walk(c, name+"/")
			} else {
				out[name] = string(r.content[c])
			}
		}
	}
	walk(catalog.Root, "")
	return out
}

// guest returns the tree that the guest sees.
func (r *rig) guest() map[string]string {
	out := map[string]string{}
	err := vfs.Walk(r.t.Context(), r.vol, ".", func(name string, fi fs.FileInfo, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
		case fi.IsDir():
			out[name+"/"] = ""
		default:
			b, err := fs.ReadFile(r.vol, name)
			if err != nil {
				return err
			}
			out[name] = string(b)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// same fails unless the mirror is what the guest sees.
func (r *rig) same(what string, res *diff.Result) {
	r.t.Helper()
	if d := difference(r.guest(), r.mirror()); d != "" {
		r.t.Fatalf("%s: the mirror is not what the guest sees:\n%s\nwaiting: %v", what, d, res.Waiting)
	}
}

func difference(want, got map[string]string) string {
	var out []string
	for k, v := range want {
		if g, ok := got[k]; !ok {
			out = append(out, "missing "+k)
		} else if g != v {
			out = append(out, fmt.Sprintf("%s differs: %d bytes, want %d", k, len(g), len(v)))
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			out = append(out, "too much "+k)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// step does one random operation on the guest's tree.
func (r *rig) step(rnd *rand.Rand) string {
	var files, dirs []string
	for name := range r.guest() {
		if strings.HasSuffix(name, "/") {
			dirs = append(dirs, strings.TrimSuffix(name, "/"))
		} else {
			files = append(files, name)
		}
	}
	sort.Strings(files)
	sort.Strings(dirs)
	dirs = append(dirs, ".")
	pick := func(l []string) string { return l[rnd.IntN(len(l))] }
	fresh := func() string {
		names := []string{"A.TXT", "b.txt", "A rather long name of a file.text", "Größe😀", "C", "D.DAT", "e", "F"}
		d := pick(dirs)
		if d == "." {
			return pick(names)
		}
		return d + "/" + pick(names)
	}
	data := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	var what string
	var err error
	switch k := rnd.IntN(12); {
	case k < 3 || len(files) == 0 && k < 8:
		name := fresh()
		what = "write " + name
		err = vfs.WriteFile(r.vol, name, data(rnd.IntN(6000)), 0o666)
	case k < 4:
		name := fresh()
		what = "mkdir " + name
		err = r.vol.Mkdir(name, 0o777)
	case k < 5:
		name := pick(files)
		what = "remove " + name
		err = r.vol.Remove(name)
	case k < 7:
		name := pick(files)
		what = "patch " + name
		err = r.patch(name, data(1+rnd.IntN(3000)), int64(rnd.IntN(8000)))
	case k < 8:
		name := pick(files)
		n := int64(rnd.IntN(7000))
		if rnd.IntN(3) == 0 {
			n = 0
		}
		what = fmt.Sprintf("truncate %s %d", name, n)
		err = r.truncate(name, n)
	case k < 10 && len(files) > 0:
		from, to := pick(files), fresh()
		what = "rename " + from + " " + to
		err = r.vol.Rename(from, to)
	case k < 11:
		from, to := pick(dirs), fresh()
		what = "rename " + from + " " + to
		err = r.vol.Rename(from, to)
	default:
		name := pick(dirs)
		if name == "." {
			return "nothing"
		}
		what = "removeall " + name
		err = r.vol.RemoveAll(name)
	}
	if err != nil {
		what += " (" + err.Error() + ")"
	}
	return what
}

func (r *rig) patch(name string, p []byte, off int64) error {
	f, err := r.vol.OpenFile(name, 2, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p, off)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func (r *rig) truncate(name string, n int64) error {
	f, err := r.vol.OpenFile(name, 2, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(n)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
