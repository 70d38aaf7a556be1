package plan

import (
	"fmt"

	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// listDirs makes the table of the directories that the plan works in, and the
// stager that finds them.
func (w *build) listDirs([]*diff.Change) error {
	root, err := w.cat.Get(catalog.Root)
	if err != nil {
		return err
	}
	w.table = []apply.Dir{{ID: root.Inode.ID}}
	w.dirs[catalog.Root] = 0
	for _, c := range w.order {
		if c.Old != nil {
			if err := w.addDir(c.Old.Parent); err != nil {
				return err
			}
		}
		if c.Kind == diff.Remove {
			continue
		}
		if err := w.addDir(c.Parent); err != nil {
			return err
		}
		if c.IsDir() {
			if err := w.addDir(c.ID); err != nil {
				return err
			}
		}
	}
	if err := w.findHeirs(); err != nil {
		return err
	}
	w.stager = w.exec.NewStager(w.table)
	return nil
}

// addDir adds a directory and those above it. Where it is before and after the
// plan follows from the committed state and the changes. That of a new one
// before is filled in when it is staged.
func (w *build) addDir(id catalog.ID) error {
	if _, ok := w.dirs[id]; ok {
		return nil
	}
	at := apply.DirID(len(w.table))
	w.dirs[id] = at
	w.table = append(w.table, apply.Dir{})
	var d apply.Dir
	old, err := w.cat.Get(id)
	if err != nil {
		return err
	}
	if old != nil {
		if err := w.addDir(old.Parent); err != nil {
			return err
		}
		d.ID = old.Inode.ID
		d.Before = apply.Place{Dir: w.dirs[old.Parent], Name: old.Inode.Name}
		d.After = d.Before
	}
	c := w.changes[id]
	if c != nil && !w.refused[id] && c.Kind != diff.Remove {
		if err := w.addDir(c.Parent); err != nil {
			return err
		}
		d.After = apply.Place{Dir: w.dirs[c.Parent], Name: w.names[id]}
	} else if old == nil {
		return fmt.Errorf("the plan needs directory %d, which does not exist", id)
	}
	w.table[at] = d
	return nil
}

// before returns the committed place of an object.
func (w *build) before(o *catalog.Object) apply.Place {
	return apply.Place{Dir: w.dirs[o.Parent], Name: o.Inode.Name}
}

// after returns the place of a changed object after the plan.
func (w *build) after(c *diff.Change) apply.Place {
	return apply.Place{Dir: w.dirs[c.Parent], Name: w.names[c.ID]}
}
