package vvfat

import (
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Node is a file or directory as a layout shows it. It is a copy; nobody holds
// more than the nodes that he asked for.
type Node struct {
	ID     NodeID
	Parent NodeID // of the root: the root
	Dir    bool
	Size   int64  // bytes of a file; 0 for a directory
	Perm   uint16 // permissions of the host, nine bits

	// Name is the long name on the disk, HostName the name on the host. The
	// root has neither.
	Name, HostName string

	// FirstCluster is the first of Clusters neighbouring clusters; both are 0
	// for what has none, as the root directory of FAT12 and FAT16.
	FirstCluster, Clusters uint32

	// First and End are the range of the children of a directory.
	First, End NodeID

	// The inode that was scanned. Times are nanoseconds since 1970 UTC or
	// hostfs.NoTime.
	Ino                 uint64
	Dev                 uint64
	Mtime, Atime, Btime int64

	// Link says that the host's name is a symbolic link, whose target is shown;
	// Alias, that this or a directory above it is one. Foreign says that the
	// inode lies on another file system than the root.
	Link, Alias, Foreign bool
}

// Node returns a node, which must be less than Nodes. It costs O(1), but for
// the names.
func (l *Layout) Node(id NodeID) Node {
	n := l.tree.node(id)
	v := Node{
		ID: id, Parent: n.parent, Dir: n.isDir(), Perm: uint16(n.flags & flagPerm),
		Ino: n.ino, Dev: l.tree.devs[n.dev], Mtime: n.mtime, Atime: n.atime, Btime: n.btime,
		Link: n.flags&flagLink != 0, Alias: n.flags&flagAlias != 0, Foreign: n.dev != 0,
	}
	if first, end := l.extent(l.positionOf(id)); first < end {
		v.FirstCluster, v.Clusters = first, end-first
	}
	if v.Dir {
		v.First, v.End = l.tree.children(id)
	} else {
		v.Size = int64(n.size)
	}
	if id != RootID {
		v.Name, v.HostName = l.names.of(id), string(l.tree.name(id))
	}
	return v
}

// Nodes returns the number of nodes of the tree, which is one more than the
// greatest NodeID.
func (l *Layout) Nodes() NodeID { return NodeID(l.tree.count) }

// Path returns where the disk shows a node: the host's names joined by slashes,
// "." for the root. It costs O(depth).
func (l *Layout) Path(id NodeID) string { return l.tree.path(id) }

// HostPath returns where the scan found the inode of a node: like Path, but
// with the targets of links in place of the links.
func (l *Layout) HostPath(id NodeID) string { return l.tree.hostPath(id) }

// Child returns the child of a directory with a name of the host. The children
// lie in the order of the bytes of these names, so it costs O(log n).
func (l *Layout) Child(dir NodeID, hostName string) (NodeID, bool) {
	first, end := l.tree.children(dir)
	for lo, hi := first, end; lo < hi; {
		mid := lo + (hi-lo)/2
		switch name := l.tree.hostName(mid); {
		case name == hostName:
			return mid, true
		case name < hostName:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}

// OwnerOf returns the node that has a cluster, or false for a free cluster and
// for a number that is none. It costs O(log n).
func (l *Layout) OwnerOf(cluster uint32) (NodeID, bool) {
	if cluster < 2 || cluster >= l.used() {
		return 0, false
	}
	return l.nodeAt(l.owner(cluster)), true
}

// UsedClusters returns the number of clusters in use. They are the first ones
// of the volume.
func (l *Layout) UsedClusters() uint32 { return l.used() - 2 }

// Geometry returns the geometry of the volume.
func (l *Layout) Geometry() fatfmt.Geometry { return l.geo }

// VolumeOffset returns where the volume begins on the disk, in bytes.
func (l *Layout) VolumeOffset() int64 { return l.volume }

// CodePage returns the code page of the short names and of the label.
func (l *Layout) CodePage() *fatfmt.CodePage { return l.names.cp }

// Location returns the zone of the times on the disk.
func (l *Layout) Location() *time.Location { return l.o.Location }

// Options returns the options that the layout was made with, as they were
// given, but for Warn.
func (l *Layout) Options() Options { return l.given }

// Slot says where the entry of a child lies within its directory.
type Slot struct {
	Node  NodeID
	First int // number of the first slot, counted from 0: that of the long name if it has one
	Count int // with those of the long name; the last one is the short entry
}

// Directory renders a directory: its bytes up to the last entry, behind which
// there are zeroes on the disk, and where its children are in them, in the
// order of the slots. It costs O(children), and nothing of it is kept.
func (l *Layout) Directory(id NodeID) ([]byte, []Slot) {
	w := l.writeDir(id, true)
	return w.out, w.slots
}
