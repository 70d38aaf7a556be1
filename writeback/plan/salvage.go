package plan

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/diff"
)

// A guest that changes a part of a file leaves the rest of it to the base. If the
// host changes that file as well, the guest's version cannot be produced whole any
// more. The host's stays, and what there is of the guest's goes to the folder of
// conflicts, with zeroes for what is missing and a map of that.

// MissingSuffix is the end of the name of such a map: a line for each range, with
// its offset and its length in bytes.
const MissingSuffix = ".missing"

func isUnreadable(err error) bool {
	var u *unreadableError
	return errors.As(err, &u)
}

// salvaged reports whether the contents of a change are saved as far as they can
// be. If the disk could not be read for another reason the change waits.
func (w *build) salvaged(c *diff.Change) bool {
	return errors.Is(w.unreadable[c.ID], diskerr.ErrChanged)
}

// salvage stages what can be read of a file, and the map of the rest.
func (w *build) salvage(c *diff.Change) error {
	spec := w.spec(c)
	spec.Like = nil
	r := &readable{content: newContent(w.disk, &w.o, c.Chain, spec.SizeBytes)}
	spec.Content = r
	o, err := w.stager.File(w.ctx, spec)
	if err != nil {
		return err
	}
	var list bytes.Buffer
	s := w.staged[c.ID]
	for _, m := range r.missing {
		fmt.Fprintln(&list, m.Off, m.Len)
		s.missingBytes += m.Len
	}
	plain := &apply.Spec{
		In: spec.In, Perm: spec.Perm, Atime: hostfs.NoTime, Mtime: hostfs.NoTime,
		SizeBytes: int64(list.Len()), Content: bytes.NewReader(list.Bytes()),
	}
	missing, err := w.stager.File(w.ctx, plain)
	s.object, s.missing = &o, &missing
	return err
}

// saves returns the moves that put a salvaged file and its map into the folder of
// conflicts.
func (w *build) saves(c *diff.Change) []apply.Move {
	s := w.staged[c.ID]
	if s.missing == nil {
		return nil
	}
	to := apply.Place{Dir: apply.Conflicts, Name: w.savedName(s.tag, w.names[c.ID])}
	file := apply.Move{Tag: s.tag, Object: s.object.ID, From: s.object.At, To: to}
	to.Name += MissingSuffix
	w.tag++ // nothing depends on what becomes of the map
	return []apply.Move{file, {Tag: w.tag, Object: s.missing.ID, From: s.missing.At, To: to}}
}

// savedName is a name in the folder of conflicts that leaves room for
// MissingSuffix.
func (w *build) savedName(tag uint64, name string) string {
	saved := fmt.Sprintf("%d-%d-%d-%s", w.o.Generation, w.plan.Epoch, tag, name)
	return saved[:min(len(saved), maxHostName-len(MissingSuffix))]
}

// salvaged adds a file that was saved as far as it could be.
func (x *deltas) salvaged(p *Prospect, o *outcome) {
	if len(o.moves) == 0 || o.moves[0].Status != apply.Done {
		x.d.Failed[p.Object.ID] = "what there is of it could not be saved"
		return
	}
	x.d.Put = append(x.d.Put, p.Object)
	x.d.Conflicts = append(x.d.Conflicts, Conflict{
		Path: p.Path, Kind: apply.Edited, Change: p.Kind, Saved: o.moves[0].At.Name, InState: true, Missing: p.Missing, Time: x.now,
	})
}

// readable is a file of which a part cannot be read. It has zeroes there, and
// remembers them.
type readable struct {
	content *content
	missing []diff.Range
}

// ReadAt implements io.ReaderAt. It is to be called in the order of the file.
func (r *readable) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.content.ReadAt(p, off)
	if !isUnreadable(err) {
		return n, err
	}
	for at := 0; at < len(p); at += apply.SectorBytes {
		sector := p[at:min(len(p), at+apply.SectorBytes)]
		n, err := r.content.ReadAt(sector, off+int64(at))
		switch {
		case errors.Is(err, diskerr.ErrChanged):
			clear(sector)
			r.missing = appendRange(r.missing, diff.Range{Off: off + int64(at), Len: int64(len(sector))})
		case n < len(sector):
			return at + n, err
		}
	}
	return len(p), nil
}
