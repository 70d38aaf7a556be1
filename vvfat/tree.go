package vvfat

import (
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// Limits of a tree. They bound what a scan can be made to allocate.
const (
	// maxNodes is the number of files and directories.
	maxNodes = 1 << 27
	// maxLinked is the number of nodes that are reached through symbolic
	// links: directories that link to each other multiply.
	maxLinked = 1 << 20
	// maxDepth is the number of directories within each other.
	maxDepth = 2048
	// maxNameBytes is the length of one name. Linux has 255.
	maxNameBytes = 1<<16 - 1
	// maxDevices is the number of file systems mounted within each other.
	maxDevices = 1 << 16
	// maxFileBytes is the largest file of FAT (specification 1.03, section 6.2:
	// DIR_FileSize is 32 bits).
	maxFileBytes = 1<<32 - 1
)

// NodeID is the place of a file or directory in its tree. The root is 0; the
// children of a directory have neighbouring numbers; nodes are numbered breadth
// first.
type NodeID uint32

// RootID is the root of every tree.
const RootID NodeID = 0

// AsideName is the directory at the root of a tree into which write-back moves
// what it displaces, where that cannot lie elsewhere. Scans pass over it
// without a warning.
const AsideName = ".fatkit-kept"

// node is one file or directory. It holds no pointer, so that the collector
// never looks at it.
type node struct {
	ino   uint64
	mtime int64 // nanoseconds since 1970 UTC, as hostfs.Stat has them
	atime int64
	btime int64

	nameOff uint32 // where the name is in the arena
	parent  NodeID
	size    uint32 // bytes of a file; number of children of a directory
	first   NodeID // first child of a directory
	nameLen uint16
	flags   nodeFlags
	dev     uint16 // index of Tree.devs
}

// nodeFlags are the yes-or-no facts of a node; the low nine bits are the
// permissions.
type nodeFlags uint16

const (
	flagPerm  nodeFlags = 0o777
	flagDir   nodeFlags = 1 << 9  // a directory
	flagLink  nodeFlags = 1 << 10 // reached through a link, whose target is in Tree.links
	flagAlias nodeFlags = 1 << 11 // this or a directory above it is flagLink

	flagDOS     nodeFlags = 1 << 12 // the host keeps attributes of DOS, which are:
	flagHidden  nodeFlags = 1 << 13
	flagSystem  nodeFlags = 1 << 14
	flagArchive nodeFlags = 1 << 15
)

// dosAttributes are the attributes that a node has a flag for.
var dosAttributes = []struct {
	flag nodeFlags
	attr fatfmt.Attr
}{{flagHidden, fatfmt.AttrHidden}, {flagSystem, fatfmt.AttrSystem}, {flagArchive, fatfmt.AttrArchive}}

func (n *node) isDir() bool { return n.flags&flagDir != 0 }

// Tree is what a scan found: names, sizes, times and identities, not contents.
// It is immutable but for Close, and safe for concurrent use.
type Tree struct {
	source source
	chunks [][]node
	count  int
	arena  arena
	devs   []uint64          // file systems as the host numbers them, the root's first
	links  map[NodeID]string // targets of the nodes that are flagLink
	files  int
	bytes  int64
}

// chunkBits is the logarithm of the number of nodes in a chunk: a tree grows
// without being copied.
const chunkBits = 12

// node returns the node id. It is valid for as long as the tree.
func (t *Tree) node(id NodeID) *node {
	return &t.chunks[id>>chunkBits][id&(1<<chunkBits-1)]
}

// add appends a node and returns its place.
func (t *Tree) add(n node) NodeID {
	id := NodeID(t.count)
	if id&(1<<chunkBits-1) == 0 {
		t.chunks = append(t.chunks, make([]node, 0, 1<<chunkBits))
	}
	last := &t.chunks[len(t.chunks)-1]
	*last = append(*last, n)
	t.count++
	return id
}

// device returns the index of a file system, which it adds if it is new. It
// returns false if there are too many.
func (t *Tree) device(dev uint64) (uint16, bool) {
	// Neighbours are nearly always on the same one.
	if i := len(t.devs) - 1; i >= 0 && t.devs[i] == dev {
		return uint16(i), true
	}
	i := slices.Index(t.devs, dev)
	if i < 0 && len(t.devs) < maxDevices {
		i, t.devs = len(t.devs), append(t.devs, dev)
	}
	return uint16(max(i, 0)), i >= 0
}

// children returns the range of the children of a directory.
func (t *Tree) children(id NodeID) (first, end NodeID) {
	n := t.node(id)
	return n.first, n.first + NodeID(n.size)
}

// name returns the host's name of a node; the root has none.
func (t *Tree) name(id NodeID) []byte {
	n := t.node(id)
	return t.arena.get(n.nameOff, int(n.nameLen))
}

// path returns the place of a node in the disk; links are directories and
// files like any other.
func (t *Tree) path(id NodeID) string { return t.climb(id, 0) }

// hostPath returns where the source has the node: as path, but beneath a
// followed link it is the link's target.
func (t *Tree) hostPath(id NodeID) string { return t.climb(id, flagLink) }

// climb joins the names from id up to the root, or up to the first node with
// one of the flags stop, whose target begins the path.
func (t *Tree) climb(id NodeID, stop nodeFlags) string {
	size, top := 0, id
	for ; top != RootID && t.node(top).flags&stop == 0; top = t.node(top).parent {
		size += 1 + int(t.node(top).nameLen)
	}
	base := ""
	if top != RootID {
		if base = t.links[top]; base == "." {
			base = ""
		}
	}
	if base == "" && size == 0 {
		return "."
	}
	p := make([]byte, len(base)+size)
	at := len(p)
	for ; id != top; id = t.node(id).parent {
		name := t.name(id)
		at -= len(name)
		copy(p[at:], name)
		at--
		p[at] = '/'
	}
	copy(p, base)
	if base == "" {
		p = p[1:]
	}
	return string(p)
}

// depth returns the number of directories above id.
func (t *Tree) depth(id NodeID) int {
	d := 0
	for ; id != RootID; id = t.node(id).parent {
		d++
	}
	return d
}

// same reports whether a host file is still the one that was scanned.
func (n *node) same(st *hostfs.Stat) bool {
	return st.Size == int64(n.size) && st.Mtime == n.mtime && st.Ino == n.ino
}

// Files returns the number of files.
func (t *Tree) Files() int { return t.files }

// Dirs returns the number of directories, with the root.
func (t *Tree) Dirs() int { return t.count - t.files }

// Bytes returns the sum of the sizes of all files.
func (t *Tree) Bytes() int64 { return t.bytes }

// Close releases the source of the tree, such as the open directory. No
// [Disk] of the tree may be in use.
func (t *Tree) Close() error { return t.source.Close() }

// arena holds names back to back in blocks that never move.
type arena struct{ blocks [][]byte }

const arenaBlockBytes = 1 << 16

// put copies a name of at most maxNameBytes and returns its place.
func (a *arena) put(name []byte) (uint32, error) {
	last := len(a.blocks) - 1
	if last < 0 || len(a.blocks[last])+len(name) > arenaBlockBytes {
		if last++; last >= 1<<16 {
			return 0, fmt.Errorf("the names of this tree take more than 4 GiB")
		}
		a.blocks = append(a.blocks, make([]byte, 0, arenaBlockBytes))
	}
	at := len(a.blocks[last])
	a.blocks[last] = append(a.blocks[last], name...)
	return uint32(last)<<16 | uint32(at), nil
}

// get returns the n bytes at off. An empty name may lie at the end of a block.
func (a *arena) get(off uint32, n int) []byte {
	if n == 0 {
		return nil
	}
	at := int(off & (arenaBlockBytes - 1))
	return a.blocks[off>>16][at : at+n : at+n]
}
