package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// staged is what was prepared for one change.
type staged struct {
	tag    uint64
	object *apply.Object // a new inode
	patch  *apply.Patch
	// Of a file that is salvaged: the map of what is missing, and how much that is.
	missing      *apply.Object
	missingBytes int64
}

// stage makes what the changes need, and all of it durable.
func (w *build) stage([]*diff.Change) error {
	w.staged = map[catalog.ID]*staged{}
	var failed error
	for _, c := range w.newDirs() {
		if err := w.stageDir(c); errors.Is(err, apply.ErrDirMoved) {
			w.unreadable[c.ID], failed = err, err
		} else if err != nil {
			return err
		}
	}
	for _, c := range w.order {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if w.staged[c.ID] == nil {
			w.tag++
			w.staged[c.ID] = &staged{tag: w.tag}
		}
		if c.Kind == diff.Remove || c.IsDir() || w.unreadable[c.Parent] != nil {
			continue
		}
		stage := w.stageFile
		if w.salvaged(c) {
			stage = w.salvage
		}
		err := stage(c)
		switch {
		case isUnreadable(err), errors.Is(err, apply.ErrDirMoved):
			w.unreadable[c.ID] = err
			failed = fmt.Errorf("%s: %w", w.guestPath(c), err)
		case err != nil:
			return fmt.Errorf("%s: %w", w.guestPath(c), err)
		}
	}
	if failed != nil {
		return failed // once all are known
	}
	return w.stager.Sync()
}

// newDirs returns the new directories, those above before those within.
func (w *build) newDirs() []*diff.Change {
	var out []*diff.Change
	seen := map[catalog.ID]bool{}
	var add func(c *diff.Change)
	add = func(c *diff.Change) {
		if c == nil || c.Kind != diff.Create || !c.IsDir() || seen[c.ID] {
			return
		}
		seen[c.ID] = true
		add(w.changes[c.Parent])
		out = append(out, c)
	}
	for _, c := range w.order {
		add(c)
	}
	return out
}

func (w *build) stageDir(c *diff.Change) error {
	w.tag++
	spec := w.spec(c)
	spec.Perm = 0o777
	o, err := w.stager.Dir(spec)
	if err != nil {
		return err
	}
	w.staged[c.ID] = &staged{tag: w.tag, object: &o}
	d := &w.stager.Dirs()[w.dirs[c.ID]]
	d.ID, d.Before = o.ID, o.At
	return nil
}

// spec returns what a new inode of a change is like.
func (w *build) spec(c *diff.Change) *apply.Spec {
	s := &apply.Spec{
		In: w.dirs[c.Parent], Perm: 0o666, Atime: hostfs.NoTime, Mtime: w.mtime(&c.Entry),
		SizeBytes: int64(c.Entry.Size), Xattrs: w.xattrs(c),
	}
	if c.Kind != diff.Create && !c.Old.Inode.Lost {
		s.Like = &apply.Object{At: w.before(c.Old), ID: c.Old.Inode.ID}
	}
	s.SetMode, s.ClearMode = modeChange(c)
	if w.heirs[c.ID] != nil {
		w.inherit(s, c)
	}
	if !c.IsDir() {
		s.Content = newContent(w.disk, &w.o, c.Chain, s.SizeBytes)
	}
	return s
}

// mtime returns the time of change that an entry has, or hostfs.NoTime.
func (w *build) mtime(e *catalog.Entry) int64 {
	t, ok := fatfmt.DecodeTime(e.WriteDate, e.WriteTime, 0, w.o.Location)
	if !ok {
		return hostfs.NoTime
	}
	return t.UnixNano()
}

// modeChange returns the permission bits that follow from a change of the
// read-only attribute.
func modeChange(c *diff.Change) (set, clear fs.FileMode) {
	now := c.Entry.Attr&fatfmt.AttrReadOnly != 0
	was := c.Old != nil && c.Old.Entry.Attr&fatfmt.AttrReadOnly != 0
	switch {
	case now && !was:
		return 0, 0o222
	case was && !now:
		return 0o200, 0
	}
	return 0, 0
}

// keptAttrs are the attributes that the mode of a host file does not show.
const keptAttrs = fatfmt.AttrHidden | fatfmt.AttrSystem | fatfmt.AttrArchive

// xattrs returns the extended attribute that a change of attributes asks for.
func (w *build) xattrs(c *diff.Change) []apply.Xattr {
	if !w.o.Xattrs {
		return nil
	}
	usual := fatfmt.AttrArchive
	if c.IsDir() {
		usual = 0
	}
	was := usual
	if c.Old != nil {
		was = c.Old.Entry.Attr & keptAttrs
	}
	now := c.Entry.Attr & keptAttrs
	if now == was {
		return nil
	}
	return []apply.Xattr{{Name: hostfs.DOSAttribute, Value: dosAttribute(c)}}
}

// dosAttribute is the value of hostfs.DOSAttribute.
func dosAttribute(c *diff.Change) []byte { return fmt.Appendf(nil, "0x%x", byte(c.Entry.Attr)) }

// stageFile prepares the contents of a file, if they are other ones.
func (w *build) stageFile(c *diff.Change) error {
	heir := w.heirs[c.ID] != nil
	if c.Kind == diff.Update && !c.Old.Inode.Lost && !newContents(c) && !heir {
		return nil
	}
	spec := w.spec(c)
	if c.Kind == diff.Update && !c.Old.Inode.Lost {
		if c.Old.Inode.Made && !c.Old.Inode.Copy && !heir {
			done, err := w.patch(c)
			if done || err != nil {
				return err
			}
		}
		f, st, err := w.o.Tree.Open(w.cat.Path(c.ID))
		if err == nil {
			defer f.Close()
			if sameState(&st, &c.Old.Inode.ID) {
				spec.Clone, spec.Dirty = f, ranges(c.Written)
			}
		}
	}
	o, err := w.stager.File(w.ctx, spec)
	if errors.Is(err, apply.ErrChanged) && heir {
		delete(w.heirs, c.ID)
		return w.stageFile(c)
	}
	if errors.Is(err, apply.ErrChanged) {
		spec.Like, spec.Clone = nil, nil
		o, err = w.stager.File(w.ctx, spec)
	}
	if err != nil {
		return err
	}
	w.staged[c.ID].object = &o
	return nil
}

// patch prepares the change of an inode in place. It reports false if the host
// has changed it.
func (w *build) patch(c *diff.Change) (bool, error) {
	size := int64(c.Entry.Size)
	var aligned []apply.Range
	for _, r := range c.Written {
		end := r.Off + r.Len
		off := r.Off &^ (apply.SectorBytes - 1)
		if k := len(aligned) - 1; k >= 0 && aligned[k].Off+aligned[k].Len >= off {
			aligned[k].Len = max(aligned[k].Off+aligned[k].Len, end) - aligned[k].Off
			continue
		}
		aligned = append(aligned, apply.Range{Off: off, Len: end - off})
	}
	p, err := w.stager.Patch(apply.Object{At: w.before(c.Old), ID: c.Old.Inode.ID}, aligned, size,
		newContent(w.disk, &w.o, c.Chain, size))
	if errors.Is(err, apply.ErrChanged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.Ranges = slices.DeleteFunc(p.Ranges, func(r apply.PatchRange) bool {
		return slices.Equal(r.Old, r.New) && r.Off+r.Len <= c.Old.Inode.ID.Size
	})
	if len(p.Ranges) == 0 && size == c.Old.Inode.ID.Size {
		return true, nil
	}
	p.Tag, p.At = w.staged[c.ID].tag, w.after(c)
	w.staged[c.ID].patch = &p
	return true, nil
}

func ranges(in []diff.Range) []apply.Range {
	out := make([]apply.Range, len(in))
	for i, r := range in {
		out[i] = apply.Range{Off: r.Off, Len: r.Len}
	}
	return out
}

// besideName is the name of the guest's version where the host's keeps the
// name: "notes (guest 2026-11-21 14.05).txt".
func besideName(name string, now time.Time) string {
	text := now.Format(" (guest 2006-01-02 15.04)")
	stem, ext := name, ""
	for i := len(name) - 1; i > 0 && len(name)-i <= maxExtension; i-- {
		if name[i] == '.' {
			stem, ext = name[:i], name[i:]
			break
		}
	}
	for len(stem)+len(text)+len(ext) > maxHostName && stem != "" {
		stem = stem[:len(stem)-1]
	}
	return stem + text + ext
}

// maxExtension is the longest part behind a dot that is taken for an extension.
const maxExtension = 17
