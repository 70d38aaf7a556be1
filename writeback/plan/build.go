package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// Builder makes the plans of one generation. It is not for concurrent use.
type Builder struct {
	cat  *catalog.Catalog
	exec *apply.Executor
	o    Options
	tag  uint64

	freed map[nameKey]Freed // by the last commit
}

// NewBuilder returns a Builder that stages through exec.
func NewBuilder(cat *catalog.Catalog, exec *apply.Executor, o Options) *Builder {
	return &Builder{cat: cat, exec: exec, o: o}
}

// build is one plan in the making.
type build struct {
	*Builder
	ctx    context.Context
	disk   io.ReaderAt
	stager *apply.Stager
	plan   *Plan

	changes map[catalog.ID]*diff.Change
	paths   *diff.Paths
	order   []*diff.Change // those that are part of the plan
	refused map[catalog.ID]bool
	// unreadable are the objects whose contents an attempt before this one could
	// not read, or whose directory is not where it was, and why.
	unreadable map[catalog.ID]error
	names      map[catalog.ID]string // names on the host after the plan, of the changed objects
	dirs       map[catalog.ID]apply.DirID
	table      []apply.Dir

	heirs  map[catalog.ID]*apply.Object // whose attributes changed files take over
	moves  []*move
	staged map[catalog.ID]*staged
}

// Build stages what the changes need and returns the plan. disk is the view in
// which they were found. The files that were staged are durable. If it fails,
// nothing is left behind. A file whose contents cannot be read is no failure: the
// rest does not wait for it.
func (b *Builder) Build(ctx context.Context, epoch uint64, disk io.ReaderAt, changes []*diff.Change) (*Plan, error) {
	unreadable := map[catalog.ID]error{}
	for {
		known := len(unreadable)
		p, err := b.attempt(ctx, epoch, disk, changes, unreadable)
		if err == nil || len(unreadable) == known {
			return p, err
		}
	}
}

// attempt makes the plan, or adds to unreadable.
func (b *Builder) attempt(ctx context.Context, epoch uint64, disk io.ReaderAt, changes []*diff.Change, unreadable map[catalog.ID]error) (*Plan, error) {
	w := &build{
		Builder: b, ctx: ctx, disk: disk, plan: &Plan{}, paths: diff.NewPaths(b.cat, changes),
		changes: map[catalog.ID]*diff.Change{}, refused: map[catalog.ID]bool{},
		names: map[catalog.ID]string{}, dirs: map[catalog.ID]apply.DirID{}, unreadable: unreadable,
	}
	w.plan.Epoch = epoch
	for _, c := range changes {
		w.changes[c.ID] = c
		if c.Kind != diff.Remove {
			w.names[c.ID] = w.nameOf(c)
		}
	}
	for _, step := range []func([]*diff.Change) error{w.refuse, w.check, w.arrange, w.listDirs, w.stage} {
		if err := step(changes); err != nil {
			if w.stager != nil {
				err = errors.Join(err, w.stager.Discard())
			}
			return nil, err
		}
	}
	w.stager.Close()
	return w.finish(), nil
}

// nameOf returns the name that a changed object will have on the host.
func (b *Builder) nameOf(c *diff.Change) string {
	if c.Old != nil && c.Old.Entry.Name == c.Entry.Name && c.Old.Inode.Name != "" {
		return c.Old.Inode.Name
	}
	return hostName(&c.Entry, b.o.ShortNames)
}

// reservedName is the folder in the tree that is ours.
const reservedName = ".fatkit-kept"

// refuse takes out the changes that cannot be carried out.
func (w *build) refuse(changes []*diff.Change) error {
	for _, c := range changes {
		why, err := w.impossible(c)
		if err != nil {
			return err
		}
		if why != "" {
			w.reject(c, why)
		}
	}
	w.rejectBelow(changes)
	return nil
}

// reject leaves a change out of the plan.
func (w *build) reject(c *diff.Change, why string) {
	if w.refused[c.ID] {
		return
	}
	w.refused[c.ID] = true
	id, path := c.ID, w.guestPath(c)
	w.plan.Refused = append(w.plan.Refused, diff.Waiting{ID: id, Path: path, Reason: why})
}

// rejectBelow leaves out what is to be in a new directory that is left out.
func (w *build) rejectBelow(changes []*diff.Change) {
	for again := true; again; {
		again = false
		for _, c := range changes {
			if c.Kind == diff.Remove || w.refused[c.ID] {
				continue
			}
			if up := w.changes[c.Parent]; up != nil && up.Kind == diff.Create && w.refused[up.ID] {
				w.reject(c, "its directory waits")
				again = true
			}
		}
	}
}

// impossible says why a change cannot be carried out; "" if it can.
func (w *build) impossible(c *diff.Change) (string, error) {
	if c.Old != nil {
		in := &c.Old.Inode
		switch {
		case in.Link && c.Kind == diff.Remove:
			return "", nil
		case w.shadow(c):
			return "", nil
		case in.Alias:
			return "it is reached through a symbolic link, below which nothing is changed", nil
		case in.Foreign:
			return "it is on another file system than the directory that is shared", nil
		case in.Lost && c.IsDir():
			return "the host moved or removed it", nil
		}
	}
	if c.Kind == diff.Remove {
		return "", nil
	}
	switch err := w.unreadable[c.ID]; {
	case errors.Is(err, apply.ErrDirMoved):
		return err.Error(), nil
	case err != nil && !w.salvaged(c):
		return "its contents cannot be read: " + err.Error(), nil
	}
	if w.names[c.ID] == reservedName {
		return "its name is used by fatkit", nil
	}
	if len(w.names[c.ID]) > maxHostName {
		return fmt.Sprintf("its name takes %d bytes on the host, which has room for %d", len(w.names[c.ID]), maxHostName), nil
	}
	if w.changes[c.Parent] != nil && w.changes[c.Parent].Kind == diff.Create {
		return "", nil
	}
	up, err := w.cat.Get(c.Parent)
	if err != nil {
		return "", err
	}
	switch {
	case up == nil:
		return "its directory is not known", nil
	case up.Inode.Alias:
		return "its directory is reached through a symbolic link, below which nothing is changed", nil
	case up.Inode.Foreign:
		return "its directory is on another file system than the directory that is shared", nil
	case up.Inode.Lost:
		return "the host moved or removed its directory", nil
	}
	return "", nil
}

// shadow reports whether a change removes what was seen through a symbolic link
// that is removed itself: then nothing is to be done for it.
func (w *build) shadow(c *diff.Change) bool {
	if c.Kind != diff.Remove || !c.Old.Inode.Alias || c.Old.Inode.Link {
		return false
	}
	for id, n := c.Old.Parent, 0; id != catalog.Root && n < maxClimb; n++ {
		up, err := w.cat.Get(id)
		if err != nil || up == nil {
			return false
		}
		if r := w.changes[id]; up.Inode.Link {
			return r != nil && r.Kind == diff.Remove
		}
		id = up.Parent
	}
	return false
}

// maxHostName is the length of the longest name of a host, in bytes.
const maxHostName = 255

// check compares contents: a change of none but equal bytes is left out.
func (w *build) check(changes []*diff.Change) error {
	for _, c := range changes {
		if w.refused[c.ID] || c.Kind != diff.Update || c.IsDir() || len(c.Written) == 0 || c.Old.Inode.Lost {
			continue
		}
		err := w.compare(c)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, hostfs.ErrNotRegular),
			errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENOTDIR): // a link, or a file, in the place of a directory
			// The host's file is another one; apply will find that out.
		case isUnreadable(err):
			// So it is when it is staged.
		default:
			return fmt.Errorf("%s: %w", w.guestPath(c), err)
		}
	}
	return nil
}

// compare reduces what was written of a file to what differs from the host's.
func (w *build) compare(c *diff.Change) error {
	f, st, err := w.o.Tree.Open(w.cat.Path(c.ID))
	if err != nil {
		return err
	}
	defer f.Close()
	if !sameState(&st, &c.Old.Inode.ID) {
		return nil // a conflict; all of the contents may be needed
	}
	now := newContent(w.disk, &w.o, c.Chain, int64(c.Entry.Size))
	written, err := differing(now, f, st.Size, c.Written)
	if err == nil {
		c.Written = written
	}
	return err
}

// sameState reports whether a host file is the one that was committed.
func sameState(st *hostfs.Stat, id *hostfs.Identity) bool {
	return st.Ino == id.Ino && st.Size == id.Size && st.Mtime == id.Mtime
}

// newContents reports whether a file that was there has other contents now.
func newContents(c *diff.Change) bool {
	return !c.IsDir() && (len(c.Written) > 0 || int64(c.Entry.Size) != c.Old.Size())
}

// guestPath returns the place of a changed object on the guest's disk.
func (w *build) guestPath(c *diff.Change) string { return w.paths.Of(c) }

// maxClimb bounds the way up to the root.
const maxClimb = 1024
