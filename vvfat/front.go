package vvfat

import (
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// systemFiles are the files that the boot sectors of DOS systems expect among
// the first entries of the root, the first of them in the first clusters: of
// MS-DOS, PC DOS and DR-DOS, DR-DOS 7 and FreeDOS.
var systemFiles = []string{
	"IO.SYS", "MSDOS.SYS",
	"IBMBIO.COM", "IBMDOS.COM",
	"DRBIOS.SYS", "DRDOS.SYS", "DRBDOS.SYS",
	"KERNEL.SYS",
}

// front moves entries of the root to its beginning: those that were asked for,
// and then the system files of DOS.
func (l *Layout) front() error {
	first, end := l.tree.children(RootID)
	find := func(name string) (NodeID, bool) {
		for id := first; id < end; id++ {
			if fatfmt.EqualNames(l.names.of(id), name) {
				return id, true
			}
		}
		return 0, false
	}
	var fronts []NodeID
	take := func(id NodeID) {
		if !slices.Contains(fronts, id) {
			fronts = append(fronts, id)
		}
	}
	for _, name := range l.o.First {
		id, ok := find(name)
		if !ok {
			return &OptionError{Option: "--first", Reason: fmt.Sprintf("%q is not in the root", name)}
		}
		take(id)
	}
	for _, name := range systemFiles {
		if id, ok := find(name); ok && !l.tree.node(id).isDir() {
			take(id)
		}
	}
	if len(fronts) == 0 {
		return nil
	}
	l.fronts = len(fronts)
	l.order = fronts
	for id := first; id < end; id++ {
		if !slices.Contains(fronts, id) {
			l.order = append(l.order, id)
		}
	}
	l.inverse = make([]uint32, len(l.order))
	for i, id := range l.order {
		l.inverse[id-1] = uint32(i + 1)
	}
	return nil
}
