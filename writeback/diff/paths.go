package diff

import "github.com/fatkit/fatkit/writeback/catalog"

// Paths tells where changed objects are on the guest's disk.
type Paths struct {
	cat     *catalog.Catalog
	changes map[catalog.ID]*Change
}

// NewPaths returns the paths of changes that are compared with cat.
func NewPaths(cat *catalog.Catalog, changes []*Change) *Paths {
	p := &Paths{cat: cat, changes: make(map[catalog.ID]*Change, len(changes))}
	for _, c := range changes {
		p.changes[c.ID] = c
	}
	return p
}

// Of returns the path of a change: where the object is now or, if it was
// removed, where it was.
func (p *Paths) Of(c *Change) string {
	if c.Kind == Remove {
		return p.cat.GuestPath(c.ID)
	}
	name := c.Entry.Name
	for id, n := c.Parent, 0; id != catalog.Root && n <= maxDepth; n++ {
		if up := p.changes[id]; up != nil && up.Kind != Remove {
			name, id = up.Entry.Name+"/"+name, up.Parent
			continue
		}
		up, err := p.cat.Get(id)
		if err != nil || up == nil {
			break
		}
		name, id = up.Entry.Name+"/"+name, up.Parent
	}
	return name
}
