package qcow2

import (
	"math"
	"slices"

	"github.com/fatkit/fatkit/diskerr"
)

// part is what a cluster of the file is used for. A set of parts shows
// clusters that are used for two things.
type part uint16

const (
	partHeader part = 1 << iota
	partRefcountTable
	partRefcountBlock
	partL1
	partL2
	partSnapshots
	partBitmaps
	partData
	partCompressed
)

// partNames are in the order of the bits.
var partNames = [...]string{
	"the header", "the refcount table", "a refcount block", "an L1 table", "an L2 table",
	"the snapshot table", "bitmaps", "data", "compressed data",
}

// census counts how often each cluster of the file is referred to.
type census struct {
	chunks map[int64]*censusChunk
	limit  int // chunks
}

// censusChunkClusters is the number of clusters that a chunk counts.
const censusChunkClusters = 1024

// maxCensusBytes bounds the memory of a census. It is enough for an image of
// 5 TiB in clusters of 64 KiB that are all in use, wherever they are.
const maxCensusBytes = 512 << 20

type censusChunk struct {
	refs  [censusChunkClusters]uint32
	parts [censusChunkClusters]part
}

func newCensus() *census {
	return &census{chunks: make(map[int64]*censusChunk), limit: maxCensusBytes / (censusChunkClusters * 6)}
}

// add counts times references to each of n clusters from first on.
func (c *census) add(first, n int64, times uint32, as part) error {
	for i := first; i < first+n; i++ {
		ch := c.chunks[i/censusChunkClusters]
		if ch == nil {
			if len(c.chunks) == c.limit {
				return &diskerr.NoSpaceError{What: "memory for checking", Needed: -1, Available: maxCensusBytes}
			}
			ch = new(censusChunk)
			c.chunks[i/censusChunkClusters] = ch
		}
		k := i % censusChunkClusters
		ch.refs[k] = uint32(min(uint64(ch.refs[k])+uint64(times), math.MaxUint32))
		ch.parts[k] |= as
	}
	return nil
}

// of returns how often a cluster is referred to, and as what.
func (c *census) of(cluster int64) (refs uint32, parts part) {
	ch := c.chunks[cluster/censusChunkClusters]
	if ch == nil {
		return 0, 0
	}
	return ch.refs[cluster%censusChunkClusters], ch.parts[cluster%censusChunkClusters]
}

// sorted returns the indexes of the chunks in order.
func (c *census) sorted() []int64 {
	list := make([]int64, 0, len(c.chunks))
	for i := range c.chunks {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// end returns one past the last cluster that is referred to.
func (c *census) end() int64 {
	list := c.sorted()
	if len(list) == 0 {
		return 0
	}
	last := list[len(list)-1]
	for k := censusChunkClusters - 1; k >= 0; k-- {
		if c.chunks[last].refs[k] > 0 {
			return last*censusChunkClusters + int64(k) + 1
		}
	}
	return last * censusChunkClusters
}

// mixed reports whether a cluster is used for more than one thing.
func (p part) mixed() bool { return p&(p-1) != 0 }

// names returns the things that a cluster is used for.
func (p part) names() []string {
	var names []string
	for i, name := range partNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
