package apply

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// DirID names a directory: an index of Plan.Dirs, or one of the folders that
// lie aside of the tree.
type DirID int32

// The folders aside of the tree. A name in them is never used twice. What the
// stage folder holds between two moves of one plan, to break a cycle of
// names, has a name that the caller chooses and that does not begin with "new-".
const (
	Stage     DirID = -1 - iota // what is being made or moved
	Kept                        // inodes that the base still serves
	Trash                       // what the guest deleted
	Conflicts                   // versions of the guest that found no place in the tree
)

// asideNames are the names of those folders.
var asideNames = map[DirID]string{Stage: "stage", Kept: "kept", Trash: "trash", Conflicts: "conflicts"}

// Place is a name in a directory.
type Place struct {
	Dir  DirID
	Name string
}

// Dir is a directory that a plan works in. It is found by its inode, at Before
// or at After, which are equal unless the plan moves it. A directory that is
// made by the plan has Before in the stage folder.
type Dir struct {
	ID            hostfs.Identity
	Before, After Place
}

// Plan is what one commit changes. Dirs[0] is the root of the tree; its places
// are not used. The lists are carried out one after the other, each in its
// order: a directory comes before what is moved into it. Tags are the caller's;
// they say in the results which object is meant.
type Plan struct {
	Epoch   uint64
	Dirs    []Dir
	Moves   []Move
	Patches []Patch
	Rmdirs  []Rmdir
	Attrs   []Attr
	// Note is the caller's, and comes back with the intent.
	Note []byte
	// PayloadBytes is the longest payload that the completion will get. Room
	// for it is reserved before anything is done.
	PayloadBytes int
}

// Move gives an inode another place.
type Move struct {
	Tag      uint64
	Object   hostfs.Identity // of it, with its size and time of change as last known
	From, To Place
	// Strict says that the object must not have been written to: it is a
	// deletion, or otherwise hides the contents. Such an object is a conflict
	// and stays where it is.
	Strict bool
	// Displaces is the inode that has the name To and loses it, in the state
	// that the caller knows. It moves to DisplacedTo, which may be From: then the
	// two swap names. Nil means that To is free.
	Displaces   *hostfs.Identity
	DisplacedTo Place
	// Beside is the name in To.Dir for the object if the host has something else
	// at To. Without it the object stays at From.
	Beside string
}

// Patch changes contents in place. Make it with [Stager.Patch].
type Patch struct {
	Tag     uint64
	At      Place // after the moves
	ID      hostfs.Identity
	NewSize int64
	Ranges  []PatchRange
	// Content are the new contents, of the whole file. It is not part of the
	// intent record.
	Content io.ReaderAt
}

// PatchRange is a range that a patch writes. Off is a multiple of SectorBytes.
// Old and New are the CRC-32C of each of its sectors before and after, where what
// lies beyond the end of the file counts as zeroes.
type PatchRange struct {
	Off, Len int64
	Old, New []uint32
}

// SectorBytes is what a crash leaves whole.
const SectorBytes = 512

// Rmdir removes a directory, if it is empty.
type Rmdir struct {
	Tag uint64
	At  Place // after the moves
	ID  hostfs.Identity
}

// Attr changes attributes. Times that are hostfs.NoTime stay.
type Attr struct {
	Tag                uint64
	At                 Place // after the moves
	ID                 hostfs.Identity
	Atime, Mtime       int64
	SetMode, ClearMode fs.FileMode // permission bits
	Xattrs             []Xattr     // of hosts that have none for users: nothing is done
}

// Xattr is an extended attribute; a nil Value removes it.
type Xattr struct {
	Name  string
	Value []byte
}

// check refuses a plan that could leave something of the host's in the stage
// folder.
func (p *Plan) check() error {
	for i := range p.Moves {
		m := &p.Moves[i]
		if m.To.Dir == Stage && isNew(m.To.Name) || m.Displaces != nil && m.DisplacedTo.Dir == Stage {
			return fmt.Errorf("move %d of the plan would leave an object in the stage folder: %w", i, fs.ErrInvalid)
		}
	}
	return nil
}

// Op says which list of a plan a result belongs to.
type Op uint8

const (
	OpMove Op = iota + 1
	OpPatch
	OpRmdir
	OpAttr
)

// Status is what became of a step.
type Status uint8

const (
	// Done: it is as the plan says.
	Done Status = iota + 1
	// Conflict: the host changed something; Kind says what, At where the
	// object of the plan is now.
	Conflict
	// NotEmpty: the directory has entries that the plan does not know of.
	NotEmpty
	// Waiting: it was not possible now and may be later. Nothing was changed.
	Waiting
	// Torn: a patch was begun and not finished, or cannot be told from a
	// change of the host. The file must be staged anew and what is there kept.
	Torn
	// NeedsCopy: a patch cannot be made in place, since the file has several
	// links, is open elsewhere or the host has no leases. Nothing was changed.
	NeedsCopy
)

// Kind is the kind of a conflict.
type Kind uint8

const (
	// Edited: the host wrote to the object.
	Edited Kind = iota + 1
	// Gone: the object is not where the plan expects it, nor where it should go.
	Gone
	// Occupied: the host has something at a name that was to be free.
	Occupied
	// Replaced: the host has something else at the name, or wrote to what is
	// there, that the plan wanted to displace.
	Replaced
)

// Result says what became of one step. Objects of steps that were done are
// described with the size and time of change that the plan gave them, so that
// whatever the host does to them afterwards is seen as a change.
type Result struct {
	Op     Op
	Tag    uint64
	Status Status
	Kind   Kind // of a conflict
	// HostRemoved says that a move found nothing to displace.
	HostRemoved bool
	// At is where the object is, ID what it is, unless it is gone or removed.
	At Place
	ID hostfs.Identity
	// Displaced is where the displaced object is, if there is one.
	Displaced   Place
	DisplacedID hostfs.Identity
	// Reason says in words why a step waits.
	Reason string
}

// Results are those of a plan, in the order in which it is carried out.
type Results struct {
	Epoch uint64
	List  []Result
}
