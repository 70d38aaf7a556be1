package vvfat

import (
	"bytes"
	"maps"
	"slices"
)

// Equal reports whether l and o, which were made with the same options, show
// the same disk of the same host files, so that one can stand for the other.
//
// Times of last access are not compared: reading a disk would make it another.
func (l *Layout) Equal(o *Layout) bool {
	return l.id == o.id && slices.Equal(l.order, o.order) &&
		slices.EqualFunc(l.pieces, o.pieces, func(a, b piece) bool {
			return a.off == b.off && bytes.Equal(a.data, b.data)
		}) && l.tree.equal(o.tree)
}

// equal reports whether two trees hold the same nodes, but for their times of
// last access.
func (t *Tree) equal(o *Tree) bool {
	if t.count != o.count || !maps.Equal(t.links, o.links) {
		return false
	}
	for id := RootID; int(id) < t.count; id++ {
		a, b := *t.node(id), *o.node(id)
		a.atime, b.atime = 0, 0
		a.nameOff, b.nameOff = 0, 0
		if a != b || !bytes.Equal(t.name(id), o.name(id)) {
			return false
		}
	}
	return true
}
