package catalog

import (
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Catalog is the set of all objects.
type Catalog struct {
	base    Base
	objects map[ID]*Object // those that are held
	listed  map[ID][]ID    // children of the directories that are held, in no particular order
	left    map[ID]bool    // nodes of the base that are gone, or have other clusters than there
	owners  owners         // of clusters that the base does not give to their owner
	next    ID
	count   int // live objects
}

// New returns the catalog of a generation to which nothing was committed yet.
func New(base Base) *Catalog {
	return &Catalog{
		base: base, objects: map[ID]*Object{}, listed: map[ID][]ID{}, left: map[ID]bool{},
		owners: owners{}, next: ID(base.Count()), count: base.Count(),
	}
}

// Count returns the number of objects, the root included.
func (c *Catalog) Count() int { return c.count }

// NewID returns an ID that no object has had.
func (c *Catalog) NewID() ID {
	c.next++
	return c.next - 1
}

// Get returns an object; nil if there is none, because it was removed.
func (c *Catalog) Get(id ID) (*Object, error) {
	if o := c.objects[id]; o != nil {
		return o, nil
	}
	if int(id) >= c.base.Count() || c.left[id] {
		return nil, nil
	}
	if id == Root {
		return c.hold(Root, c.base.Node(Root), Entry{DirEntry: fatfmt.DirEntry{Attr: fatfmt.AttrDirectory}}), nil
	}
	// An object that is not held was never moved, so its parent is that of
	// the base.
	if _, err := c.Children(c.base.Node(id).Parent); err != nil {
		return nil, err
	}
	return c.objects[id], nil
}

// hold makes a node of the base an object.
func (c *Catalog) hold(id ID, n Node, e Entry) *Object {
	o := &Object{ID: id, Parent: n.Parent, Entry: e, Inode: n.Inode}
	if n.Chain.Count > 0 {
		o.Chain = []Extent{n.Chain}
	}
	c.objects[id] = o
	return o
}

// Children returns the IDs of what a directory holds. The caller must not
// change the slice, which is valid until the next change of the catalog.
func (c *Catalog) Children(dir ID) ([]ID, error) {
	if list, ok := c.listed[dir]; ok {
		return list, nil
	}
	if int(dir) >= c.base.Count() {
		return nil, nil // made by a commit, and empty
	}
	ids, entries, err := c.base.Children(dir)
	if err != nil {
		return nil, err
	}
	list := make([]ID, 0, len(ids))
	for i, id := range ids {
		if c.left[id] || c.objects[id] != nil {
			continue // moved or removed before this directory was looked at
		}
		c.hold(id, c.base.Node(id), entries[i])
		list = append(list, id)
	}
	c.listed[dir] = list
	return list, nil
}

// Owner returns the object to which a cluster belongs; nil if it is free or
// nobody's.
func (c *Catalog) Owner(cluster uint32) (*Object, error) {
	if id, ok := c.owners.at(cluster); ok {
		return c.Get(id)
	}
	id, ok := c.base.Owner(cluster)
	if !ok || c.left[id] {
		return nil, nil
	}
	return c.Get(id)
}

// Path returns the place of an object on the host, relative to the root, and
// whether each step up to the root is known.
func (c *Catalog) Path(id ID) string {
	return c.climb(id, func(o *Object) string { return o.Inode.Name })
}

// GuestPath returns the place of an object on the guest's disk.
func (c *Catalog) GuestPath(id ID) string {
	return c.climb(id, func(o *Object) string { return o.Entry.Name })
}

func (c *Catalog) climb(id ID, name func(*Object) string) string {
	var parts []string
	for id != Root {
		o, err := c.Get(id)
		if err != nil || o == nil {
			return fmt.Sprintf("(object %d)", id)
		}
		parts = append(parts, name(o))
		id = o.Parent
	}
	if len(parts) == 0 {
		return "."
	}
	slices.Reverse(parts)
	n := 0
	for _, p := range parts {
		n += 1 + len(p)
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			b = append(b, '/')
		}
		b = append(b, p...)
	}
	return string(b)
}

// Put makes o the state of its object: a new one, or one whose entry, chain,
// place or inode is another now. The catalog owns o from then on.
func (c *Catalog) Put(o *Object) error {
	old, err := c.Get(o.ID)
	if err != nil {
		return err
	}
	if old != nil {
		c.disown(old)
		if old.Parent != o.Parent {
			if err := c.unlist(old); err != nil {
				return err
			}
		}
	} else {
		c.count++
	}
	if o.ID != Root && (old == nil || old.Parent != o.Parent) {
		list, err := c.Children(o.Parent)
		if err != nil {
			return err
		}
		c.listed[o.Parent] = append(list, o.ID)
	}
	if o.ID >= c.next {
		c.next = o.ID + 1
	}
	c.objects[o.ID] = o
	if int(o.ID) < c.base.Count() {
		c.left[o.ID] = true
	}
	for _, e := range o.Chain {
		c.owners.set(e, o.ID)
	}
	return nil
}

// Remove forgets an object. A directory is removed after what it held.
func (c *Catalog) Remove(id ID) error {
	o, err := c.Get(id)
	if err != nil || o == nil {
		return err
	}
	c.disown(o)
	if err := c.unlist(o); err != nil {
		return err
	}
	delete(c.objects, id)
	delete(c.listed, id)
	if int(id) < c.base.Count() {
		c.left[id] = true
	}
	c.count--
	return nil
}

// disown takes the clusters of o away from it, where they are still its own.
func (c *Catalog) disown(o *Object) {
	for _, e := range o.Chain {
		c.owners.clear(e, o.ID)
	}
}

// unlist takes o out of the list of its parent.
func (c *Catalog) unlist(o *Object) error {
	list, err := c.Children(o.Parent)
	if err != nil {
		return err
	}
	if i := slices.Index(list, o.ID); i >= 0 {
		list[i] = list[len(list)-1]
		c.listed[o.Parent] = list[:len(list)-1]
	}
	return nil
}

// Held calls fn for each object that differs from the base or may do so, in
// no particular order, and gone for each node of the base that was removed.
// They are what a checkpoint needs.
func (c *Catalog) Held(fn func(*Object), gone func(ID)) {
	for id := range c.left {
		if o := c.objects[id]; o != nil {
			fn(o)
		} else {
			gone(id)
		}
	}
	for id, o := range c.objects {
		if int(id) >= c.base.Count() {
			fn(o)
		}
	}
}
