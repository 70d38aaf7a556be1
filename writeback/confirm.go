package writeback

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/journal"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/plan"
)

// ErrNoBrake says that nothing is held back.
var ErrNoBrake = errors.New("nothing is held back")

// ErrForeign says that a confirmation does not help.
var ErrForeign = errors.New("the disk holds another volume now, of which nothing can be written back: " +
	"discard what is held back, or begin a new generation with refresh --archive")

// Confirm lets through what the brake holds back, and begins to count anew. It
// carries it out as Sync does.
func (s *Session) Confirm(ctx context.Context) error {
	s.mu.Lock()
	err := s.confirm()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Sync(ctx)
}

func (s *Session) confirm() error {
	b := &s.brake
	switch {
	case len(b.reasons) == 0:
		return ErrNoBrake
	case b.lasting:
		return ErrForeign
	}
	next := brakeRecord{Allowed: b.pending, Alarms: append(b.Alarms, b.reasons...)}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(next); err != nil {
		return err
	}
	if err := s.append(recordConfirm, buf.Bytes()); err != nil {
		return err
	}
	b.brakeRecord, b.reasons = next, nil
	return nil
}

// append adds a durable record to the journal. The caller holds mu.
func (s *Session) append(t journal.Type, payload []byte) error {
	if _, err := s.journal.Append(t, payload); err != nil {
		return err
	}
	return s.journal.Sync()
}

// Discard gives up changes that are not on the host: those at top, on the
// guest's disk, and below it, or all if top is empty. They are not carried out
// any more; the contents that the guest wrote go to the folder of conflicts. The
// guest goes on to see its own version until the next generation. It returns
// what was discarded.
func (s *Session) Discard(ctx context.Context, top string) ([]Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.finishStuck(ctx); err != nil {
		return nil, err
	}
	e, err := s.disk.Freeze(ctx)
	if err != nil {
		return nil, err
	}
	res, err := s.compare(e, true)
	if err != nil {
		return nil, errors.Join(err, e.Abort())
	}
	items, delta, err := s.giveUp(ctx, e, res, strings.Trim(top, "/"))
	if err == nil && len(delta.Put)+len(delta.Remove) > 0 {
		err = s.append(recordDelta, delta.Encode())
	}
	if err != nil {
		return nil, errors.Join(err, s.leave(res), s.endEpoch(e))
	}
	s.where.settle(delta)
	s.state.replayed(delta)
	s.state.seen(res, s.popts.Label(res.Label))
	s.brake.reasons = nil
	return items, errors.Join(s.record(delta, res), s.endEpoch(e))
}

// giveUp archives what the guest wrote and makes the delta that gives it up: in
// the catalog it is as the guest has it, on the host nothing stands for it.
func (s *Session) giveUp(ctx context.Context, disk io.ReaderAt, res *diff.Result, top string) ([]Item, *plan.Delta, error) {
	var items []Item
	d := &plan.Delta{Failed: map[catalog.ID]string{}}
	paths := diff.NewPaths(s.cat, res.Changes)
	for _, c := range res.Changes {
		name := paths.Of(c)
		if !below(name, top) {
			d.Failed[c.ID] = ""
			continue
		}
		s.stays(d, c)
		item := Item{Path: name, Text: "not carried out: " + c.Kind.String(), Time: s.o.Now()}
		if c.Kind == diff.Remove {
			d.Remove = append(d.Remove, c.ID)
			items = append(items, item)
			continue
		}
		o := catalog.Object{ID: c.ID, Parent: c.Parent, Entry: c.Entry, Chain: c.Chain}
		o.Inode.Name, o.Inode.Lost = c.Entry.Name, true
		if !c.IsDir() && (c.Kind == diff.Create || len(c.Written) > 0) {
			saved, err := s.archive(ctx, disk, c, name)
			if err != nil {
				return nil, nil, err
			}
			item.Saved = "conflicts/" + saved
			d.Conflicts = append(d.Conflicts, plan.Conflict{Path: name, Change: c.Kind, Saved: saved, InState: true, Time: item.Time})
		}
		d.Put = append(d.Put, o)
		items = append(items, item)
	}
	return items, d, nil
}

// stays notes where the inode is that the base serves of an object whose change
// is given up: where it was.
func (s *Session) stays(d *plan.Delta, c *diff.Change) {
	if c.Old == nil || c.Old.Inode.Made || c.Old.Inode.Lost || c.ID >= catalog.ID(s.place.Layout.Nodes()) {
		return
	}
	d.Left = append(d.Left, plan.Left{ID: c.ID, Parent: c.Old.Parent, Name: c.Old.Inode.Name, Mtime: c.Old.Inode.ID.Mtime})
}

// archive writes the guest's version of a file to the folder of conflicts and
// returns its name there.
func (s *Session) archive(ctx context.Context, disk io.ReaderAt, c *diff.Change, guestPath string) (string, error) {
	base := path.Base(guestPath)
	base = strings.ToValidUTF8(base[max(0, len(base)-maxArchiveName):], "_") // with what tells its type
	size := int64(c.Entry.Size)
	d := s.exec.Aside(apply.Conflicts)
	var name string
	var f hostfs.WFile
	err := fs.ErrExist
	for errors.Is(err, fs.ErrExist) { // a session that was killed may have used the number
		s.epoch++
		name = fmt.Sprintf("%d-%d-%s", s.place.Generation, s.epoch, base)
		f, err = d.Create(name, 0o600)
	}
	if err != nil {
		return "", err
	}
	err = copyTo(ctx, f, plan.NewContent(disk, &s.popts, c.Chain, size), size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, d.Unlink(name))
	}
	return name, d.Sync()
}

// maxArchiveName is how many bytes of a name are kept.
const maxArchiveName = 200

// copyBytes is how much is copied at once.
const copyBytes = 1 << 20

func copyTo(ctx context.Context, dst io.WriterAt, src io.ReaderAt, size int64) error {
	buf := make([]byte, min(copyBytes, size))
	for at := int64(0); at < size; at += int64(len(buf)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), size-at)]
		if n, err := src.ReadAt(p, at); n < len(p) {
			return err
		}
		if _, err := dst.WriteAt(p, at); err != nil {
			return err
		}
	}
	return nil
}

// below reports whether a path is top, or below it; all are below "".
func below(name, top string) bool {
	return top == "" || name == top || strings.HasPrefix(name, top+"/")
}
