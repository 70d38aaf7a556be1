package fat

import (
	"bytes"
	"fmt"
	"path"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// checkOrphans deals with clusters that are in use and belong to nothing. A
// chain that a moved entry leads to gets its entry back; a chain that is a
// directory becomes one again, with all that is in it; the rest becomes files,
// or is freed.
func (c *checker) checkOrphans() error {
	for _, step := range []func() error{c.markTails, c.restoreMoved, c.saveOrphanDirs, c.saveOrphans} {
		if !c.anyOrphans() {
			break
		}
		if err := step(); err != nil {
			return err
		}
	}
	if c.found != nil {
		return c.save(c.found)
	}
	return nil
}

// anyOrphans reports whether there is anything left to deal with.
func (c *checker) anyOrphans() bool {
	for _, k := range []mark{markOrphan, markTail} {
		if _, any := c.marks.next(2, c.geo.MaxCluster(), k); any {
			return true
		}
	}
	return false
}

// eachOrphan calls fn for every orphan with mark k, which may change.
func (c *checker) eachOrphan(k mark, fn func(cluster uint32) error) error {
	for n := uint32(2); ; n++ {
		var ok bool
		if n, ok = c.marks.next(n, c.geo.MaxCluster(), k); !ok {
			return nil
		}
		if n%4096 == 0 {
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
		if err := fn(n); err != nil {
			return err
		}
	}
}

// markTails tells the first clusters of orphan chains from the others, and ends
// the chains where they leave what is theirs.
func (c *checker) markTails() error {
	mark := func(cluster uint32) error {
		v, kind, err := c.get(cluster)
		if err != nil || kind == fatfmt.End {
			return err
		}
		if kind == fatfmt.Data {
			switch c.marks.get(v) {
			case markOrphan:
				c.marks.set(v, markTail)
				return nil
			case markTail: // two chains meet, or a loop closes
			}
		}
		return c.end(cluster)
	}
	// A cluster that became a tail before its turn comes is visited as a tail.
	for n := uint32(2); n <= c.geo.MaxCluster(); n++ {
		if k := c.marks.get(n); k == markOrphan || k == markTail {
			if err := mark(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreMoved gives chains the entries back that lead to them, if these were
// deleted because they moved and the power failed before they arrived.
// Directories come first, and what is in them owns its clusters again, so that
// the remains of an older move cannot claim these.
func (c *checker) restoreMoved() error {
	for {
		found, err := c.restoreDirs()
		if err != nil {
			return err
		}
		if found == 0 {
			break
		}
	}
	return c.walk(c.rootItem(), func(d *checkDir) error {
		return c.eachMoved(d, func(i int, e *fatfmt.DirEntry) error {
			if e.IsDir() {
				return nil
			}
			return c.restoreFile(d, i, e)
		})
	})
}

// eachMoved calls fn for each entry of d that can be restored.
func (c *checker) eachMoved(d *checkDir, fn func(i int, e *fatfmt.DirEntry) error) error {
	for i := range d.slots() {
		if fatfmt.KindOf(d.slot(i)) == fatfmt.SlotEnd {
			return nil
		}
		e, ok, err := c.restorable(d, i)
		if err == nil && ok {
			err = fn(i, &e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreDirs restores directories that moved, and returns how many. They are
// looked for first and restored afterwards, because a walk must not meet what
// was not checked.
func (c *checker) restoreDirs() (int, error) {
	type spot struct {
		dir  item
		slot int
	}
	var spots []spot
	err := c.walk(c.rootItem(), func(d *checkDir) error {
		return c.eachMoved(d, func(i int, e *fatfmt.DirEntry) error {
			if e.IsDir() {
				spots = append(spots, spot{d.item(), i})
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range spots {
		d, err := c.load(s.dir)
		if err != nil {
			return n, err
		}
		e, ok, err := c.restorable(d, s.slot)
		if err != nil {
			return n, err
		}
		if !ok {
			continue // another entry had it, too
		}
		name := c.undelete(d, s.slot)
		if err := c.save(d); err != nil {
			return n, err
		}
		n++
		if err := c.adoptDir(item{path: name, first: e.FirstCluster(c.geo.Type), parent: d.first()}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// restorable reports whether the entry in slot i was moved away, and its chain
// is an orphan that looks as it left it.
func (c *checker) restorable(d *checkDir, i int) (e fatfmt.DirEntry, ok bool, err error) {
	if !wasMoved(d.slot(i)) {
		return e, false, nil
	}
	e = fatfmt.DecodeDirEntry(d.slot(i))
	first := e.FirstCluster(c.geo.Type)
	if !c.geo.Valid(first) || c.marks.get(first) != markOrphan {
		return e, false, nil
	}
	if c.effort += int64(d.slots()); c.effort > maxEffort {
		return e, false, nil
	}
	if c.nameTaken(d, i) {
		return e, false, nil // it becomes a file in FOUND.000
	}
	if e.IsDir() {
		ok, err = c.looksLikeDir(first)
		return e, ok, err
	}
	n, err := c.length(first)
	c.effort += int64(n)
	return e, int64(n) == c.geo.ClustersFor(int64(e.Size)), err
}

// maxEffort bounds the search for entries that moved, in slots and clusters
// looked at. A power cut leaves a few of them; thousands are made up, and
// their chains go to FOUND.000.
const maxEffort = 64 << 20

// nameTaken reports whether another entry of d has the name that the deleted one
// in slot i would have again.
func (c *checker) nameTaken(d *checkDir, i int) bool {
	from := max(0, i-fatfmt.MaxLongSlots)
	trial := &checkDir{raw: bytes.Clone(d.raw[from*slotBytes : (i+1)*slotBytes])}
	unmove(trial.slot(i - from))
	undeleteLong(trial, i-from)
	name := c.nameOf(trial, i-from)
	short := presentable(fatfmt.ShortNameString([11]byte(trial.slot(i-from)), 0, c.cp))
	taken := false
	scanSlots(d.raw, c.cp, func(at position, other string, e *fatfmt.DirEntry) bool {
		otherShort := presentable(fatfmt.ShortNameString(e.Name, 0, c.cp))
		for _, o := range [2]string{other, otherShort} {
			taken = taken || fatfmt.EqualNames(o, name) || fatfmt.EqualNames(o, short)
		}
		return !taken
	})
	return taken
}

// restoreFile brings back the file in slot i.
func (c *checker) restoreFile(d *checkDir, i int, e *fatfmt.DirEntry) error {
	name := c.undelete(d, i)
	c.res.Files++
	_, err := c.claim(e.FirstCluster(c.geo.Type), owner{path: named(path.Join(c.foundPath(), name+".CHK")), off: c.offset(d, i), need: uint32(c.geo.ClustersFor(int64(e.Size)))})
	return err
}

// undelete brings back the entry in slot i and returns its name.
func (c *checker) undelete(d *checkDir, i int) string {
	unmove(d.slot(i))
	d.change(i)
	long := undeleteLong(d, i)
	for k := i - long; k < i; k++ {
		d.change(k)
	}
	name := path.Join(d.path, c.nameOf(d, i))
	c.report(diskerr.Error, "moved-entry", name, c.offset(d, i), "bring it back",
		"the entry was being moved to another place and did not arrive there")
	return name
}

// undeleteLong brings back the slots of the long name of the entry in slot i,
// and returns how many there are.
func undeleteLong(d *checkDir, i int) int {
	sum := fatfmt.Checksum([11]byte(d.slot(i)))
	n := 0
	for n < fatfmt.MaxLongSlots && i-n-1 >= 0 {
		s := d.slot(i - n - 1)
		if s[0] != 0xE5 || s[11]&0x3F != byte(fatfmt.AttrLong) || s[13] != sum || !wasMovedLong(s) {
			break
		}
		n++
	}
	for k := range n {
		s := d.slot(i - k - 1)
		s[0], s[12] = byte(k+1), 0
		if k == n-1 {
			s[0] |= 0x40
		}
	}
	return n
}

// adoptDir claims an orphan directory that has an entry now, and checks all
// that is below it.
func (c *checker) adoptDir(it item) error {
	c.res.Dirs++
	if _, err := c.claim(it.first, owner{path: named(it.path), off: -1, dir: true, need: c.maxDirClusters()}); err != nil {
		return err
	}
	d, err := c.load(it)
	if err != nil {
		return err
	}
	if e := fatfmt.DecodeDirEntry(d.slot(1)); e.Name == fatfmt.DotDotName { // it led to where it was
		e.Cluster = it.parent
		e.Encode(d.slot(1))
		d.change(1)
		if err := c.save(d); err != nil {
			return err
		}
	}
	if err := c.walk(it, c.visitDir); err != nil {
		return err
	}
	return c.walk(it, c.visitFiles)
}

// saveOrphanDirs puts orphans that are directories in FOUND.000: first those
// whose ".." leads to no orphan, since the others are below one of these.
func (c *checker) saveOrphanDirs() error {
	for _, nested := range []bool{false, true} {
		err := c.eachOrphan(markOrphan, func(cluster uint32) error {
			p := make([]byte, 2*slotBytes)
			if err := c.disk.read(p, c.geo.ClusterOffset(cluster)); err != nil {
				return err
			}
			dot, dotDot := fatfmt.DecodeDirEntry(p), fatfmt.DecodeDirEntry(p[slotBytes:])
			if dot.Name != fatfmt.DotName || dot.FirstCluster(c.geo.Type) != cluster || dotDot.Name != fatfmt.DotDotName {
				return nil
			}
			up := dotDot.FirstCluster(c.geo.Type)
			if !nested && c.geo.Valid(up) && up != cluster && c.marks.get(up) == markOrphan {
				return nil
			}
			return c.saveOrphan(cluster, true)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// saveOrphans saves or frees the orphans that are left.
func (c *checker) saveOrphans() error {
	err := c.eachOrphan(markOrphan, func(cluster uint32) error { return c.saveOrphan(cluster, false) })
	if err != nil {
		return err
	}
	return c.eachOrphan(markTail, func(cluster uint32) error { // what is left are loops
		if err := c.cutLoop(cluster); err != nil {
			return err
		}
		return c.saveOrphan(cluster, false)
	})
}

// cutLoop makes cluster the first one of a chain that was a loop.
func (c *checker) cutLoop(cluster uint32) error {
	for cur := cluster; ; {
		v, kind, err := c.get(cur)
		if err != nil || kind != fatfmt.Data {
			return err
		}
		if v == cluster {
			return c.end(cur)
		}
		cur = v
	}
}

// saveOrphan puts the chain that begins at cluster in FOUND.000, or frees it.
func (c *checker) saveOrphan(cluster uint32, dir bool) error {
	n, err := c.length(cluster)
	if err != nil {
		return err
	}
	free := c.opt.FreeOrphans && !dir
	i := -1
	if !free {
		if i, err = c.foundSlot(); err != nil {
			return err
		}
	}
	size := int64(n) * int64(c.geo.ClusterBytes())
	e := fatfmt.DirEntry{Attr: fatfmt.AttrArchive, Cluster: cluster, Size: uint32(min(size, fatfmt.MaxFileBytes))}
	name := fmt.Sprintf("FILE%04d", c.saved)
	if dir {
		name, e.Attr, e.Size = fmt.Sprintf("DIR%05d", c.saved), fatfmt.AttrDirectory, 0
	} else if c.saved > 9999 {
		name = fmt.Sprintf("F%07d", c.saved)
	}
	repair := "save it as " + c.foundPath() + "/" + name + ".CHK"
	switch {
	case free:
		repair = "free it"
	case i < 0:
		repair = ""
	}
	c.report(diskerr.Warning, "orphan-chain", "", c.geo.ClusterOffset(cluster), repair,
		"%d clusters from %d on are in use and belong to no file", n, cluster)
	if free {
		c.full = false
		return c.t.release(cluster, func(first, n uint32) {
			for k := range n {
				c.marks.set(first+k, markFree)
			}
		})
	}
	if i < 0 {
		return c.leave(cluster)
	}
	c.saved++
	copy(e.Name[:], name)
	copy(e.Name[8:], "CHK")
	c.stamp(&e)
	e.Encode(c.found.slot(i))
	c.found.change(i)
	if dir {
		return c.adoptDir(item{path: path.Join(c.foundPath(), name+".CHK"), first: cluster, parent: c.found.first()})
	}
	c.res.Files++
	_, err = c.claim(cluster, owner{path: named(path.Join(c.foundPath(), name+".CHK")), off: -1, need: n})
	return err
}

// leave marks a chain that nothing can be done about as settled.
func (c *checker) leave(cluster uint32) error {
	_, err := c.claim(cluster, owner{path: named(""), off: -1, need: c.geo.Clusters})
	return err
}
