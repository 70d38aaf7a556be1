package writeback

import (
	"fmt"
	"sync"
	"time"

	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/overlay"
	"github.com/fatkit/fatkit/writeback/plan"
)

// Status is what a session says of itself.
type Status struct {
	Commits    uint64    `json:"commits"` // that changed the host, since Open
	LastCommit time.Time `json:"last_commit"`
	// LastTime is how long the last commit took, LastBytes what it placed; Bytes
	// is the sum of all.
	LastTime    time.Duration `json:"last_commit_nanoseconds"`
	LastBytes   int64         `json:"last_commit_bytes"`
	Bytes       uint64        `json:"committed_bytes"`
	Files       Counts        `json:"files"` // changes that reached the host since Open
	Pending     []Item        `json:"pending"`
	Settled     []Item        `json:"kept_aside"` // what will not reach the host, and is kept
	Conflicts   []Item        `json:"conflicts"`
	Brake       []string      `json:"brake,omitempty"`
	BrakeHeld   int           `json:"brake_deletions,omitempty"` // deletions that wait for a confirmation
	BrakeLasts  bool          `json:"brake_lasts,omitempty"`     // no confirmation helps
	Clean       bool          `json:"clean"`                     // the guest has marked the volume clean
	Marks       bool          `json:"has_clean_mark"`            // the FAT has such a mark: FAT16 and FAT32
	DryRun      bool          `json:"dry_run,omitempty"`
	Label       string        `json:"label,omitempty"` // as the guest has it now
	Overlay     Usage         `json:"overlay"`
	TrashFiles  int           `json:"trash_files"`
	TrashBytes  int64         `json:"trash_bytes"`
	Error       string        `json:"error,omitempty"` // of the last commit, if it failed
	ErrorSince  time.Time     `json:"error_since,omitzero"`
	Uncommitted bool          `json:"uncommitted"` // the guest wrote something that no commit has looked at
}

// Counts are numbers of changes.
type Counts struct {
	Created uint64 `json:"created"`
	Updated uint64 `json:"updated"`
	Removed uint64 `json:"removed"`
}

// Usage is the room that the overlay takes.
type Usage struct {
	UsedBytes    int64  `json:"used_bytes"`
	LimitBytes   int64  `json:"limit_bytes"` // 0: none
	WrittenBytes uint64 `json:"written_bytes"`
	Writes       uint64 `json:"writes"`
	Refused      uint64 `json:"refused_writes"`
}

// Item is an object and what is to be said of it.
type Item struct {
	Path  string    `json:"path"`
	Text  string    `json:"text"`
	Saved string    `json:"saved,omitempty"` // where the guest's version is
	Time  time.Time `json:"time,omitzero"`
}

// state is what a session tells. It has a lock of its own, so that Status never
// waits for a commit.
type state struct {
	mu        sync.Mutex
	status    Status
	trashed   []plan.Trashed
	kept      []plan.Kept
	conflicts []plan.Conflict
	left      []plan.Left
	freed     []plan.Freed // by the last commit

	checkpointBytes int64
}

func (s *state) init() {
	s.status.Pending, s.status.Settled, s.status.Conflicts = []Item{}, []Item{}, []Item{}
}

// seen takes what a comparison found.
func (s *state) seen(res *diff.Result, label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Pending = items(res.Waiting)
	s.status.Settled = []Item{}
	s.status.Clean, s.status.Marks, s.status.Label = res.Clean, res.Marked, label
	s.status.Brake, s.status.BrakeHeld = nil, 0
	s.status.Error, s.status.ErrorSince = "", time.Time{}
}

func items(in []diff.Waiting) []Item {
	out := make([]Item, len(in))
	for i, w := range in {
		out[i] = Item{Path: w.Path, Text: w.Reason}
	}
	return out
}

// refused adds what a plan left out.
func (s *state) refused(in []diff.Waiting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Pending = append(s.status.Pending, items(in)...)
}

// braked notes that the changes of a result are held back.
func (s *state) braked(reasons []string, res *diff.Result, paths *diff.Paths, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Brake = reasons
	for _, c := range res.Changes {
		if c.Kind == diff.Remove {
			s.status.BrakeHeld++
		}
		s.status.Pending = append(s.status.Pending, Item{Path: paths.Of(c), Text: "held back: " + c.Kind.String(), Time: now})
	}
}

// failed notes that a commit failed.
func (s *state) failed(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.Error == "" {
		s.status.ErrorSince = now
	}
	s.status.Error = err.Error()
}

// committed takes what a commit did.
func (s *state) committed(d *plan.Delta, prospects []plan.Prospect, now time.Time, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Commits++
	s.freed = d.Freed
	s.status.LastCommit, s.status.LastTime, s.status.LastBytes = now, took, 0
	s.status.Error, s.status.ErrorSince = "", time.Time{}
	for i := range prospects {
		p := &prospects[i]
		if why, failed := d.Failed[p.Object.ID]; failed {
			s.postponed(p.Path, why)
			continue
		}
		s.status.LastBytes += p.Bytes
		s.status.Bytes += uint64(p.Bytes)
		switch p.Kind {
		case diff.Create:
			s.status.Files.Created++
		case diff.Update:
			s.status.Files.Updated++
		case diff.Remove:
			s.status.Files.Removed++
		}
	}
	s.remember(d)
}

// postponed notes a change that did not reach the host. The caller holds mu.
func (s *state) postponed(path, why string) {
	item := Item{Path: path, Text: why}
	if why == plan.HiddenChildren {
		s.status.Settled = append(s.status.Settled, item)
		return
	}
	s.status.Pending = append(s.status.Pending, item)
}

// replayed takes a commit of an earlier session.
func (s *state) replayed(d *plan.Delta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(d)
}

// remember takes what outlives the session. The caller holds mu.
func (s *state) remember(d *plan.Delta) {
	s.trashed = append(s.trashed, d.Trashed...)
	s.kept = append(s.kept, d.Kept...)
	s.conflicts = append(s.conflicts, d.Conflicts...)
	s.left = append(s.left, d.Left...)
	for _, t := range d.Trashed {
		s.status.TrashFiles++
		s.status.TrashBytes += t.Size
	}
	for i := range d.Conflicts {
		s.status.Conflicts = append(s.status.Conflicts, conflictItem(&d.Conflicts[i]))
	}
}

// checkpoint adds what outlives the session to a delta.
func (s *state) checkpoint(d *plan.Delta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Trashed, d.Kept, d.Conflicts, d.Left, d.Freed = s.trashed, s.kept, s.conflicts, s.left, s.freed
}

// leave notes an inode of the base that was put back into the tree.
func (s *state) leave(l plan.Left) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, l)
}

func conflictItem(c *plan.Conflict) Item {
	text := "the host changed it as well"
	switch c.Kind {
	case apply.Gone:
		text = "the host moved or removed it, the guest changed it"
	case apply.Occupied:
		text = "the host has made something of that name"
	case apply.Replaced:
		text = "the host replaced it"
	}
	if c.Change == diff.Remove {
		text += "; the guest deleted it, the host's version stays"
	}
	saved := c.Saved
	if c.InState {
		saved = "conflicts/" + saved
	}
	if c.Missing > 0 {
		text += fmt.Sprintf("; %d bytes of the guest's version are missing, see %s%s", c.Missing, saved, plan.MissingSuffix)
	}
	return Item{Path: c.Path, Text: text, Saved: saved, Time: c.Time}
}

// Status describes the session. It does not wait for a commit.
func (s *Session) Status() Status {
	a := s.disk.Activity()
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	st := s.state.status
	st.Pending = append([]Item{}, st.Pending...)
	st.Settled = append([]Item{}, st.Settled...)
	st.Conflicts = append([]Item{}, st.Conflicts...)
	st.Overlay = usage(a)
	st.DryRun = s.o.DryRun
	st.BrakeLasts = len(st.Brake) > 0 && s.brakeLasts.Load()
	st.Uncommitted = s.loop.uncommitted(a)
	return st
}

func usage(a overlay.Activity) Usage {
	return Usage{
		UsedBytes: a.UsedBytes, LimitBytes: a.LimitBytes, WrittenBytes: a.WrittenBytes,
		Writes: a.Writes, Refused: a.Refused,
	}
}
