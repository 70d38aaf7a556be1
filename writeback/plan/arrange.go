package plan

import (
	"fmt"

	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// spot is a name in a directory of the tree, whatever becomes of the directory.
type spot struct {
	dir  catalog.ID
	name string
}

// move is a step that takes a name, gives one up, or both.
type move struct {
	c     *diff.Change
	from  *spot // nil for what comes out of the stage folder
	to    *spot // nil for what leaves the tree
	aside bool  // it goes through the stage folder, to break a cycle
	first bool  // the first half of such a move
}

// arrange puts the changes in an order in which every name is free when it is
// taken. A change whose name will not be free is left out.
func (w *build) arrange(changes []*diff.Change) error {
	a := arranger{build: w, at: map[spot]*move{}, waiting: map[spot][]*move{}, inside: map[catalog.ID][]*move{}, done: map[*move]bool{}, placed: map[catalog.ID]bool{}, creation: map[catalog.ID]*move{}}
	for _, c := range changes {
		if w.refused[c.ID] {
			continue
		}
		w.order = append(w.order, c)
		if m := w.moveOf(c); m != nil {
			a.moves = append(a.moves, m)
			if m.from != nil {
				a.at[*m.from] = m
			} else if m.to != nil {
				a.creation[c.ID] = m
			}
		}
	}
	if err := a.run(); err != nil {
		return err
	}
	w.rejectBelow(changes)
	kept := w.order[:0]
	for _, c := range w.order {
		if !w.refused[c.ID] {
			kept = append(kept, c)
		}
	}
	w.order = kept
	w.moves = w.moves[:0]
	for _, m := range a.sequence {
		if !w.refused[m.c.ID] {
			w.moves = append(w.moves, m)
		}
	}
	return nil
}

// moveOf returns the move of a change; nil if it needs none.
func (w *build) moveOf(c *diff.Change) *move {
	if w.salvaged(c) {
		return nil // the host's version stays where it is
	}
	if c.Kind == diff.Remove {
		if c.Old.Inode.Lost || w.shadow(c) || c.IsDir() && !c.Old.Inode.Link {
			return nil // rmdir is a step of its own, after the moves
		}
		return &move{c: c, from: &spot{c.Old.Parent, c.Old.Inode.Name}}
	}
	to := &spot{c.Parent, w.names[c.ID]}
	if c.Kind == diff.Create || c.Old.Inode.Lost {
		return &move{c: c, to: to}
	}
	from := &spot{c.Old.Parent, c.Old.Inode.Name}
	if *from == *to {
		return nil
	}
	return &move{c: c, from: from, to: to}
}

// arranger orders moves.
type arranger struct {
	*build
	moves    []*move
	at       map[spot]*move         // moves that have not given up their name yet
	waiting  map[spot][]*move       // moves that wait for a name
	inside   map[catalog.ID][]*move // moves that wait for a new directory to be in its place
	done     map[*move]bool
	sequence []*move
	ready    []*move

	removedDirs map[spot]bool
	placed      map[catalog.ID]bool  // objects whose move is done
	creation    map[catalog.ID]*move // of new objects
}

// run orders all moves: those first that can be made, then, for as long as some
// remain, one of a cycle goes aside. New directories come first, since others
// go into them.
func (a *arranger) run() error {
	a.ready = append(a.ready, a.moves...)
	a.drain()
	for _, m := range a.moves {
		for !a.done[m] {
			victim := a.cycle(m)
			if victim == nil {
				break
			}
			half := &move{c: victim.c, from: victim.from, first: true}
			a.sequence = append(a.sequence, half)
			a.free(*victim.from)
			victim.from, victim.aside = nil, true
			a.drain()
		}
	}
	for _, m := range a.moves {
		if !a.done[m] {
			a.reject(m.c, fmt.Sprintf("its name %q on the host is still that of something else", m.to.name))
		}
	}
	return nil
}

// drain makes every move that can be made, and those that these make possible.
func (a *arranger) drain() {
	for len(a.ready) > 0 {
		m := a.ready[0]
		a.ready = a.ready[1:]
		if a.done[m] {
			continue
		}
		if m.to != nil {
			if a.staged(m.to.dir) {
				a.inside[m.to.dir] = append(a.inside[m.to.dir], m)
				continue
			}
			if other := a.at[*m.to]; other != nil && other != m || a.takenByDir(m.to) {
				a.waiting[*m.to] = append(a.waiting[*m.to], m)
				continue
			}
			if inside := a.intoItself(m); inside != nil {
				a.waiting[*inside] = append(a.waiting[*inside], m)
				continue
			}
		}
		a.done[m] = true
		a.sequence = append(a.sequence, m)
		if m.from != nil {
			a.free(*m.from)
		}
		a.placed[m.c.ID] = true
		a.ready = append(a.ready, a.inside[m.c.ID]...)
		delete(a.inside, m.c.ID)
	}
}

// staged reports whether a directory is new and not in its place yet.
func (a *arranger) staged(dir catalog.ID) bool {
	c := a.changes[dir]
	return c != nil && c.Kind == diff.Create && !a.placed[dir]
}

// free makes the moves ready that wait for a name.
func (a *arranger) free(s spot) {
	delete(a.at, s)
	a.ready = append(a.ready, a.waiting[s]...)
	delete(a.waiting, s)
}

// takenByDir reports whether a directory that is removed has the name: that
// happens after the moves, so the name is free only for the next commit.
func (a *arranger) takenByDir(s *spot) bool {
	if a.removedDirs == nil {
		a.removedDirs = map[spot]bool{}
		for _, c := range a.order {
			if c.Kind == diff.Remove && c.IsDir() && !c.Old.Inode.Link {
				a.removedDirs[spot{c.Old.Parent, c.Old.Inode.Name}] = true
			}
		}
	}
	return a.removedDirs[*s]
}

// intoItself returns what a directory has to wait for that is to go into a
// directory within it, as the tree is at that moment: the place that this one,
// or one between them, gives up.
func (a *arranger) intoItself(m *move) *spot {
	if !m.c.IsDir() || m.from == nil {
		return nil
	}
	var last *spot
	for id, n := m.to.dir, 0; id != catalog.Root && n < maxClimb; n++ {
		if id == m.c.ID {
			return last
		}
		c := a.changes[id]
		o, err := a.cat.Get(id)
		if err != nil {
			return nil
		}
		if p := a.pendingFrom(c); p != nil {
			last = p
			id = p.dir
			continue
		}
		switch {
		case c != nil && c.Kind != diff.Remove && !a.refused[id]:
			id = c.Parent
		case o != nil:
			id = o.Parent
		default:
			return nil
		}
	}
	return nil
}

// pendingFrom returns the place that an object has not left yet.
func (a *arranger) pendingFrom(c *diff.Change) *spot {
	if c == nil || c.Old == nil {
		return nil
	}
	s := spot{c.Old.Parent, c.Old.Inode.Name}
	if m := a.at[s]; m != nil && m.c == c {
		return &s
	}
	return nil
}

// cycle returns a move of those that m waits for, directly or not, and that
// wait for each other in a circle: one that has a name to give up. It is nil if
// m waits for something else.
func (a *arranger) cycle(m *move) *move {
	seen := map[*move]bool{}
	for m != nil && !seen[m] {
		seen[m] = true
		m = a.blocker(m)
	}
	for n := m; n != nil; {
		if n.from != nil {
			return n
		}
		if n = a.blocker(n); n == m {
			break
		}
	}
	return nil
}

// blocker returns the move that m waits for.
func (a *arranger) blocker(m *move) *move {
	if m.to == nil {
		return nil
	}
	if a.staged(m.to.dir) {
		return a.creation[m.to.dir]
	}
	if other := a.at[*m.to]; other != nil && other != m {
		return other
	}
	if s := a.intoItself(m); s != nil {
		return a.at[*s]
	}
	return nil
}

// asideName is the name that an object has in the stage folder in between.
func asideName(epoch, tag uint64) string { return fmt.Sprintf("between-%d-%d", epoch, tag) }

// place returns the place of a spot.
func (w *build) place(s *spot) apply.Place {
	return apply.Place{Dir: w.dirs[s.dir], Name: s.name}
}
