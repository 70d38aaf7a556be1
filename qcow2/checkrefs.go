package qcow2

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// countRefcountBlocks counts the refcount blocks and looks for entries of the
// refcount table that cannot be right.
func (c *checker) countRefcountBlocks() error {
	seen := make(map[uint64]bool)
	for i, e := range c.refs.table {
		off, at := e.Offset(), c.refs.tableAt+int64(i)*8
		if e.Reserved() != 0 {
			c.badTable(CodeReservedBits, at, "refcount table entry %d (%#x) has reserved bits set", i, uint64(e))
		}
		switch {
		case off == 0:
			continue
		case off&uint64(c.geo.ClusterBytes()-1) != 0:
			c.badTable(CodeMisaligned, at, "refcount table entry %d: offset %#x is no multiple of the cluster size", i, off)
		case off >= uint64(qcow2fmt.MaxOffset), int64(off) > c.file.size()-c.geo.ClusterBytes():
			c.badTable(CodeOutside, at, "refcount table entry %d: the block at %#x lies past the end of the file", i, off)
		case seen[off]:
			c.badTable(CodeSharedRefBlock, at, "refcount table entry %d: the block at %#x belongs to another entry", i, off)
		default:
			seen[off] = true
			if err := c.census.add(int64(off>>c.geo.ClusterBits), 1, 1, partRefcountBlock); err != nil {
				return err
			}
			continue
		}
		c.refs.table[i] = 0 // from here on the range counts as free
	}
	return c.checkBlockParts()
}

// badTable reports an entry of the refcount table that makes it useless.
func (c *checker) badTable(code string, at int64, format string, args ...any) {
	c.broken = true
	c.report.corrupt(code, at, "write the refcounts anew", format, args...)
}

// checkBlockParts finds refcount blocks and tables that are used for something
// else as well, so that they cannot be changed in place.
func (c *checker) checkBlockParts() error {
	const refcounts = partRefcountTable | partRefcountBlock
	for _, ch := range c.census.chunks {
		for k, parts := range ch.parts {
			if parts&refcounts != 0 && (parts.mixed() || ch.refs[k] > 1) {
				c.broken = true
			}
		}
	}
	return nil
}

// compare compares the refcount of every cluster with how often it is used.
func (c *checker) compare() error {
	perBlock := int64(1) << c.geo.RefcountBlockBits()
	clusters := c.geo.Clusters(c.file.size())
	end := c.census.end()
	var leak, low refRun
	for i, e := range c.refs.table {
		first := int64(i) * perBlock
		if e.Offset() == 0 || first >= clusters {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		for cl := first; cl < min(first+perBlock, clusters); cl++ {
			have, err := c.refs.count(cl)
			if err != nil {
				return err
			}
			used, _ := c.census.of(cl)
			if have > 0 {
				end = max(end, cl+1)
			}
			switch {
			case have > uint64(used):
				c.report.Leaks++
				leak.extend(c, cl, CodeLeak)
			case have < uint64(used):
				c.report.Corruptions++
				c.low++
				low.extend(c, cl, CodeRefcountLow)
			}
		}
	}
	if err := c.compareUncounted(clusters, &low); err != nil {
		return err
	}
	leak.report(c, CodeLeak)
	low.report(c, CodeRefcountLow)
	c.report.ImageEndBytes = end << c.geo.ClusterBits
	return nil
}

// compareUncounted finds clusters in use that have no refcount at all.
func (c *checker) compareUncounted(clusters int64, low *refRun) error {
	for _, i := range c.census.sorted() {
		for k, refs := range c.census.chunks[i].refs {
			cl := i*censusChunkClusters + int64(k)
			if refs == 0 || cl >= clusters {
				continue
			}
			if off, err := c.refs.block(cl); err != nil {
				return err
			} else if off == 0 {
				c.report.Corruptions++
				c.low++
				low.extend(c, cl, CodeRefcountLow)
			}
		}
	}
	return nil
}

// refRun is a run of clusters with the same fault.
type refRun struct{ first, n int64 }

// extend adds a cluster, reporting the run before if it does not continue it.
func (r *refRun) extend(c *checker, cluster int64, code string) {
	if r.n > 0 && r.first+r.n != cluster {
		r.report(c, code)
		r.n = 0
	}
	if r.n == 0 {
		r.first = cluster
	}
	r.n++
}

// report records the run as one finding; its clusters were counted already.
func (r *refRun) report(c *checker, code string) {
	if r.n == 0 {
		return
	}
	f := diskerr.Finding{Code: code, Offset: r.first << c.geo.ClusterBits, Repairable: true, Repair: "correct the refcount"}
	if code == CodeLeak {
		f.Severity = diskerr.Warning
		f.Message = fmt.Sprintf("%d clusters are counted more often than they are used", r.n)
	} else {
		f.Severity = diskerr.Error
		f.Message = fmt.Sprintf("%d clusters are used more often than they are counted", r.n)
	}
	c.report.add(f)
}

// checkCopied compares the COPIED flags of the active tables with the
// refcounts: set exactly for what has refcount one.
func (c *checker) checkCopied() error {
	l1 := c.l1[0]
	for i, e := range l1.entries {
		if e.Offset() == 0 || c.byOff[e.Offset()] == nil {
			continue
		}
		if err := c.checkFlag(e.Offset(), e.Copied(), l1.off+int64(i)*8, "L1"); err != nil {
			return err
		}
	}
	p := make([]byte, c.geo.ClusterBytes())
	for _, u := range c.l2 {
		if !u.active {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.file.readTable(p, u.off, "L2 table"); err != nil {
			return err
		}
		for at := int64(0); at < int64(len(p)); at += c.geo.L2EntryBytes() {
			e := decodeEntry(c.geo, p[at:])
			if !c.placed(e) {
				continue
			}
			if err := c.checkFlag(e.Offset(), e.Copied(), u.off+at, "L2"); err != nil {
				return err
			}
		}
	}
	return nil
}

// placed reports whether an entry refers to a plain host cluster that can be.
func (c *checker) placed(e entry) bool {
	off := e.Offset()
	return !e.Compressed() && off != 0 && off&(c.geo.ClusterBytes()-1) == 0 && off < c.file.size()
}

func (c *checker) checkFlag(off int64, copied bool, at int64, table string) error {
	n, err := c.refs.count(off >> c.geo.ClusterBits)
	if err != nil {
		return err
	}
	if copied != (n == 1) {
		c.report.corrupt(CodeCopiedFlag, at, "correct the flag",
			"%s entry for %#x: COPIED is %t, the refcount is %d", table, off, copied, n)
	}
	return nil
}
