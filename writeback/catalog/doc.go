// Package catalog holds what the guest's disk and the host's tree agreed on
// last: every file and directory with its directory entry and its clusters as
// a commit found them, and with the place and the inode that it has on the
// host.
//
// It begins as the base, the tree that the generation of the disk was made of,
// and changes only by commits. Of the base only directories that a guest
// touched are held as objects; the rest is asked of the base when it is
// needed. So memory grows with what the guest did, not with the tree.
//
// A Catalog is not safe for concurrent use: one commit works on it at a time.
package catalog

import (
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// ID names an object for as long as its generation lasts, whatever its name
// and its place become. Objects of the base have the numbers of their nodes.
type ID uint32

// Root is the root directory.
const Root ID = 0

// Extent is a run of clusters of the volume.
type Extent struct {
	First uint32 // first cluster
	Count uint32 // clusters
}

// Entry is a directory entry with the name that it is known by.
type Entry struct {
	Name string // the long name, or the short one with its case bits applied
	Slot int    // place of the short entry in its directory, in slots
	Long bool   // there is a long name
	fatfmt.DirEntry
}

// Object is a file or a directory.
type Object struct {
	ID     ID
	Parent ID
	Entry  Entry    // of the root: only Attr is set
	Chain  []Extent // all its clusters in order; more than the size needs if the guest allocated more
	Inode  Inode
}

// Inode is what an object is on the host.
type Inode struct {
	Name string // within the directory of the parent; of the root "."
	// ID is the inode as a commit or the scan left it. What has changed since
	// is the host's doing.
	ID      hostfs.Identity
	Made    bool // a commit made it: it may be changed in place. The base serves the others.
	Copy    bool // it may not be changed in place all the same: its next contents are a new inode
	Alias   bool // reached through a symbolic link, as is all below it
	Link    bool // itself a symbolic link on the host
	Foreign bool // on another file system than the root
	// Lost says that it is not at its place any more: the host moved or removed
	// it, or it found no place in the tree.
	Lost bool
}

// IsDir reports whether o is a directory.
func (o *Object) IsDir() bool { return o.Entry.Attr&fatfmt.AttrDirectory != 0 }

// Size returns the size of a file in bytes; 0 for a directory.
func (o *Object) Size() int64 {
	if o.IsDir() {
		return 0
	}
	return int64(o.Entry.Size)
}

// First returns the first cluster, 0 if there is none.
func (o *Object) First() uint32 {
	if len(o.Chain) == 0 {
		return 0
	}
	return o.Chain[0].First
}

// Node is an object of the base, without its directory entry.
type Node struct {
	Parent ID
	Chain  Extent // Count is 0 if it has no cluster
	Inode  Inode
}

// Base is the tree that a generation was made of. Its methods are cheap: at
// most logarithmic in the number of nodes, but for Children, which is linear
// in the size of the directory.
type Base interface {
	// Count returns the number of nodes, the root included. Their IDs are 0 to
	// Count-1.
	Count() int
	// Node describes a node.
	Node(ID) Node
	// Children returns the entries of a directory in the order of its slots,
	// and the node of each.
	Children(ID) ([]ID, []Entry, error)
	// Owner returns the node whose chain holds a cluster.
	Owner(cluster uint32) (ID, bool)
}
