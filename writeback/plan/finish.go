package plan

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// finish puts the plan together.
func (w *build) finish() *Plan {
	p := w.plan
	p.Dirs = w.stager.Dirs()
	for _, m := range w.moves {
		p.Moves = append(p.Moves, w.applyMove(m))
	}
	for _, c := range w.order {
		if m, ok := w.replacement(c); ok {
			p.Moves = append(p.Moves, m)
		}
		p.Moves = append(p.Moves, w.saves(c)...)
	}
	for _, c := range w.order {
		s := w.staged[c.ID]
		if s.patch != nil {
			p.Patches = append(p.Patches, *s.patch)
		}
		switch {
		case w.shadow(c):
		case c.Kind == diff.Remove && c.IsDir() && !c.Old.Inode.Link:
			p.Rmdirs = append(p.Rmdirs, apply.Rmdir{Tag: s.tag, At: w.before(c.Old), ID: c.Old.Inode.ID})
		case c.Kind == diff.Remove:
			p.Removes++
		default:
			if a, ok := w.attr(c); ok {
				p.Attrs = append(p.Attrs, a)
			}
		}
		p.Prospects = append(p.Prospects, w.prospect(c))
	}
	w.keepTimes(p)
	p.Note = encode(p.Prospects)
	p.PayloadBytes = 2*len(p.Note) + 1024*len(p.Prospects) + 4096
	return p
}

// applyMove translates a move.
func (w *build) applyMove(m *move) apply.Move {
	s := w.staged[m.c.ID]
	out := apply.Move{Tag: s.tag}
	between := apply.Place{Dir: apply.Stage, Name: asideName(w.plan.Epoch, s.tag)}
	switch {
	case m.c.Kind == diff.Create || m.c.Old.Inode.Lost:
		out.Object, out.From = s.object.ID, s.object.At
	default:
		out.Object = w.moved(m.c)
		out.From = between
		if m.from != nil {
			out.From = w.place(m.from)
		}
	}
	switch {
	case m.first:
		out.To = between
	case m.to == nil:
		out.To = apply.Place{Dir: apply.Trash, Name: w.asideFile(s.tag)}
		out.Strict = !m.c.Old.Inode.Link
	default:
		out.To = w.place(m.to)
		out.Beside = besideName(m.to.name, w.o.Now())
	}
	return out
}

// replacement returns the move that puts new contents in the place of a file.
func (w *build) replacement(c *diff.Change) (apply.Move, bool) {
	s := w.staged[c.ID]
	if c.Kind != diff.Update || c.IsDir() || c.Old.Inode.Lost || s.object == nil || w.salvaged(c) {
		return apply.Move{}, false
	}
	old := c.Old.Inode.ID
	return apply.Move{
		Tag: s.tag, Object: s.object.ID, From: s.object.At, To: w.after(c),
		Displaces:   &old,
		DisplacedTo: apply.Place{Dir: apply.Kept, Name: w.asideFile(s.tag)},
		Beside:      besideName(w.names[c.ID], w.o.Now()),
	}, true
}

// moved returns the inode that the move of an object that was there moves. Of
// a symbolic link that is the link, which the catalog knows nothing of.
func (w *build) moved(c *diff.Change) hostfs.Identity {
	if !c.Old.Inode.Link {
		return c.Old.Inode.ID
	}
	st, err := w.o.Tree.Stat(w.cat.Path(c.ID))
	if err != nil || st.Mode.Type() != fs.ModeSymlink {
		return c.Old.Inode.ID // it is not there; apply will say so
	}
	return hostfs.Identity{Stat: st}
}

// asideFile is the name of an inode in the trash or among the kept ones.
func (w *build) asideFile(tag uint64) string {
	return fmt.Sprintf("%d-%d-%d", w.o.Generation, w.plan.Epoch, tag)
}

// attr returns the change of attributes of an inode that was there before. A
// new inode has got its own already; only a directory loses its time when
// something is put into it.
func (w *build) attr(c *diff.Change) (apply.Attr, bool) {
	s := w.staged[c.ID]
	a := apply.Attr{Tag: s.tag, At: w.after(c), Atime: hostfs.NoTime, Mtime: hostfs.NoTime}
	if s.object != nil {
		if !c.IsDir() {
			return a, false
		}
		a.ID, a.Mtime = s.object.ID, w.mtime(&c.Entry)
		return a, a.Mtime != hostfs.NoTime
	}
	a.ID = c.Old.Inode.ID
	if s.patch != nil || c.Entry.WriteDate != c.Old.Entry.WriteDate || c.Entry.WriteTime != c.Old.Entry.WriteTime {
		a.Mtime = w.mtime(&c.Entry)
	}
	a.SetMode, a.ClearMode = modeChange(c)
	a.Xattrs = w.xattrs(c)
	return a, a.Mtime != hostfs.NoTime || a.SetMode|a.ClearMode != 0 || len(a.Xattrs) > 0
}

// prospect says what becomes of an object.
func (w *build) prospect(c *diff.Change) Prospect {
	s := w.staged[c.ID]
	p := Prospect{Tag: s.tag, Kind: c.Kind, Path: w.guestPath(c), Patch: s.patch != nil, Mtime: hostfs.NoTime}
	if c.Kind == diff.Remove {
		p.Object = *c.Old
		p.Aside = w.asideFile(s.tag)
		return p
	}
	p.Object = catalog.Object{ID: c.ID, Parent: c.Parent, Entry: c.Entry, Chain: c.Chain}
	p.Object.Inode = catalog.Inode{Name: w.names[c.ID], Made: true}
	if w.salvaged(c) {
		p.Object.Inode.Lost, p.Object.Inode.ID = true, s.object.ID
		p.Salvaged, p.Missing = true, s.missingBytes
		return p
	}
	if c.Old != nil {
		old := *c.Old
		p.Old = &old
		if s.object == nil {
			p.Object.Inode.Made, p.Object.Inode.Copy, p.Object.Inode.ID = old.Inode.Made, old.Inode.Copy, old.Inode.ID
			if a, ok := w.attr(c); ok {
				p.Mtime = a.Mtime
			}
		} else if !old.Inode.Lost {
			p.Aside = w.asideFile(s.tag)
		}
	}
	if s.object != nil {
		p.Object.Inode.ID = s.object.ID
		p.Bytes = p.Object.Size()
	}
	if s.patch != nil {
		for _, r := range s.patch.Ranges {
			p.Bytes += r.Len
		}
	}
	return p
}

// encode returns v in a form that decode reads. Names on hosts are bytes, not
// text, so it is no JSON.
func encode(v any) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		panic("plan: " + err.Error()) // the types are our own
	}
	return b.Bytes()
}

func decode(p []byte, v any) error { return gob.NewDecoder(bytes.NewReader(p)).Decode(v) }

// DecodeNote returns the prospects that an intent record has.
func DecodeNote(note []byte) ([]Prospect, error) {
	var out []Prospect
	err := decode(note, &out)
	return out, err
}

// Encode returns the delta as the payload of a completion record.
func (d *Delta) Encode() []byte { return encode(d) }

// DecodeDelta reads what Encode wrote.
func DecodeDelta(p []byte) (*Delta, error) {
	d := &Delta{}
	if err := decode(p, d); err != nil {
		return nil, err
	}
	return d, nil
}
