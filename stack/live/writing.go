package live

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/writeback"
)

// maxListed is how many objects a status names.
const maxListed = 100

// WriteStatus implements stack.Writing. After the end it is the last one.
func (d *Directory) WriteStatus() stack.WriteStatus {
	d.mu.Lock()
	session, final, path, refuse := d.session, d.final, d.path, d.refuse
	d.mu.Unlock()
	if session == nil {
		return final
	}
	s := session.Status()
	out := stack.WriteStatus{
		DryRun: s.DryRun, StateDir: path,
		Commits: s.Commits, ChangedFiles: s.Files.Created + s.Files.Updated + s.Files.Removed,
		CommittedBytes: s.Bytes, LastCommitTime: s.LastTime, LastCommitBytes: s.LastBytes,
		LastCommit: s.LastCommit, Unsynced: s.Uncommitted,
		PendingCount: len(s.Pending), ConflictCount: len(s.Conflicts),
		OverlayBytes: s.Overlay.UsedBytes, OverlayLimitBytes: s.Overlay.LimitBytes,
		TrashFiles: s.TrashFiles, TrashBytes: s.TrashBytes, TrashLimitBytes: max(d.trashLimit(), 0),
	}
	switch {
	case len(s.Brake) > 0:
		out.Suspended, out.Alarm = s.Brake[0], true
	case s.Error != "":
		out.Suspended = s.Error
	}
	if refuse {
		out.Refusing = errUnflushed.Error()
	}
	slices.SortStableFunc(s.Pending, func(a, b writeback.Item) int { return strings.Compare(a.Path, b.Path) })
	for _, i := range s.Pending[:min(len(s.Pending), maxListed)] {
		out.Pending = append(out.Pending, stack.Waiting{Path: i.Path, Reason: i.Text})
	}
	for _, i := range s.Settled[:min(len(s.Settled), maxListed)] {
		out.Kept = append(out.Kept, stack.Waiting{Path: i.Path, Reason: i.Text})
	}
	for _, i := range s.Conflicts[:min(len(s.Conflicts), maxListed)] {
		out.Conflicts = append(out.Conflicts, stack.Conflict{Path: i.Path, Saved: i.Saved, Text: i.Text, Time: i.Time})
	}
	return out
}

// errUnflushed refuses clients of other hosts after a reboot.
var errUnflushed = errors.New("the host was restarted, and writes that were answered before may be lost: a client that went on meanwhile would damage the disk; --resume-unflushed admits it")

// Admit implements stack.Writing.
func (d *Directory) Admit(local bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !local && d.refuse {
		return errUnflushed
	}
	return nil
}

// Left implements stack.Writing.
func (d *Directory) Left(ctx context.Context, orderly bool, remaining int) error {
	if remaining > 0 {
		return nil
	}
	return d.with(func(s *writeback.Session) error { return s.Detached(ctx, orderly) })
}

// Archive implements stack.Writing.
func (d *Directory) Archive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.archive = true
}

// Sync implements stack.Writing.
func (d *Directory) Sync(ctx context.Context) error {
	return d.with(func(s *writeback.Session) error { return unlessPending(s.Sync(ctx)) })
}

// Confirm implements stack.Writing.
func (d *Directory) Confirm(ctx context.Context) error {
	return d.with(func(s *writeback.Session) error { return unlessPending(s.Confirm(ctx)) })
}

// unlessPending returns err, unless it says what WriteStatus says as well.
func unlessPending(err error) error {
	if errors.Is(err, writeback.ErrPending) {
		return nil
	}
	return err
}

// Discard implements stack.Writing.
func (d *Directory) Discard(ctx context.Context, path string) (out []stack.Discarded, err error) {
	err = d.with(func(s *writeback.Session) error {
		items, err := s.Discard(ctx, path)
		for _, i := range items {
			out = append(out, stack.Discarded{Path: i.Path, Text: i.Text, Saved: i.Saved})
		}
		return err
	})
	return out, err
}

// Trash implements stack.Writing.
func (d *Directory) Trash() (out []stack.Trashed, err error) {
	err = d.with(func(s *writeback.Session) error {
		for _, t := range s.Trash() {
			out = append(out, stack.Trashed{Name: t.Name, Path: t.Path, Bytes: t.Size, Time: t.Time, Served: t.Served})
		}
		return nil
	})
	return out, err
}

// Restore implements stack.Writing.
func (d *Directory) Restore(name string) (to string, err error) {
	err = d.with(func(s *writeback.Session) error {
		list := s.Trash()
		for i := len(list) - 1; i >= 0; i-- {
			if t := list[i]; t.Name == name || t.Path == strings.Trim(name, "/") {
				to, err = s.Restore(t.Name)
				return err
			}
		}
		return &fs.PathError{Op: "restore", Path: name, Err: fs.ErrNotExist}
	})
	return to, err
}

// EmptyTrash implements stack.Writing.
func (d *Directory) EmptyTrash() (files int, bytes int64, err error) {
	err = d.with(func(s *writeback.Session) error {
		files, bytes, err = s.EmptyTrash()
		return err
	})
	return files, bytes, err
}

// errEnded says that there is nothing to be steered.
var errEnded = errors.New("the directory is no longer served")

// with calls do with the session. It holds no lock meanwhile: a session ends only
// when no client uses its disk, and then says so.
func (d *Directory) with(do func(*writeback.Session) error) error {
	s := d.current()
	if s == nil {
		return errEnded
	}
	return do(s)
}
