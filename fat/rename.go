package fat

import (
	"errors"
	"io/fs"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Rename implements vfs.FS. It changes everything in memory at once; the
// package documentation says what a power cut can leave.
func (v *Volume) Rename(oldName, newName string) error {
	if !fs.ValidPath(newName) || newName == "." {
		return pathError("rename", newName, fs.ErrInvalid)
	}
	return v.changeNamed("rename", oldName, func() error {
		return v.in(oldName, func(from *node, fd *directory, oldLast string) error {
			n, err := v.step(from, oldLast)
			if err != nil {
				return err
			}
			err = v.in(newName, func(to *node, td *directory, newLast string) error {
				return v.move(n, fd, to, td, newLast)
			})
			if uerr := v.unref(n); err == nil {
				err = uerr
			}
			return err
		})
	})
}

// move gives n, which is in from, the name last in to. The caller holds treeMu
// for writing and references to all three.
func (v *Volume) move(n *node, from *directory, to *node, td *directory, last string) error {
	if err := fatfmt.ValidateName(last); err != nil {
		return err
	}
	for p := to; p != nil; p = p.at.dir {
		if p == n {
			return &fatfmt.NameError{Name: last, Reason: "a directory cannot move into itself"}
		}
	}
	old := position{n.at.slot, n.long}
	var target *node
	if at, ok := td.lookup(last); ok && !(td == from && at == old) {
		target = v.node(to, td, at)
		if err := v.mayReplace(target, n); err != nil {
			return errors.Join(err, v.unref(target))
		}
	} else if ok && from.nameAt(old, v.codePage) == last {
		return nil // the same name
	}
	err := v.relocate(n, from, to, td, last, target)
	if target != nil {
		if uerr := v.unref(target); err == nil {
			err = uerr
		}
	}
	return err
}

// mayReplace says why n cannot take the place of target, if it cannot.
func (v *Volume) mayReplace(target, n *node) error {
	switch {
	case target.isDir && !n.isDir:
		return ErrIsDir
	case !target.isDir && n.isDir:
		return ErrNotDir
	}
	return v.mayRemove(target)
}

// relocate moves the entry of n. All that can fail comes first.
func (v *Volume) relocate(n *node, from *directory, to *node, td *directory, last string, target *node) error {
	dir, old := n.at.dir, position{n.at.slot, n.long}
	var vacated []position
	var prefer *position
	if td == from {
		vacated = append(vacated, old)
		prefer = &old
	}
	if target != nil {
		at := position{target.at.slot, target.long}
		vacated = append(vacated, at)
		prefer = &at
	}
	name := v.nameFor(td, last, vacated)
	start, err := v.room(to, td, name.slots(), vacated, prefer)
	var nd *directory // of n, if ".." has to change
	if err == nil && n.isDir && to != dir {
		nd, err = v.hold(n)
	}
	if err != nil {
		td.namer = nil // it took the name for given
		return err
	}
	replaces := false
	if target != nil {
		at := position{target.at.slot, target.long}
		replaces = target.onDisk == target.at && at == position{start + name.slots() - 1, name.slots() - 1}
		v.erase(to, td, at)
		v.unlink(target)
	}
	v.eraseAs(dir, from, old, markMoved)
	n.mu.Lock()
	e := n.full()
	at := v.place(to, td, start, &name, &e)
	n.entry.Name, n.entry.Case = e.Name, e.Case
	n.mu.Unlock()
	v.cacheMu.Lock()
	delete(dir.children, old.slot)
	v.cacheMu.Unlock()
	v.settleAt(n, to, at)
	n.replaces = replaces
	if to != dir {
		dir.movedOut = dir.movedOut || n.onDisk.dir == dir
		v.changed(dir)
	}
	if nd != nil {
		v.turn(n, nd, to)
	}
	v.touch(n)
	v.changed(to)
	return nil
}

// turn makes ".." of the directory n lead to its new parent.
func (v *Volume) turn(n *node, d *directory, parent *node) {
	if d.slots() < 2 {
		return // damaged: there is no ".."
	}
	e := fatfmt.DecodeDirEntry(d.slot(1))
	if e.Name != fatfmt.DotDotName {
		return // damaged: Check repairs it
	}
	v.open(n, d, 0)
	e.Cluster = parent.dotDotCluster()
	e.Encode(d.slot(1))
	n.turned = true
	n.astray = parent.astray
}

// An entry that moves away is marked deleted in a way that lets Check bring it
// back: the first byte, which the mark takes, goes where the time of creation
// was, and a bit without a meaning tells that it is there. Nobody else looks
// into a deleted slot; in a long name the same bytes are its type and checksum,
// and the first byte is known from the place.
const (
	movedBit  = 0x80 // in byte 12
	movedName = 13   // where the first byte goes
)

// markMoved marks a slot as deleted because its entry moved.
func markMoved(slot []byte) {
	if fatfmt.KindOf(slot) != fatfmt.SlotLong {
		slot[movedName] = slot[0]
	}
	slot[12] |= movedBit
	fatfmt.MarkDeleted(slot)
}

// wasMoved reports whether markMoved marked the slot of a short entry.
func wasMoved(slot []byte) bool {
	return fatfmt.KindOf(slot) == fatfmt.SlotFree && slot[11]&0x3F != byte(fatfmt.AttrLong) &&
		slot[12]&movedBit != 0 && slot[movedName] > 0x20 && slot[11]&byte(fatfmt.AttrLabel) == 0
}

// wasMovedLong reports whether markMoved marked the slot of a long name.
func wasMovedLong(slot []byte) bool {
	return fatfmt.KindOf(slot) == fatfmt.SlotFree && slot[11]&0x3F == byte(fatfmt.AttrLong) && slot[12] == movedBit
}

// unmove undoes markMoved for a short entry, but for the fine part of its time
// of creation.
func unmove(slot []byte) {
	slot[0], slot[movedName] = slot[movedName], 0
	slot[12] &^= movedBit
}
