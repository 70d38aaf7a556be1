package stack

import (
	"context"
	"time"
)

// Writing is a directory whose disk takes writes and carries them into the
// directory. Its methods may be called concurrently.
type Writing interface {
	Source
	// Admit returns why a client must not attach, if there is a reason. local
	// says that it died with the host if the host did.
	Admit(local bool) error
	// Left is told of a client that is gone. remaining is how many there are
	// then. After the last one has left in order, what is complete arrives.
	Left(ctx context.Context, orderly bool, remaining int) error
	// Renewable returns why Generate would begin no new generation now, or nil.
	// After Archive it begins one whatever waits, and archives that.
	Renewable(ctx context.Context) error
	Archive()
	// WriteStatus says what has arrived and what has not.
	WriteStatus() WriteStatus
	// Sync returns when everything that clients wrote before is in the
	// directory or is known not to get there now; WriteStatus says which.
	Sync(ctx context.Context) error
	// Confirm lets through what is held back as alarming, and does as Sync.
	Confirm(ctx context.Context) error
	// Discard gives up the changes of a path and of what is below it, or of
	// everything if it is empty, and returns what it gave up.
	Discard(ctx context.Context, path string) ([]Discarded, error)
	// Trash lists what clients deleted, the oldest first. Restore puts back what
	// has a name there, or what was last at a path, and returns where it is now.
	// EmptyTrash destroys all that the disk does not stand on.
	Trash() ([]Trashed, error)
	Restore(name string) (string, error)
	EmptyTrash() (files int, bytes int64, err error)
}

// WriteStatus is the state of writing back.
type WriteStatus struct {
	// Suspended says why no change reaches the directory: something alarming
	// that waits for a confirmation, or an error. Empty if they do.
	Suspended string `json:"suspended,omitempty"`
	// Alarm says that Suspended is a question, which confirm and discard answer.
	Alarm  bool `json:"alarm,omitempty"`
	DryRun bool `json:"dry_run,omitempty"` // nothing reaches it on purpose
	// Refusing says why clients from other hosts are refused, if they are.
	Refusing string `json:"refusing,omitempty"`
	StateDir string `json:"state_dir"`

	Commits        uint64    `json:"commits"`         // since the server began
	ChangedFiles   uint64    `json:"changed_files"`   // by them, also created and deleted ones
	CommittedBytes uint64    `json:"committed_bytes"` // contents placed by them
	LastCommit     time.Time `json:"last_commit,omitzero"`
	// LastCommitTime is how long it took, LastCommitBytes what it placed.
	LastCommitTime  time.Duration `json:"last_commit_nanoseconds,omitempty"`
	LastCommitBytes int64         `json:"last_commit_bytes,omitempty"`
	// Unsynced says that something was written that no commit has looked at.
	Unsynced bool `json:"unsynced"`

	PendingCount  int        `json:"pending_count"`
	Pending       []Waiting  `json:"pending,omitempty"` // some of them
	ConflictCount int        `json:"conflict_count"`
	Conflicts     []Conflict `json:"conflicts,omitempty"` // some of them
	// Kept are some objects that will not reach the directory, and why.
	Kept []Waiting `json:"kept_aside,omitempty"`

	OverlayBytes      int64 `json:"overlay_bytes"`
	OverlayLimitBytes int64 `json:"overlay_limit_bytes,omitempty"`
	TrashFiles        int   `json:"trash_files"`
	TrashBytes        int64 `json:"trash_bytes"`
	TrashLimitBytes   int64 `json:"trash_limit_bytes,omitempty"`
}

// Done reports whether everything is in the directory: nothing waits, and nothing
// is kept aside.
func (s *WriteStatus) Done() bool {
	return !s.DryRun && s.Suspended == "" && !s.Unsynced && s.PendingCount == 0 && s.ConflictCount == 0
}

// Waiting is an object whose changes have not arrived.
type Waiting struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Conflict is a file that both a client and the host changed.
type Conflict struct {
	Path  string    `json:"path"`
	Saved string    `json:"saved"` // where the client's version is
	Text  string    `json:"text,omitempty"`
	Time  time.Time `json:"time,omitzero"`
}

// Discarded is a change that is not carried out any more.
type Discarded struct {
	Path  string `json:"path"`
	Text  string `json:"text"`
	Saved string `json:"saved,omitempty"` // where the contents are
}

// Trashed is a file that a client deleted.
type Trashed struct {
	Name  string    `json:"name"` // in the trash
	Path  string    `json:"path"` // where it was
	Bytes int64     `json:"bytes"`
	Time  time.Time `json:"time"`
	// Served says that the disk still stands on it.
	Served bool `json:"served,omitempty"`
}
