package fat

import (
	"context"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Extent is a piece of a file or directory that lies in one piece on the
// volume.
type Extent struct {
	Cluster  uint32 // its first cluster; 0 for the root directory of FAT12 and FAT16, which has none
	Clusters uint32 // how many there are; 0 likewise
	Offset   int64  // bytes from the start of the volume
	Len      int64  // bytes, to the end of the last cluster
}

// Extents returns where the named file or directory lies, in its order. Changes
// that wait for a commit are committed first. A damaged chain is an error that
// comes with what precedes the damage.
func (v *Volume) Extents(name string) (all []Extent, err error) {
	if err := v.Sync(); err != nil {
		return nil, pathError("extents", name, err)
	}
	err = v.find("extents", name, func(n *node) error {
		if n == v.root && n.fixedRoot() {
			all = []Extent{{Offset: v.geo.RootOffset(), Len: v.geo.RootBytes()}}
			return nil
		}
		n.mu.RLock()
		defer n.mu.RUnlock()
		all, err = v.extents(n.chain.first)
		return err
	})
	return all, err
}

// extents follows the chain from cluster first; 0 is the empty one.
func (v *Volume) extents(first uint32) (all []Extent, err error) {
	size := int64(v.geo.ClusterBytes())
	for c, left := first, v.geo.Clusters; c != 0; {
		if !v.geo.Valid(c) || left == 0 {
			return all, v.table.chainError(c, c, fatfmt.Data)
		}
		n, after, kind, err := v.table.follow(c, left)
		if err != nil {
			return all, err
		}
		left -= n
		if k := len(all) - 1; k >= 0 && all[k].Cluster+all[k].Clusters == c {
			all[k].Clusters, all[k].Len = all[k].Clusters+n, all[k].Len+int64(n)*size
		} else {
			all = append(all, Extent{c, n, v.geo.ClusterOffset(c), int64(n) * size})
		}
		switch kind {
		case fatfmt.Data:
			c = after
		case fatfmt.End:
			return all, nil
		default:
			return all, v.table.chainError(c+n-1, after, kind)
		}
	}
	return all, nil
}

// ClusterUse says what the FAT says of a cluster.
type ClusterUse uint8

// The uses of clusters.
const (
	ClusterFree  ClusterUse = iota
	ClusterUsed             // in a chain, and the next cluster of the chain follows it, or it is the last
	ClusterSplit            // in a chain that goes on elsewhere
	ClusterBad              // marked bad
)

// Survey tells fn what the FAT says of all clusters, in rising order: n of
// them from cluster first on have one use. It returns the error of fn. What
// waits for a commit is committed first.
func (v *Volume) Survey(ctx context.Context, fn func(first, n uint32, use ClusterUse) error) error {
	if err := v.Sync(); err != nil {
		return err
	}
	if err := v.enter(); err != nil {
		return err
	}
	defer v.gate.Leave()
	first, use := uint32(2), ClusterFree
	for c := uint32(2); c <= v.geo.MaxCluster(); c++ {
		if c%surveyStep == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		now, err := v.clusterUse(c)
		if err != nil {
			return err
		}
		if now != use {
			if c > first {
				if err := fn(first, c-first, use); err != nil {
					return err
				}
			}
			first, use = c, now
		}
	}
	return fn(first, v.geo.MaxCluster()+1-first, use)
}

// surveyStep is how many clusters are looked at between two looks at a context.
const surveyStep = 1 << 16

// ClusterUse returns the use of cluster c, which must be one of the volume.
func (v *Volume) ClusterUse(c uint32) (ClusterUse, error) {
	if !v.geo.Valid(c) {
		return ClusterFree, diskerr.ErrOutOfRange
	}
	return v.clusterUse(c)
}

func (v *Volume) clusterUse(c uint32) (ClusterUse, error) {
	after, kind, err := v.table.next(c)
	switch {
	case err != nil || kind == fatfmt.Free:
		return ClusterFree, err
	case kind == fatfmt.Bad:
		return ClusterBad, nil
	case kind == fatfmt.Data && after != c+1:
		return ClusterSplit, nil
	}
	return ClusterUsed, nil
}

// ClusterAt returns the cluster in which the byte at offset of the volume
// lies. ok is false if it is in none.
func (v *Volume) ClusterAt(offset int64) (cluster uint32, ok bool) { return v.geo.ClusterAt(offset) }

// ClusterOffset returns where cluster c begins, in bytes from the start of the
// volume. ok is false if there is no such cluster.
func (v *Volume) ClusterOffset(c uint32) (offset int64, ok bool) {
	if !v.geo.Valid(c) {
		return 0, false
	}
	return v.geo.ClusterOffset(c), true
}
