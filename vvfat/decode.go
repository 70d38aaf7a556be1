package vvfat

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"strings"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// maxTargetBytes bounds the target of a link. Linux has 4096 for a path that is
// looked up at once; paths found by a walk can be longer.
const maxTargetBytes = 1 << 20

// treeReader reads the fields of a tree. Its first error sticks.
type treeReader struct {
	r     *bufio.Reader
	sum   hash.Hash32
	one   [1]byte
	off   int64
	err   error
	tree  *Tree
	next  NodeID // the directory that the next node may be a child of
	left  uint32 // how many of its children are still to come
	last  string // the name before, in the same directory
	alias int    // nodes below links so far
}

// DecodeTree reads what [Tree.Encode] wrote. Contents come from host, where
// everything is looked for at the place where it was scanned; host stays the
// caller's, as with [ScanHost].
//
// Whatever the bytes are, the tree keeps the limits and the order of a scanned
// one, or the error is a *diskerr.FormatError. Memory grows with what is read,
// not with what it claims.
func DecodeTree(in io.Reader, host hostfs.FS) (*Tree, error) {
	r := &treeReader{r: bufio.NewReaderSize(in, 1<<16), sum: crc32.New(castagnoli)}
	r.tree = &Tree{source: borrowed{hostSource{host}}, links: map[NodeID]string{}}
	r.magic()
	r.devices()
	count := r.unsigned("number of nodes", maxNodes)
	for i := uint64(0); i < count && r.err == nil; i++ {
		r.node()
	}
	if r.err == nil && (count == 0 || r.left != 0 || r.more()) {
		r.bad("number of nodes", count, "the directories have more children than there are nodes")
	}
	sum := r.sum.Sum32()
	if stored := r.bytes(4); r.err == nil && binary.LittleEndian.Uint32(stored) != sum {
		r.bad("checksum", fmt.Sprintf("%#x", binary.LittleEndian.Uint32(stored)), fmt.Sprintf("the bytes have %#x: they are damaged", sum))
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.tree, nil
}

// bad notes that a field cannot be right.
func (r *treeReader) bad(field string, value any, reason string) {
	if r.err == nil {
		r.err = &diskerr.FormatError{Format: "fatkit tree", Structure: "tree", Field: field, Offset: r.off, Value: value, Reason: reason}
	}
}

// ReadByte implements io.ByteReader, for varints.
func (r *treeReader) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err != nil {
		r.ended(err)
		return 0, err
	}
	r.one[0] = b
	r.sum.Write(r.one[:])
	r.off++
	return b, nil
}

// ended notes an error of reading. An end of the bytes is one of the format.
func (r *treeReader) ended(err error) {
	switch {
	case r.err != nil:
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.bad("length", r.off, "the bytes end within the tree")
	default:
		r.err = err
	}
}

// unsigned reads a number of at most limit.
func (r *treeReader) unsigned(field string, limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(r)
	switch {
	case err != nil:
		r.bad(field, "", err.Error()) // unless it is one of reading
	case n > limit:
		r.bad(field, n, fmt.Sprintf("it can be %d at most", limit))
	default:
		return n
	}
	return 0
}

// signed reads a number with a sign, as encoding/binary.Varint has it.
func (r *treeReader) signed(field string) int64 {
	u := r.unsigned(field, math.MaxUint64)
	if u&1 != 0 {
		return ^int64(u >> 1)
	}
	return int64(u >> 1)
}

// bytes reads n bytes, which are valid until the next read.
func (r *treeReader) bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(r.r, p); err != nil {
		r.ended(err)
		return nil
	}
	r.sum.Write(p)
	r.off += int64(n)
	return p
}

func (r *treeReader) text(field string, limit uint64) string {
	return string(r.bytes(int(r.unsigned(field, limit))))
}

func (r *treeReader) magic() {
	if s := string(r.bytes(len(treeMagic))); r.err == nil && s != treeMagic {
		r.bad("magic", fmt.Sprintf("%q", s), "this is no tree of fatkit, or one of another version")
	}
}

func (r *treeReader) devices() {
	n := r.unsigned("number of file systems", maxDevices)
	for i := uint64(0); i < n && r.err == nil; i++ {
		r.tree.devs = append(r.tree.devs, r.unsigned("file system", math.MaxUint64))
	}
	if n == 0 {
		r.bad("number of file systems", n, "the root lies on one")
	}
}

// node reads the next node and appends it.
func (r *treeReader) node() {
	t := r.tree
	n := node{
		flags: nodeFlags(r.unsigned("flags", math.MaxUint16)),
		dev:   uint16(r.unsigned("file system", uint64(max(len(t.devs), 1)-1))),
		ino:   r.unsigned("inode", math.MaxUint64),
		mtime: r.signed("mtime"), atime: r.signed("atime"), btime: r.signed("btime"),
		size: uint32(r.unsigned("size", maxFileBytes)),
	}
	if t.count == 0 {
		if n.flags&^flagPerm != flagDir || n.dev != 0 {
			r.bad("flags", n.flags, "the root is a directory on the first file system")
		}
	} else {
		r.place(&n)
	}
	target := ""
	if n.flags&flagDOS == 0 && n.flags&(flagHidden|flagSystem|flagArchive) != 0 {
		r.bad("flags", n.flags, "it has attributes of DOS, and says that it has none")
	}
	if n.flags&flagLink != 0 {
		if target = r.text("target", maxTargetBytes); r.err == nil && !localPath(target) {
			r.bad("target", fmt.Sprintf("%q", target), "it is not a path beneath the root")
		}
	}
	if r.err != nil {
		return
	}
	id := t.add(n)
	if target != "" {
		t.links[id] = target
	}
	if !n.isDir() {
		t.files++
		t.bytes += int64(n.size)
	} else if n.size > maxNodes {
		r.bad("size", n.size, "too many children")
	} else if id == RootID {
		r.next, r.left, r.last = RootID, n.size, ""
		t.node(RootID).first = 1
	}
}

// more moves on to the next directory that has children to come. It reports
// whether there is one.
func (r *treeReader) more() bool {
	t := r.tree
	for r.left == 0 {
		r.next++
		if int(r.next) >= t.count {
			r.next--
			return false
		}
		if d := t.node(r.next); d.isDir() {
			d.first = NodeID(t.count)
			r.left, r.last = d.size, ""
			if d.size > 0 && t.depth(r.next) >= maxDepth {
				r.bad("depth", maxDepth+1, "too many directories within each other")
			}
		}
	}
	return true
}

// place reads the name of n and makes it the child of the directory whose turn
// it is.
func (r *treeReader) place(n *node) {
	if !r.more() {
		r.bad("number of nodes", r.tree.count, "there are more nodes than the directories have children")
	}
	name := r.text("name", maxNameBytes)
	if r.err != nil {
		return
	}
	if !localPath(name) || name == "." || strings.IndexByte(name, '/') >= 0 {
		r.bad("name", fmt.Sprintf("%q", name), "no file can have this name")
	}
	if r.last != "" && name <= r.last {
		r.bad("name", fmt.Sprintf("%q", name), "the names of a directory lie in the order of their bytes")
	}
	r.last, r.left = name, r.left-1
	n.parent = r.next
	above := r.tree.node(n.parent).flags & flagAlias
	if alias := n.flags & flagAlias; (alias != 0) != (above != 0 || n.flags&flagLink != 0) {
		r.bad("flags", n.flags, "what is beneath a link must say so, and nothing else")
	} else if alias != 0 {
		if r.alias++; r.alias > maxLinked {
			r.bad("flags", n.flags, "too many files are beneath links")
		}
	}
	off, err := r.tree.arena.put([]byte(name))
	if err != nil && r.err == nil {
		r.err = err
	}
	n.nameOff, n.nameLen = off, uint16(len(name))
}

// localPath reports whether p has the form of paths of package hostfs.
func localPath(p string) bool {
	if p == "." {
		return true
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.IndexByte(part, 0) >= 0 {
			return false
		}
	}
	return true
}
