package fat

import (
	"bytes"
	"maps"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// moves are what a commit has to know of the nodes that changed.
type moves struct {
	born  map[*node]bool // what was not on the medium
	moved []*node        // entries that come from another block of the medium
}

// settle writes the entries of changed nodes into their directories in memory,
// and notes that they are on the medium from now on. The caller holds treeMu
// for writing.
func (v *Volume) settle(nodes []*node) (moves, error) {
	m := moves{born: map[*node]bool{}}
	for _, n := range nodes {
		var d *directory
		if !n.removed && n != v.root {
			var err error
			if d, err = v.hold(n.at.dir); err != nil {
				return m, err
			}
		}
		n.mu.Lock()
		if d != nil {
			v.update(n, d)
		}
		n.chain.fresh = 0
		n.mu.Unlock()
		if d != nil {
			switch old := n.onDisk; {
			case old.dir == nil:
				m.born[n] = true
			case old.dir != n.at.dir || old.block() != n.at.block():
				m.moved = append(m.moved, n)
			}
			n.onDisk = n.at
		}
	}
	return m, nil
}

// takeBlocks copies the changed blocks of all directories, and works out what
// is written of them in which step. The caller holds treeMu for writing.
func (v *Volume) takeBlocks(s *snapshot, m moves) {
	if len(m.moved) > 0 {
		s.blocks = append(s.blocks, v.orphans...)
	}
	v.orphans = nil
	for n := range v.dirtyDirs {
		blocks := v.images(n)
		if m.born[n] {
			s.fresh = append(s.fresh, blocks...)
		} else {
			s.blocks = append(s.blocks, blocks...)
		}
		clear(n.contents.base)
		n.movedOut = false
		v.pin(n)
		s.pinned = append(s.pinned, n)
	}
	clear(v.dirtyDirs)
	v.dirtyBlocks.Store(0)
	slices.SortFunc(s.fresh, byOffset)
	slices.SortFunc(s.blocks, byOffset)
	v.planSteps(s.blocks, m)
}

func byOffset(a, b *image) int {
	switch {
	case a.off < b.off:
		return -1
	case a.off > b.off:
		return 1
	}
	return 0
}

// images copies the changed blocks of directory n. The caller holds treeMu for
// writing.
func (v *Volume) images(n *node) []*image {
	var out []*image
	d := n.contents
	for _, i := range slices.Sorted(maps.Keys(d.base)) {
		off := v.slotOffset(n, i*slotsPerBlock)
		if off < 0 {
			panic("fat: a block of a directory lies nowhere")
		}
		out = append(out, &image{dir: n, block: i, off: off, base: d.base[i], final: bytes.Clone(d.block(i))})
	}
	return out
}

// planSteps decides what is written of each block in which step.
//
// Usually that is one step. Entries that move between blocks are first removed
// from their old places and not shown in their new ones, so that at no time two
// entries own one chain.
func (v *Volume) planSteps(blocks []*image, m moves) {
	spread(blocks)
	if len(m.moved) == 0 {
		for _, b := range blocks {
			b.steps[stepFinal] = b.final
		}
		return
	}
	index := map[place]*image{}
	for _, b := range blocks {
		b.steps[stepGone] = bytes.Clone(b.final)
		index[place{b.dir, b.block}] = b
	}
	hide := func(n *node) {
		for i := n.at.slot - n.long; i <= n.at.slot; i++ {
			if b := index[place{n.at.dir, i / slotsPerBlock}]; b != nil {
				b.mask(i, n.replaces)
			}
		}
	}
	for _, n := range m.moved {
		hide(n)
	}
	for n := range m.born { // a new directory may hold an entry that moves
		hide(n)
	}
	for _, n := range m.moved {
		if b := index[place{n, 0}]; b != nil && n.turned {
			b.turn()
		}
		n.turned = false
	}
	for _, b := range blocks {
		last := b.steps[stepGone]
		if b.steps[stepTurned] != nil {
			last = b.steps[stepTurned]
		}
		if !bytes.Equal(last, b.final) {
			b.steps[stepFinal] = b.final
		}
	}
}

// spread moves the end marks of directories that grow by several blocks: in a
// step of its own all slots that are about to be used become deleted ones.
// Otherwise a block could reach the medium before one that lies between it and
// the old end mark, and its entries would be garbage behind the mark.
func spread(blocks []*image) {
	growing := map[*node][]*image{}
	for _, b := range blocks {
		if b.grows(nil) {
			growing[b.dir] = append(growing[b.dir], b)
		}
	}
	for _, list := range growing {
		if len(list) < 2 {
			continue
		}
		for _, b := range list {
			b.steps[stepSpread] = bytes.Clone(b.base)
			b.grows(fatfmt.MarkDeleted)
		}
	}
}

// grows reports whether the block uses slots that are behind the end mark on
// the medium, and calls mark, if it is not nil, for each of them in the first
// step.
func (b *image) grows(mark func(slot []byte)) bool {
	grows := false
	for at := 0; at < len(b.base); at += slotBytes {
		if fatfmt.KindOf(b.base[at:]) == fatfmt.SlotEnd && fatfmt.KindOf(b.final[at:]) != fatfmt.SlotEnd {
			grows = true
			if mark != nil {
				mark(b.steps[stepSpread][at : at+slotBytes])
			}
		}
	}
	return grows
}

// mask hides slot i of the directory until the final step. If it replaces an entry
// of the medium, that one stays until the end.
func (b *image) mask(i int, replaces bool) {
	at := i % slotsPerBlock * slotBytes
	slot := b.steps[stepGone][at : at+slotBytes]
	if replaces {
		copy(slot, b.base[at:])
		return
	}
	fatfmt.MarkDeleted(slot)
}

// turn leaves ".." as it is on the medium at first, and changes it in a step of
// its own, when no entry leads to the directory.
func (b *image) turn() {
	const at = 1 * slotBytes
	b.steps[stepTurned] = bytes.Clone(b.steps[stepGone])
	copy(b.steps[stepGone][at:at+slotBytes], b.base[at:])
}
