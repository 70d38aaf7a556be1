package fatfmt

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// A long name lies in the slots before its short entry, last piece first. Each
// slot holds 13 UTF-16 code units. FAT 1.03, "FAT Long Directory Entries":
//
//	off len field
//	  0   1 LDIR_Ord: 1, 2, …; the first slot on the medium adds 0x40
//	  1  10 units 1…5
//	 11   1 LDIR_Attr, AttrLong
//	 12   1 LDIR_Type, 0
//	 13   1 LDIR_Chksum, of the 11 bytes of the short name
//	 14  12 units 6…11
//	 26   2 LDIR_FstClusLO, 0
//	 28   4 units 12, 13
//
// A name that does not fill its last slot ends with one 0x0000 and is padded
// with 0xFFFF.

const (
	// MaxNameUnits is the length of the longest name, in UTF-16 code units.
	MaxNameUnits = 255
	// MaxLongSlots is how many slots a long name takes at most.
	MaxLongSlots = (MaxNameUnits + unitsPerSlot - 1) / unitsPerSlot

	unitsPerSlot = 13
	lastOrdinal  = 0x40
)

// unitOffsets are the places of the units within a slot.
var unitOffsets = [unitsPerSlot]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// LongSlots returns how many slots a name of so many UTF-16 code units takes
// before its short entry.
func LongSlots(units int) int { return (units + unitsPerSlot - 1) / unitsPerSlot }

// Checksum returns the checksum that ties the slots of a long name to the
// short name, over the 11 bytes as they are on the medium. FAT 1.03, "FAT Long
// Directory Entries", ChkSum().
func Checksum(short [11]byte) byte {
	var sum byte
	for _, c := range short {
		sum = sum<<7 | sum>>1
		sum += c
	}
	return sum
}

// AppendLongName appends the slots of a long name of 1 to MaxNameUnits units to
// dst, in the order of the medium, and returns the extended slice. sum is the
// [Checksum] of the short name that follows them.
func AppendLongName(dst []byte, units []uint16, sum byte) []byte {
	n := LongSlots(len(units))
	if n == 0 || n > MaxLongSlots {
		panic("fatfmt: long name of impossible length")
	}
	for ord := n; ord > 0; ord-- {
		slot := [DirEntryBytes]byte{0: byte(ord), 11: byte(AttrLong), 13: sum}
		if ord == n {
			slot[0] |= lastOrdinal
		}
		for i, off := range unitOffsets {
			u := uint16(0xFFFF)
			switch k := (ord-1)*unitsPerSlot + i; {
			case k < len(units):
				u = units[k]
			case k == len(units):
				u = 0
			}
			binary.LittleEndian.PutUint16(slot[off:], u)
		}
		dst = append(dst, slot[:]...)
	}
	return dst
}

// LongName puts the slots of long names together while a directory is read
// from the start. Slots that belong to no short entry (orphans, left by
// systems that know no long names) attach to nothing and are counted.
//
//	for each slot:
//		SlotLong             n.Add(slot)
//		SlotEntry            units, orphans := n.Take(name)
//		SlotFree, SlotLabel  n.Drop()
//		SlotEnd              n.Drop(), and stop
//
// The zero LongName is ready for use.
type LongName struct {
	units [MaxLongSlots * unitsPerSlot]uint16
	slots int  // slots of the name that is being put together, 0 for none
	next  int  // the ordinal expected next; 0 when it is complete
	sum   byte // checksum that all slots share
}

// Add takes a slot of kind [SlotLong]. It returns how many slots it found to
// be orphans, this one possibly included.
func (n *LongName) Add(slot []byte) (orphans int) {
	ord := int(slot[0])
	if ord&lastOrdinal != 0 {
		orphans = n.Drop()
		ord &^= lastOrdinal
		if ord == 0 || ord > MaxLongSlots || slot[12] != 0 {
			return orphans + 1
		}
		n.slots, n.next, n.sum = ord, ord, slot[13]
	} else if n.slots == 0 || ord != n.next || slot[13] != n.sum || slot[12] != 0 {
		return n.Drop() + 1
	}
	at := (n.next - 1) * unitsPerSlot
	for i, off := range unitOffsets {
		n.units[at+i] = binary.LittleEndian.Uint16(slot[off:])
	}
	n.next--
	return orphans
}

// Take returns the long name of the short entry that follows the slots, or nil
// if it has none, and how many slots turned out to be orphans. The units are
// valid until the next call of Add.
func (n *LongName) Take(short [11]byte) (units []uint16, orphans int) {
	if n.slots == 0 {
		return nil, 0
	}
	if n.next != 0 || n.sum != Checksum(short) {
		return nil, n.Drop()
	}
	units = n.units[:n.slots*unitsPerSlot]
	for i, u := range units {
		if u == 0 {
			units = units[:i]
			break
		}
	}
	if len(units) == 0 || len(units) > MaxNameUnits {
		return nil, n.Drop()
	}
	n.slots, n.next = 0, 0
	return units, 0
}

// Drop forgets the slots that were added since the last short entry and
// returns their number.
func (n *LongName) Drop() (orphans int) {
	if n.slots != 0 {
		orphans = n.slots - n.next
	}
	n.slots, n.next = 0, 0
	return orphans
}

// AppendUTF16 appends the UTF-16 code units of s to dst. Bytes of s that are
// no valid UTF-8 become U+FFFD each; see [MapName] for names that must survive.
func AppendUTF16(dst []uint16, s string) []uint16 {
	for _, r := range s {
		dst = utf16.AppendRune(dst, r)
	}
	return dst
}

// UTF16Len returns how many UTF-16 code units s has.
func UTF16Len(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// DecodeUTF16 returns units as a string. ok is false if they hold a surrogate
// without its partner, which becomes U+FFFD; a reader then does better to
// present the short name, since two such names can look equal.
func DecodeUTF16(units []uint16) (s string, ok bool) {
	ok = true
	buf := make([]byte, 0, len(units)+len(units)/2)
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) {
			r2 := rune(utf8.RuneError)
			if i+1 < len(units) {
				r2 = utf16.DecodeRune(r, rune(units[i+1]))
			}
			if r = r2; r == utf8.RuneError {
				ok = false
			} else {
				i++
			}
		}
		buf = utf8.AppendRune(buf, r)
	}
	return string(buf), ok
}
