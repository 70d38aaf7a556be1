package fat

import (
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// fixLongNames removes pieces of long names that belong to nothing, and
// corrects fields of pieces that are not used.
func (c *checker) fixLongNames(d *checkDir) {
	var long fatfmt.LongName
	var pending []int
	orphans := func(n int) {
		if n == 0 {
			return
		}
		c.report(diskerr.Warning, "long-name-orphan", d.path, c.offset(d, pending[0]), "remove it",
			"%d pieces of a long name belong to no entry", n)
		for _, i := range pending[:n] {
			c.erase(d, i, i+1)
		}
	}
	for i := range d.slots() {
		slot := d.slot(i)
		switch fatfmt.KindOf(slot) {
		case fatfmt.SlotEnd:
			orphans(long.Drop())
			return
		case fatfmt.SlotLong:
			pending = append(pending, i)
			n := long.Add(slot)
			orphans(n)
			pending = pending[n:]
			if slot[26] != 0 || slot[27] != 0 {
				c.report(diskerr.Warning, "long-name-cluster", d.path, c.offset(d, i)+26, "set it to 0",
					"a piece of a long name has a cluster")
				slot[26], slot[27] = 0, 0
				d.change(i)
			}
		case fatfmt.SlotEntry:
			units, n := long.Take([11]byte(slot))
			orphans(n)
			if len(pending) > n && len(units) > 0 {
				c.fixUnits(d, i, units)
			}
			pending = pending[:0]
		default:
			orphans(long.Drop())
			pending = pending[:0]
		}
	}
	orphans(long.Drop())
}

// fixUnits replaces what is illegal in the long name of the entry in slot i.
func (c *checker) fixUnits(d *checkDir, i int, units []uint16) {
	if ordinaryUnits(units) {
		return
	}
	name, ok := fatfmt.DecodeUTF16(units)
	if ok && fatfmt.ValidateName(name) == nil {
		return
	}
	fixed := strings.Map(func(r rune) rune {
		if r == '\uFFFD' || fatfmt.ValidateName(string(r)) != nil && r != '.' && r != ' ' {
			return '_'
		}
		return r
	}, name)
	if trimmed := fatfmt.TrimName(fixed); trimmed != fixed || fixed == "." || fixed == ".." {
		fixed = fixed[:len(fixed)-1] + "_"
	}
	c.report(diskerr.Error, "long-name", path.Join(d.path, name), c.offset(d, i), fmt.Sprintf("make it %q", fixed),
		"the long name %q is not legal", name)
	c.setLong(d, i, fixed)
}

// setLong writes a long name over one that takes as many slots.
func (c *checker) setLong(d *checkDir, i int, name string) {
	n := c.longSlots(d, i)
	units := fatfmt.AppendUTF16(nil, name)
	if fatfmt.LongSlots(len(units)) != n {
		panic("fat: a long name was replaced by one of another length")
	}
	copy(d.raw[(i-n)*slotBytes:], fatfmt.AppendLongName(nil, units, fatfmt.Checksum([11]byte(d.slot(i)))))
	for k := i - n; k < i; k++ {
		d.change(k)
	}
}

// notInShort tells the printable characters that no short name may hold.
var notInShort = func() (is [256]bool) {
	for _, c := range []byte("\"*+,./:;<=>?[\\]|") {
		is[c] = true
	}
	return is
}()

// badShortName says what is wrong with a short name, "" if nothing. FAT 1.03,
// "FAT Directory Structure", DIR_Name.
func badShortName(name [11]byte) string {
	for i, b := range name {
		switch {
		case i == 0 && b == 0x05:
		case i == 0 && b == ' ':
			return "it begins with a space"
		case b < 0x20 || b == 0x7F:
			return fmt.Sprintf("it holds the control character %#02x", b)
		case notInShort[b]:
			return fmt.Sprintf("it holds %q", b)
		case b != ' ' && i != 0 && i != 8 && name[i-1] == ' ':
			return "there is a space within it"
		}
	}
	return ""
}

// fixNames gives entries with illegal names and with names that are there twice
// new ones. Long and short names share one name space.
func (c *checker) fixNames(d *checkDir) {
	c.taken.reset()
	for i := range d.slots() {
		kind := fatfmt.KindOf(d.slot(i))
		if kind == fatfmt.SlotEnd {
			return
		}
		if kind == fatfmt.SlotLabel && !d.root {
			c.report(diskerr.Warning, "label-misplaced", d.path, c.offset(d, i), "remove it", "there is a volume label in a sub-directory")
			c.erase(d, i, i+1)
			continue
		}
		e := fatfmt.DecodeDirEntry(d.slot(i))
		if kind != fatfmt.SlotEntry || e.IsDot() {
			continue
		}
		c.fixFlag(d, i, &e)
		c.fixShort(d, i, &e)
		c.fixTwin(d, i)
	}
}

// noShortName is a bit of byte 12 by which Linux tools say that an entry has no
// usable short name, so that it must have a long one.
const noShortName = 0x20

// fixFlag clears that bit in an entry that has nothing but a short name.
func (c *checker) fixFlag(d *checkDir, i int, e *fatfmt.DirEntry) {
	if e.Case&noShortName == 0 || c.longSlots(d, i) > 0 {
		return
	}
	c.report(diskerr.Warning, "name-flag", path.Join(d.path, c.nameOf(d, i)), c.offset(d, i)+12, "clear the flag",
		"the entry is flagged as having no short name, and has no long one")
	e.Case &^= noShortName
	e.Encode(d.slot(i))
	d.change(i)
}

// fixShort gives the entry in slot i a new short name if it needs one.
func (c *checker) fixShort(d *checkDir, i int, e *fatfmt.DirEntry) {
	why, code := badShortName(e.Name), "short-name"
	if why == "" && c.taken.short[e.Name] {
		why, code = "another entry has it too", "duplicate-name"
	}
	if why == "" && c.longSlots(d, i) == 0 && c.taken.hasLong(c.nameOf(d, i)) {
		why, code = "another entry has it as its long name", "duplicate-name"
	}
	if why == "" {
		c.taken.short[e.Name] = true
		return
	}
	old := fatfmt.ShortNameString(e.Name, 0, c.cp)
	units := c.units(d, i)
	name := c.freshShort(e.Name)
	c.report(diskerr.Error, code, path.Join(d.path, c.nameOf(d, i)), c.offset(d, i),
		fmt.Sprintf("make it %q", fatfmt.ShortNameString(name, 0, c.cp)), "the short name %q is wrong: %s", old, why)
	n := c.longSlots(d, i)
	e.Name = name
	e.Case &^= fatfmt.CaseLowerBase | fatfmt.CaseLowerExt
	e.Encode(d.slot(i))
	d.change(i)
	if n > 0 { // the long name is tied to the short one
		copy(d.raw[(i-n)*slotBytes:], fatfmt.AppendLongName(nil, units, fatfmt.Checksum(name)))
		for k := i - n; k < i; k++ {
			d.change(k)
		}
	}
	c.taken.short[name] = true
}

// units returns the long name of the entry in slot i.
func (c *checker) units(d *checkDir, i int) []uint16 {
	var long fatfmt.LongName
	for k := i - c.longSlots(d, i); k < i; k++ {
		long.Add(d.slot(k))
	}
	units, _ := long.Take([11]byte(d.slot(i)))
	return append([]uint16(nil), units...)
}

// freshShort makes a legal short name from one, which nobody has.
func (c *checker) freshShort(name [11]byte) [11]byte {
	for i, b := range name {
		if b < 0x20 || b == 0x7F || notInShort[b] {
			name[i] = '_'
		}
	}
	if !c.taken.short[name] && badShortName(name) == "" {
		return name
	}
	for n := 0; ; n++ {
		copy(name[:], fmt.Sprintf("FSCK%04d", n%10_000))
		copy(name[8:], fmt.Sprintf("%03d", n/10_000))
		if !c.taken.short[name] {
			return name
		}
	}
}

// fixTwin gives the entry in slot i a new long name if another has it too,
// whether as a long or a short name.
func (c *checker) fixTwin(d *checkDir, i int) {
	name := c.nameOf(d, i)
	n := c.longSlots(d, i)
	key := fatfmt.FoldKey(name)
	if n == 0 || !c.taken.long[key] {
		c.taken.long[key] = true
		return
	}
	fixed := ""
	units := c.units(d, i)
	for k := range 1 << 16 {
		tail := fatfmt.AppendUTF16(nil, fmt.Sprintf("~%d", k))
		if len(tail) > len(units) {
			break
		}
		u := append([]uint16(nil), units...)
		copy(u[len(u)-len(tail):], tail)
		if s, ok := fatfmt.DecodeUTF16(u); ok && !c.taken.hasLong(s) {
			fixed = s
			break
		}
	}
	repair := fmt.Sprintf("make it %q", fixed)
	if fixed == "" {
		repair = "remove the long name; the short one stays"
	}
	c.report(diskerr.Error, "duplicate-name", path.Join(d.path, name), c.offset(d, i), repair, "another entry has the name %q too", name)
	if fixed == "" {
		c.erase(d, i-n, i)
		fixed = c.nameOf(d, i)
	} else {
		c.setLong(d, i, fixed)
	}
	c.taken.addLong(fixed)
}

// fixLabel makes the label of the root directory a legal one, the only one, and
// equal to that of the boot sector. The root directory decides, as in Windows.
func (c *checker) fixLabel(d *checkDir) {
	label, have := fatfmt.NoLabel, false
	for i := range d.slots() {
		kind := fatfmt.KindOf(d.slot(i))
		if kind == fatfmt.SlotEnd {
			break
		}
		if kind != fatfmt.SlotLabel {
			continue
		}
		e := fatfmt.DecodeDirEntry(d.slot(i))
		if have {
			c.report(diskerr.Warning, "label-twice", "", c.offset(d, i), "remove it", "there is a second volume label")
			c.erase(d, i, i+1)
			continue
		}
		label, have = e.Name, true
		c.fixLabelEntry(d, i, &e)
		if fixed := c.legalLabel(e.Name); fixed != e.Name {
			c.report(diskerr.Warning, "label", "", c.offset(d, i), "correct it", "the volume label %q is not legal", e.Name)
			if e.Name = fixed; fixed == fatfmt.NoLabel {
				c.erase(d, i, i+1)
				label, have = fixed, false
				continue
			}
			e.Encode(d.slot(i))
			d.change(i)
			label = fixed
		}
	}
	if c.boot == nil || !c.boot.HasLabel() || c.boot.Label == label || !have && blankLabel(c.boot.Label) {
		return
	}
	if !have && c.addLabel(d) {
		return
	}
	c.report(diskerr.Warning, "label-differs", "", -1, fmt.Sprintf("make it %q", label),
		"the boot sector has the label %q, the root directory %q", c.boot.Label, label)
	c.boot.Label = label
	c.labelled = true
}

// legalLabel makes a label legal. A letter that has no upper case, such as a
// sharp s, is not: a label is in upper case.
func (c *checker) legalLabel(label [fatfmt.LabelBytes]byte) [fatfmt.LabelBytes]byte {
	text := strings.Map(func(r rune) rune {
		if r = fatfmt.Upper(r); unicode.IsLower(r) {
			return '_'
		}
		return r
	}, fatfmt.DecodeLabel(label, c.cp))
	return fatfmt.FitLabel(text, c.cp)
}

// fixLabelEntry makes the label in slot i nothing but a label.
func (c *checker) fixLabelEntry(d *checkDir, i int, e *fatfmt.DirEntry) {
	if e.Attr&fatfmt.AttrDirectory == 0 && e.FirstCluster(c.geo.Type) == 0 && e.Size == 0 {
		return
	}
	c.report(diskerr.Warning, "label-entry", "", c.offset(d, i), "make it a label and nothing else",
		"the volume label is a directory too, or has clusters or a size")
	e.Attr &^= fatfmt.AttrDirectory
	e.Cluster, e.Size = 0, 0
	e.Encode(d.slot(i))
	d.change(i)
}

// blankLabel reports whether the label of a boot sector says that there is
// none.
func blankLabel(label [fatfmt.LabelBytes]byte) bool {
	return label == fatfmt.NoLabel || strings.Trim(string(label[:]), " \x00") == ""
}

// addLabel copies the label of the boot sector to the root directory, if there
// is room.
func (c *checker) addLabel(d *checkDir) bool {
	fixed := c.legalLabel(c.boot.Label)
	if fixed != c.boot.Label {
		return false
	}
	i := c.freeSlot(d)
	if i < 0 {
		return false
	}
	c.report(diskerr.Warning, "label-differs", "", c.offset(d, i), "copy it to the root directory",
		"the boot sector has the label %q, the root directory none", c.boot.Label)
	e := fatfmt.DirEntry{Name: fixed, Attr: fatfmt.AttrLabel}
	c.stamp(&e)
	e.Encode(d.slot(i))
	d.change(i)
	return true
}

// freeSlot returns a free slot of d, -1 if there is none.
func (c *checker) freeSlot(d *checkDir) int {
	for i := range d.slots() {
		if kind := fatfmt.KindOf(d.slot(i)); kind == fatfmt.SlotEnd || kind == fatfmt.SlotFree {
			return i // after the end all is clear: see fixTail
		}
	}
	return -1
}
