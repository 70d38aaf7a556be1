package vvfat

import (
	"fmt"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// dotSlots are the entries "." and ".." that every directory but the root has.
const dotSlots = 2

// dirWriter renders one directory: FAT 1.03, "FAT Directory Structure" and
// "FAT Long Directory Entries".
type dirWriter struct {
	l     *Layout
	out   []byte
	units []uint16 // of the name at hand
	slots []Slot   // of the children, if they are asked for
}

// renderDir returns the bytes of a directory up to its last entry. Zeroes, which
// end a directory, follow it on the disk.
func (l *Layout) renderDir(id NodeID) []byte { return l.writeDir(id, false).out }

// writeDir renders a directory, and notes the slots of its children if that is
// asked for.
func (l *Layout) writeDir(id NodeID, slots bool) *dirWriter {
	first, end := l.tree.children(id)
	w := &dirWriter{l: l, out: make([]byte, 0, fatfmt.DirEntryBytes*2*(int(end-first)+dotSlots))}
	if slots {
		w.slots = make([]Slot, 0, end-first)
	}
	namer := fatfmt.NewShortNamer(l.names.cp, int(end-first))
	for child := first; child < end; child++ {
		namer.ReserveLong(l.names.of(child))
	}
	label := id == RootID && l.id.Label != fatfmt.NoLabel
	if id != RootID {
		w.dots(id)
	} else if label && l.fronts == 0 {
		w.label()
	}
	for p := position(first); p < position(end); p++ {
		child := NodeID(p)
		if id == RootID {
			child = l.nodeAt(p)
		}
		from := len(w.out)
		w.entry(child, namer)
		if slots {
			w.slots = append(w.slots, Slot{child, from / fatfmt.DirEntryBytes, (len(w.out) - from) / fatfmt.DirEntryBytes})
		}
		if label && l.fronts > 0 && int(p) == l.fronts {
			w.label()
		}
	}
	if got, room := int64(len(w.out)), l.dirRoom(id); got > room {
		panic(fmt.Sprintf("vvfat: directory %q takes %d bytes, but was given %d", l.tree.path(id), got, room))
	}
	return w
}

// dirRoom returns the size of the place of a directory in bytes.
func (l *Layout) dirRoom(id NodeID) int64 {
	if id == RootID && l.geo.Type != fatfmt.FAT32 {
		return l.geo.RootBytes()
	}
	first, end := l.extent(l.positionOf(id))
	return int64(end-first) * int64(l.geo.ClusterBytes())
}

// put appends one short entry.
func (w *dirWriter) put(e *fatfmt.DirEntry) {
	var slot [fatfmt.DirEntryBytes]byte
	e.Encode(slot[:])
	w.out = append(w.out, slot[:]...)
}

// dots appends "." and "..". The latter has cluster 0 when it is the root, also
// on FAT32 (FAT 1.03, "FAT Directory Structure").
func (w *dirWriter) dots(id NodeID) {
	e := w.times(w.l.tree.node(id))
	e.Attr = fatfmt.AttrDirectory
	e.Name, e.Cluster = fatfmt.DotName, w.l.firstCluster(id)
	w.put(&e)
	parent := w.l.tree.node(id).parent
	e.Name, e.Cluster = fatfmt.DotDotName, 0
	if parent != RootID {
		e.Cluster = w.l.firstCluster(parent)
	}
	w.put(&e)
}

// label appends the entry that holds the volume label.
func (w *dirWriter) label() {
	root := w.l.tree.node(RootID)
	e := fatfmt.DirEntry{Name: w.l.id.Label, Attr: fatfmt.AttrLabel}
	e.WriteDate, e.WriteTime, _ = fatfmt.EncodeTime(w.l.clock(root.mtime), w.l.o.Location)
	w.put(&e)
}

// entry appends one child with its long name, if it needs one.
func (w *dirWriter) entry(id NodeID, namer *fatfmt.ShortNamer) {
	name := w.l.names.of(id)
	short := namer.Assign(name)
	if short.NeedLong {
		w.units = fatfmt.AppendUTF16(w.units[:0], name)
		w.out = fatfmt.AppendLongName(w.out, w.units, fatfmt.Checksum(short.Name))
	}
	n := w.l.tree.node(id)
	e := w.times(n)
	e.Name, e.Case = short.Name, short.Case
	e.Attr = w.l.attributes(id)
	e.Cluster = w.l.firstCluster(id)
	if !n.isDir() {
		e.Size = n.size
	}
	w.put(&e)
}

// attributes derives the attributes of a node: read-only if its owner may not
// write it; hidden, system and archive as the host keeps them, or else hidden from
// a leading dot if that is asked for.
func (l *Layout) attributes(id NodeID) fatfmt.Attr {
	n := l.tree.node(id)
	a := fatfmt.AttrArchive
	if n.isDir() {
		a = fatfmt.AttrDirectory
	}
	if n.flags&0o200 == 0 {
		a |= fatfmt.AttrReadOnly
	}
	if n.flags&flagDOS != 0 {
		a &^= fatfmt.AttrArchive
		for _, d := range dosAttributes {
			if n.flags&d.flag != 0 {
				a |= d.attr
			}
		}
		return a
	}
	if l.o.HideDotFiles && l.tree.name(id)[0] == '.' {
		a |= fatfmt.AttrHidden
	}
	return a
}

// times returns an entry with the three times of n. What the host does not
// know is taken from the time of the last change.
func (w *dirWriter) times(n *node) (e fatfmt.DirEntry) {
	l := w.l
	e.CreateDate, e.CreateTime, e.CreateTenths = fatfmt.EncodeTime(l.clock(orMtime(n, n.btime)), l.o.Location)
	e.AccessDate, _, _ = fatfmt.EncodeTime(l.clock(orMtime(n, n.atime)), l.o.Location)
	e.WriteDate, e.WriteTime, _ = fatfmt.EncodeTime(l.clock(n.mtime), l.o.Location)
	return e
}

// orMtime returns ns, or the time of the last change if the host does not know
// it.
func orMtime(n *node, ns int64) int64 {
	if ns == hostfs.NoTime {
		return n.mtime
	}
	return ns
}

// clock turns the time of a node into one that the disk may show.
func (l *Layout) clock(ns int64) time.Time {
	t := time.Unix(0, ns)
	if !l.o.ClampTime.IsZero() && t.After(l.o.ClampTime) {
		return l.o.ClampTime
	}
	return t
}
