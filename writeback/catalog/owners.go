package catalog

import (
	"slices"
	"sort"
)

// owners tells which object a cluster belongs to. It holds runs, in chunks of
// consecutive clusters, so that a change costs no more than a chunk has runs.
type owners map[uint32][]ownedRun

// ownedRun says that clusters first up to, not with, end belong to id. It does
// not cross the border of its chunk.
type ownedRun struct {
	first, end uint32
	id         ID
}

// chunkClusters is the number of clusters of a chunk.
const chunkClusters = 1 << 12

// at returns the owner of a cluster.
func (o owners) at(cluster uint32) (ID, bool) {
	runs := o[cluster/chunkClusters]
	i := sort.Search(len(runs), func(i int) bool { return runs[i].end > cluster })
	if i < len(runs) && runs[i].first <= cluster {
		return runs[i].id, true
	}
	return 0, false
}

// set gives the clusters of e to id, whoever had them.
func (o owners) set(e Extent, id ID) {
	o.pieces(e, func(chunk, first, end uint32) {
		runs := carve(o[chunk], first, end, func(ownedRun) bool { return true })
		i := sort.Search(len(runs), func(i int) bool { return runs[i].first >= first })
		switch {
		case i > 0 && runs[i-1].end == first && runs[i-1].id == id:
			runs[i-1].end = end
		default:
			runs = slices.Insert(runs, i, ownedRun{first, end, id})
		}
		o[chunk] = runs
	})
}

// clear takes away those clusters of e that belong to id.
func (o owners) clear(e Extent, id ID) {
	o.pieces(e, func(chunk, first, end uint32) {
		if runs := carve(o[chunk], first, end, func(r ownedRun) bool { return r.id == id }); len(runs) > 0 {
			o[chunk] = runs
		} else {
			delete(o, chunk)
		}
	})
}

// pieces calls fn for the part of e in each chunk.
func (o owners) pieces(e Extent, fn func(chunk, first, end uint32)) {
	for first, end := e.First, e.First+e.Count; first < end; {
		chunk := first / chunkClusters
		stop := min(end, (chunk+1)*chunkClusters)
		fn(chunk, first, stop)
		first = stop
	}
}

// carve returns runs without the clusters first up to end of those runs for
// which take is true.
func carve(runs []ownedRun, first, end uint32, take func(ownedRun) bool) []ownedRun {
	hit := slices.ContainsFunc(runs, func(r ownedRun) bool { return r.first < end && r.end > first && take(r) })
	if !hit {
		return runs
	}
	out := make([]ownedRun, 0, len(runs)+1)
	for _, r := range runs {
		if r.first >= end || r.end <= first || !take(r) {
			out = append(out, r)
			continue
		}
		if r.first < first {
			out = append(out, ownedRun{r.first, first, r.id})
		}
		if r.end > end {
			out = append(out, ownedRun{end, r.end, r.id})
		}
	}
	return out
}
