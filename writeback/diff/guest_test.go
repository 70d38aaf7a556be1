package diff_test

import (
	"io"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/mem"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/test/fatguest"
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
	if res.RootChain != nil {
		root, err := r.cat.Get(catalog.Root)
		if err != nil {
			r.t.Fatal(err)
		}
		o := *root
		o.Chain = res.RootChain
		if err := r.cat.Put(&o); err != nil {
			r.t.Fatal(err)
		}
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
func (r *rig) guest() map[string]string { return fatguest.Read(r.t, r.vol) }
