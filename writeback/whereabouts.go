package writeback

import (
	"slices"
	"strings"
	"sync"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/plan"
)

// whereabouts knows where the inodes lie that the base serves: commits rename
// them, and move them out of the tree when the guest deletes or overwrites
// them. While a commit is carried out an inode may be at its place before or
// after.
type whereabouts struct {
	tree, aside hostfs.FS
	layout      *vvfat.Layout

	mu   sync.RWMutex
	now  map[catalog.ID]spot
	next map[catalog.ID]spot // what the commit under way makes of some
}

// spot is where an object is, if that is not what the base says.
type spot struct {
	parent catalog.ID
	name   string
	aside  string // a path in the aside folder, if it is not in the tree
	mtime  int64
	set    bool // mtime is known
}

func (w *whereabouts) init(p *Place, l *vvfat.Layout) {
	w.tree, w.aside, w.layout = p.Tree, p.Aside, l
	w.now = map[catalog.ID]spot{}
}

// set takes the places of everything that was moved before.
func (w *whereabouts) set(c *catalog.Catalog, st *state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range st.kept {
		w.keep(k.ID, "kept/"+k.Name, k.Mtime)
	}
	for _, t := range st.trashed {
		if t.Base {
			w.keep(t.ID, "trash/"+t.Name, t.Mtime)
		}
	}
	c.Held(func(o *catalog.Object) { w.put(o) }, func(catalog.ID) {})
	for _, l := range st.left {
		w.stay(l)
	}
}

// stay notes that the inode of a node is in the tree, though its object is
// not, or is elsewhere. The caller holds mu.
func (w *whereabouts) stay(l plan.Left) {
	w.now[l.ID] = spot{parent: l.Parent, name: l.Name, mtime: l.Mtime, set: true}
}

// put takes the place of an object. The caller holds mu.
func (w *whereabouts) put(o *catalog.Object) {
	s := w.now[o.ID]
	s.parent, s.name = o.Parent, o.Inode.Name
	if o.Inode.Made || o.Inode.Lost {
		if s.aside == "" && !w.isDir(o.ID) {
			s.aside = "?" // not the base's any more, and not known to be kept
		}
	} else {
		s.aside, s.mtime, s.set = "", o.Inode.ID.Mtime, true
	}
	w.now[o.ID] = s
}

func (w *whereabouts) isDir(id catalog.ID) bool {
	return int(id) >= int(w.layout.Nodes()) || w.layout.Node(vvfat.NodeID(id)).Dir
}

// expect says what a plan is about to do.
func (w *whereabouts) expect(prospects []plan.Prospect, epoch uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = map[catalog.ID]spot{}
	for i := range prospects {
		p := &prospects[i]
		s := spot{parent: p.Object.Parent, name: p.Object.Inode.Name, mtime: p.Mtime, set: p.Mtime != hostfs.NoTime}
		switch {
		case p.Kind == diff.Remove:
			s.aside = "trash/" + p.Aside
		case p.Aside != "":
			s.aside = "kept/" + p.Aside
		}
		w.next[p.Object.ID] = s
	}
}

// settle takes what a commit has done.
func (w *whereabouts) settle(d *plan.Delta) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = nil
	for _, k := range d.Kept {
		w.keep(k.ID, "kept/"+k.Name, k.Mtime)
	}
	for _, t := range d.Trashed {
		if t.Base {
			w.keep(t.ID, "trash/"+t.Name, t.Mtime)
		}
	}
	for i := range d.Put {
		w.put(&d.Put[i])
	}
	for _, l := range d.Left {
		w.stay(l)
	}
}

// keep notes that the inode of a node is aside. The caller holds mu.
func (w *whereabouts) keep(id catalog.ID, path string, mtime int64) {
	if id == catalog.Root {
		return
	}
	s := w.now[id]
	s.aside, s.mtime, s.set = path, mtime, true
	w.now[id] = s
}

// putBack notes that an inode that was aside is in the tree again.
func (w *whereabouts) putBack(l plan.Left) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stay(l)
}

// locate is the vvfat.Locator of the base.
func (w *whereabouts) locate(node vvfat.NodeID) []vvfat.Place {
	w.mu.RLock()
	defer w.mu.RUnlock()
	n := w.layout.Node(node)
	if n.Alias {
		target, ok := w.resolve(w.layout.HostPath(node))
		if !ok {
			return nil
		}
		node, n = target, w.layout.Node(target)
	}
	id := catalog.ID(node)
	own, changed := w.now[id]
	later, changing := w.next[id]
	if !changed && !changing && !w.dirsMoved(catalog.ID(n.Parent)) {
		return nil
	}
	if !changed {
		own = spot{parent: catalog.ID(n.Parent), name: n.HostName}
	}
	if !own.set {
		own.mtime = n.Mtime
	}
	place := vvfat.Place{Tree: w.tree, Ino: n.Ino, Size: n.Size, Mtimes: [2]int64{own.mtime, own.mtime}}
	if changing && later.set {
		place.Mtimes[1] = later.mtime
	}
	spots := []spot{own}
	if changing {
		spots = append(spots, later)
	}
	var out []vvfat.Place
	for _, s := range spots {
		for _, dirs := range []map[catalog.ID]spot{w.now, w.next} {
			p := place
			if s.aside != "" {
				p.Tree, p.Path = w.aside, s.aside
			} else {
				p.Path = w.path(s, dirs)
			}
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// dirsMoved reports whether a directory of the base or one above it has moved
// or is being moved. The caller holds mu.
func (w *whereabouts) dirsMoved(id catalog.ID) bool {
	for id != catalog.Root {
		if _, ok := w.now[id]; ok {
			return true
		}
		if _, ok := w.next[id]; ok {
			return true
		}
		id = catalog.ID(w.layout.Node(vvfat.NodeID(id)).Parent)
	}
	return false
}

// maxClimb bounds the way up to the root.
const maxClimb = 4096

// path returns the path of a spot, where first says what is special about the
// directories above it, before now does. The caller holds mu.
func (w *whereabouts) path(s spot, first map[catalog.ID]spot) string {
	parts := []string{s.name}
	for id, n := s.parent, 0; id != catalog.Root && n < maxClimb; n++ {
		d, ok := first[id]
		if !ok {
			d, ok = w.now[id]
		}
		if !ok {
			if int(id) >= int(w.layout.Nodes()) {
				break
			}
			node := w.layout.Node(vvfat.NodeID(id))
			d = spot{parent: catalog.ID(node.Parent), name: node.HostName}
		}
		parts = append(parts, d.name)
		id = d.parent
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// resolve returns the node that the base has at a path of the host.
func (w *whereabouts) resolve(path string) (vvfat.NodeID, bool) {
	id := vvfat.RootID
	for part := range strings.SplitSeq(path, "/") {
		child, ok := w.layout.Child(id, part)
		if !ok {
			return 0, false
		}
		id = child
	}
	return id, !w.layout.Node(id).Alias
}
