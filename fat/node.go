package fat

import (
	"maps"
	"slices"
	"sync"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// place is where the entry of a file stands: the slot of the short entry in a
// directory. The zero place is nowhere.
type place struct {
	dir  *node
	slot int
}

// block returns the number of the 512-byte block that holds the entry.
func (p place) block() int { return p.slot / slotsPerBlock }

// node is a file or directory that is open, changed, or has its contents
// cached. There is one for each entry at most, found through its directory.
type node struct {
	vol   *Volume
	isDir bool

	// Guarded by treeMu.
	at       place // its entry; the root has none
	long     int   // slots of the long name before it
	onDisk   place // its entry on the medium; zero if there is none yet
	replaces bool  // the entry took the slot of a file that is on the medium
	turned   bool  // ".." is to be changed on the medium
	movedOut bool  // an entry on the medium moved to another directory

	// Guarded by cacheMu. A node is kept while any of these asks for it.
	refs     int           // handles, and calls under way
	pins     int           // reasons to keep contents
	dirty    bool          // its entry has to be written
	contents *directory    // of a directory, or nil if not loaded
	children map[int]*node // by slot
	removed  bool          // it has no entry any more

	loadMu  sync.Mutex // held while contents are loaded
	astray  bool       // it, or a parent, has ".." lead elsewhere; set with contents
	writeMu sync.Mutex // held while a file's content is changed

	mu    sync.RWMutex    // guards the rest
	entry fatfmt.DirEntry // but for Cluster and Size
	size  uint32          // bytes; 0 for a directory
	chain chain
}

// fixedRoot reports whether n is the root directory of FAT12 or FAT16, which
// is no chain.
func (n *node) fixedRoot() bool { return n.at.dir == nil && n.vol.geo.Type != fatfmt.FAT32 }

// full returns the entry as it is to be written. The caller holds n.mu.
func (n *node) full() fatfmt.DirEntry {
	e := n.entry
	e.Size = n.size
	e.Cluster = n.chain.first
	if n.vol.geo.Type != fatfmt.FAT32 {
		e.Cluster |= n.entry.Cluster &^ 0xFFFF // the high half is not ours: OS/2
	}
	return e
}

// dotDotCluster returns what ".." of a directory in n says: 0 for the root,
// also on FAT32. FAT 1.03, "FAT Directory Structure".
func (n *node) dotDotCluster() uint32 {
	if n.at.dir == nil {
		return 0
	}
	return n.chain.first
}

// node returns the node of the entry at slot of dir, and holds a reference to
// it. The caller holds treeMu for reading and a reference to dir, or treeMu
// for writing.
func (v *Volume) node(dir *node, d *directory, at position) *node {
	v.cacheMu.Lock()
	defer v.cacheMu.Unlock()
	if n := dir.children[at.slot]; n != nil {
		n.refs++
		return n
	}
	e := fatfmt.DecodeDirEntry(d.slot(at.slot))
	n := &node{vol: v, isDir: e.IsDir(), at: place{dir, at.slot}, long: at.long, refs: 1}
	n.onDisk = n.at
	n.entry, n.size = e, e.Size
	n.chain = newChain(e.FirstCluster(v.geo.Type))
	if n.isDir {
		n.size = 0
	}
	v.adopt(dir, n)
	return n
}

// adopt makes n known as the child of dir at n's place. The caller holds
// cacheMu.
func (v *Volume) adopt(dir, n *node) {
	if dir.children == nil {
		dir.children = map[int]*node{}
	}
	dir.children[n.at.slot] = n
}

// ref holds one more reference to n, which the caller has one to.
func (v *Volume) ref(n *node) *node {
	v.cacheMu.Lock()
	n.refs++
	v.cacheMu.Unlock()
	return n
}

// unref gives back a reference. The clusters of a removed file are freed with
// the last one.
func (v *Volume) unref(n *node) error {
	v.cacheMu.Lock()
	n.refs--
	last := n.refs == 0
	gone := last && n.removed
	if gone {
		delete(v.unlinked, n)
	}
	v.drop(n)
	v.cacheMu.Unlock()
	if last && !n.isDir {
		v.space.unreserve(n)
	}
	if gone {
		return v.freeAll(n)
	}
	return nil
}

// drop forgets n, and then its parents, if nothing asks for them. The caller
// holds cacheMu.
func (v *Volume) drop(n *node) {
	for n != v.root && n.refs == 0 && n.pins == 0 && !n.dirty && n.contents == nil && len(n.children) == 0 {
		if n.removed || n.at.dir.children[n.at.slot] != n {
			return
		}
		delete(n.at.dir.children, n.at.slot)
		n = n.at.dir
	}
}

// touch notes that the entry of n has to be written.
func (v *Volume) touch(n *node) {
	v.cacheMu.Lock()
	if !n.dirty {
		n.dirty = true
		v.dirty[n] = struct{}{}
	}
	v.cacheMu.Unlock()
	v.schedule()
}

// freeUnlinked frees the clusters of what was removed and is still open. The
// gate is closed.
func (v *Volume) freeUnlinked() error {
	v.cacheMu.Lock()
	nodes := slices.Collect(maps.Keys(v.unlinked))
	clear(v.unlinked)
	v.cacheMu.Unlock()
	for _, n := range nodes {
		if err := v.freeAll(n); err != nil {
			return err
		}
	}
	return nil
}

// freeAll frees the clusters of a file or directory without an entry.
func (v *Volume) freeAll(n *node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return v.shrink(n, 0)
}

// extend appends count clusters to the chain of n and sets up to extra more
// aside. All or none are appended. The caller holds n.mu.
func (v *Volume) extend(n *node, count, extra uint32) error {
	c := &n.chain
	if err := c.walkAll(v.table); err != nil {
		return err
	}
	last := uint32(0)
	if c.known > 0 {
		last = c.last()
		if c.fresh == 0 && v.table.endsDeferred(last) {
			return errCommitFirst
		}
	}
	v.touch(n)
	v.space.mu.Lock()
	defer v.space.mu.Unlock()
	runs, err := v.space.collect(n, last, count, extra)
	if err != nil {
		return err
	}
	for i, r := range runs {
		after := v.geo.Type.EndMark()
		if i+1 < len(runs) {
			after = runs[i+1].first
		}
		if err := v.table.link(r.first, r.n, after); err != nil {
			return v.fail(err)
		}
	}
	switch {
	case last == 0:
		c.first, c.whole = runs[0].first, true
	case c.fresh > 0:
		err = v.table.link(last, 1, runs[0].first)
	default:
		v.table.deferPut(last, runs[0].first)
	}
	if err != nil {
		return v.fail(err)
	}
	for _, r := range runs {
		c.add(r.first, r.n)
	}
	c.fresh += count
	v.space.net -= int64(count)
	return nil
}

// collect takes count clusters, after the cluster last if that is not 0, and
// sets up to extra more aside for n. The caller holds mu.
func (s *space) collect(n *node, last, count, extra uint32) ([]run, error) {
	var runs []run
	goal := uint32(0)
	if last != 0 {
		goal = last + 1
	}
	for count > 0 {
		r := s.unhold(n, goal, count)
		if r.n == 0 {
			s.unreserveLocked(n)
			var err error
			if r, err = s.allocate(goal, count+extra); err != nil {
				for _, r := range runs {
					s.giveBack(r.first, r.n)
				}
				return nil, err
			}
			if r.n > count {
				s.hold(n, run{r.first + count, r.n - count})
				r.n = count
			}
		}
		runs = append(runs, r)
		goal, count = r.end(), count-r.n
	}
	return runs, nil
}

// shrink keeps the first count clusters of n and frees the rest: at once those
// that the medium knows nothing of, the others with the next commit. The caller
// holds n.mu.
func (v *Volume) shrink(n *node, count uint32) error {
	v.space.unreserve(n)
	v.touch(n)
	c := &n.chain
	if count == 0 && c.fresh == 0 { // as it is, whole or not
		if v.geo.Valid(c.first) {
			v.space.doom(c.first)
		}
		*c = chain{whole: true}
		return nil
	}
	if err := c.walkAll(v.table); err != nil {
		return err
	}
	if count >= c.known {
		return nil
	}
	settled := c.known - c.fresh // clusters that the medium knows
	rest, _, err := c.locate(v.table, count)
	if err != nil {
		return err
	}
	if count < settled {
		return v.shrinkSettled(n, count, settled, rest)
	}
	last, err := c.cut(v.table, count)
	switch {
	case err != nil:
		return err
	case count == settled && count > 0:
		v.table.undefer(last)
	case count > 0:
		err = v.table.link(last, 1, v.geo.Type.EndMark())
	}
	if err == nil {
		err = v.space.releaseNow(rest)
	}
	if err != nil {
		return v.fail(err)
	}
	return nil
}

// shrinkSettled cuts the chain of n within what the medium knows: clusters from
// rest on, which is at index count, up to index settled.
func (v *Volume) shrinkSettled(n *node, count, settled, rest uint32) error {
	c := &n.chain
	if c.fresh > 0 {
		tail, _, err := c.locate(v.table, settled)
		if err != nil {
			return err
		}
		joint, err := c.cut(v.table, settled)
		if err != nil {
			return err
		}
		v.table.undefer(joint)
		if err := v.space.releaseNow(tail); err != nil {
			return v.fail(err)
		}
	}
	last, err := c.cut(v.table, count)
	if err != nil {
		return err
	}
	v.space.doom(rest)
	if count > 0 {
		v.table.deferPut(last, v.geo.Type.EndMark())
	}
	return nil
}
