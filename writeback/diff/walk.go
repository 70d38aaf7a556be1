package diff

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// maxDepth bounds how deep directories may be nested.
const maxDepth = 1000

// walk is a look at one directory.
type walk struct {
	chain []catalog.Extent // none of the root of FAT12 and FAT16
	list  *listing
	why   problem // what makes it invalid
}

// look walks the directories that may differ, those above first: a directory
// can be read only where its entry says that it is now.
func (s *session) look() error {
	var dirs []catalog.ID
	for _, id := range sortedKeys(s.marked) {
		o, err := s.cat.Get(id)
		if err != nil {
			return err
		}
		if o != nil && o.IsDir() {
			dirs = append(dirs, id)
		}
	}
	depth := map[catalog.ID]int{}
	for _, id := range dirs {
		n, err := s.depth(id)
		if err != nil {
			return err
		}
		depth[id] = n
	}
	slices.SortStableFunc(dirs, func(a, b catalog.ID) int { return cmp.Compare(depth[a], depth[b]) })
	s.queue = append(s.queue, dirs...)
	return s.walkQueue()
}

// depth returns the number of directories above a committed object.
func (s *session) depth(id catalog.ID) (int, error) {
	n := 0
	for id != catalog.Root {
		o, err := s.cat.Get(id)
		if err != nil || o == nil || n > maxDepth {
			return n, err
		}
		id = o.Parent
		n++
	}
	return n, nil
}

// walkQueue walks the directories of the queue, and those that they add to it.
func (s *session) walkQueue() error {
	for len(s.queue) > 0 {
		id := s.queue[0]
		s.queue = s.queue[1:]
		if s.walks[id] != nil || s.undecided[id] {
			continue
		}
		w, err := s.walk(id)
		if err != nil {
			return err
		}
		s.walks[id] = w
		if w.why != "" {
			continue
		}
		if err := s.matchDir(id, w.list); err != nil {
			return err
		}
	}
	return nil
}

// walk reads a directory where it is now.
func (s *session) walk(id catalog.ID) (*walk, error) {
	g := &s.o.Geometry
	w := &walk{}
	if id == catalog.Root && g.Type != fatfmt.FAT32 {
		raw := make([]byte, min(g.RootBytes(), maxDirBytes))
		if err := s.read(raw, g.RootOffset()); err != nil {
			return nil, err
		}
		w.list, w.why = parse(raw, true, s.o.CodePage)
		return w, nil
	}
	first, err := s.firstOf(id)
	if err != nil {
		return nil, err
	}
	if s.walked[first] {
		w.why = "its first cluster is that of another directory"
		return w, nil
	}
	s.walked[first] = true
	limit := uint32(max(1, maxDirBytes/g.ClusterBytes()))
	if w.chain, w.why, err = s.fat.chain(first, limit); err != nil || w.why != "" {
		return w, err
	}
	if w.why, err = s.unwritten(w.chain, clusters(w.chain)*int64(g.ClusterBytes()), s.view.Settled); err != nil || w.why != "" {
		return w, err
	}
	raw := make([]byte, clusters(w.chain)*int64(g.ClusterBytes()))
	at := int64(0)
	for _, e := range w.chain {
		n := int64(e.Count) * int64(g.ClusterBytes())
		if err := s.read(raw[at:at+n], g.ClusterOffset(e.First)); err != nil {
			return nil, err
		}
		at += n
	}
	w.list, w.why = parse(raw, id == catalog.Root, s.o.CodePage)
	if w.why == "" && id != catalog.Root {
		w.why = s.checkDots(id, first, w.list)
	}
	return w, nil
}

// firstOf returns where a directory begins now.
func (s *session) firstOf(id catalog.ID) (uint32, error) {
	if id == catalog.Root {
		return s.o.Geometry.RootCluster, nil
	}
	if st := s.now[id]; st != nil {
		return st.entry.FirstCluster(s.o.Geometry.Type), nil
	}
	o, err := s.cat.Get(id)
	if err != nil || o == nil {
		return 0, err
	}
	return o.First(), nil
}

// checkDots checks where "." and, in a new directory, ".." lead. The ".." of a
// directory that was moved may still be the old one: not every system writes
// it.
func (s *session) checkDots(id catalog.ID, first uint32, l *listing) problem {
	t := s.o.Geometry.Type
	if got := l.dots[0].FirstCluster(t); got != first {
		return problem(fmt.Sprintf(`its "." leads to cluster %d, but it begins at %d`, got, first))
	}
	st := s.now[id]
	if st == nil || st.old != nil {
		return ""
	}
	up, err := s.firstOf(st.parent)
	if err != nil {
		return problem(err.Error())
	}
	got := l.dots[1].FirstCluster(t)
	if got == up || st.parent == catalog.Root && got == 0 {
		return ""
	}
	return problem(fmt.Sprintf(`its ".." leads to cluster %d, which is not the directory above it`, got))
}

// unwritten returns a problem if a cluster that was free at the last commit,
// among those that hold the first n bytes of chain, was not written since.
func (s *session) unwritten(chain []catalog.Extent, n int64, settled bool) (problem, error) {
	if settled {
		return "", nil
	}
	g := &s.o.Geometry
	cb := int64(g.ClusterBytes())
	for _, e := range chain {
		for c := e.First; c < e.First+e.Count && n > 0; c++ {
			part := min(n, cb)
			n -= part
			if s.fresh.all(s.o.Volume+g.ClusterOffset(c), part) {
				continue
			}
			o, err := s.cat.Owner(c)
			if err != nil {
				return "", err
			}
			if o == nil {
				return problem(fmt.Sprintf("its cluster %d is allocated, but not written yet", c)), nil
			}
		}
	}
	return "", nil
}

// read reads bytes of the volume.
func (s *session) read(p []byte, off int64) error {
	if _, err := s.view.ReadAt(p, s.o.Volume+off); err != nil {
		return fmt.Errorf("read the guest's disk at %d: %w", s.o.Volume+off, err)
	}
	return nil
}
