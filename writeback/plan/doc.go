// Package plan turns what a guest did ([diff.Result]) into what is done to the
// host's tree ([apply.Plan]), and what became of that into the new state of the
// catalog.
//
//	changes -> places     where each object is to be on the host, under which name
//	        -> contents   files and directories made in the stage folder, patches
//	        -> moves      in an order in which every name is free when it is taken
//	        -> attributes
//	results -> delta      the objects as they are now, and the conflicts
//
// Which host object a change is about, the catalog knows; how a host object is
// changed without losing anything, package apply knows. This package decides
// five things:
//
//   - The name. An object keeps its host name as long as the guest keeps its
//     name; a new name is the reverse of the mapping that shows host names to
//     guests.
//   - The contents. Equal bytes are no change. An inode that a commit made is
//     patched in place; one that the base serves is replaced by a new inode,
//     and kept for as long as the generation lasts.
//   - The order. A move waits until the name that it takes is free; a cycle of
//     names is broken by moving one object aside.
//   - The times of directories. What a commit does in a directory changes its
//     time on the host; it gets back the one it had, or the guest's.
//   - What cannot be done. What is below a symbolic link or on another file
//     system is not changed; it waits, with a reason.
//
// What the delta says is enough to bring the catalog up to date after a crash:
// it is the payload of the completion record, and the note of the intent record
// holds what it is computed from.
package plan

import (
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// ShortNames says how a name that the guest gave as a short name only arrives.
type ShortNames uint8

const (
	// LowerNames makes it lower case, unless its case bits say otherwise.
	LowerNames ShortNames = iota
	// UpperNames makes it upper case, as it is on the disk.
	UpperNames
	// BitsNames follows the case bits: upper case where they are not set.
	BitsNames
)

// Options say how changes are carried to the host.
type Options struct {
	Tree       hostfs.FS // the shared directory
	Geometry   fatfmt.Geometry
	Volume     int64          // offset of the volume on the disk, in bytes
	Location   *time.Location // of the times on the disk
	CodePage   *fatfmt.CodePage
	ShortNames ShortNames
	Generation uint64     // is part of the names in the aside folder
	Xattrs     bool       // the host keeps extended attributes of users
	BaseNodes  catalog.ID // the first object that the guest has made
	// Now names what is saved because of a conflict.
	Now func() time.Time
}

// Label returns a label of the volume as text.
func (o *Options) Label(label [fatfmt.LabelBytes]byte) string {
	return fatfmt.DecodeLabel(label, o.CodePage)
}

// Plan is a commit that is ready to be carried out.
type Plan struct {
	apply.Plan
	Prospects []Prospect
	// Refused are changes that are not part of the plan, with the reason. They
	// wait.
	Refused []diff.Waiting
	// Removes is the number of files that are deleted.
	Removes int
}

// Prospect is what a change makes of an object if all goes well.
type Prospect struct {
	Tag    uint64 // of its steps in the plan
	Kind   diff.Kind
	Object catalog.Object  // as it will be; of a removed one as it was
	Old    *catalog.Object // as it was; nil for a new one
	Patch  bool            // it is patched in place
	Mtime  int64           // that the inode of before gets, or hostfs.NoTime
	Aside  string          // the name that the inode of before gets in the trash or among the kept; "" if it stays
	Path   string          // on the guest's disk, for messages
	Bytes  int64           // of contents that are placed
	// Salvaged says that the contents cannot be produced whole, since the host
	// changed the file that some of them are in: what there is goes to the folder
	// of conflicts. Missing is how many bytes there are not.
	Salvaged bool
	Missing  int64
}

// Conflict is a change that met a change by the host.
type Conflict struct {
	Path   string // on the guest's disk
	Kind   apply.Kind
	Change diff.Kind
	// Saved is the place of the guest's version on the host: a path within the
	// tree, or within the folder of conflicts. Empty if there is none to save.
	Saved   string
	InState bool // Saved is within the folder of conflicts
	// Missing is how many bytes of Saved are zeroes because they could not be read any
	// more. A file beside it with [MissingSuffix] lists them.
	Missing int64
	Time    time.Time
}

// Delta is what a commit changes in the catalog. It is recorded with the
// completion.
type Delta struct {
	Put       []catalog.Object
	Remove    []catalog.ID
	Conflicts []Conflict
	// Failed are the objects whose change did not reach the host and is tried
	// again, with the reason.
	Failed map[catalog.ID]string
	// Trashed are the names in the trash folder, and where they were.
	Trashed []Trashed
	// Kept are the names in the folder of kept inodes and the node that the
	// base serves from it.
	Kept []Kept
	// Freed are the names that files have lost.
	Freed []Freed
	// Left are the inodes of the base that are in the tree while no object
	// stands for them, or one that is elsewhere.
	Left []Left
}

// Trashed is an object in the trash.
type Trashed struct {
	Name string // in the trash folder
	Path string // where it was in the tree
	Size int64
	Base bool // the base serves it until the generation ends
	ID   catalog.ID
	Time time.Time
	// Mtime is the time of change that the inode has, for the base.
	Mtime int64
}

// Left is an inode that the base serves and that stays in the tree though its
// change was given up, or was put back there out of the trash.
type Left struct {
	ID, Parent catalog.ID
	Name       string // below the directory that Parent is: a name, or a path
	Mtime      int64
}

// Kept is an inode that the base serves and the tree has no more.
type Kept struct {
	Name  string // in the folder of kept inodes
	Inode hostfs.Identity
	ID    catalog.ID
	Path  string
	Mtime int64 // that the base is to find
	Stays bool  // a program of the host may have written to it: it is kept until the generation ends
}
