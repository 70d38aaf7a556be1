package fat

import (
	"fmt"
	"path"
	"slices"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// checkDir is a directory that the checker looks at.
type checkDir struct {
	path     string
	parent   uint32 // what ".." has to say
	clusters []uint32
	root     bool
	raw      []byte
	changed  []bool // by block
}

// slot returns the bytes of slot i.
func (d *checkDir) slot(i int) []byte { return d.raw[i*slotBytes : (i+1)*slotBytes] }

func (d *checkDir) slots() int { return len(d.raw) / slotBytes }

// change notes that slot i is changed.
func (d *checkDir) change(i int) { d.changed[i/slotsPerBlock] = true }

// first returns the first cluster, which ".." of its children shows; 0 for the
// root.
func (d *checkDir) first() uint32 {
	if d.root {
		return 0
	}
	return d.clusters[0]
}

// item returns d as something to be visited again.
func (d *checkDir) item() item {
	it := item{path: d.path, parent: d.parent, root: d.root}
	if len(d.clusters) > 0 {
		it.first = d.clusters[0]
	}
	return it
}

// offset returns where slot i is on the device.
func (c *checker) offset(d *checkDir, i int) int64 {
	off := int64(i) * slotBytes
	if len(d.clusters) == 0 {
		return c.geo.RootOffset() + off
	}
	cb := int64(c.geo.ClusterBytes())
	return c.geo.ClusterOffset(d.clusters[off/cb]) + off%cb
}

// item is a directory that is still to be visited.
type item struct {
	path   string
	first  uint32 // 0 for the fixed root
	parent uint32
	root   bool
}

// rootItem returns the root directory.
func (c *checker) rootItem() item { return item{path: "", first: c.geo.RootCluster, root: true} }

// load reads a directory whose chain is known to be sound.
func (c *checker) load(it item) (*checkDir, error) { return c.loadInto(nil, it) }

// loadInto is load, with the slots in the memory of buf as far as that goes.
func (c *checker) loadInto(buf []byte, it item) (*checkDir, error) {
	d := &checkDir{path: it.path, parent: it.parent, root: it.root, raw: buf[:0]}
	if it.first == 0 {
		d.raw = make([]byte, min(c.geo.RootBytes(), maxDirBytes))
		if err := c.disk.read(d.raw, c.geo.RootOffset()); err != nil {
			return nil, err
		}
	} else {
		ch := newChain(it.first)
		if err := ch.walk(c.t, c.maxDirClusters()); err != nil {
			return nil, err
		}
		cb := c.geo.ClusterBytes()
		err := ch.runs(c.t, 0, ch.known, func(r run) error {
			at := len(d.raw)
			d.raw = slices.Grow(d.raw, int(r.n)*cb)[:at+int(r.n)*cb]
			for i := range r.n {
				d.clusters = append(d.clusters, r.first+i)
			}
			return c.disk.read(d.raw[at:], c.geo.ClusterOffset(r.first))
		})
		if err != nil {
			return nil, err
		}
	}
	d.changed = make([]bool, (len(d.raw)+sectorBytes-1)/sectorBytes)
	return d, nil
}

// maxDirClusters is the length of the longest directory.
func (c *checker) maxDirClusters() uint32 {
	return max(1, uint32(maxDirBytes/c.geo.ClusterBytes()))
}

// save writes the blocks of d that were changed.
func (c *checker) save(d *checkDir) error {
	for i, changed := range d.changed {
		if !changed {
			continue
		}
		p := d.raw[i*sectorBytes : min((i+1)*sectorBytes, len(d.raw))]
		if err := c.disk.write(p, c.offset(d, i*slotsPerBlock)); err != nil {
			return err
		}
		d.changed[i] = false
	}
	return nil
}

// walk visits the directory at it and all below it. visit may change d, and
// what it leaves there is where the walk goes on. The slots of d are valid until
// visit returns.
func (c *checker) walk(it item, visit func(d *checkDir) error) error {
	stack := []item{it}
	var buf []byte
	for len(stack) > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		it := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d, err := c.loadInto(buf, it)
		if err != nil {
			return err
		}
		buf = d.raw
		if err := visit(d); err != nil {
			return err
		}
		if err := c.save(d); err != nil {
			return err
		}
		from := len(stack)
		stack = c.subDirs(stack, d)
		for i, j := from, len(stack)-1; i < j; i, j = i+1, j-1 {
			stack[i], stack[j] = stack[j], stack[i] // so that they are visited in order
		}
	}
	return nil
}

// subDirs appends the sub-directories of d to stack.
func (c *checker) subDirs(stack []item, d *checkDir) []item {
	for i := range d.slots() {
		slot := d.slot(i)
		kind := fatfmt.KindOf(slot)
		if kind == fatfmt.SlotEnd {
			break
		}
		if kind != fatfmt.SlotEntry || fatfmt.Attr(slot[11])&fatfmt.AttrDirectory == 0 {
			continue
		}
		if e := fatfmt.DecodeDirEntry(slot); e.IsDir() && !e.IsDot() {
			stack = append(stack, item{path: path.Join(d.path, c.nameOf(d, i)), first: e.FirstCluster(c.geo.Type), parent: d.first()})
		}
	}
	return stack
}

// checkTree checks all directories and claims their clusters, before files can
// claim any.
func (c *checker) checkTree() error {
	root := c.rootItem()
	if root.first != 0 {
		if _, err := c.claim(root.first, owner{path: named("."), off: 44, dir: true, need: c.maxDirClusters()}); err != nil {
			return err
		}
	}
	return c.walk(root, c.visitDir)
}

// visitDir checks one directory and claims its sub-directories.
func (c *checker) visitDir(d *checkDir) error {
	if err := c.fixTail(d); err != nil {
		return err
	}
	c.fixDots(d)
	c.fixLongNames(d)
	c.fixNames(d)
	if d.root {
		c.fixLabel(d)
	}
	for i := range d.slots() {
		kind := fatfmt.KindOf(d.slot(i))
		if kind == fatfmt.SlotEnd {
			break
		}
		if kind != fatfmt.SlotEntry {
			continue
		}
		e := fatfmt.DecodeDirEntry(d.slot(i))
		if !e.IsDir() || e.IsDot() {
			continue
		}
		c.res.Dirs++
		if err := c.fixSubDir(d, i, &e); err != nil {
			return err
		}
	}
	return nil
}

// fixSubDir checks the entry of a sub-directory in slot i, and claims its
// chain.
func (c *checker) fixSubDir(d *checkDir, i int, e *fatfmt.DirEntry) error {
	name := path.Join(d.path, c.nameOf(d, i))
	off := c.offset(d, i)
	if e.Size != 0 {
		c.report(diskerr.Warning, "directory-size", name, off+28, "set it to 0", "the size of the directory is %d, should be 0", e.Size)
		e.Size = 0
		e.Encode(d.slot(i))
		d.change(i)
	}
	first := e.FirstCluster(c.geo.Type)
	switch {
	case !c.geo.Valid(first):
		c.report(diskerr.Error, "directory-start", name, off+26, "make it an empty file",
			"the directory begins at cluster %d, which there is not", first)
		c.toFile(d, i, e, 0, 0)
		return nil
	case c.marks.get(first) == markOwned:
		c.report(diskerr.Error, "directory-shared", name, off+26, "remove the entry; the other one has everything",
			"the directory begins at cluster %d, which belongs to another directory", first)
		c.drop(d, i)
		return nil
	}
	looks, err := c.looksLikeDir(first)
	if err != nil {
		return err
	}
	if !looks {
		n, err := c.length(first)
		if err != nil {
			return err
		}
		c.report(diskerr.Error, "not-a-directory", name, off+11, "make it a file",
			"what the directory holds are no directory entries")
		c.toFile(d, i, e, first, uint32(min(int64(n)*int64(c.geo.ClusterBytes()), fatfmt.MaxFileBytes)))
		return nil
	}
	_, err = c.claim(first, owner{path: named(name), off: off, dir: true, need: c.maxDirClusters()})
	return err
}

// toFile turns the directory in slot i into a file.
func (c *checker) toFile(d *checkDir, i int, e *fatfmt.DirEntry, first, size uint32) {
	c.res.Dirs--
	e.Attr &^= fatfmt.AttrDirectory
	e.Cluster, e.Size = first, size
	e.Encode(d.slot(i))
	d.change(i)
}

// drop removes the entry in slot i, with its long name.
func (c *checker) drop(d *checkDir, i int) {
	if e := fatfmt.DecodeDirEntry(d.slot(i)); e.IsDir() && !e.IsDot() {
		c.res.Dirs--
	}
	c.erase(d, i-c.longSlots(d, i), i+1)
}

// erase marks slots [from, to) as deleted.
func (c *checker) erase(d *checkDir, from, to int) {
	for i := from; i < to; i++ {
		fatfmt.MarkDeleted(d.slot(i))
		d.change(i)
	}
}

// longSlots returns how many slots of a long name belong to the entry in slot
// i.
func (c *checker) longSlots(d *checkDir, i int) int {
	sum := fatfmt.Checksum([11]byte(d.slot(i)))
	n := 0
	for n < fatfmt.MaxLongSlots && i-n-1 >= 0 {
		s := d.slot(i - n - 1)
		if fatfmt.KindOf(s) != fatfmt.SlotLong || s[13] != sum || int(s[0]&0x3F) != n+1 {
			return 0
		}
		n++
		if s[0]&0x40 != 0 {
			return n
		}
	}
	return 0
}

// nameOf returns the name of the entry in slot i.
func (c *checker) nameOf(d *checkDir, i int) string {
	name := ""
	scanSlots(d.raw[(i-c.longSlots(d, i))*slotBytes:(i+1)*slotBytes], c.cp,
		func(_ position, s string, _ *fatfmt.DirEntry) bool {
			name = s
			return false
		})
	if name == "" {
		e := fatfmt.DecodeDirEntry(d.slot(i))
		name = presentable(e.ShortName(c.cp))
	}
	return name
}

// looksLikeDir reports whether the cluster can be the first one of a directory:
// it has "." and "..", or most of its entries are sound.
func (c *checker) looksLikeDir(first uint32) (bool, error) {
	p := make([]byte, c.geo.ClusterBytes())
	if err := c.disk.read(p, c.geo.ClusterOffset(first)); err != nil {
		return false, err
	}
	dot, dotDot := fatfmt.DecodeDirEntry(p), fatfmt.DecodeDirEntry(p[slotBytes:])
	if dot.Name == fatfmt.DotName || dotDot.Name == fatfmt.DotDotName {
		return true, nil
	}
	return plausible(p), nil
}

// plausible reports whether at least half of the entries in p are sound.
func plausible(p []byte) bool {
	good, bad := 0, 0
	for ; len(p) > 0; p = p[slotBytes:] {
		switch fatfmt.KindOf(p) {
		case fatfmt.SlotEnd:
			return bad <= good
		case fatfmt.SlotEntry:
			e := fatfmt.DecodeDirEntry(p)
			if (e.IsDot() || badShortName(e.Name) == "") && p[11]&0xC0 == 0 {
				good++
			} else {
				bad++
			}
		}
	}
	return bad <= good
}

// fixTail deals with what follows the end mark of a directory. It is free by
// FAT 1.03, "FAT Directory Structure", DIR_Name[0], but there are systems that
// read on. Whole clusters after the mark, and those that cannot be part of a
// directory, are cut off, since they may belong to a file; the rest is cleared.
func (c *checker) fixTail(d *checkDir) error {
	cb := c.geo.ClusterBytes()
	ended := false
	for k := 1; k < len(d.clusters); k++ {
		ended = ended || hasEnd(d.raw[(k-1)*cb:k*cb])
		p := d.raw[k*cb : (k+1)*cb]
		if ended && !inUse(p) || !ended && plausible(p) {
			continue
		}
		c.report(diskerr.Error, "directory-garbage", d.path, c.geo.ClusterOffset(d.clusters[k]), "cut it off there",
			"cluster %d of the directory holds something else", k)
		for _, cluster := range d.clusters[k:] {
			c.marks.set(cluster, markOrphan)
		}
		d.clusters, d.raw = d.clusters[:k], d.raw[:k*cb]
		d.changed = d.changed[:(k*cb+sectorBytes-1)/sectorBytes]
		if err := c.end(d.clusters[k-1]); err != nil {
			return err
		}
		break
	}
	for i := range d.slots() {
		if fatfmt.KindOf(d.slot(i)) != fatfmt.SlotEnd {
			continue
		}
		if !inUse(d.raw[i*slotBytes:]) {
			return nil
		}
		c.report(diskerr.Warning, "directory-tail", d.path, c.offset(d, i), "clear it", "there is something after the end of the directory")
		for k := i; k < d.slots(); k++ {
			if inUse(d.slot(k)) {
				clear(d.slot(k))
				d.change(k)
			}
		}
		return nil
	}
	return nil
}

// hasEnd reports whether there is an end mark in p.
func hasEnd(p []byte) bool {
	for ; len(p) > 0; p = p[slotBytes:] {
		if fatfmt.KindOf(p) == fatfmt.SlotEnd {
			return true
		}
	}
	return false
}

// inUse reports whether a slot in p is neither free nor deleted.
func inUse(p []byte) bool {
	for ; len(p) > 0; p = p[slotBytes:] {
		if kind := fatfmt.KindOf(p); kind != fatfmt.SlotEnd && kind != fatfmt.SlotFree {
			return true
		}
	}
	return false
}

// fixDots makes "." and ".." the first two entries of a sub-directory, with the
// right clusters, and removes them from everywhere else.
func (c *checker) fixDots(d *checkDir) {
	for i := range d.slots() {
		kind := fatfmt.KindOf(d.slot(i))
		if kind == fatfmt.SlotEnd {
			break
		}
		e := fatfmt.DecodeDirEntry(d.slot(i))
		if kind != fatfmt.SlotEntry || !e.IsDot() || !d.root && i < 2 && e.Name == dotNames[i] {
			continue
		}
		c.report(diskerr.Error, "dot-misplaced", d.path, c.offset(d, i), "remove it", "there is a stray %q entry", e.ShortName(c.cp))
		c.erase(d, i, i+1)
	}
	if d.root {
		return
	}
	for i, want := range []uint32{d.first(), d.parent} {
		c.fixDot(d, i, want)
	}
}

var dotNames = [2][11]byte{fatfmt.DotName, fatfmt.DotDotName}

// fixDot makes slot i the entry "." or "..".
func (c *checker) fixDot(d *checkDir, i int, want uint32) {
	label, off := dotNames[i], c.offset(d, i)
	what := []string{".", ".."}[i]
	e := fatfmt.DecodeDirEntry(d.slot(i))
	if fatfmt.KindOf(d.slot(i)) != fatfmt.SlotEntry || e.Name != label {
		if !c.makeWay(d, i) {
			c.report(diskerr.Error, "dot-missing", d.path, off, "", "there is no %q entry, and no room for it", what)
			return
		}
		c.report(diskerr.Error, "dot-missing", d.path, off, "make it", "there is no %q entry", what)
		e = fatfmt.DirEntry{Name: label, Attr: fatfmt.AttrDirectory, Cluster: want}
		c.stamp(&e)
		e.Encode(d.slot(i))
		d.change(i)
		return
	}
	fixed := e
	fixed.Attr |= fatfmt.AttrDirectory
	fixed.Size = 0
	fixed.Case &^= noShortName
	if e.FirstCluster(c.geo.Type) != want {
		c.report(diskerr.Error, "dot-cluster", d.path, off+26, fmt.Sprintf("set it to %d", want),
			"%q leads to cluster %d, should be %d", what, e.FirstCluster(c.geo.Type), want)
		fixed.Cluster = want
	} else if fixed != e {
		c.report(diskerr.Error, "dot-entry", d.path, off, "correct it", "the %q entry is no directory, has a size, or is flagged as having no short name", what)
	}
	if fixed != e {
		fixed.Encode(d.slot(i))
		d.change(i)
	}
}

// makeWay frees slot i by moving what is there to a free slot. A long name is
// left behind. It reports whether there was room.
func (c *checker) makeWay(d *checkDir, i int) bool {
	kind := fatfmt.KindOf(d.slot(i))
	if kind != fatfmt.SlotEntry && kind != fatfmt.SlotLabel {
		return true
	}
	for to := 2; to < d.slots(); to++ {
		free := fatfmt.KindOf(d.slot(to))
		if free != fatfmt.SlotEnd && free != fatfmt.SlotFree {
			continue
		}
		copy(d.slot(to), d.slot(i))
		d.change(to)
		return true
	}
	return false
}

// stamp gives an entry that the checker makes its times.
func (c *checker) stamp(e *fatfmt.DirEntry) {
	now := c.opt.Now()
	e.WriteDate, e.WriteTime, _ = fatfmt.EncodeTime(now, now.Location())
	e.CreateDate, e.CreateTime = e.WriteDate, e.WriteTime
	e.AccessDate = e.WriteDate
}
