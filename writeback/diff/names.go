package diff

import (
	"cmp"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// judgeNames decides which gone objects can be removed. One that cannot, and
// every object that waits, stays where it was committed; so what has come to
// its name has to wait as well, and so on.
func (s *session) judgeNames() error {
	if err := s.sortGone(); err != nil {
		return err
	}
	for {
		if err := s.judgeGone(); err != nil {
			return err
		}
		if !s.holdNames() {
			return nil
		}
		if err := s.inherit(); err != nil {
			return err
		}
	}
}

// sortGone leaves only objects that are gone, those within directories before
// these.
func (s *session) sortGone() error {
	depth := map[catalog.ID]int{}
	gone := s.gone[:0]
	for _, o := range s.gone {
		if o == nil {
			continue
		}
		n, err := s.depth(o.ID)
		if err != nil {
			return err
		}
		depth[o.ID] = n
		gone = append(gone, o)
	}
	slices.SortStableFunc(gone, func(a, b *catalog.Object) int {
		return cmp.Or(cmp.Compare(depth[b.ID], depth[a.ID]), cmp.Compare(a.ID, b.ID))
	})
	s.gone = gone
	return nil
}

// judgeGone finds the gone objects that stay for now. A directory stays while
// something in it does.
func (s *session) judgeGone() error {
	for _, o := range s.gone {
		if s.stays[o.ID] != "" {
			continue
		}
		why, err := s.removable(o)
		if err == nil && why == "" && o.IsDir() {
			why, err = s.stillHolds(o)
		}
		if err != nil {
			return err
		}
		if why != "" {
			s.stays[o.ID] = why
		}
	}
	return nil
}

// holdNames makes every object wait that has come to the name of one that
// stays there. It reports whether there was any.
func (s *session) holdNames() bool {
	held := map[place]catalog.ID{}
	for _, o := range s.gone {
		if s.stays[o.ID] != "" {
			held[place{o.Parent, fatfmt.FoldKey(o.Entry.Name)}] = o.ID
		}
	}
	for id, st := range s.now {
		if st.old != nil && s.waits[id] != "" {
			held[place{st.old.Parent, fatfmt.FoldKey(st.old.Entry.Name)}] = id
		}
	}
	found := false
	for id, st := range s.now {
		if s.waits[id] != "" {
			continue
		}
		if holder, ok := held[place{st.parent, fatfmt.FoldKey(st.entry.Name)}]; ok && holder != id {
			s.waits[id] = "its name is still that of an object that waits"
			found = true
		}
	}
	return found
}

// removable returns why a gone object cannot be removed yet.
func (s *session) removable(o *catalog.Object) (problem, error) {
	if s.waits[o.Parent] != "" && !s.isGone[o.Parent] {
		return "its directory waits", nil
	}
	if s.blocked[place{o.Parent, fatfmt.FoldKey(o.Entry.Name)}] {
		return "its name is that of an entry that waits", nil
	}
	if len(o.Chain) == 0 {
		if s.wiped[o.ID] && !s.view.Settled {
			return "its entry was wiped, not deleted", nil
		}
		return "", nil
	}
	for _, e := range o.Chain {
		for c := e.First; c < e.First+e.Count; c++ {
			free, err := s.fat.free(c)
			if err != nil {
				return "", err
			}
			if free || s.claimed(c) {
				continue
			}
			if s.view.Settled && !s.wiped[o.ID] {
				return "", nil
			}
			return "its entry is gone, but its clusters are not free: a move, or half of a deletion", nil
		}
	}
	return "", nil
}

// stillHolds returns a problem if a directory holds an object that does not
// leave it.
func (s *session) stillHolds(dir *catalog.Object) (problem, error) {
	ids, err := s.cat.Children(dir.ID)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		st := s.now[id]
		if s.isGone[id] && s.stays[id] == "" {
			continue
		}
		if st == nil || st.parent == dir.ID || s.waits[id] != "" {
			return problem("it still holds " + s.path(id)), nil
		}
	}
	return "", nil
}
