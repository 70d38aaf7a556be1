package fat

import (
	"fmt"
	"sort"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// maxPoints bounds what is remembered of one chain, to 192 KiB.
const maxPoints = 16 << 10

// point is a piece of a chain: clusters index…index+n-1 of the file are the
// clusters cluster…cluster+n-1 of the volume.
type point struct{ index, cluster, n uint32 }

// chain is what is known of the clusters of a file or directory.
//
// A chain in few pieces is known completely. Of one in very many pieces only
// some are remembered; the rest is found by walking the FAT from there. The
// caller holds the lock of the node that the chain belongs to.
type chain struct {
	first  uint32  // first cluster; 0 if there is none
	points []point // by rising index; there may be gaps between them
	known  uint32  // clusters walked so far, all of them if whole is set
	whole  bool    // the end of the chain was found
	fresh  uint32  // clusters at its end that the medium does not know yet
}

// newChain returns the chain that begins at cluster first.
func newChain(first uint32) chain { return chain{first: first, whole: first == 0} }

// find returns the cluster at index, and how many follow it in one piece,
// itself included. ok is false if that is not remembered.
func (c *chain) find(index uint32) (cluster, n uint32, ok bool) {
	i := c.before(index)
	if i < 0 {
		return 0, 0, false
	}
	p := c.points[i]
	if index-p.index >= p.n {
		return 0, 0, false
	}
	return p.cluster + index - p.index, p.n - (index - p.index), true
}

// before returns the last point at or before index; -1 if there is none.
func (c *chain) before(index uint32) int {
	return sort.Search(len(c.points), func(i int) bool { return c.points[i].index > index }) - 1
}

// last returns the last cluster of a chain that is whole and not empty.
func (c *chain) last() uint32 {
	p := c.points[len(c.points)-1]
	return p.cluster + p.n - 1
}

// add appends n clusters to what is known.
func (c *chain) add(cluster, n uint32) {
	if k := len(c.points); k > 0 {
		if p := &c.points[k-1]; p.cluster+p.n == cluster && p.index+p.n == c.known {
			p.n += n
			c.known += n
			return
		}
	}
	if len(c.points) >= maxPoints {
		c.thin()
	}
	c.points = append(c.points, point{c.known, cluster, n})
	c.known += n
}

// thin forgets every second point, but for the last.
func (c *chain) thin() {
	kept := c.points[:0]
	for i, p := range c.points {
		if i%2 == 0 || i == len(c.points)-1 {
			kept = append(kept, p)
		}
	}
	c.points = kept
}

// cut forgets all from cluster index on, which the chain, known completely, has.
// It returns the cluster that is the last one then, 0 if none is left.
func (c *chain) cut(t *table, index uint32) (last uint32, err error) {
	if index == 0 {
		*c = chain{whole: true}
		return 0, nil
	}
	if last, _, err = c.locate(t, index-1); err != nil {
		return 0, err
	}
	c.points = c.points[:c.before(index-1)+1]
	p := &c.points[len(c.points)-1]
	p.n = min(p.n, index-p.index)
	if p.index+p.n < index { // the place was found by walking
		c.points = append(c.points, point{index - 1, last, 1})
	}
	c.fresh -= min(c.fresh, c.known-index)
	c.known = index
	return last, nil
}

// walk makes the chain known up to cluster count, or to its end.
func (c *chain) walk(t *table, count uint32) error {
	for !c.whole && c.known < count {
		cluster, left := c.first, count-c.known
		if c.known == 0 && !t.geo.Valid(c.first) {
			return firstError(t, c.first)
		}
		if c.known > 0 {
			v, kind, err := t.next(c.last())
			if err != nil {
				return err
			}
			if kind == fatfmt.End {
				c.whole = true
				return nil
			}
			if kind != fatfmt.Data {
				return t.chainError(c.last(), v, kind)
			}
			cluster = v
		}
		n, _, _, err := t.follow(cluster, left)
		if err != nil {
			return err
		}
		if c.known+n > t.geo.Clusters {
			return loopError(t, c.first)
		}
		c.add(cluster, n)
	}
	return nil
}

// walkAll makes the whole chain known.
func (c *chain) walkAll(t *table) error { return c.walk(t, t.geo.Clusters+1) }

// loopError says that the chain that begins at first has no end.
func loopError(t *table, first uint32) error {
	return &diskerr.FormatError{Format: t.geo.Type.String(), Structure: "FAT", Field: fmt.Sprintf("entry %d", first),
		Offset: t.geo.FATOffset(t.geo.ActiveFAT) + t.geo.Type.EntryOffset(first),
		Reason: "the chain that begins here is a loop"}
}

// firstError says that no chain can begin at first.
func firstError(t *table, first uint32) error {
	return &diskerr.FormatError{Format: t.geo.Type.String(), Structure: "directory entry", Field: "DIR_FstClus",
		Offset: -1, Value: first, Reason: fmt.Sprintf("must be from 2 to %d", t.geo.MaxCluster())}
}

// locate is find for a chain that is known up to index; it walks the FAT where
// the place is not remembered, and changes nothing.
func (c *chain) locate(t *table, index uint32) (cluster, n uint32, err error) {
	if cluster, n, ok := c.find(index); ok {
		return cluster, n, nil
	}
	i := c.before(index)
	if i < 0 || index >= c.known {
		panic("fat: a place beyond what is known of a chain")
	}
	p := c.points[i]
	at, cluster := p.index+p.n-1, p.cluster+p.n-1
	for at < index {
		v, kind, err := t.next(cluster)
		if err != nil {
			return 0, 0, err
		}
		if kind != fatfmt.Data {
			return 0, 0, t.chainError(cluster, v, kind)
		}
		n, _, _, err := t.follow(v, index-at)
		if err != nil {
			return 0, 0, err
		}
		at, cluster = at+n, v+n-1
	}
	return cluster, 1, nil
}

// runs calls fn for the pieces that hold clusters [index, index+n), in order.
// The chain is known that far.
func (c *chain) runs(t *table, index, n uint32, fn func(run) error) error {
	for n > 0 {
		cluster, m, err := c.locate(t, index)
		if err != nil {
			return err
		}
		m = min(m, n)
		if err := fn(run{cluster, m}); err != nil {
			return err
		}
		index, n = index+m, n-m
	}
	return nil
}
