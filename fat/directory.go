package fat

import (
	"strings"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

const (
	slotBytes = fatfmt.DirEntryBytes
	// slotsPerBlock is how many slots a power cut leaves together.
	slotsPerBlock = sectorBytes / slotBytes
	// maxDirBytes is the size of the largest directory.
	maxDirBytes = fatfmt.MaxDirSlots * slotBytes
	// maxCachedDirBytes bounds the directories that are kept without being in
	// use. Their indexes take about three times as much again.
	maxCachedDirBytes = 8 << 20
)

// position is the place of an entry within its directory.
type position struct {
	slot int // of the short entry
	long int // slots of the long name before it
}

// start returns the first slot of the entry.
func (p position) start() int { return p.slot - p.long }

// directory is the contents of a directory in memory: all its slots, and an
// index of its names.
//
// It is read with treeMu held for reading and changed with treeMu held for
// writing.
type directory struct {
	raw   []byte
	names map[string]position // by the fold key of the long and the short name
	namer *fatfmt.ShortNamer  // made for the first new name
	end   int                 // no slot from here on is in use
	stale int                 // on the medium, slots from end to here may not be zero
	holes int                 // free slots before end
	hint  int                 // where to look for a hole first
	small int                 // no hole has room for this many slots; 0 means not known

	// twins are the slots of directories whose chain an earlier entry leads to
	// as well, which only damage explains.
	twins map[int]bool
	// base holds, for each block that was changed, what is on the medium.
	base map[int][]byte
}

// slot returns the bytes of slot i.
func (d *directory) slot(i int) []byte { return d.raw[i*slotBytes : (i+1)*slotBytes] }

// slots returns how many slots there are, used or not.
func (d *directory) slots() int { return len(d.raw) / slotBytes }

// block returns the bytes of block i, which may be short at the end of a fixed
// root directory.
func (d *directory) block(i int) []byte {
	return d.raw[i*sectorBytes : min((i+1)*sectorBytes, len(d.raw))]
}

// newDirectory indexes the slots in raw.
func newDirectory(raw []byte, cp *fatfmt.CodePage, typ fatfmt.Type) *directory {
	d := &directory{raw: raw, names: map[string]position{}, base: map[int][]byte{}, twins: map[int]bool{}}
	dirs := map[uint32]bool{}
	d.end = scanSlots(raw, cp, func(at position, name string, e *fatfmt.DirEntry) bool {
		d.learn(at, name, e, cp)
		if e.IsDir() {
			if first := e.FirstCluster(typ); dirs[first] {
				d.twins[at.slot] = true
			} else {
				dirs[first] = true
			}
		}
		return true
	})
	for i := range d.end {
		if fatfmt.KindOf(d.slot(i)) == fatfmt.SlotFree {
			d.holes++
		}
	}
	for i := d.slots(); i > d.end; i-- {
		if *(*[slotBytes]byte)(d.slot(i - 1)) != [slotBytes]byte{} {
			d.stale = i
			break
		}
	}
	clear(raw[d.end*slotBytes:])
	return d
}

// learn adds the names of an entry to the index. Of two entries with one name,
// which only a damaged directory has, the first is found.
func (d *directory) learn(at position, name string, e *fatfmt.DirEntry, cp *fatfmt.CodePage) {
	key := fatfmt.FoldKey(name)
	if _, ok := d.names[key]; !ok {
		d.names[key] = at
	}
	if at.long == 0 {
		return
	}
	short := fatfmt.FoldKey(presentable(fatfmt.ShortNameString(e.Name, 0, cp)))
	if _, ok := d.names[short]; !ok {
		d.names[short] = at
	}
}

// lookup finds a name. One that ends in dots or spaces is also found without.
func (d *directory) lookup(name string) (position, bool) {
	key := fatfmt.FoldKey(name)
	at, ok := d.names[key]
	if !ok {
		if trimmed := fatfmt.TrimName(key); trimmed != key {
			at, ok = d.names[trimmed]
		}
	}
	return at, ok
}

// scanSlots calls fn for each file and directory in raw, but not for "." and
// "..", until fn returns false. It returns the number of slots before the end
// mark.
func scanSlots(raw []byte, cp *fatfmt.CodePage, fn func(at position, name string, e *fatfmt.DirEntry) bool) int {
	var long fatfmt.LongName
	slots := len(raw) / slotBytes
	for i := range slots {
		slot := raw[i*slotBytes : (i+1)*slotBytes]
		switch fatfmt.KindOf(slot) {
		case fatfmt.SlotEnd:
			return i
		case fatfmt.SlotLong:
			long.Add(slot)
		case fatfmt.SlotEntry:
			e := fatfmt.DecodeDirEntry(slot)
			units, _ := long.Take(e.Name)
			if e.IsDot() {
				continue
			}
			at := position{slot: i, long: fatfmt.LongSlots(len(units))}
			if !fn(at, entryName(units, &e, cp), &e) {
				return slots
			}
		default:
			long.Drop()
		}
	}
	return slots
}

// entryName returns the name by which an entry is known: the long one if it
// can be, else the short one.
func entryName(units []uint16, e *fatfmt.DirEntry, cp *fatfmt.CodePage) string {
	if len(units) > 0 {
		if s, ok := fatfmt.DecodeUTF16(units); ok && s == presentable(s) {
			return s
		}
	}
	return presentable(e.ShortName(cp))
}

// presentable replaces what no path can hold, and only a damaged directory
// does, by U+FFFD.
func presentable(name string) string {
	if name == "" || name == "." || name == ".." {
		return "\uFFFD"
	}
	if strings.ContainsAny(name, "/\x00") {
		return strings.NewReplacer("/", "\uFFFD", "\x00", "\uFFFD").Replace(name)
	}
	return name
}

// nameAt returns the name of the entry at a position.
func (d *directory) nameAt(at position, cp *fatfmt.CodePage) string {
	name := ""
	scanSlots(d.raw[at.start()*slotBytes:(at.slot+1)*slotBytes], cp,
		func(_ position, s string, _ *fatfmt.DirEntry) bool {
			name = s
			return false
		})
	return name
}

// empty reports whether there is nothing but "." and "..".
func (d *directory) empty(cp *fatfmt.CodePage) bool {
	empty := true
	scanSlots(d.raw, cp, func(position, string, *fatfmt.DirEntry) bool {
		empty = false
		return false
	})
	return empty
}

// isFree reports whether slot i is not in use, or will not be, because it lies
// in one of the entries vacated.
func (d *directory) isFree(i int, vacated []position) bool {
	if i >= d.end || fatfmt.KindOf(d.slot(i)) == fatfmt.SlotFree {
		return true
	}
	for _, p := range vacated {
		if p.start() <= i && i <= p.slot {
			return true
		}
	}
	return false
}

// fits reports whether an entry of k slots may begin at slot i: one that a
// sector can hold must not straddle two, because a power cut between them
// would leave half of it.
func fits(i, k int) bool { return k > slotsPerBlock || i%slotsPerBlock+k <= slotsPerBlock }

// hole returns the start of k free slots within [from, to), or -1.
func (d *directory) hole(from, to, k int, vacated []position, straddle bool) int {
	n := 0
	for i := from; i < to; i++ {
		if !d.isFree(i, vacated) {
			n = 0
			continue
		}
		if n++; n < k {
			continue
		}
		if start := i + 1 - k; straddle || fits(start, k) {
			return start
		}
	}
	return -1
}

// choose returns where an entry of k slots can begin, or -1 if the directory
// has to grow. prefer, if not nil, is an entry among vacated whose place, or at
// least whose block, the new one should take.
func (d *directory) choose(k int, vacated []position, prefer *position, straddle bool) int {
	if prefer != nil {
		if start := prefer.slot + 1 - k; k <= prefer.long+1 {
			return start
		}
		lo := prefer.slot / slotsPerBlock * slotsPerBlock
		if at := d.hole(lo, min(lo+slotsPerBlock, d.slots()), k, vacated, false); at >= 0 {
			return at
		}
	}
	if d.holes >= k && (d.small == 0 || k < d.small) {
		for _, part := range [2][2]int{{d.hint, d.end}, {0, min(d.hint+k, d.end)}} {
			if at := d.hole(part[0], part[1], k, nil, straddle); at >= 0 {
				return at
			}
		}
		d.small = k
	}
	at := d.end
	if !straddle && !fits(at, k) {
		at = (at/slotsPerBlock + 1) * slotsPerBlock
	}
	if at+k <= d.slots() {
		return at
	}
	if straddle || len(vacated) > 0 {
		return d.hole(0, d.slots(), k, vacated, straddle)
	}
	return -1
}

// dirFull says that a directory cannot grow.
func dirFull(n *node) error {
	if n.fixedRoot() {
		return &diskerr.NoSpaceError{What: "root directory", Needed: -1, Available: -1,
			Hint: "a FAT12 or FAT16 root has a fixed size: use a folder"}
	}
	return &diskerr.NoSpaceError{What: "directory", Needed: -1, Available: -1,
		Hint: "a directory has at most 65,536 slots: use more folders, or shorter names"}
}
