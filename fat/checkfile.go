package fat

import (
	"fmt"
	"path"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// owner is a file or directory that claims its clusters.
type owner struct {
	path func() string // asked for only when there is something to report
	off  int64         // of its entry
	dir  bool
	need uint32 // clusters that it has by its size; of a directory the most it can have
}

// named returns a path for owner.
func named(path string) func() string { return func() string { return path } }

// claimed is what a claim came to.
type claimed struct {
	first uint32 // 0 if nothing is left
	n     uint32 // clusters
}

// claim marks the clusters of a chain as owned. Where the chain breaks a rule
// it is cut, or given other clusters; what is cut off stays an orphan.
func (c *checker) claim(first uint32, o owner) (claimed, error) {
	out := claimed{first: first}
	prev := uint32(0)
	for cur := first; ; {
		v, kind, err := c.get(cur)
		if err != nil {
			return out, err
		}
		switch {
		case out.n >= o.need:
			c.report(diskerr.Warning, tooLong(o), o.path(), c.entryOffset(prev), "cut it; what is cut off is an orphan",
				"the chain of clusters goes on after the %d that it should have", o.need)
			return c.cut(out, prev)
		case c.marks.get(cur) == markOwned:
			return c.unshare(out, prev, cur, o)
		case kind == fatfmt.Bad:
			return c.replaceBad(out, prev, cur, o)
		case kind == fatfmt.Free:
			c.report(diskerr.Error, "chain-free", o.path(), c.entryOffset(cur), "take the cluster and end the chain there",
				"the chain runs into cluster %d, which is marked free", cur)
			v = c.geo.Type.EndMark()
			if err := c.end(cur); err != nil {
				return out, err
			}
		case kind == fatfmt.Reserved:
			c.report(diskerr.Error, "chain-invalid", o.path(), c.entryOffset(cur), "end the chain there",
				"the chain goes on from cluster %d to %#x, which is no cluster", cur, v)
			if err := c.end(cur); err != nil {
				return out, err
			}
		}
		c.marks.set(cur, markOwned)
		out.n++
		if kind != fatfmt.Data {
			return out, nil
		}
		prev, cur = cur, v
	}
}

// tooLong returns the code of a chain that is too long.
func tooLong(o owner) string {
	if o.dir {
		return "directory-too-long"
	}
	return "chain-too-long"
}

// cut ends a chain after prev, or leaves nothing of it if that is 0.
func (c *checker) cut(out claimed, prev uint32) (claimed, error) {
	if prev == 0 {
		return claimed{}, nil
	}
	return out, c.end(prev)
}

// unshare deals with a chain that goes on at cluster cur, which has an owner: a
// file gets a copy of what it needs of the other's clusters, as far as there is
// room; the rest is cut off.
func (c *checker) unshare(out claimed, prev, cur uint32, o owner) (claimed, error) {
	looped, err := c.loops(out, cur)
	if err != nil {
		return out, err
	}
	switch {
	case looped:
		c.report(diskerr.Error, "chain-loop", o.path(), c.entryOffset(prev), "cut it", "the chain comes back to its own cluster %d", cur)
		return c.cut(out, prev)
	case o.dir:
		c.report(diskerr.Error, "chain-shared", o.path(), c.entryOffset(max(prev, 1)), "cut it; the other directory has the rest",
			"the chain goes on in cluster %d, which belongs to another directory", cur)
		return c.cut(out, prev)
	}
	before := out.n
	for out.n < o.need {
		spare, err := c.allocate()
		if err != nil {
			return out, err
		}
		if spare == 0 {
			break
		}
		if err := c.copyCluster(spare, cur); err != nil {
			return out, err
		}
		if prev == 0 {
			out.first = spare
		} else if err := c.set(prev, spare); err != nil {
			return out, err
		}
		out.n++
		prev = spare
		v, kind, err := c.get(cur)
		if err != nil {
			return out, err
		}
		if kind != fatfmt.Data {
			break
		}
		cur = v
	}
	c.report(diskerr.Error, "chain-shared", o.path(), o.off, fmt.Sprintf("give the file its own copy of %d clusters", out.n-before),
		"the chain goes on in clusters that belong to another file or directory")
	return c.cut(out, prev)
}

// loops reports whether cluster cur is one of those that a chain has already.
func (c *checker) loops(out claimed, cur uint32) (bool, error) {
	for k, n := out.first, out.n; n > 0; n-- {
		if k == cur {
			return true, nil
		}
		v, _, err := c.get(k)
		if err != nil {
			return false, err
		}
		k = v
	}
	return false, nil
}

// replaceBad deals with a chain that runs into a cluster that is marked bad.
// What can be read of it goes to another cluster.
func (c *checker) replaceBad(out claimed, prev, cur uint32, o owner) (claimed, error) {
	spare, err := c.allocate()
	if err != nil {
		return out, err
	}
	if spare != 0 && c.copyCluster(spare, cur) != nil {
		if err := c.set(spare, 0); err != nil { // it is bad indeed
			return out, err
		}
		c.marks.set(spare, markFree)
		spare = 0
	}
	if spare == 0 {
		c.report(diskerr.Error, "chain-bad", o.path(), c.entryOffset(cur), "cut the chain before it",
			"the chain runs into cluster %d, which is marked bad and cannot be read", cur)
		return c.cut(out, prev)
	}
	c.report(diskerr.Error, "chain-bad", o.path(), c.entryOffset(cur), "move it to a good cluster",
		"the chain runs into cluster %d, which is marked bad", cur)
	out.n++
	if prev == 0 {
		out.first = spare
		return out, nil
	}
	return out, c.set(prev, spare)
}

// length returns the length of the part of a chain that has no owner.
func (c *checker) length(first uint32) (uint32, error) {
	n := uint32(0)
	for cur := first; n < c.geo.Clusters && c.marks.get(cur) != markOwned; n++ {
		v, kind, err := c.get(cur)
		if err != nil {
			return 0, err
		}
		if kind != fatfmt.Data {
			return n + 1, nil
		}
		cur = v
	}
	return n, nil
}

// checkFiles claims the clusters of all files.
func (c *checker) checkFiles() error {
	return c.walk(c.rootItem(), c.visitFiles)
}

// visitFiles claims the clusters of the files in one directory.
func (c *checker) visitFiles(d *checkDir) error {
	for i := range d.slots() {
		kind := fatfmt.KindOf(d.slot(i))
		if kind == fatfmt.SlotEnd {
			return nil
		}
		if kind != fatfmt.SlotEntry {
			continue
		}
		e := fatfmt.DecodeDirEntry(d.slot(i))
		if e.IsDir() || e.IsDot() {
			continue
		}
		c.res.Files++
		if err := c.fixFile(d, i, &e); err != nil {
			return err
		}
	}
	return nil
}

// fixFile claims the clusters of the file in slot i, and makes its size agree
// with them.
func (c *checker) fixFile(d *checkDir, i int, e *fatfmt.DirEntry) error {
	cb := int64(c.geo.ClusterBytes())
	name := func() string { return path.Join(d.path, c.nameOf(d, i)) }
	off := c.offset(d, i)
	first := e.FirstCluster(c.geo.Type)
	var got claimed
	switch {
	case first == 0:
	case !c.geo.Valid(first):
		c.report(diskerr.Error, "file-start", name(), off+26, "make it empty", "the file begins at cluster %d, which there is not", first)
	case e.Size == 0:
		c.report(diskerr.Warning, "chain-too-long", name(), off+26, "cut it; what is cut off is an orphan",
			"the file is empty and has a chain of clusters")
	default:
		var err error
		got, err = c.claim(first, owner{path: name, off: off, need: uint32(c.geo.ClustersFor(int64(e.Size)))})
		if err != nil {
			return err
		}
	}
	size := min(int64(e.Size), int64(got.n)*cb)
	if size == int64(e.Size) && got.first == first {
		return nil
	}
	if size != int64(e.Size) {
		c.report(diskerr.Error, "chain-too-short", name(), off+28, fmt.Sprintf("set the size to %d", size),
			"the size is %d bytes, the chain has %d clusters of %d bytes", e.Size, got.n, cb)
		e.Size = uint32(size)
	}
	if c.geo.Type == fatfmt.FAT32 {
		e.Cluster = got.first
	} else {
		e.Cluster = e.Cluster&^0xFFFF | got.first
	}
	e.Encode(d.slot(i))
	d.change(i)
	return nil
}
