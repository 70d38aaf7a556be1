package fusemount

import (
	"io/fs"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is an object that the kernel knows. There is one for each place in the
// tree at most, found by its number or by its name in its directory, in the
// spelling of the tree.
type node struct {
	id  uint64 // what the kernel calls it
	ino uint64 // what users see

	// Guarded by the table's mu, and those two also by tree.names, which is held
	// for writing where they change.
	parent *node
	name   string

	// Guarded by the table's mu.
	kind     fs.FileMode // the type bits
	lookups  uint64      // how often the kernel was told of it
	children map[string]*node
	gone     bool                 // there is no such object any more
	spelled  bool                 // the kernel has asked for it in another spelling
	open     map[*handle]struct{} // open files of it
}

// table holds the nodes.
type table struct {
	mu     sync.Mutex
	byID   map[uint64]*node
	byIno  map[uint64]*node
	lastID uint64
	root   *node
}

// newTable returns a table with the root, of a kind, which is never forgotten.
func newTable(kind fs.FileMode) *table {
	root := &node{id: fuse.FUSE_ROOT_ID, ino: fuse.FUSE_ROOT_ID, name: ".", kind: kind, lookups: 1}
	return &table{
		byID: map[uint64]*node{root.id: root}, byIno: map[uint64]*node{root.ino: root},
		lastID: root.id, root: root,
	}
}

// get returns the node with a number, or nil.
func (t *table) get(id uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// enter returns the child of dir called name, which the kernel is told of. A new
// one gets the inode number ino, or if that is 0 one made of the name.
func (t *table) enter(dir *node, name string, kind fs.FileMode, ino uint64) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := dir.children[name]
	if n != nil && n.kind != kind { // somebody else put another object there
		t.detach(n)
		n = nil
	}
	if n == nil {
		t.lastID++
		n = &node{id: t.lastID, parent: dir, name: name, kind: kind}
		if ino == 0 {
			ino = inoOf(dir.ino, name)
		}
		n.ino = t.freeIno(ino)
		t.byID[n.id], t.byIno[n.ino] = n, n
		if dir.children == nil {
			dir.children = map[string]*node{}
		}
		dir.children[name] = n
	}
	n.lookups++
	return n
}

// FNV-1a of 64 bits (Fowler, Noll, Vo), which is the same in every run.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// inoOf returns the inode number that suits an object called name in the
// directory with the inode number dir.
func inoOf(dir uint64, name string) uint64 {
	h := uint64(fnvOffset)
	for range 8 {
		h = (h ^ dir&0xFF) * fnvPrime
		dir >>= 8
	}
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * fnvPrime
	}
	return h>>1 | 1<<33 // positive for those who count in signed numbers, and not small
}

// freeIno returns ino, or one near if that belongs to another object. The
// caller holds mu.
func (t *table) freeIno(ino uint64) uint64 {
	for t.byIno[ino] != nil {
		ino = ino + 1
	}
	return ino
}

// ino returns the inode number of the child of dir called name, which the
// kernel is not told of. own is that of the tree, or 0.
func (t *table) ino(dir *node, name string, own uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := dir.children[name]
	switch {
	case n != nil:
		return n.ino
	case own != 0:
		return own
	}
	return inoOf(dir.ino, name)
}

// path returns the name that the tree has for n, or false if it is gone.
func (t *table) path(n *node) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.gone {
		return "", false
	}
	if n.parent == nil {
		return ".", true
	}
	size := -1
	for p := n; p.parent != nil; p = p.parent {
		if p.gone {
			return "", false
		}
		size += len(p.name) + 1
	}
	buf := make([]byte, size)
	for p := n; p.parent != nil; p = p.parent {
		size -= copy(buf[size-len(p.name):], p.name)
		if size > 0 {
			size--
			buf[size] = '/'
		}
	}
	return string(buf), true
}

// alias notes that the kernel asked for n in another spelling than the tree's, and
// reports whether that is new. aliased reports whether it has.
func (t *table) alias(n *node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := n.spelled
	n.spelled = true
	return !was
}

func (t *table) aliased(n *node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.spelled
}

// child returns the child of dir called name if the kernel knows it.
func (t *table) child(dir *node, name string) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return dir.children[name]
}

// remove notes that the object of n is gone.
func (t *table) remove(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detach(n)
}

// detach is remove for one who holds mu.
func (t *table) detach(n *node) {
	n.gone = true
	delete(n.parent.children, n.name)
	t.drop(n.parent)
}

// move gives n another place.
func (t *table) move(n, dir *node, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := n.parent
	delete(old.children, n.name)
	n.parent, n.name = dir, name
	if dir.children == nil {
		dir.children = map[string]*node{}
	}
	dir.children[name] = n
	t.drop(old)
}

// forget notes that the kernel has forgotten n so many times.
func (t *table) forget(id, times uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil || n == t.root {
		return
	}
	n.lookups -= min(times, n.lookups)
	t.drop(n)
}

// drop forgets n, and then its parents, if nothing asks for them. The caller
// holds mu.
func (t *table) drop(n *node) {
	for n != t.root && n.lookups == 0 && len(n.children) == 0 && len(n.open) == 0 && t.byID[n.id] == n {
		delete(t.byID, n.id)
		if t.byIno[n.ino] == n {
			delete(t.byIno, n.ino)
		}
		if n.gone {
			return
		}
		delete(n.parent.children, n.name)
		n = n.parent
	}
}

// opened notes that h is an open file of n; closed, that it is none any more.
func (t *table) opened(n *node, h *handle) {
	t.mu.Lock()
	if n.open == nil {
		n.open = map[*handle]struct{}{}
	}
	n.open[h] = struct{}{}
	t.mu.Unlock()
}

func (t *table) closed(n *node, h *handle) {
	t.mu.Lock()
	delete(n.open, h)
	t.drop(n)
	t.mu.Unlock()
}

// handleOf returns an open file of n that may be written to if write is set, or
// nil.
func (t *table) handleOf(n *node, write bool) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range n.open {
		if h.write || !write {
			return h
		}
	}
	return nil
}
