package fat

import (
	"container/list"
	"fmt"
	"sync"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

const (
	// pageBytes is the size of a page of the FAT cache. FAT12 fits in one, so
	// that no entry straddles two.
	pageBytes = 64 << 10
	// maxPages bounds the FAT cache, to 4 MiB.
	maxPages = 64
	// sectorBytes is the unit in which the FAT is written, and the unit that a
	// power cut leaves whole.
	sectorBytes = 512
)

// table is the FAT of a volume, cached in pages.
//
// The pages hold only what may reach the medium at any time: links of new
// chains, which nothing on the medium leads to yet. A change of an entry that
// something on the medium leads to waits in deferred until the commit makes it,
// in its turn. next sees both.
type table struct {
	disk  *disk
	geo   *fatfmt.Geometry
	bytes int64 // of the FAT that hold entries, in whole sectors

	mu       sync.Mutex
	pages    map[int64]*page
	recent   *list.List // of *page, the most recently used first
	deferred map[uint32]deferral
	epoch    uint64 // number of the commit that the next deferral belongs to
}

// deferral is the value that an entry will have.
type deferral struct {
	value uint32
	epoch uint64
}

// page is a part of the FAT.
type page struct {
	index int64
	bytes []byte
	dirty [pageBytes / sectorBytes / 64]uint64 // a bit for each sector
	place *list.Element
}

func newTable(d *disk, g *fatfmt.Geometry) *table {
	entries := g.Type.EntriesBytes(g.MaxCluster() + 1)
	return &table{
		disk: d, geo: g,
		bytes:    min((entries+sectorBytes-1)/sectorBytes*sectorBytes, g.FATBytes()),
		pages:    map[int64]*page{},
		recent:   list.New(),
		deferred: map[uint32]deferral{},
	}
}

// page returns the page with the byte at off of the FAT. The caller holds mu.
func (t *table) page(off int64) (*page, error) {
	i := off / pageBytes
	if p := t.pages[i]; p != nil {
		t.recent.MoveToFront(p.place)
		return p, nil
	}
	var p *page
	if t.recent.Len() >= maxPages {
		p = t.recent.Back().Value.(*page)
		if err := t.writePage(p); err != nil {
			return nil, err
		}
		delete(t.pages, p.index)
		t.recent.Remove(p.place)
	} else {
		p = &page{bytes: make([]byte, 0, min(pageBytes, t.bytes))}
	}
	p.index = i
	p.bytes = p.bytes[:min(pageBytes, t.bytes-i*pageBytes)]
	if err := t.disk.read(p.bytes, t.geo.FATOffset(t.geo.ActiveFAT)+i*pageBytes); err != nil {
		return nil, err
	}
	t.pages[i] = p
	p.place = t.recent.PushFront(p)
	return p, nil
}

// writePage writes the dirty sectors of p to every FAT that is kept up to
// date. The caller holds mu.
func (t *table) writePage(p *page) error {
	sectors := (len(p.bytes) + sectorBytes - 1) / sectorBytes
	for i := 0; i < sectors; {
		if p.dirty[i/64]>>(i%64)&1 == 0 {
			i++
			continue
		}
		j := i + 1
		for j < sectors && p.dirty[j/64]>>(j%64)&1 != 0 {
			j++
		}
		part := p.bytes[i*sectorBytes : min(j*sectorBytes, len(p.bytes))]
		if err := t.writeCopies(part, p.index*pageBytes+int64(i)*sectorBytes); err != nil {
			return err
		}
		i = j
	}
	p.dirty = [len(p.dirty)]uint64{}
	return nil
}

// writeCopies writes bytes of the FAT at off.
func (t *table) writeCopies(p []byte, off int64) error {
	if !t.geo.Mirrored {
		return t.disk.write(p, t.geo.FATOffset(t.geo.ActiveFAT)+off)
	}
	for i := range t.geo.FATs {
		if err := t.disk.write(p, t.geo.FATOffset(i)+off); err != nil {
			return err
		}
	}
	return nil
}

// flush writes every dirty page. It does not flush the device.
func (t *table) flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pages {
		if err := t.writePage(p); err != nil {
			return err
		}
	}
	return nil
}

// raw returns entry c as the pages hold it. The caller holds mu.
func (t *table) raw(c uint32) (uint32, error) {
	off := t.geo.Type.EntryOffset(c)
	p, err := t.page(off)
	if err != nil {
		return 0, err
	}
	return t.geo.Type.DecodeEntry(p.bytes[off%pageBytes:], c), nil
}

// put sets entry c in the pages. The caller holds mu.
func (t *table) put(c, v uint32) error {
	off := t.geo.Type.EntryOffset(c)
	p, err := t.page(off)
	if err != nil {
		return err
	}
	at := int(off % pageBytes)
	t.geo.Type.EncodeEntry(p.bytes[at:], c, v)
	last := at + t.geo.Type.EntryBytes() - 1
	for s := at / sectorBytes; s <= last/sectorBytes; s++ {
		p.dirty[s/64] |= 1 << (s % 64)
	}
	return nil
}

// next returns what follows cluster c: its entry and what that means.
func (t *table) next(c uint32) (uint32, fatfmt.Kind, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nextLocked(c)
}

func (t *table) nextLocked(c uint32) (uint32, fatfmt.Kind, error) {
	v, err := t.raw(c)
	if d, ok := t.deferred[c]; ok {
		v = d.value
	}
	return v, t.geo.Type.Classify(v, t.geo.MaxCluster()), err
}

// follow walks the chain from cluster c on while it lies in one piece, for at
// most limit clusters, 1 or more. It returns the number of clusters in that
// piece, and what follows its last one.
func (t *table) follow(c, limit uint32) (n, after uint32, kind fatfmt.Kind, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n = 1; ; n++ {
		after, kind, err = t.nextLocked(c)
		if err != nil || kind != fatfmt.Data || after != c+1 || n >= limit {
			return n, after, kind, err
		}
		c++
	}
}

// link makes [first, first+n) a chain whose last entry is after. None of these
// clusters is reachable on the medium.
func (t *table) link(first, n, after uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := uint32(1); i < n; i++ {
		if err := t.put(first, first+1); err != nil {
			return err
		}
		first++
	}
	return t.put(first, after)
}

// deferPut has the next commit set entry c, which something on the medium leads
// to, to v.
func (t *table) deferPut(c, v uint32) {
	t.mu.Lock()
	t.deferred[c] = deferral{v, t.epoch}
	t.mu.Unlock()
}

// undefer takes back what deferPut said of c.
func (t *table) undefer(c uint32) {
	t.mu.Lock()
	delete(t.deferred, c)
	t.mu.Unlock()
}

// endsDeferred reports whether the chain is to be cut at c, while on the
// medium it goes on. It must be committed before the chain can grow at c.
func (t *table) endsDeferred(c uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, ok := t.deferred[c]
	return ok && t.geo.Type.Classify(d.value, t.geo.MaxCluster()) == fatfmt.End
}

// change is a new value of an entry.
type change struct{ cluster, value uint32 }

// takeDeferred ends the epoch and returns its deferrals: links to new tails,
// and ends of chains.
func (t *table) takeDeferred() (links, ends []change, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, d := range t.deferred {
		if t.geo.Type.Classify(d.value, t.geo.MaxCluster()) == fatfmt.End {
			ends = append(ends, change{c, d.value})
		} else {
			links = append(links, change{c, d.value})
		}
	}
	epoch = t.epoch
	t.epoch++
	return links, ends, epoch
}

// apply makes deferred changes of an epoch and writes them.
func (t *table) apply(changes []change, epoch uint64) error {
	if len(changes) == 0 {
		return nil
	}
	t.mu.Lock()
	for _, x := range changes {
		if err := t.put(x.cluster, x.value); err != nil {
			t.mu.Unlock()
			return err
		}
		if d, ok := t.deferred[x.cluster]; ok && d.epoch <= epoch {
			delete(t.deferred, x.cluster)
		}
	}
	t.mu.Unlock()
	return t.flush()
}

// release frees the clusters of a chain, in the pages, and tells freed the runs.
// It stops at the first entry that leads to no cluster, so that a damaged
// chain frees what is its own at most once.
func (t *table) release(first uint32, freed func(first, n uint32)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	start, n := first, uint32(0)
	for c := first; ; {
		v, err := t.raw(c)
		if err != nil {
			return err
		}
		kind := t.geo.Type.Classify(v, t.geo.MaxCluster())
		if kind == fatfmt.Free || kind == fatfmt.Bad {
			break // damaged: the chain runs into what is not its own
		}
		if err := t.put(c, 0); err != nil {
			return err
		}
		delete(t.deferred, c)
		n++
		if kind != fatfmt.Data {
			break
		}
		if v != c+1 {
			freed(start, n)
			start, n = v, 0
		}
		c = v
	}
	if n > 0 {
		freed(start, n)
	}
	return nil
}

// free counts the free clusters among [first, first+n) and, if used is not
// nil, sets the bit of each other one in it.
func (t *table) free(first, n uint32, used []uint64) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := uint32(0)
	typ := t.geo.Type
	for i := uint32(0); i < n; {
		off := typ.EntryOffset(first + i)
		p, err := t.page(off)
		if err != nil {
			return 0, err
		}
		at := int(off % pageBytes)
		for ; i < n && at+typ.EntryBytes() <= len(p.bytes); i++ {
			if typ.DecodeEntry(p.bytes[at:], first+i) == 0 {
				count++
			} else {
				used[i/64] |= 1 << (i % 64)
			}
			at = int(typ.EntryOffset(first+i+1) - p.index*pageBytes)
		}
	}
	return count, nil
}

// chainError says that entry c of the FAT leads nowhere.
func (t *table) chainError(c, v uint32, kind fatfmt.Kind) error {
	reason := "the chain goes on to a " + kind.String() + " cluster"
	if kind == fatfmt.Free {
		reason = "the chain runs into a free cluster"
	}
	return &diskerr.FormatError{Format: t.geo.Type.String(), Structure: "FAT", Field: fmt.Sprintf("entry %d", c),
		Offset: t.geo.FATOffset(t.geo.ActiveFAT) + t.geo.Type.EntryOffset(c), Value: fmt.Sprintf("%#x", v), Reason: reason}
}
