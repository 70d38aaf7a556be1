package fatread

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// longName collects the slots of a long name, which come last part first
// (FAT section 7).
type longName struct {
	parts [][]uint16 // as met: the last part of the name first
	next  int        // ordinal expected next; 0 when the name is complete
	sum   byte
}

const (
	slotUnits   = 13   // UTF-16 units in a slot
	lastOrdinal = 0x40 // flag of the slot that comes first
)

// unitOffsets are the places of the units of a slot.
var unitOffsets = [slotUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// addLong takes one slot of a long name.
func (d *dirWalk) addLong(p []byte) {
	ord := int(p[0] &^ lastOrdinal)
	if p[0]&lastOrdinal != 0 {
		d.orphaned()
		d.long = &longName{next: ord, sum: p[13]}
	}
	l := d.long
	if l == nil || ord != l.next || ord == 0 || ord > 20 || p[13] != l.sum {
		d.rd.problem("%s: slot %d: long-name slot %#x (checksum %#x) out of order", d.show(), d.slot, p[0], p[13])
		d.long = nil
		return
	}
	if p[12] != 0 || binary.LittleEndian.Uint16(p[26:]) != 0 || p[11] != attrLongName {
		d.rd.problem("%s: slot %d: long-name slot with type %#x, cluster %#x, attributes %#x", d.show(), d.slot, p[12], binary.LittleEndian.Uint16(p[26:]), p[11])
	}
	units := make([]uint16, slotUnits)
	for i, off := range unitOffsets {
		units[i] = binary.LittleEndian.Uint16(p[off:])
	}
	l.parts = append(l.parts, units)
	l.next--
}

// orphaned reports a long name that no short name follows.
func (d *dirWalk) orphaned() {
	if d.long != nil {
		d.rd.problem("%s: slot %d: long name without its short name", d.show(), d.slot)
		d.long = nil
	}
}

// takeLong returns the long name that belongs to the short name raw.
func (d *dirWalk) takeLong(raw []byte) (string, bool) {
	l := d.long
	d.long = nil
	if l == nil {
		return "", false
	}
	if l.next != 0 || checksum(raw) != l.sum {
		d.rd.problem("%s: slot %d: long name with checksum %#x does not belong to %q (%#x)", d.show(), d.slot, l.sum, raw, checksum(raw))
		return "", false
	}
	var units []uint16
	for i := len(l.parts) - 1; i >= 0; i-- {
		units = append(units, l.parts[i]...)
	}
	name, why := cutPadding(units)
	if why == "" {
		why = checkLongName(name)
	}
	text := decodeUnits(name)
	if why != "" {
		d.rd.problem("%s: long name %q: %s", d.show(), text, why)
	}
	return text, true
}

// cutPadding removes the terminator and the padding of a long name: one
// 0x0000, then 0xFFFF to the end of the slot, none if the name fills it.
func cutPadding(units []uint16) (name []uint16, why string) {
	for i, u := range units {
		if u != 0 {
			continue
		}
		if i <= len(units)-1-slotUnits {
			return units[:i], "ends before its last slot"
		}
		for _, pad := range units[i+1:] {
			if pad != 0xFFFF {
				return units[:i], "is not padded with FFFF"
			}
		}
		return units[:i], ""
	}
	return units, ""
}

// checkLongName says what is wrong with a long name (FAT section 7.1).
func checkLongName(units []uint16) string {
	switch {
	case len(units) == 0:
		return "is empty"
	case len(units) > maxNameUnits:
		return fmt.Sprintf("has %d units", len(units))
	case units[len(units)-1] == '.' || units[len(units)-1] == ' ':
		return "ends in a dot or a space"
	}
	for i, u := range units {
		switch {
		case u < 0x20 || u < 0x80 && strings.ContainsRune(`"*/:<>?\|`, rune(u)):
			return fmt.Sprintf("contains %#x", u)
		case utf16.IsSurrogate(rune(u)) && !wholePair(units, i):
			return "has half a surrogate pair"
		}
	}
	return ""
}

// wholePair tells whether the surrogate at i has its other half.
func wholePair(units []uint16, i int) bool {
	if units[i] < 0xDC00 {
		return i+1 < len(units) && units[i+1] >= 0xDC00 && units[i+1] <= 0xDFFF
	}
	return i > 0 && units[i-1] >= 0xD800 && units[i-1] < 0xDC00
}

func decodeUnits(units []uint16) string { return string(utf16.Decode(units)) }

// checksum is the sum over the eleven raw bytes (FAT section 7.2).
func checksum(raw []byte) byte {
	var sum byte
	for _, c := range raw[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// shortName returns the short name in upper case and in the case that the
// bits of byte 12 ask for: 0x08 a lower-case base, 0x10 a lower-case
// extension.
func (d *dirWalk) shortName(raw []byte, caseBits byte) (upper, shown string) {
	name := append([]byte(nil), raw[:11]...)
	if name[0] == 0x05 { // stands for 0xE5, which would mean deleted
		name[0] = 0xE5
	}
	base, ext := trimSpaces(name[:8]), trimSpaces(name[8:])
	for _, part := range []string{base, ext} {
		if c, bad := d.illegalShort(part); bad {
			d.rd.problem("%s: slot %d: short name %q has byte %#x", d.show(), d.slot, raw[:11], c)
		}
	}
	if base == "" {
		d.rd.problem("%s: slot %d: short name %q has no base", d.show(), d.slot, raw[:11])
	}
	base, ext = d.text(base), d.text(ext)
	upper = join83(base, ext)
	if caseBits&0x08 != 0 {
		base = strings.ToLower(base)
	}
	if caseBits&0x10 != 0 {
		ext = strings.ToLower(ext)
	}
	return upper, join83(base, ext)
}

// illegalShort returns a byte that a part of a short name must not have (FAT
// section 6.1). The second byte of a two-byte character is not looked at, but
// it must be there.
func (d *dirWalk) illegalShort(part string) (byte, bool) {
	lead := d.rd.o.LeadByte
	for i := 0; i < len(part); i++ {
		c := part[i]
		if lead != nil && lead(c) {
			if i++; i == len(part) || part[i] < 0x40 {
				return c, true
			}
			continue
		}
		if c < 0x20 || c == ' ' || c >= 'a' && c <= 'z' || strings.IndexByte(`"*+,./:;<=>?[\]|`, c) >= 0 {
			return c, true
		}
	}
	return 0, false
}

func join83(base, ext string) string {
	if ext == "" {
		return base
	}
	return base + "." + ext
}

// text decodes bytes of a short name.
func (d *dirWalk) text(raw string) string {
	if d.rd.o.DecodeShort != nil {
		return d.rd.o.DecodeShort([]byte(raw))
	}
	var b strings.Builder
	for _, c := range []byte(raw) {
		if c < 0x80 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\x%02x", c)
		}
	}
	return b.String()
}

// fold maps names that a guest cannot tell apart to one string: simple
// Unicode upper case, rune by rune.
func fold(name string) string { return strings.Map(unicode.ToUpper, name) }
