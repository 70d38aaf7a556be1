// Package diff finds out what a guest meant: it compares the guest's disk,
// frozen at one moment, with the catalog of what was committed last, and
// returns the changes that are complete, and the objects that are not yet.
//
//	written sectors -> marks    which directories and objects may differ
//	marks           -> walk     the directories as they are now
//	walk            -> match    which entry is which object
//	match           -> judge    chains, contents: is the object complete?
//
// Guests write data, FAT and directories in any order, so at any moment some
// objects are half written. Each object is judged by itself; one whose chain is
// short, crossed, looped or not yet written waits, with a reason, and is looked
// at again at the next moment. Nothing is deleted because something could not
// be read.
//
// What is true on the disk:
//
//   - The geometry is that of the generation. Boot sectors, FSInfo and the
//     other FATs are not parsed.
//   - The active FAT is the truth.
//   - A directory counts only if its walk is valid: its chain is whole, "." and
//     ".." are there, and every entry up to its end is well-formed, with nothing
//     but free slots behind it.
//
// Which object an entry is:
//
//   - The same directory, name and first cluster: the same object.
//   - A directory with the name of a directory that was there: the same, in
//     other clusters.
//   - A file that begins with the cluster of another that is gone from its
//     place, and whose beginning was not rewritten, or whose creation stamp
//     agrees: that one, renamed or moved. Likewise a directory.
//   - A file with the name of one that was there: the same, with new contents.
//   - Everything else is new; and what no entry stands for is removed, if its
//     clusters are free or belong to another.
//
// The cost is that of what was written: directories and objects that no written
// sector belongs to are not looked at.
package diff

import (
	"fmt"
	"io"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// Range is a range of bytes.
type Range struct{ Off, Len int64 }

// View is the disk at one moment.
type View struct {
	io.ReaderAt
	// Written are the ranges of the disk that may differ from the moment
	// before: what was written since then. They are in order and whole
	// sectors.
	Written []Range
	// Settled says that the guest is at rest, because it has marked the volume
	// clean, has disconnected, or has been given the longest time: what waits
	// only because more may come is taken as it is.
	Settled bool
}

// Options say how the disk of a generation is read.
type Options struct {
	Geometry fatfmt.Geometry
	Volume   int64 // offset of the volume on the disk, in bytes
	Serial   uint32
	// Partitions is the table of the MBR, bytes 446 to 509 of the disk, if the
	// volume does not begin the disk.
	Partitions []byte
	CodePage   *fatfmt.CodePage
}

// Kind says what became of an object.
type Kind uint8

// The kinds of changes.
const (
	Create Kind = iota + 1
	Update      // another entry, place, chain or contents
	Remove
)

func (k Kind) String() string {
	switch k {
	case Create:
		return "creation"
	case Update:
		return "change"
	case Remove:
		return "deletion"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Change is an object that is complete and differs from what was committed.
type Change struct {
	Kind Kind
	ID   catalog.ID
	Old  *catalog.Object // as committed; nil for Create. Not to be changed.

	// What it is now; not for Remove.
	Parent catalog.ID
	Entry  catalog.Entry
	Chain  []catalog.Extent
	// Written are the ranges of a file that may differ from what was
	// committed, within its size, in order. All of a new file is in it.
	Written []Range
}

// IsDir reports whether the object is a directory.
func (c *Change) IsDir() bool {
	if c.Kind == Remove {
		return c.Old.IsDir()
	}
	return c.Entry.Attr&fatfmt.AttrDirectory != 0
}

// Moved reports whether an object that was there has another name or place.
func (c *Change) Moved() bool {
	return c.Kind == Update && (c.Parent != c.Old.Parent || c.Entry.Name != c.Old.Entry.Name)
}

// Waiting is an object that cannot be committed yet.
type Waiting struct {
	ID     catalog.ID // catalog.Root for what is not an object yet
	Path   string     // on the guest's disk
	Reason string
	Bytes  int64 // of contents that are to come, as far as that is known
}

// Alarm is a reason to believe that a disk was overwritten.
type Alarm struct {
	Text string
	// Foreign says that the disk now holds another volume, so that nothing can
	// be told of the files that were there.
	Foreign bool
}

// Result is what a guest did, as far as it can be told.
type Result struct {
	Changes []*Change
	Waiting []Waiting
	// Alarms are reasons to believe that the disk was not edited but
	// overwritten: a wiped FAT or root directory.
	Alarms []Alarm
	// Clean says whether the volume is marked as properly unmounted; Marked,
	// whether it has such a mark (FAT12 has only the state byte).
	Clean, Marked bool
	// Busy says that the FAT marks the volume as being changed. Windows does so
	// for the time of a burst of writes; Linux uses the state byte of the boot
	// sector, and that for as long as the volume is mounted.
	Busy bool
	// RootChain are the clusters of FAT32's root directory if they are others than
	// the catalog has, and it was read in them; else nil. They are the caller's to
	// put there before Commit: without them nobody notices what is written to a
	// cluster by which the root has grown.
	RootChain []catalog.Extent
	// Label is the label of the volume as its root directory has it.
	Label [fatfmt.LabelBytes]byte

	next  map[catalog.ID]bool // pending after this, whatever becomes of the changes
	walks map[catalog.ID]*walk
}
