package vvfat

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// names gives every node its name on the disk.
//
// Nearly every name is that of the host, or its image under fatfmt.MapName,
// and is computed when it is needed. Only names that no rule can give, since
// they are too long or differ from a sibling's in case alone, are held.
type names struct {
	tree     *Tree
	cp       *fatfmt.CodePage
	distinct map[NodeID]string

	hashes []uint64 // scratch of survey
}

// hostName returns the name of a node on the host. It shares the memory of the
// tree, which never changes, since scanning names is a large part of making a
// layout.
func (t *Tree) hostName(id NodeID) string {
	b := t.name(id)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// of returns the name of a node on the disk.
func (n *names) of(id NodeID) string {
	if s, ok := n.distinct[id]; ok {
		return s
	}
	s, _ := fatfmt.MapName(n.tree.hostName(id))
	return s
}

// slots returns how many slots of its directory the node takes. That depends
// on its own name alone: the short names that other entries get avoid all long
// names of the directory, so a name that is a short name itself keeps it.
func (n *names) slots(id NodeID) int {
	name := n.of(id)
	if s, ok := fatfmt.ShortOf(name, n.cp); ok && !s.NeedLong {
		return 1
	}
	return 1 + fatfmt.LongSlots(fatfmt.UTF16Len(name))
}

// survey finds the entries of a directory that need a distinct name, gives
// them one, and returns the number of slots that all entries take.
func (n *names) survey(dir NodeID, warn func(Warning)) int {
	first, end := n.tree.children(dir)
	n.hashes = n.hashes[:0]
	slots, tooLong := 0, false
	for id := first; id < end; id++ {
		host := n.tree.hostName(id)
		name, _ := fatfmt.MapName(host)
		n.hashes = append(n.hashes, foldHash(name))
		if s, ok := fatfmt.ShortOf(name, n.cp); ok && !s.NeedLong {
			slots++
			continue
		}
		units := fatfmt.UTF16Len(name)
		tooLong = tooLong || units > fatfmt.MaxNameUnits
		slots += 1 + fatfmt.LongSlots(units)
	}
	slices.Sort(n.hashes)
	if tooLong || hasTwins(n.hashes) {
		n.distinguish(first, end)
		slots = 0
		for id := first; id < end; id++ {
			slots += n.slots(id)
		}
	}
	if warn != nil {
		n.report(first, end, warn)
	}
	return slots
}

// distinguish gives a distinct name to every node whose name is too long, or
// is that of an earlier sibling but for case. All other names come first, so a
// distinct name never takes the place of a real one.
func (n *names) distinguish(first, end NodeID) {
	taken := make(map[string]bool, end-first)
	var late []NodeID
	for id := first; id < end; id++ {
		name, _ := fatfmt.MapName(n.tree.hostName(id))
		key := fatfmt.FoldKey(name)
		if taken[key] || fatfmt.UTF16Len(name) > fatfmt.MaxNameUnits {
			late = append(late, id)
			continue
		}
		taken[key] = true
	}
	for _, id := range late {
		host := n.tree.hostName(id)
		name, _ := fatfmt.MapName(host)
		for try := 0; ; try++ {
			s := fatfmt.DistinctName(name, host, try)
			if key := fatfmt.FoldKey(s); !taken[key] {
				taken[key], n.distinct[id] = true, s
				break
			}
		}
	}
}

// report tells of every entry that the disk shows under another name.
func (n *names) report(first, end NodeID, warn func(Warning)) {
	for id := first; id < end; id++ {
		if s := n.of(id); s != n.tree.hostName(id) {
			warn(Warning{Kind: WarnName, Path: n.tree.path(id), Text: fmt.Sprintf("shown as %q", s)})
		}
	}
}

// hasTwins reports whether two neighbours in a sorted list are equal.
func hasTwins(sorted []uint64) bool {
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return true
		}
	}
	return false
}

// foldHash is a 64-bit FNV-1a hash under which names that are the same in a
// directory are equal.
func foldHash(name string) uint64 {
	h := uint64(14695981039346656037)
	for _, r := range name {
		if r = fatfmt.Upper(r); r < 0x80 {
			h = (h ^ uint64(r)) * 1099511628211
			continue
		}
		for ; r != 0; r >>= 8 {
			h = (h ^ uint64(r&0xFF)) * 1099511628211
		}
	}
	return h
}
