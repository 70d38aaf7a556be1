package fat

import (
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// The functions of this file change directories in memory. Their caller holds
// treeMu for writing and holds the contents (see Volume.hold).

// open notes that block i of directory n is about to change.
func (v *Volume) open(n *node, d *directory, i int) {
	if d.base[i] != nil {
		return
	}
	d.base[i] = append([]byte(nil), d.block(i)...)
	v.dirtyBlocks.Add(1)
	v.dirtyDirs[n] = struct{}{}
	v.schedule()
}

// openSlots is open for the blocks of slots [from, to).
func (v *Volume) openSlots(n *node, d *directory, from, to int) {
	for i := from / slotsPerBlock; i*slotsPerBlock < to; i++ {
		v.open(n, d, i)
	}
}

// newName is a name that is about to get an entry.
type newName struct {
	text  string
	units []uint16
	short fatfmt.Short
}

// slots returns how many slots the entry takes.
func (n *newName) slots() int {
	if !n.short.NeedLong {
		return 1
	}
	return 1 + fatfmt.LongSlots(len(n.units))
}

// nameFor gives name a short name that is free in d, where the entries vacated
// do not count. It must be followed by place, or by forgetting the namer.
func (v *Volume) nameFor(d *directory, name string, vacated []position) newName {
	if d.namer == nil {
		d.namer = fatfmt.NewShortNamer(v.codePage, len(d.names))
		scanSlots(d.raw, v.codePage, func(_ position, name string, e *fatfmt.DirEntry) bool {
			d.namer.Reserve(e.Name)
			d.namer.ReserveLong(name)
			return true
		})
	}
	for _, at := range vacated {
		d.namer.Release([11]byte(d.slot(at.slot)))
		d.namer.ReleaseLong(d.nameAt(at, v.codePage))
	}
	n := newName{text: name, short: d.namer.Assign(name)}
	if n.short.NeedLong {
		n.units = fatfmt.AppendUTF16(nil, name)
	}
	for _, at := range vacated {
		if old := [11]byte(d.slot(at.slot)); old != n.short.Name {
			d.namer.Reserve(old)
		}
		d.namer.ReserveLong(d.nameAt(at, v.codePage))
	}
	return n
}

// room makes room for an entry of k slots in directory n and returns where it
// can begin. It may make the directory longer and changes nothing else.
func (v *Volume) room(n *node, d *directory, k int, vacated []position, prefer *position) (int, error) {
	if at := d.choose(k, vacated, prefer, false); at >= 0 {
		return at, nil
	}
	err := v.growDir(n, d)
	if err == nil {
		return v.room(n, d, k, vacated, prefer)
	}
	if at := d.choose(k, vacated, prefer, true); at >= 0 {
		return at, nil
	}
	return -1, err
}

// growDir makes directory n longer by a cluster of free slots.
func (v *Volume) growDir(n *node, d *directory) error {
	if n.fixedRoot() || len(d.raw)+v.geo.ClusterBytes() > maxDirBytes {
		return dirFull(n)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := v.extend(n, 1, 0); err != nil {
		return err
	}
	// The cluster is empty on the medium before anything leads to it.
	if err := v.disk.zero(v.geo.ClusterOffset(n.chain.last()), int64(v.geo.ClusterBytes())); err != nil {
		return v.fail(err)
	}
	v.cacheMu.Lock()
	v.cached += v.geo.ClusterBytes()
	v.cacheMu.Unlock()
	d.raw = append(d.raw, make([]byte, v.geo.ClusterBytes())...)
	return nil
}

// place writes the entry e under a name that nameFor made, at the slot start
// that room returned. It returns where the entry is.
func (v *Volume) place(n *node, d *directory, start int, name *newName, e *fatfmt.DirEntry) position {
	e.Name = name.short.Name
	e.Case = e.Case&^(fatfmt.CaseLowerBase|fatfmt.CaseLowerExt) | name.short.Case
	k := name.slots()
	v.openSlots(n, d, min(start, d.end), start+k)
	for i := d.end; i < start; i++ {
		fatfmt.MarkDeleted(d.slot(i)) // skipped, so that the entry lies in one sector
		d.holes++
	}
	for i := start; i < start+k && i < d.end; i++ {
		d.holes--
	}
	if name.short.NeedLong {
		copy(d.raw[start*slotBytes:], fatfmt.AppendLongName(nil, name.units, fatfmt.Checksum(e.Name)))
	}
	at := position{slot: start + k - 1, long: k - 1}
	e.Encode(d.slot(at.slot))
	d.learn(at, name.text, e, v.codePage)
	if d.namer != nil { // again, if they were those of an entry erased since
		d.namer.Reserve(e.Name)
		d.namer.ReserveLong(name.text)
	}
	if d.end = max(d.end, start+k); d.stale > d.end {
		v.openSlots(n, d, d.end, d.stale) // they are zero in memory
		d.stale = 0
	}
	d.hint = start + k
	return at
}

// erase marks the slots of an entry as deleted and forgets its names.
func (v *Volume) erase(n *node, d *directory, at position) { v.eraseAs(n, d, at, fatfmt.MarkDeleted) }

// eraseAs is erase with another way to mark a slot.
func (v *Volume) eraseAs(n *node, d *directory, at position, mark func(slot []byte)) {
	e := fatfmt.DecodeDirEntry(d.slot(at.slot))
	long := d.nameAt(at, v.codePage)
	for _, name := range []string{long, presentable(fatfmt.ShortNameString(e.Name, 0, v.codePage))} {
		if key := fatfmt.FoldKey(name); d.names[key] == at {
			delete(d.names, key)
		}
	}
	if d.namer != nil {
		d.namer.Release(e.Name)
		d.namer.ReleaseLong(long)
	}
	v.openSlots(n, d, at.start(), at.slot+1)
	for i := at.start(); i <= at.slot; i++ {
		mark(d.slot(i))
		d.holes++
	}
	delete(d.twins, at.slot)
	d.hint, d.small = at.start(), 0
}

// update writes the entry of the node n into its directory in memory. The
// caller holds n.mu.
func (v *Volume) update(n *node, d *directory) {
	e := n.full()
	var slot [slotBytes]byte
	e.Encode(slot[:])
	if [slotBytes]byte(d.slot(n.at.slot)) == slot {
		return
	}
	v.open(n.at.dir, d, n.at.block())
	copy(d.slot(n.at.slot), slot[:])
}
