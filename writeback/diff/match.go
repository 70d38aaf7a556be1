package diff

import (
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// matchDir finds the committed objects of a directory among its entries: those
// that have kept name and first cluster. A directory that has kept its name
// alone is decided on later. What is left on either side goes to gone and
// loose.
func (s *session) matchDir(dir catalog.ID, l *listing) error {
	ids, err := s.cat.Children(dir)
	if err != nil {
		return err
	}
	was := make(map[string][]*catalog.Object, len(ids))
	for _, id := range ids {
		o, err := s.cat.Get(id)
		if err != nil {
			return err
		}
		key := fatfmt.FoldKey(o.Entry.Name)
		was[key] = append(was[key], o)
	}
	seen := make(map[string]bool, len(l.entries))
	for i := range l.entries {
		f := &found{dir: dir, entry: l.entries[i]}
		key := fatfmt.FoldKey(f.entry.Name)
		if seen[key] {
			s.waitEntry(f, "another entry of the directory has its name")
			continue
		}
		seen[key] = true
		k := s.namesake(was[key], f)
		if k < 0 {
			s.loose = append(s.loose, f)
			continue
		}
		o := was[key][k]
		was[key] = slices.Delete(was[key], k, k+1)
		if s.sameObject(o, f) {
			s.become(o, f)
			continue
		}
		s.relocated = append(s.relocated, relocation{o, f, l})
		s.undecided[o.ID] = true
	}
	wiped := false
	before := l
	if s.elsewhere(dir) {
		before = nil // the slots of now are not those of then
	}
	for _, key := range sortedKeys(was) {
		for _, o := range was[key] {
			s.lose(o, before)
			wiped = wiped || !l.erased(o.Entry.Slot)
		}
	}
	if dir == catalog.Root {
		s.label = l.label
		if wiped && len(l.entries) == 0 {
			s.alarm(false, "the root directory was wiped: its entries are not deleted, but overwritten with zeroes")
		}
	}
	return nil
}

// namesake returns which of the committed objects with the name of f it is, or
// may be if it is a directory; -1 if it is none of them. There are several when
// one of them was to get another name and that failed.
func (s *session) namesake(was []*catalog.Object, f *found) int {
	if k := slices.IndexFunc(was, func(o *catalog.Object) bool { return s.sameObject(o, f) }); k >= 0 {
		return k
	}
	return slices.IndexFunc(was, func(o *catalog.Object) bool { return o.IsDir() && f.entry.IsDir() })
}

// elsewhere reports whether a committed directory begins in another cluster
// than it did.
func (s *session) elsewhere(dir catalog.ID) bool {
	st := s.now[dir]
	return st != nil && st.old != nil && st.old.First() != st.entry.FirstCluster(s.o.Geometry.Type)
}

// lose makes o an object that its directory has no more. l, if not nil, is that
// directory in its old place.
func (s *session) lose(o *catalog.Object, l *listing) {
	s.gone = append(s.gone, o)
	s.isGone[o.ID] = true
	if l != nil && !l.erased(o.Entry.Slot) {
		s.wiped[o.ID] = true
	}
}

// take makes the loose entry k what the gone object i is now.
func (s *session) take(i, k int) {
	o := s.gone[i]
	s.become(o, s.loose[k])
	delete(s.isGone, o.ID)
	s.gone[i], s.loose[k] = nil, nil
}

// sameObject reports whether an entry with the name of o, where o was, is o
// without doubt.
func (s *session) sameObject(o *catalog.Object, f *found) bool {
	return o.IsDir() == f.entry.IsDir() && o.First() == f.entry.FirstCluster(s.o.Geometry.Type)
}

// relocation is a directory whose name now stands for other clusters.
type relocation struct {
	old  *catalog.Object
	now  *found
	list *listing // of the directory that it is in
}

// relocate decides what the relocated directories are: the same ones, moved by
// a defragmenter, unless the clusters are those of a directory that is gone
// from its place. Then that one has taken the name.
func (s *session) relocate() error {
	list := s.relocated
	s.relocated = nil
	for _, r := range list {
		delete(s.undecided, r.old.ID)
		other, err := s.cat.Owner(r.now.entry.FirstCluster(s.o.Geometry.Type))
		if err != nil {
			return err
		}
		if other != nil && other.IsDir() && s.isGone[other.ID] {
			s.lose(r.old, r.list)
			s.loose = append(s.loose, r.now)
			if s.marked[r.old.ID] {
				s.queue = append(s.queue, r.old.ID)
			}
			continue
		}
		s.become(r.old, r.now)
	}
	return s.walkQueue()
}

// become makes f what the committed object o is now.
func (s *session) become(o *catalog.Object, f *found) {
	st := &state{old: o, parent: f.dir, entry: f.entry}
	if st.parent == o.Parent && st.entry == o.Entry && !s.marked[o.ID] {
		return // as it was
	}
	s.now[o.ID] = st
	if !o.IsDir() || s.walks[o.ID] != nil {
		return
	}
	if s.marked[o.ID] || o.First() != f.entry.FirstCluster(s.o.Geometry.Type) {
		s.marked[o.ID] = true
		s.queue = append(s.queue, o.ID)
	}
}

// appear makes f a new object.
func (s *session) appear(f *found) catalog.ID {
	id := s.cat.NewID()
	s.now[id] = &state{parent: f.dir, entry: f.entry}
	return id
}

// matchAll finds out what the loose entries are. Directories come first, since
// what is in them depends on which they are.
func (s *session) matchAll() error {
	expanded := map[catalog.ID]bool{}
	for {
		moved := s.matchMovedDirs()
		if err := s.walkQueue(); err != nil {
			return err
		}
		more, err := s.expandGone(expanded)
		if err != nil {
			return err
		}
		if moved || more {
			continue
		}
		if len(s.relocated) > 0 {
			if err := s.relocate(); err != nil {
				return err
			}
			continue
		}
		added, err := s.addDirs()
		if err != nil {
			return err
		}
		if !added {
			break
		}
	}
	s.matchMovedFiles()
	s.matchNames()
	return s.addFiles()
}

// matchMovedDirs finds the gone directories that begin where a loose entry
// says that a directory does.
func (s *session) matchMovedDirs() bool {
	at := map[uint32]int{}
	for i, o := range s.gone {
		if o != nil && o.IsDir() && o.First() != 0 {
			at[o.First()] = i
		}
	}
	matched := false
	for k, f := range s.loose {
		if f == nil || !f.entry.IsDir() {
			continue
		}
		i, ok := at[f.entry.FirstCluster(s.o.Geometry.Type)]
		if !ok || s.gone[i] == nil || s.above(s.gone[i].ID, f.dir) {
			continue
		}
		s.take(i, k)
		matched = true
	}
	return matched
}

// above reports whether directory id is dir, or one that dir is in now.
func (s *session) above(id, dir catalog.ID) bool {
	for n := 0; n <= maxDepth; n++ {
		if dir == id {
			return true
		}
		if dir == catalog.Root {
			return false
		}
		if st := s.now[dir]; st != nil {
			dir = st.parent
		} else if o, err := s.cat.Get(dir); err == nil && o != nil {
			dir = o.Parent
		} else {
			return false
		}
	}
	return true
}

// expandGone adds to gone what was in directories that are gone for good. One
// that can still be read stays as it is: it is on its way to another place.
func (s *session) expandGone(expanded map[catalog.ID]bool) (bool, error) {
	more := false
	for i := 0; i < len(s.gone); i++ {
		o := s.gone[i]
		if o == nil || !o.IsDir() || expanded[o.ID] {
			continue
		}
		w := s.walks[o.ID]
		readable := w == nil || w.why == ""
		if readable && !s.view.Settled {
			continue
		}
		expanded[o.ID] = true
		ids, err := s.cat.Children(o.ID)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			child, err := s.cat.Get(id)
			if err != nil {
				return false, err
			}
			if s.now[id] == nil || readable && s.now[id].parent == o.ID {
				delete(s.now, id)
				s.lose(child, nil)
				more = true
			}
		}
	}
	return more, nil
}

// addDirs makes objects of the loose directories, and walks them.
func (s *session) addDirs() (bool, error) {
	added := false
	for k, f := range s.loose {
		if f == nil || !f.entry.IsDir() {
			continue
		}
		s.loose[k] = nil
		other, err := s.visibleAt(f.entry.FirstCluster(s.o.Geometry.Type))
		if err != nil {
			return false, err
		}
		if other != nil {
			s.bothNames(f, other)
			continue
		}
		if s.tooDeep(f.dir) {
			s.waitEntry(f, "directories are nested too deeply")
			continue
		}
		s.queue = append(s.queue, s.appear(f))
		added = true
	}
	return added, s.walkQueue()
}

func (s *session) tooDeep(dir catalog.ID) bool {
	n := 0
	for ; dir != catalog.Root && n < maxDepth; n++ {
		if st := s.now[dir]; st != nil {
			dir = st.parent
		} else if o, err := s.cat.Get(dir); err == nil && o != nil {
			dir = o.Parent
		}
	}
	return n >= maxDepth
}

// bothNames makes an entry wait whose clusters are those of an object that is
// still where it was: the other half of a move is to come.
func (s *session) bothNames(f *found, other *catalog.Object) {
	s.next[other.Parent], s.next[other.ID] = true, true
	s.blocked[place{f.dir, fatfmt.FoldKey(f.entry.Name)}] = true
	s.waitEntry(f, problem(fmt.Sprintf("its clusters are those of %s too: a move is half done", s.path(other.ID))))
}

// visibleAt returns the committed object that begins at a cluster and is still
// shown with it; nil if there is none.
func (s *session) visibleAt(first uint32) (*catalog.Object, error) {
	if !s.o.Geometry.Valid(first) {
		return nil, nil
	}
	o, err := s.cat.Owner(first)
	if err != nil || o == nil || o.First() != first {
		return nil, err
	}
	if s.isGone[o.ID] {
		return nil, nil
	}
	if st := s.now[o.ID]; st != nil && st.entry.FirstCluster(s.o.Geometry.Type) != first {
		return nil, nil
	}
	return o, nil
}

// matchMovedFiles finds the gone files whose chain a loose entry has.
func (s *session) matchMovedFiles() {
	names := s.goneNames()
	at := map[uint32]int{}
	for i, o := range s.gone {
		if o != nil && !o.IsDir() && o.First() != 0 {
			at[o.First()] = i
		}
	}
	for k, f := range s.loose {
		if f == nil {
			continue
		}
		i, ok := at[f.entry.FirstCluster(s.o.Geometry.Type)]
		if !ok || s.gone[i] == nil {
			continue
		}
		var named *catalog.Object
		if n, ok := names[place{f.dir, fatfmt.FoldKey(f.entry.Name)}]; ok {
			named = s.gone[n]
		}
		if s.sameFile(s.gone[i], named, &f.entry) {
			s.take(i, k)
		}
	}
}

// sameFile reports whether an entry that begins where o began is o, and not a
// new file in its clusters. named, if not nil, is the file that had the entry's
// name: rewritten files may exchange their clusters, and many that were made
// together have one stamp.
func (s *session) sameFile(o, named *catalog.Object, e *catalog.Entry) bool {
	if !s.fresh.has(s.o.Volume + s.o.Geometry.ClusterOffset(o.First())) {
		return true
	}
	return sameStamp(o, e) && (named == nil || named == o || !sameStamp(named, e))
}

// sameStamp reports whether an entry says that it was created when o was.
func sameStamp(o *catalog.Object, e *catalog.Entry) bool {
	w := &o.Entry
	return e.CreateDate != 0 && e.CreateDate == w.CreateDate && e.CreateTime == w.CreateTime && e.CreateTenths == w.CreateTenths
}

// goneNames returns the gone files by their names.
func (s *session) goneNames() map[place]int {
	at := map[place]int{}
	for i, o := range s.gone {
		if o != nil && !o.IsDir() {
			at[place{o.Parent, fatfmt.FoldKey(o.Entry.Name)}] = i
		}
	}
	return at
}

// place is a name in a directory.
type place struct {
	dir catalog.ID
	key string
}

// matchNames finds the gone files whose name a loose entry of the same
// directory has: they have new contents.
func (s *session) matchNames() {
	at := s.goneNames()
	for k, f := range s.loose {
		if f == nil {
			continue
		}
		i, ok := at[place{f.dir, fatfmt.FoldKey(f.entry.Name)}]
		if !ok || s.gone[i] == nil {
			continue
		}
		if other, err := s.visibleAt(f.entry.FirstCluster(s.o.Geometry.Type)); err == nil && other != nil {
			continue // not new contents, but another file that is being moved here
		}
		s.take(i, k)
	}
}

// addFiles makes objects of the files that are still loose.
func (s *session) addFiles() error {
	for _, f := range s.loose {
		if f == nil {
			continue
		}
		other, err := s.visibleAt(f.entry.FirstCluster(s.o.Geometry.Type))
		if err != nil {
			return err
		}
		if other != nil {
			s.bothNames(f, other)
			continue
		}
		s.appear(f)
	}
	return nil
}

// path returns the place of an object on the guest's disk, as it is now.
func (s *session) path(id catalog.ID) string {
	name := ""
	for n := 0; id != catalog.Root && n <= maxDepth; n++ {
		var part string
		if st := s.now[id]; st != nil {
			part, id = st.entry.Name, st.parent
		} else if o, err := s.cat.Get(id); err == nil && o != nil {
			part, id = o.Entry.Name, o.Parent
		} else {
			part, id = "?", catalog.Root
		}
		name = join(part, name)
	}
	return name
}

func join(dir, name string) string {
	if dir == "" || name == "" {
		return dir + name
	}
	return dir + "/" + name
}
