package qcow2

import (
	"cmp"
	"slices"
	"sort"
	"sync"
)

// guard knows which clusters hold the image's own tables. Refcounts protect
// them in a sound image; the guard keeps a damaged or hostile one from having
// its tables handed out as room for data, or overwritten through an L2 entry.
//
// It is built before the first write. A nil guard guards nothing.
type guard struct {
	known []int64 // first and one past the last cluster of each run, sorted

	mu    sync.RWMutex
	added map[int64]bool // true: added later; false: removed later
}

// newGuard returns a guard of runs of clusters, which may overlap.
func newGuard(runs []release) *guard {
	slices.SortFunc(runs, func(a, b release) int { return cmp.Compare(a.first, b.first) })
	g := &guard{added: make(map[int64]bool)}
	for _, r := range runs {
		k := len(g.known)
		switch {
		case r.n <= 0:
		case k > 0 && r.first <= g.known[k-1]:
			g.known[k-1] = max(g.known[k-1], r.first+r.n)
		default:
			g.known = append(g.known, r.first, r.first+r.n)
		}
	}
	return g
}

// overlaps reports whether one of n clusters from first on holds a table.
func (g *guard) overlaps(first, n int64) bool {
	if g == nil {
		return false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	for c := first; c < first+n; {
		// An even number of bounds at or below c means that c lies in no run.
		i := sort.Search(len(g.known), func(i int) bool { return g.known[i] > c })
		if i%2 == 1 {
			if kept, ok := g.added[c]; !ok || kept {
				return true
			}
			c++
			continue
		}
		end := first + n
		if i < len(g.known) {
			end = min(end, g.known[i])
		}
		if g.addedWithin(c, end) {
			return true
		}
		c = end
	}
	return false
}

// addedWithin reports whether a cluster of [c, end) was added. The caller holds
// mu.
func (g *guard) addedWithin(c, end int64) bool {
	if int64(len(g.added)) < end-c {
		for k, kept := range g.added {
			if kept && k >= c && k < end {
				return true
			}
		}
		return false
	}
	for ; c < end; c++ {
		if g.added[c] {
			return true
		}
	}
	return false
}

func (g *guard) add(first, n int64)    { g.mark(first, n, true) }
func (g *guard) remove(first, n int64) { g.mark(first, n, false) }

func (g *guard) mark(first, n int64, holds bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := first; c < first+n; c++ {
		g.added[c] = holds
	}
}
