package plan

import (
	"path"
	"strings"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// outcome is what the results say of one change.
type outcome struct {
	moves    []apply.Result
	patch    *apply.Result
	rmdir    *apply.Result
	attr     *apply.Result
	conflict *apply.Result
}

// NewDelta returns what the catalog becomes by the results of a plan: of this
// run, or of one that a crash interrupted.
func NewDelta(p *apply.Plan, prospects []Prospect, results apply.Results, baseNodes int, now time.Time) *Delta {
	by := map[uint64]*outcome{}
	for i := range results.List {
		r := &results.List[i]
		o := by[r.Tag]
		if o == nil {
			o = &outcome{}
			by[r.Tag] = o
		}
		o.add(r)
	}
	d := &Delta{Failed: map[catalog.ID]string{}}
	x := deltas{d: d, plan: p, baseNodes: baseNodes, now: now}
	for i := range prospects {
		o := by[prospects[i].Tag]
		if o == nil {
			o = &outcome{}
		}
		x.one(&prospects[i], o)
		if d.Failed[prospects[i].Object.ID] == "" {
			x.freed(&prospects[i], o)
		}
	}
	return d
}

func (o *outcome) add(r *apply.Result) {
	switch r.Op {
	case apply.OpMove:
		o.moves = append(o.moves, *r)
	case apply.OpPatch:
		o.patch = r
	case apply.OpRmdir:
		o.rmdir = r
	case apply.OpAttr:
		o.attr = r
	}
	if r.Status == apply.Conflict && o.conflict == nil {
		o.conflict = r
	}
}

// waiting returns the first move that was not possible; nil if there is none.
func (o *outcome) waiting() *apply.Result {
	for i := range o.moves {
		if o.moves[i].Status == apply.Waiting {
			return &o.moves[i]
		}
	}
	return nil
}

// deltas collects a Delta.
type deltas struct {
	d         *Delta
	plan      *apply.Plan
	baseNodes int
	now       time.Time
}

// one adds what became of one object.
func (x *deltas) one(p *Prospect, o *outcome) {
	if p.Salvaged {
		x.salvaged(p, o)
		return
	}
	if o.conflict != nil && (o.conflict.Op != apply.OpAttr || o.waiting() == nil) { // else it is not there because it waits
		x.conflict(p, o.conflict)
	}
	if p.Kind == diff.Remove {
		x.removed(p, o)
		return
	}
	x.displaced(p, o)
	obj := p.Object
	failed := ""
	for i := range o.moves {
		failed = x.moved(p, &obj, &o.moves[i], failed)
		if m := &o.moves[i]; m.Status == apply.Conflict && m.At.Name != "" && (m.Kind != o.conflict.Kind || m.At != o.conflict.At) {
			x.conflict(p, m) // where the new contents are
		}
		if o.moves[i].HostRemoved && o.conflict == nil {
			x.d.Conflicts = append(x.d.Conflicts, Conflict{Path: p.Path, Kind: apply.Gone, Change: p.Kind, Saved: p.Path, Time: x.now})
		}
	}
	if o.patch != nil {
		failed = patched(p, &obj, o.patch, failed)
	}
	if o.attr != nil {
		failed = attributed(p, &obj, o.attr, failed)
	}
	if failed != "" {
		x.d.Failed[obj.ID] = failed
		if p.Kind == diff.Create && !x.isPlaced(o) {
			return // there is nothing of it on the host
		}
	}
	x.d.Put = append(x.d.Put, obj)
}

// isPlaced reports whether a new object is somewhere in the tree, or saved.
func (x *deltas) isPlaced(o *outcome) bool {
	for i := range o.moves {
		if s := o.moves[i].Status; s == apply.Done || s == apply.Conflict {
			return true
		}
	}
	return false
}

// moved brings obj up to date with a move, and returns why the change is to be
// tried again, which was failed before.
func (x *deltas) moved(p *Prospect, obj *catalog.Object, r *apply.Result, failed string) string {
	replaces := p.Old != nil && r.ID.Ino != 0 && !r.ID.Same(p.Old.Inode.ID)
	switch r.Status {
	case apply.Done:
		if r.At.Dir == apply.Stage {
			return failed // on its way
		}
		if replaces && obj.Inode.Lost {
			*obj, failed = p.Object, "" // only the old contents were not there to be moved
		}
		obj.Inode.ID = r.ID
		obj.Inode.Made = obj.Inode.Made || replaces || p.Old == nil
		return failed
	case apply.Conflict:
		return x.movedBeside(p, obj, r, replaces, failed)
	}
	if p.Old != nil && failed == "" {
		x.goBack(p, obj, replaces)
	}
	return reason(failed, r)
}

// movedBeside brings obj up to date with a move that met something of the
// host's.
func (x *deltas) movedBeside(p *Prospect, obj *catalog.Object, r *apply.Result, replaces bool, failed string) string {
	found := r.Kind != apply.Gone && r.At.Name != ""
	if found && replaces && obj.Inode.Lost {
		*obj, failed = p.Object, "" // as in moved
	}
	switch {
	case !found:
		// The host moved or removed it. What the guest has is made anew: to the
		// next comparison all of it is new.
		if !obj.IsDir() {
			obj.Chain, obj.Entry.Size = nil, 0
		}
		obj.Inode.Lost, obj.Inode.ID = true, hostfs.Identity{}
		return "the host moved or removed it"
	case r.At.Dir == apply.Conflicts:
		obj.Inode.Lost, obj.Inode.ID = true, r.ID
	default:
		obj.Inode.Name, obj.Inode.ID = r.At.Name, r.ID
		obj.Inode.Made = obj.Inode.Made || replaces || p.Old == nil
	}
	return failed
}

// goBack makes obj what it was, for a change of which nothing was done. If only
// its contents were not, it keeps its new place.
func (x *deltas) goBack(p *Prospect, obj *catalog.Object, contentsOnly bool) {
	inode, parent, entry := p.Old.Inode, p.Old.Parent, p.Old.Entry
	if contentsOnly {
		inode.Name, parent = obj.Inode.Name, obj.Parent
		entry.Name, entry.Long, entry.DirEntry.Name = obj.Entry.Name, obj.Entry.Long, obj.Entry.DirEntry.Name
	}
	*obj = *p.Old
	obj.Inode, obj.Parent, obj.Entry = inode, parent, entry
}

// revert gives obj the contents that were committed before, so that the next
// comparison finds the change again.
func revert(p *Prospect, obj *catalog.Object) {
	if p.Old == nil {
		return
	}
	obj.Chain = p.Old.Chain
	obj.Entry.Size = p.Old.Entry.Size
}

// patched brings obj up to date with a patch.
func patched(p *Prospect, obj *catalog.Object, r *apply.Result, failed string) string {
	if r.Status == apply.Done {
		obj.Inode.ID = r.ID
		return failed
	}
	revert(p, obj)
	switch r.Status {
	case apply.Conflict:
		// The next commit saves the whole of the guest's version beside it.
		obj.Inode.Copy, obj.Inode.Lost = true, r.Kind == apply.Gone
		return reasonText(failed, "the host changed it meanwhile")
	case apply.NeedsCopy:
		obj.Inode.Copy = true
		return reasonText(failed, "it cannot be changed in place, and will be copied")
	case apply.Torn:
		obj.Inode.Copy = true
		if r.ID.Ino != 0 {
			obj.Inode.ID = r.ID
		}
		return reasonText(failed, "the change of its contents was interrupted")
	}
	return reason(failed, r)
}

// attributed brings obj up to date with a change of attributes.
func attributed(p *Prospect, obj *catalog.Object, r *apply.Result, failed string) string {
	if r.ID.Ino != 0 && r.Status != apply.Conflict {
		obj.Inode.ID = r.ID // of one that waits as well: its time may be set
	}
	switch r.Status {
	case apply.Done:
		return failed
	case apply.Conflict:
		return failed // the host's attributes stay; its contents are looked at when they matter
	}
	if p.Old != nil && !obj.Inode.Lost {
		const kept = fatfmt.AttrReadOnly | keptAttrs
		obj.Entry.Attr = obj.Entry.Attr&^kept | p.Old.Entry.Attr&kept
		obj.Entry.WriteDate, obj.Entry.WriteTime = p.Old.Entry.WriteDate, p.Old.Entry.WriteTime
	}
	return reason(failed, r)
}

func reason(failed string, r *apply.Result) string {
	if r.Reason == "" {
		return reasonText(failed, "it was not possible")
	}
	return reasonText(failed, r.Reason)
}

func reasonText(failed, why string) string {
	if failed != "" {
		return failed
	}
	return why
}

// removed adds what became of the removal of an object.
func (x *deltas) removed(p *Prospect, o *outcome) {
	if o.rmdir != nil {
		switch o.rmdir.Status {
		case apply.NotEmpty:
			// The guest gives its clusters to others, which are not this directory.
			kept := p.Object
			kept.Chain = nil
			x.d.Put = append(x.d.Put, kept)
			x.d.Failed[p.Object.ID] = HiddenChildren
			return
		case apply.Waiting:
			x.d.Failed[p.Object.ID] = reason("", o.rmdir)
			return
		}
	}
	if w := o.waiting(); w != nil {
		x.d.Failed[p.Object.ID] = reason("", w)
		return
	}
	for i := range o.moves {
		if r := &o.moves[i]; r.Status == apply.Done && r.At.Dir == apply.Trash {
			x.d.Trashed = append(x.d.Trashed, Trashed{
				Name: r.At.Name, Path: p.Path, Size: r.ID.Size, ID: p.Object.ID, Time: x.now,
				Base: x.isBase(p.Object.ID) && !p.Object.Inode.Made, Mtime: r.ID.Mtime,
			})
		}
	}
	x.d.Remove = append(x.d.Remove, p.Object.ID)
}

// HiddenChildren is why a directory that the guest removed stays: it is
// settled, not pending.
const HiddenChildren = "the host has something in it that the guest cannot see"

func (x *deltas) isBase(id catalog.ID) bool { return int(id) < x.baseNodes }

// displaced adds the inode that lost its name to the object.
func (x *deltas) displaced(p *Prospect, o *outcome) {
	for i := range o.moves {
		r := &o.moves[i]
		if r.Displaced.Name == "" || r.Displaced.Dir != apply.Kept || p.Old == nil {
			continue
		}
		k := Kept{Name: r.Displaced.Name, Inode: r.DisplacedID, ID: p.Object.ID, Path: p.Path, Mtime: p.Old.Inode.ID.Mtime}
		if !x.isBase(p.Object.ID) || p.Old.Inode.Made {
			k.ID, k.Stays = catalog.Root, p.Old.Inode.Copy // the guest does not stand on it
		}
		x.d.Kept = append(x.d.Kept, k)
	}
}

// conflict adds a conflict to the report.
func (x *deltas) conflict(p *Prospect, r *apply.Result) {
	c := Conflict{Path: p.Path, Kind: r.Kind, Change: p.Kind, Time: x.now}
	switch {
	case r.At.Name == "" || p.Kind == diff.Remove || r.Op == apply.OpAttr || r.Op == apply.OpPatch:
	case r.At.Dir == apply.Conflicts:
		c.Saved, c.InState = r.At.Name, true
	default:
		c.Saved = strings.TrimPrefix(path.Join(path.Dir(p.Path), r.At.Name), "./")
	}
	x.d.Conflicts = append(x.d.Conflicts, c)
}
