package fatfmt

import (
	"fmt"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// DefaultCodePage is the OEM code page of short names and labels where none is
// given. Linux and UEFI firmware assume it too.
const DefaultCodePage = 437

// CodePage is an OEM code page, in which short names and labels are written:
// FAT 1.03, "Name Limits and Character Sets". A character takes one byte, or
// two in the code pages of East Asia. The bytes below 0x80 are ASCII in all of
// them.
//
// A CodePage is immutable and safe for concurrent use.
type CodePage struct {
	number int
	single [256]rune       // what one byte means; utf8.RuneError for nothing
	double map[uint16]rune // what a pair means, lead byte high; nil without pairs
	bytes  map[rune]uint16 // how a character is written; a pair is above 0xFF
}

// codePages are the code pages there are. Those that charmap lacks (720, 737,
// 775, 857, 861, 864, 869) are not offered.
var codePages = map[int]encoding.Encoding{
	437:  charmap.CodePage437,
	850:  charmap.CodePage850,
	852:  charmap.CodePage852,
	855:  charmap.CodePage855,
	858:  charmap.CodePage858,
	860:  charmap.CodePage860,
	862:  charmap.CodePage862,
	863:  charmap.CodePage863,
	865:  charmap.CodePage865,
	866:  charmap.CodePage866,
	874:  charmap.Windows874,
	932:  japanese.ShiftJIS,
	936:  simplifiedchinese.GBK,
	949:  korean.EUCKR,
	950:  traditionalchinese.Big5,
	1250: charmap.Windows1250,
	1251: charmap.Windows1251,
	1252: charmap.Windows1252,
	1253: charmap.Windows1253,
	1254: charmap.Windows1254,
	1255: charmap.Windows1255,
	1256: charmap.Windows1256,
	1257: charmap.Windows1257,
	1258: charmap.Windows1258,
}

var (
	builtMu sync.Mutex
	built   = map[int]*CodePage{} // guarded by builtMu
)

// CodePages returns the numbers of all code pages, in rising order.
func CodePages() []int {
	var all []int
	for n := range codePages {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// LookupCodePage returns code page n; 0 means [DefaultCodePage]. An unknown
// number is an error that lists those there are.
func LookupCodePage(n int) (*CodePage, error) {
	if n == 0 {
		n = DefaultCodePage
	}
	enc, ok := codePages[n]
	if !ok {
		return nil, fmt.Errorf("no code page %d: use one of %v", n, CodePages())
	}
	builtMu.Lock()
	defer builtMu.Unlock()
	cp := built[n]
	if cp == nil {
		cp = buildCodePage(n, enc)
		built[n] = cp
	}
	return cp, nil
}

// buildCodePage turns enc into tables: a directory of thousands of names asks
// for characters one by one, which x/text does not do for pairs.
func buildCodePage(n int, enc encoding.Encoding) *CodePage {
	cp := &CodePage{number: n, bytes: map[rune]uint16{}}
	dec := enc.NewDecoder()
	decode := func(p ...byte) rune {
		s, err := dec.Bytes(p)
		r, size := utf8.DecodeRune(s)
		if err != nil || size != len(s) {
			return utf8.RuneError
		}
		return r
	}
	for b := range 256 {
		cp.single[b] = rune(b)
		if b >= utf8.RuneSelf {
			cp.single[b] = decode(byte(b))
			cp.learn(uint16(b), cp.single[b])
		}
	}
	if cmap, ok := enc.(*charmap.Charmap); ok && cmap != nil {
		return cp
	}
	cp.double = map[uint16]rune{}
	for lead := 0x81; lead <= 0xFE; lead++ {
		if cp.single[lead] != utf8.RuneError {
			continue
		}
		for trail := 0x40; trail <= 0xFE; trail++ {
			pair := uint16(lead)<<8 | uint16(trail)
			if r := decode(byte(lead), byte(trail)); r != utf8.RuneError {
				cp.double[pair] = r
				cp.learn(pair, r)
			}
		}
	}
	return cp
}

// learn notes how r is written. Where a code page has a character twice, the
// first form wins. ASCII has no second form.
func (cp *CodePage) learn(code uint16, r rune) {
	if r == utf8.RuneError || r < utf8.RuneSelf {
		return
	}
	if _, ok := cp.bytes[r]; !ok {
		cp.bytes[r] = code
	}
}

// Number returns the number of the code page, such as 437.
func (cp *CodePage) Number() int { return cp.number }

// AppendEncoded appends r in the code page, one or two bytes, to dst. ok is
// false, and nothing is appended, if the code page does not have r.
func (cp *CodePage) AppendEncoded(dst []byte, r rune) (_ []byte, ok bool) {
	if r >= 0 && r < utf8.RuneSelf {
		return append(dst, byte(r)), true
	}
	code, ok := cp.bytes[r]
	switch {
	case !ok:
		return dst, false
	case code > 0xFF:
		return append(dst, byte(code>>8), byte(code)), true
	}
	return append(dst, byte(code)), true
}

// AppendDecoded appends the text that p, in the code page, stands for to dst,
// in UTF-8. Bytes without a meaning become U+FFFD.
func (cp *CodePage) AppendDecoded(dst, p []byte) []byte {
	for i := 0; i < len(p); i++ {
		r := cp.single[p[i]]
		if r == utf8.RuneError && cp.double != nil && i+1 < len(p) {
			if r2, ok := cp.double[uint16(p[i])<<8|uint16(p[i+1])]; ok {
				r = r2
				i++
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// Upper returns r in upper case, by the simple mapping that also [FoldKey]
// uses.
func Upper(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}
	return unicode.ToUpper(r)
}
