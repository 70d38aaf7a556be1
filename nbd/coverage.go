package nbd

import "slices"

// maxPieces bounds the pieces of one answer to a read that do not touch.
const maxPieces = 4096

// coverage is the set of bytes of a read that have come. Chunks usually come
// in order, so that it is one piece.
type coverage struct {
	pieces []span
}

// span is a run of bytes [from, to).
type span struct{ from, to int }

// add adds [from, to). It returns false if some of it had come already, or
// if there are too many pieces.
func (c *coverage) add(from, to int) bool {
	i, _ := slices.BinarySearchFunc(c.pieces, from, func(p span, at int) int { return p.from - at })
	// pieces[i] is the first that begins at or after from.
	if i > 0 && c.pieces[i-1].to > from || i < len(c.pieces) && c.pieces[i].from < to {
		return false
	}
	touchesBefore := i > 0 && c.pieces[i-1].to == from
	touchesAfter := i < len(c.pieces) && c.pieces[i].from == to
	switch {
	case touchesBefore && touchesAfter:
		c.pieces[i-1].to = c.pieces[i].to
		c.pieces = slices.Delete(c.pieces, i, i+1)
	case touchesBefore:
		c.pieces[i-1].to = to
	case touchesAfter:
		c.pieces[i].from = from
	case len(c.pieces) == maxPieces:
		return false
	default:
		c.pieces = slices.Insert(c.pieces, i, span{from, to})
	}
	return true
}

// whole reports whether all of n bytes have come.
func (c *coverage) whole(n int) bool {
	return n == 0 || len(c.pieces) == 1 && c.pieces[0] == span{0, n}
}
