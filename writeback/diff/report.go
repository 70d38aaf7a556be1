package diff

import (
	"slices"

	"github.com/fatkit/fatkit/writeback/catalog"
)

// report puts the result together.
func (s *session) report() error {
	if err := s.reportRemoved(); err != nil {
		return err
	}
	for _, id := range sortedKeys(s.now) {
		st := s.now[id]
		if why := s.waits[id]; why != "" {
			s.keepWaiting(id, st, why)
			continue
		}
		if c := s.change(id, st); c != nil {
			s.res.Changes = append(s.res.Changes, c)
		}
	}
	for _, id := range sortedKeys(s.walks) {
		if w := s.walks[id]; w.why != "" && s.now[id] == nil && !s.isGone[id] {
			s.next[id] = true
			s.res.Waiting = append(s.res.Waiting, Waiting{ID: id, Path: s.path(id), Reason: string(w.why)})
		}
	}
	if w := s.walks[catalog.Root]; w != nil && w.why == "" && len(w.chain) > 0 {
		root, err := s.cat.Get(catalog.Root)
		if err != nil {
			return err
		}
		if !slices.Equal(root.Chain, w.chain) {
			s.res.RootChain = w.chain
		}
	}
	if s.label != nil {
		s.res.Label = *s.label
	}
	s.res.next = s.next
	s.res.walks = s.walks
	return nil
}

// keepWaiting reports an object that waits, and has it looked at next time.
func (s *session) keepWaiting(id catalog.ID, st *state, why problem) {
	s.next[st.parent] = true
	report := Waiting{Path: s.path(id), Reason: string(why), Bytes: int64(st.entry.Size)}
	if st.old != nil {
		s.next[id], s.next[st.old.Parent] = true, true
		report.ID = id
	}
	s.res.Waiting = append(s.res.Waiting, report)
}

// change returns what is different about an object; nil if nothing is.
func (s *session) change(id catalog.ID, st *state) *Change {
	c := &Change{Kind: Create, ID: id, Old: st.old, Parent: st.parent, Entry: st.entry, Chain: st.chain}
	if st.old != nil {
		c.Kind = Update
	}
	if !st.isDir() {
		c.Written = s.written(st)
	}
	if c.Kind == Update && len(c.Written) == 0 && st.parent == st.old.Parent && st.entry == st.old.Entry && slices.Equal(st.chain, st.old.Chain) {
		return nil
	}
	return c
}

// written returns the ranges of a file that may not be what was committed.
func (s *session) written(st *state) []Range {
	g := &s.o.Geometry
	cb, size := int64(g.ClusterBytes()), int64(st.entry.Size)
	var old []catalog.Extent
	oldSize := int64(0)
	if st.old != nil {
		old, oldSize = st.old.Chain, st.old.Size()
	}
	var out []Range
	at, used := int64(0), uint32(0) // place in the file; clusters of old[0] that lie before it
	for _, e := range st.chain {
		for n := uint32(0); n < e.Count && at < size; {
			step := e.Count - n
			same := false
			if len(old) > 0 {
				step = min(step, old[0].Count-used)
				same = old[0].First+used == e.First+n
				if used += step; used == old[0].Count {
					old, used = old[1:], 0
				}
			}
			length := min(int64(step)*cb, size-at)
			if same {
				disk := s.o.Volume + g.ClusterOffset(e.First+n)
				out = s.fresh.within(out, disk, length, at-disk)
				if at+length > oldSize {
					out = addTail(out, max(at, oldSize), at+length)
				}
			} else {
				out = appendRange(out, Range{at, length})
			}
			at, n = at+length, n+step
		}
	}
	return out
}

// addTail makes out, whose ranges end at or before end, hold all from off to
// end.
func addTail(out []Range, off, end int64) []Range {
	for k := len(out) - 1; k >= 0 && out[k].Off+out[k].Len >= off; k-- {
		off = min(off, out[k].Off)
		out = out[:k]
	}
	return append(out, Range{off, end - off})
}

// reportRemoved reports the objects that are gone, those within directories
// before these.
func (s *session) reportRemoved() error {
	for _, o := range s.gone {
		if why := s.stays[o.ID]; why != "" {
			s.next[o.ID], s.next[o.Parent] = true, true
			s.res.Waiting = append(s.res.Waiting, Waiting{ID: o.ID, Path: s.cat.GuestPath(o.ID), Reason: string(why)})
			continue
		}
		s.res.Changes = append(s.res.Changes, &Change{Kind: Remove, ID: o.ID, Old: o})
	}
	return nil
}

// Outcome is what became of a change on the host.
type Outcome struct {
	// Done says that it is as the guest wants it. If not, the change is tried
	// again.
	Done bool
	// Object is what the catalog has of it from now on; nil leaves it as it is,
	// or removes it if the change is a Remove that is Done. The catalog owns it.
	Object *catalog.Object
}

// Commit tells the Differ what became of the changes of its last result. The
// catalog is brought up to date, and what failed or waits is looked at again by
// the next Diff.
func (d *Differ) Commit(r *Result, outcome func(*Change) Outcome) error {
	pending := r.next
	for _, w := range r.walks {
		if w.why == "" {
			d.settle(w.chain)
		}
	}
	var removed []*Change
	for _, c := range r.Changes {
		o := outcome(c)
		if !o.Done {
			d.retry(pending, c)
		}
		switch {
		case o.Done && c.Kind == Remove:
			removed = append(removed, c)
			continue
		case o.Done:
			d.settleChange(c)
		}
		if o.Object != nil {
			if err := d.cat.Put(o.Object); err != nil {
				return err
			}
		}
	}
	for _, c := range removed { // after what left their directories
		d.settleChange(c)
		if err := d.cat.Remove(c.ID); err != nil {
			return err
		}
	}
	d.pending = map[catalog.ID]bool{}
	for id := range pending {
		if o, err := d.cat.Get(id); err == nil && o != nil {
			d.pending[id] = true
		}
	}
	return nil
}

// retry has a change looked at again.
func (d *Differ) retry(pending map[catalog.ID]bool, c *Change) {
	if c.Old != nil {
		pending[c.ID], pending[c.Old.Parent] = true, true
	}
	if c.Kind != Remove {
		pending[c.ID], pending[c.Parent] = true, true
	}
}

// settleChange takes the clusters of an object out of the set of what was
// written and is not part of a commit: those that it has and those that it had.
func (d *Differ) settleChange(c *Change) {
	if c.Old != nil && !c.IsDir() {
		d.settle(c.Old.Chain)
	}
	d.settle(c.Chain)
}

func (d *Differ) settle(chain []catalog.Extent) {
	g := &d.o.Geometry
	for _, e := range chain {
		d.fresh.drop(d.o.Volume+g.ClusterOffset(e.First), int64(e.Count)*int64(g.ClusterBytes()))
	}
}

// Pending returns the number of objects that will be looked at again.
func (d *Differ) Pending() int { return len(d.pending) }
