package plan

import (
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// Programs save a file by writing another and giving it the name, in one of
// several ways: delete and create, rename over, or with the old one moved aside
// first. FAT has no owner, mode or extended attributes that would go with the
// contents, and a person who saves a file does not expect them to change. So a
// file that the guest has made takes them over from the one that had its name
// last, as long as that lost it in the same commit or in the one before.

// Freed is a name that a file has lost.
type Freed struct {
	Parent catalog.ID // of the directory
	Name   string     // on the guest's disk
	Object catalog.ID // that has another name now; Root if it was deleted
	// Of one that was deleted: its name in the trash, and its inode.
	Trash string
	Inode hostfs.Identity
}

// maxHeirBytes is the size up to which a file that is there already is made anew
// for the sake of its attributes.
const maxHeirBytes = 64 << 20

// nameKey is a name in a directory, as guests compare it.
type nameKey struct {
	parent catalog.ID
	name   string
}

func keyOf(parent catalog.ID, name string) nameKey { return nameKey{parent, fatfmt.FoldKey(name)} }

// SetFreed tells the builder which names the last commit has freed.
func (b *Builder) SetFreed(list []Freed) {
	b.freed = map[nameKey]Freed{}
	for _, f := range list {
		b.freed[keyOf(f.Parent, f.Name)] = f
	}
}

// findHeirs finds the inodes whose attributes changed files take over.
func (w *build) findHeirs() error {
	w.heirs = map[catalog.ID]*apply.Object{}
	leaves := map[nameKey]*catalog.Object{} // what had a name before this commit
	for _, c := range w.order {
		if (c.Kind == diff.Remove || c.Moved()) && !c.IsDir() && !c.Old.Inode.Link && !c.Old.Inode.Lost {
			leaves[keyOf(c.Old.Parent, c.Old.Entry.Name)] = c.Old
		}
	}
	for _, c := range w.order {
		if !w.inherits(c) {
			continue
		}
		key := keyOf(c.Parent, c.Entry.Name)
		if o := leaves[key]; o != nil && o.ID != c.ID {
			w.heirs[c.ID] = &apply.Object{At: w.before(o), ID: o.Inode.ID}
			continue
		}
		f, ok := w.freed[key]
		if !ok || f.Object == c.ID {
			continue
		}
		o, err := w.whereIs(&f)
		if err != nil {
			return err
		}
		if o != nil {
			w.heirs[c.ID] = o
		}
	}
	return nil
}

// inherits reports whether a change gives a name to a file that has no
// attributes of the host's own.
func (w *build) inherits(c *diff.Change) bool {
	if c.Kind == diff.Remove || c.IsDir() || c.ID < w.o.BaseNodes {
		return false
	}
	return c.Kind == diff.Create || c.Moved() && !c.Old.Inode.Lost && c.Entry.Size <= maxHeirBytes
}

// whereIs returns the file that had a name; nil if it is not known any more.
func (w *build) whereIs(f *Freed) (*apply.Object, error) {
	if f.Object == catalog.Root {
		return &apply.Object{At: apply.Place{Dir: apply.Trash, Name: f.Trash}, ID: f.Inode}, nil
	}
	o, err := w.cat.Get(f.Object)
	if err != nil || o == nil || o.Inode.Lost {
		return nil, err
	}
	if err := w.addDir(o.Parent); err != nil {
		return nil, err
	}
	return &apply.Object{At: w.before(o), ID: o.Inode.ID}, nil
}

// inherit makes a new inode like another: in owner, mode and extended attributes,
// but for what the guest's disk shows of them.
func (w *build) inherit(s *apply.Spec, c *diff.Change) {
	s.Like = w.heirs[c.ID]
	if c.Entry.Attr&fatfmt.AttrReadOnly != 0 {
		s.SetMode, s.ClearMode = 0, 0o222
	} else {
		s.SetMode, s.ClearMode = 0o200, 0
	}
	if !w.o.Xattrs {
		return
	}
	x := apply.Xattr{Name: hostfs.DOSAttribute}
	if c.Entry.Attr&keptAttrs != fatfmt.AttrArchive {
		x.Value = dosAttribute(c)
	}
	s.Xattrs = []apply.Xattr{x}
}

// freed adds the name that an object has lost by a change that was carried out.
func (x *deltas) freed(p *Prospect, o *outcome) {
	switch {
	case p.Object.IsDir():
	case p.Kind == diff.Remove:
		for i := range o.moves {
			if r := &o.moves[i]; r.Status == apply.Done && r.At.Dir == apply.Trash {
				x.d.Freed = append(x.d.Freed, Freed{Parent: p.Object.Parent, Name: p.Object.Entry.Name, Trash: r.At.Name, Inode: r.ID})
			}
		}
	case p.Old != nil && keyOf(p.Old.Parent, p.Old.Entry.Name) != keyOf(p.Object.Parent, p.Object.Entry.Name):
		x.d.Freed = append(x.d.Freed, Freed{Parent: p.Old.Parent, Name: p.Old.Entry.Name, Object: p.Object.ID})
	}
}
