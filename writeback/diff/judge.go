package diff

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/fatkit/fatkit/writeback/catalog"
)

// claim says that an object which a directory shows has some clusters.
type claim struct {
	first, end uint32
	id         catalog.ID
}

// judge decides which objects are complete.
func (s *session) judge() error {
	for id, w := range s.walks {
		if w.why != "" && !s.isGone[id] {
			s.wait(id, w.why)
		}
	}
	if err := s.addMarked(); err != nil {
		return err
	}
	for _, id := range sortedKeys(s.now) {
		if err := s.judgeChain(id, s.now[id]); err != nil {
			return err
		}
	}
	if err := s.crossings(); err != nil {
		return err
	}
	return s.inherit()
}

// addMarked gives a state to the marked objects whose entry is as it was.
func (s *session) addMarked() error {
	for _, id := range sortedKeys(s.marked) {
		if s.now[id] != nil || s.isGone[id] || id == catalog.Root {
			continue
		}
		o, err := s.cat.Get(id)
		if err != nil {
			return err
		}
		if o == nil {
			continue
		}
		s.now[id] = &state{old: o, parent: o.Parent, entry: o.Entry}
		if w := s.walks[o.Parent]; w != nil && w.why != "" {
			s.wait(id, "its directory waits")
		}
	}
	return nil
}

// judgeChain follows the chain of an object and compares it with its size.
func (s *session) judgeChain(id catalog.ID, st *state) error {
	g := &s.o.Geometry
	if why := hostile(st.entry.Name); why != "" {
		s.wait(id, why)
	}
	if st.isDir() {
		if w := s.walks[id]; w != nil {
			st.chain = w.chain
			return nil
		}
		st.chain = st.old.Chain // not marked, so as it was
		return nil
	}
	first, size := st.entry.FirstCluster(g.Type), int64(st.entry.Size)
	if first == 0 {
		if size > 0 {
			s.wait(id, "it has a size, but no clusters")
		}
		return nil
	}
	if st.old != nil && !s.marked[id] && st.old.First() == first {
		st.chain = st.old.Chain
	} else {
		chain, why, err := s.fat.chain(first, g.Clusters)
		if err != nil {
			return err
		}
		st.chain = chain
		if why != "" {
			s.wait(id, why)
			return nil
		}
	}
	if room := clusters(st.chain) * int64(g.ClusterBytes()); room < size {
		s.wait(id, problem(fmt.Sprintf("its size is %d, but its chain holds only %d bytes", size, room)))
		return nil
	}
	why, err := s.unwritten(st.chain, size, s.view.Settled)
	if why != "" {
		s.wait(id, why)
	}
	return err
}

// crossings makes the objects wait that claim the same clusters.
func (s *session) crossings() error {
	for _, id := range sortedKeys(s.now) {
		for _, e := range s.now[id].chain {
			s.claims = append(s.claims, claim{e.First, e.First + e.Count, id})
		}
	}
	slices.SortFunc(s.claims, func(a, b claim) int { return cmp.Compare(a.first, b.first) })
	widest := -1 // the claim so far that reaches farthest
	for i, c := range s.claims {
		if widest >= 0 && c.first < s.claims[widest].end {
			if o := s.claims[widest].id; o == c.id {
				s.wait(c.id, "its chain has a cluster twice")
			} else {
				s.wait(c.id, problem("it shares clusters with "+s.path(o)))
				s.wait(o, problem("it shares clusters with "+s.path(c.id)))
			}
		}
		if widest < 0 || c.end > s.claims[widest].end {
			widest = i
		}
		if err := s.crossesOld(c); err != nil {
			return err
		}
	}
	return nil
}

// crossesOld makes the object of a claim wait if an object that is as it was
// has clusters of it.
func (s *session) crossesOld(c claim) error {
	g := &s.o.Geometry
	for at := c.first; at < c.end; {
		o, err := s.cat.Owner(at)
		if err != nil {
			return err
		}
		if o == nil {
			at++
			continue
		}
		if o.ID != c.id && s.now[o.ID] == nil && !s.isGone[o.ID] {
			s.next[o.ID], s.next[o.Parent] = true, true
			s.wait(c.id, problem("it shares clusters with "+s.path(o.ID)))
			return nil
		}
		next, ok := g.ClusterAt(s.afterRun(o, at))
		if !ok || next <= at {
			return nil
		}
		at = next
	}
	return nil
}

// inherit makes everything wait that came to a directory that waits.
func (s *session) inherit() error {
	for changed := true; changed; {
		changed = false
		for id, st := range s.now {
			if s.waits[id] != "" {
				continue
			}
			if s.waits[st.parent] != "" && (st.old == nil || st.old.Parent != st.parent) {
				s.waits[id] = "its directory waits"
				changed = true
			}
		}
	}
	return nil
}

// claimed reports whether an object that is complete has a cluster.
func (s *session) claimed(c uint32) bool {
	i := sort.Search(len(s.claims), func(i int) bool { return s.claims[i].first > c }) - 1
	return i >= 0 && c < s.claims[i].end && s.waits[s.claims[i].id] == ""
}
