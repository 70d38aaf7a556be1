package fatfmt

import (
	"strings"
	"unicode/utf8"
)

// Short is the short name of a directory entry and what goes with it.
type Short struct {
	Name     [11]byte // as on the medium
	Case     byte     // CaseLowerBase, CaseLowerExt, for DirEntry.Case
	NeedLong bool     // whether the name needs a long name too
}

// shortSpecials are the characters besides letters, digits and those above
// 0x7F that a short name may hold: FAT 1.03, "Name Limits and Character Sets".
const shortSpecials = "$%'-_@~`!(){}^#&"

// ShortOf returns the short name that name itself is, if it is one: at most 8
// and 3 bytes in cp, with legal characters only. The case of letters does not
// matter for that; NeedLong and Case say how it is kept. Letters beyond ASCII
// always need a long name, because a reader may assume another code page.
func ShortOf(name string, cp *CodePage) (s Short, ok bool) {
	base, ext, dot := name, "", strings.LastIndexByte(name, '.')
	if dot >= 0 {
		base, ext = name[:dot], name[dot+1:]
		if ext == "" {
			return s, false
		}
	}
	s.Name = blankName
	lowBase, ok := s.encodePart(s.Name[:8], base, cp)
	if !ok || base == "" {
		return s, false
	}
	lowExt, ok := s.encodePart(s.Name[8:], ext, cp)
	if !ok {
		return s, false
	}
	if lowBase {
		s.Case |= CaseLowerBase
	}
	if lowExt {
		s.Case |= CaseLowerExt
	}
	if s.NeedLong {
		s.Case = 0
	}
	s.Name = storedName(s.Name)
	return s, true
}

var blankName = [11]byte{' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '}

// storedName replaces a leading 0xE5, which would mean "deleted".
func storedName(name [11]byte) [11]byte {
	if name[0] == slotDeleted {
		name[0] = nameE5
	}
	return name
}

// encodePart writes part to dst. It reports whether part is in lower case, and
// whether it fits; mixed case and characters beyond ASCII set s.NeedLong.
func (s *Short) encodePart(dst []byte, part string, cp *CodePage) (lower, ok bool) {
	upper := false
	buf := dst[:0]
	for _, r := range part {
		switch {
		case !legalInShort(r):
			return false, false
		case r >= utf8.RuneSelf:
			s.NeedLong = true
		case 'a' <= r && r <= 'z':
			lower = true
		case 'A' <= r && r <= 'Z':
			upper = true
		}
		var one [2]byte
		code, ok := cp.AppendEncoded(one[:0], Upper(r))
		if !ok || len(buf)+len(code) > len(dst) {
			return false, false
		}
		buf = append(buf, code...)
	}
	if lower && upper {
		s.NeedLong = true
	}
	return lower, true
}

// legalInShort reports whether r, or its upper case, may stand in a short name
// if the code page has it.
func legalInShort(r rune) bool {
	switch {
	case r == utf8.RuneError:
		return false
	case r >= utf8.RuneSelf, 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return strings.IndexByte(shortSpecials, byte(r)) >= 0
}

// ShortNamer gives the entries of one directory their short names. Short and
// long names share one name space, so it has to know both; what it gives is
// equal to none of them.
//
// The names depend only on the calls and their order. A call takes constant
// time on average, also when thousands of names have one prefix. A ShortNamer
// is not safe for concurrent use.
type ShortNamer struct {
	cp    *CodePage
	taken map[[11]byte]taker
	next  map[counter]int // the next tail to try; only in crowded directories
}

// taker is who has a name: bits.
type taker uint8

const (
	byShort taker = 1 << iota // it is the short name of an entry
	byLong                    // it is, but for case, the long name of an entry
)

// counter identifies tails that compete: those with so many digits, after the
// same part of a base name and with the same extension.
type counter struct {
	stem   [11]byte
	digits int
}

// maxTailDigits is the length of the longest numeric tail: "~999999" leaves one
// byte of the base.
const maxTailDigits = 6

// NewShortNamer returns a namer for an empty directory of about n entries.
func NewShortNamer(cp *CodePage, n int) *ShortNamer {
	return &ShortNamer{cp: cp, taken: make(map[[11]byte]taker, n)}
}

// Reserve notes a short name that an entry of the directory already has.
func (n *ShortNamer) Reserve(name [11]byte) { n.taken[name] |= byShort }

// ReserveLong notes the long name of an entry that exists or that will be
// passed to [ShortNamer.Assign], so that no other entry gets a short name equal
// to it. Whoever knows all names of a directory beforehand reserves them all
// and then assigns in order.
func (n *ShortNamer) ReserveLong(name string) {
	if s, ok := ShortOf(name, n.cp); ok {
		n.taken[s.Name] |= byLong
	}
}

// Release forgets a short name that [ShortNamer.Reserve] or Assign noted.
func (n *ShortNamer) Release(name [11]byte) { n.release(name, byShort) }

// ReleaseLong forgets a long name that [ShortNamer.ReserveLong] or Assign
// noted.
func (n *ShortNamer) ReleaseLong(name string) {
	if s, ok := ShortOf(name, n.cp); ok {
		n.release(s.Name, byLong)
	}
}

// release forgets that by has a name. When no name is left, nothing is.
func (n *ShortNamer) release(name [11]byte, by taker) {
	left := n.taken[name] &^ by
	if left != 0 {
		n.taken[name] = left
		return
	}
	if delete(n.taken, name); len(n.taken) == 0 {
		clear(n.next)
	}
}

// Taken reports whether an entry has this short name.
func (n *ShortNamer) Taken(name [11]byte) bool { return n.taken[name]&byShort != 0 }

// Assign returns a free short name for the entry called name, and reserves it.
// name is legal as of [ValidateName] and no entry has it yet.
//
// A name that is a short name itself keeps it. Any other gets a numeric tail:
// FAT 1.03, "FAT Long Directory Entries", "The Numeric-Tail Generation
// Algorithm": LONGNA~1.TXT to LONGNA~4.TXT; then, as Windows does, two
// characters and four digits of a hash of the name, LO5F3A~1.TXT to
// LO5F3A~9.TXT; when those are taken as well, rising numbers.
func (n *ShortNamer) Assign(name string) Short {
	if s, ok := ShortOf(name, n.cp); ok && n.taken[s.Name]&byShort == 0 {
		n.taken[s.Name] = byShort | byLong
		return s
	}
	b := newBasis(name, n.cp)
	short, ok := n.firstFree(&b, 1, 4)
	if !ok {
		hashed := b.withHash(name)
		short, ok = n.firstFree(&hashed, 1, 9)
	}
	if !ok {
		short = n.count(&b)
	}
	n.taken[short] |= byShort
	return Short{Name: short, NeedLong: true}
}

// firstFree takes the first free tail from lo to hi.
func (n *ShortNamer) firstFree(b *basis, lo, hi int) ([11]byte, bool) {
	for i := lo; i <= hi; i++ {
		if short := b.withTail(i); n.taken[short] == 0 {
			return short, true
		}
	}
	return [11]byte{}, false
}

// count finds a tail by counting on from where the last search among the same
// names ended, so that no tail is tried twice. When all are used up, tails that
// were released meanwhile are looked for from the start; there are some, since
// a directory has fewer entries than there are tails of six digits.
func (n *ShortNamer) count(b *basis) [11]byte {
	if n.next == nil {
		n.next = map[counter]int{}
	}
	for range 2 {
		for digits, lo := 1, 1; digits <= maxTailDigits; digits, lo = digits+1, 10*lo {
			stem, _ := b.stem(7 - digits)
			c := counter{stem, digits}
			for i := max(n.next[c], lo); i < 10*lo; i++ {
				if short := b.withTail(i); n.taken[short] == 0 {
					n.next[c] = i + 1
					return short
				}
			}
			n.next[c] = 10 * lo
		}
		clear(n.next)
	}
	panic("fatfmt: a directory with more entries than short names")
}

// basis is the part of a short name that comes from the long one: FAT 1.03,
// "FAT Long Directory Entries", "The Basis-Name Generation Algorithm".
type basis struct {
	base   [8]byte
	width  [8]uint8 // bytes of the character that begins here; 0 within one
	length int      // bytes of base in use
	ext    [3]byte  // padded with spaces
}

// newBasis derives the basis of a name: spaces and leading dots are left out,
// the last dot begins the extension, the others are left out too, and what is
// illegal or not in the code page becomes an underscore.
func newBasis(name string, cp *CodePage) (b basis) {
	b.ext = [3]byte{' ', ' ', ' '}
	name = strings.TrimLeft(name, ". ")
	base, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		base, ext = name[:dot], name[dot+1:]
	}
	b.fill(base, cp)
	if b.length == 0 {
		b.base[0], b.width[0], b.length = '_', 1, 1
	}
	used := 0
	for _, r := range ext {
		code := shortCode(r, cp)
		if used+len(code) > len(b.ext) {
			break
		}
		used += copy(b.ext[used:], code)
	}
	return b
}

func (b *basis) fill(base string, cp *CodePage) {
	for _, r := range base {
		code := shortCode(r, cp)
		if b.length+len(code) > len(b.base) {
			return
		}
		if len(code) > 0 {
			b.width[b.length] = uint8(len(code))
			b.length += copy(b.base[b.length:], code)
		}
	}
}

// shortCode returns the bytes of r in a generated short name; none for a
// character that is left out.
func shortCode(r rune, cp *CodePage) string {
	if r == ' ' || r == '.' {
		return ""
	}
	var buf [2]byte
	if code, ok := cp.AppendEncoded(buf[:0], Upper(r)); ok && legalInShort(r) {
		return string(code)
	}
	return "_"
}

// withTail returns the short name with "~" and tail. The base is cut to make
// room, never within a character.
func (b *basis) withTail(tail int) [11]byte {
	var digits [8]byte
	at := len(digits)
	for ; tail > 0; tail /= 10 {
		at--
		digits[at] = byte('0' + tail%10)
	}
	at--
	digits[at] = '~'
	name, keep := b.stem(at)
	copy(name[keep:8], digits[at:])
	return storedName(name)
}

// stem returns the basis with its base cut, at a character, to room bytes, and
// the length of the base that remains.
func (b *basis) stem(room int) (name [11]byte, keep int) {
	keep = b.cut(room)
	name = blankName
	copy(name[:], b.base[:keep])
	copy(name[8:], b.ext[:])
	return name, keep
}

// cut returns the length of the longest run of whole characters of at most
// room bytes.
func (b *basis) cut(room int) int {
	if b.length <= room {
		return b.length
	}
	for room > 0 && b.width[room] == 0 {
		room--
	}
	return room
}

// withHash returns a basis of the first two bytes and four hexadecimal digits
// of a hash of name. It leaves room for a tail of one digit and so is never
// cut, and needs no widths.
func (b *basis) withHash(name string) basis {
	const hex = "0123456789ABCDEF"
	keep := b.cut(2)
	h := basis{ext: b.ext, base: b.base, length: keep + 4}
	sum := hash16(name)
	for i := range 4 {
		h.base[keep+i] = hex[sum>>(12-4*i)&15]
	}
	return h
}

// hash16 is the 32-bit FNV-1a hash of s, folded to 16 bits.
func hash16(s string) uint16 {
	h := uint32(2166136261)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return uint16(h>>16 ^ h)
}
