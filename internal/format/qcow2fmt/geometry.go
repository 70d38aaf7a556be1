package qcow2fmt

// Geometry holds the sizes that follow from a header.
type Geometry struct {
	ClusterBits   int
	RefcountOrder int
	ExtendedL2    bool // 16-byte L2 entries with subclusters
	ZeroFlag      bool // version 3: clusters can be zero without data
}

// ClusterBytes returns the size of a cluster.
func (g Geometry) ClusterBytes() int64 { return 1 << g.ClusterBits }

// L2EntryBytes returns the size of an L2 entry, 8 or 16.
func (g Geometry) L2EntryBytes() int64 {
	if g.ExtendedL2 {
		return 16
	}
	return 8
}

// L2EntryBits returns the binary logarithm of the number of entries of an L2
// table.
func (g Geometry) L2EntryBits() int {
	if g.ExtendedL2 {
		return g.ClusterBits - 4
	}
	return g.ClusterBits - 3
}

// L2Entries returns the number of entries of an L2 table.
func (g Geometry) L2Entries() int64 { return 1 << g.L2EntryBits() }

// L2Covers returns how many bytes of the virtual disk an L2 table maps.
func (g Geometry) L2Covers() int64 { return 1 << (g.L2EntryBits() + g.ClusterBits) }

// L1EntriesFor returns how many L1 entries a disk of size bytes needs.
func (g Geometry) L1EntriesFor(size int64) int64 {
	n := size >> (g.L2EntryBits() + g.ClusterBits)
	if size&(g.L2Covers()-1) != 0 {
		n++
	}
	return n
}

// SubclusterBytes returns the size of a subcluster, or of a cluster where
// there are none.
func (g Geometry) SubclusterBytes() int64 {
	if g.ExtendedL2 {
		return g.ClusterBytes() / SubclustersPerCluster
	}
	return g.ClusterBytes()
}

// RefcountBlockBits returns the binary logarithm of the number of refcounts in
// a refcount block.
func (g Geometry) RefcountBlockBits() int { return g.ClusterBits + 3 - g.RefcountOrder }

// MaxRefcount returns the largest refcount that can be stored.
func (g Geometry) MaxRefcount() uint64 {
	return ^uint64(0) >> (64 - (1 << g.RefcountOrder))
}

// Clusters returns how many clusters n bytes take, rounded up.
func (g Geometry) Clusters(n int64) int64 {
	c := n >> g.ClusterBits
	if n&(g.ClusterBytes()-1) != 0 {
		c++
	}
	return c
}
