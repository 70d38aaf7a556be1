package qcow2

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
)

// A decoder of deflate streams (RFC 1951) from memory to memory. Both ends are
// known here, which a decoder of any stream cannot use; it is twice as fast.

var errDeflate = errors.New("the deflate stream is damaged")

// Numbers of symbols and bits (RFC 1951, sections 3.2.5 to 3.2.7).
const (
	maxCodeBits  = 15
	litSymbols   = 288
	distSymbols  = 32
	litFastBits  = 11 // codes up to this long take one look into a table
	distFastBits = 9
	endOfBlock   = 256
)

// A table entry: what a code stands for.
//
//	bits 0-4 length of the code | 5-7 kind | 8-15 extra bits | 16-31 value
const (
	kindInvalid = iota << 5
	kindLiteral
	kindCopy // a length or a distance
	kindEnd
	kindLong // the code is longer: the value is the place of a second table
)

const kindMask = 7 << 5

// huffman decodes one alphabet. fast is indexed by the next bits of the
// stream; long holds the second tables, one after the other.
type huffman struct {
	fastBits uint
	fast     []uint32
	long     []uint32
}

// inflation is the state of decoding one cluster.
type inflation struct {
	src  []byte
	pos  int    // of the next byte of src
	buf  uint64 // bits that were read and not used, the next one lowest
	have uint   // how many
	pad  uint   // how many of all that were read lie past the end of src

	lit, dist huffman
	lengths   [litSymbols + distSymbols]uint8
	litFast   [1 << litFastBits]uint32
	litLong   [litSymbols << (maxCodeBits - litFastBits)]uint32
	distFast  [1 << distFastBits]uint32
	distLong  [distSymbols << (maxCodeBits - distFastBits)]uint32
}

var inflations = sync.Pool{New: func() any {
	z := new(inflation)
	z.lit = huffman{fastBits: litFastBits, fast: z.litFast[:], long: z.litLong[:]}
	z.dist = huffman{fastBits: distFastBits, fast: z.distFast[:], long: z.distLong[:]}
	return z
}}

// inflate fills dst from the deflate stream in src.
func inflate(dst, src []byte) error {
	z := inflations.Get().(*inflation)
	defer inflations.Put(z)
	z.src, z.pos, z.buf, z.have, z.pad = src, 0, 0, 0, 0
	defer func() { z.src = nil }()
	out := 0
	for last := false; !last && out < len(dst); {
		z.fill()
		last = z.take(1) == 1
		var err error
		switch z.take(2) {
		case 0:
			out, err = z.storedBlock(dst, out)
		case 1:
			fixed := fixedTables()
			out, err = z.block(dst, out, &fixed.lit, &fixed.dist)
		case 2:
			if err = z.readTables(); err == nil {
				out, err = z.block(dst, out, &z.lit, &z.dist)
			}
		default:
			err = errDeflate
		}
		if err != nil {
			return err
		}
	}
	if out < len(dst) || z.pad > z.have {
		return errTooShort
	}
	return nil
}

// fill makes at least 56 bits ready. Past the end of src they are zeroes.
func (z *inflation) fill() {
	if len(z.src)-z.pos >= 8 {
		z.buf |= binary.LittleEndian.Uint64(z.src[z.pos:]) << z.have
		z.pos += int(63-z.have) >> 3
		z.have |= 56
		return
	}
	for ; z.have < 56; z.have += 8 {
		if z.pos < len(z.src) {
			z.buf |= uint64(z.src[z.pos]) << z.have
			z.pos++
		} else {
			z.pad += 8
		}
	}
}

// take returns the next n bits, which fill made ready.
func (z *inflation) take(n uint) uint {
	v := uint(z.buf) & (1<<n - 1)
	z.buf >>= n
	z.have -= n
	return v
}

// storedBlock copies a block that is not compressed (section 3.2.4).
func (z *inflation) storedBlock(dst []byte, out int) (int, error) {
	z.take(z.have & 7)
	z.fill()
	n := z.take(16)
	if z.take(16) != ^n&0xffff {
		return out, errDeflate
	}
	if z.pad > z.have {
		return out, errTooShort // the lengths themselves lie past the end
	}
	z.pos -= int(z.have-z.pad) >> 3 // what was read ahead goes back, and so do the zeroes behind it
	z.buf, z.have, z.pad = 0, 0, 0
	m := copy(dst[out:], z.src[z.pos:min(z.pos+int(n), len(z.src))])
	z.pos += m
	if out += m; m < int(n) && out < len(dst) {
		return out, errTooShort
	}
	return out, nil
}

// block decodes a compressed block, or as much of it as dst has room for. The
// bits are in local variables here, which is what makes it fast.
func (z *inflation) block(dst []byte, out int, lit, dist *huffman) (int, error) {
	litFast := (*[1 << litFastBits]uint32)(lit.fast)
	distFast := (*[1 << distFastBits]uint32)(dist.fast)
	src, pos, buf, have := z.src, z.pos, z.buf, z.have
	for out < len(dst) {
		if have < 48 { // a length and a distance with their extra bits
			if p := pos; p+8 <= len(src) {
				buf |= binary.LittleEndian.Uint64(src[p:]) << (have & 63)
				pos += int(63-have) >> 3
				have |= 56
			} else {
				z.pos, z.buf, z.have = pos, buf, have
				z.fill()
				if pos, buf, have = z.pos, z.buf, z.have; z.pad > 64+56 {
					return out, errTooShort
				}
			}
		}
		e := litFast[buf&(1<<litFastBits-1)]
		if e&kindMask == kindLong {
			e = lit.second(e, buf)
		}
		buf >>= e & 31
		have -= uint(e & 31)
		if e&kindMask == kindLiteral {
			dst[out] = byte(e >> 16)
			out++
			continue
		}
		if e&kindMask != kindCopy {
			if e&kindMask == kindEnd {
				break
			}
			return out, errDeflate
		}
		extra := e >> 8 & 31
		length := int(e>>16) + int(buf&(1<<extra-1))
		buf >>= extra
		d := distFast[buf&(1<<distFastBits-1)]
		if d&kindMask == kindLong {
			d = dist.second(d, buf)
		}
		if d&kindMask != kindCopy {
			return out, errDeflate
		}
		buf >>= d & 31
		more := d >> 8 & 31
		back := int(d>>16) + int(buf&(1<<more-1))
		buf >>= more
		have -= uint(extra + d&31 + more)
		if back > out {
			return out, errDeflate
		}
		out = copyBack(dst, out, back, length)
	}
	z.pos, z.buf, z.have = pos, buf, have
	return out, nil
}

// second looks a long code up in its second table.
func (h *huffman) second(e uint32, buf uint64) uint32 {
	at := buf >> h.fastBits & (1<<(e>>8&0xff) - 1)
	return h.long[uint64(e>>16)+at]
}

// copyBack repeats length bytes from back bytes before out, and returns where
// that ends, in dst at the latest.
func copyBack(dst []byte, out, back, length int) int {
	end := out + length
	if back >= 8 && length <= 64 && end+8 <= len(dst) {
		// Whole words, up to 7 bytes too far, where the next bytes will go.
		for from := out - back; out < end; from, out = from+8, out+8 {
			binary.LittleEndian.PutUint64(dst[out:], binary.LittleEndian.Uint64(dst[from:]))
		}
		return end
	}
	end = min(end, len(dst))
	for from := out - back; out < end; { // each round doubles what can be copied
		out += copy(dst[out:end], dst[from:out])
	}
	return out
}

// readTables reads the codes of a block (section 3.2.7).
func (z *inflation) readTables() error {
	z.fill()
	lits, dists, codes := int(z.take(5))+257, int(z.take(5))+1, int(z.take(4))+4
	if lits > 286 {
		return errDeflate
	}
	var lengths [19]uint8
	for i := range codes {
		z.fill()
		lengths[codeOrder[i]] = uint8(z.take(3))
	}
	var fast [1 << 7]uint32
	codeLengths := huffman{fastBits: 7, fast: fast[:]}
	if !codeLengths.build(lengths[:], func(i int) uint32 { return kindLiteral | uint32(i)<<16 }) {
		return errDeflate
	}
	if err := z.readLengths(&codeLengths, lits+dists); err != nil {
		return err
	}
	if !z.lit.build(z.lengths[:lits], litEntry) || !z.dist.build(z.lengths[lits:lits+dists], distEntry) {
		return errDeflate
	}
	return nil
}

// codeOrder is the order of the lengths of the code length code.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readLengths reads n code lengths into z.lengths.
func (z *inflation) readLengths(h *huffman, n int) error {
	for i := 0; i < n; {
		if z.fill(); z.pad > 64+56 {
			return errTooShort
		}
		e := h.fast[z.buf&(1<<7-1)]
		if e&kindMask != kindLiteral {
			return errDeflate
		}
		z.take(uint(e & 31))
		sym, length, repeat := e>>16, uint8(0), 1
		switch {
		case sym < 16:
			length = uint8(sym)
		case sym == 16 && i == 0:
			return errDeflate
		case sym == 16:
			length, repeat = z.lengths[i-1], int(z.take(2))+3
		case sym == 17:
			repeat = int(z.take(3)) + 3
		default:
			repeat = int(z.take(7)) + 11
		}
		if repeat > n-i {
			return errDeflate
		}
		for range repeat {
			z.lengths[i] = length
			i++
		}
	}
	return nil
}

// build makes the tables for a code with the given lengths (section 3.2.2).
// entry says what a symbol stands for. It returns false for lengths that no
// code has; a code of one symbol may be incomplete, and one of none is never
// used.
func (h *huffman) build(lengths []uint8, entry func(i int) uint32) bool {
	var count, next [maxCodeBits + 2]int
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	code, longest := 0, 0
	for n := 1; n <= maxCodeBits; n++ {
		code = (code + count[n-1]) << 1
		next[n] = code
		if count[n] > 0 {
			longest = n
		}
	}
	room := 1 << longest
	for n := 1; n <= longest; n++ {
		room -= count[n] << (longest - n)
	}
	if room < 0 || room > 0 && longest > 1 {
		return false
	}
	clear(h.fast)
	secondBits, used := uint(max(longest-int(h.fastBits), 0)), uint32(0)
	for i, n := range lengths {
		if n == 0 {
			continue
		}
		e := entry(i) | uint32(n)
		at := uint(bits.Reverse16(uint16(next[n])) >> (16 - n))
		next[n]++
		if uint(n) <= h.fastBits {
			for ; at < 1<<h.fastBits; at += 1 << n {
				h.fast[at] = e
			}
			continue
		}
		head := &h.fast[at&(1<<h.fastBits-1)]
		if *head == 0 {
			*head = kindLong | uint32(secondBits)<<8 | used<<16
			used += 1 << secondBits
		}
		for at >>= h.fastBits; at < 1<<secondBits; at += 1 << (uint(n) - h.fastBits) {
			h.long[uint(*head>>16)+at] = e
		}
	}
	return true
}

// Lengths and distances (section 3.2.5): each group of codes has one more
// extra bit than the one before.

func litEntry(i int) uint32 {
	switch {
	case i < endOfBlock:
		return kindLiteral | uint32(i)<<16
	case i == endOfBlock:
		return kindEnd
	case i < 265:
		return kindCopy | uint32(i-254)<<16
	case i < 285:
		extra := uint32(i-261) / 4
		return kindCopy | extra<<8 | (3+(4+uint32(i-261)%4)<<extra)<<16
	case i == 285:
		return kindCopy | 258<<16
	}
	return kindInvalid
}

func distEntry(i int) uint32 {
	switch {
	case i < 4:
		return kindCopy | uint32(i+1)<<16
	case i < 30:
		extra := uint32(i-2) / 2
		return kindCopy | extra<<8 | (1+(2+uint32(i)%2)<<extra)<<16
	}
	return kindInvalid
}

// fixedTables are those of blocks with fixed codes (section 3.2.6).
var fixedTables = sync.OnceValue(func() *inflation {
	z := inflations.New().(*inflation)
	for i := range litSymbols {
		n := uint8(8)
		switch {
		case i >= 144 && i < 256:
			n = 9
		case i >= 256 && i < 280:
			n = 7
		}
		z.lengths[i] = n
	}
	for i := range distSymbols {
		z.lengths[litSymbols+i] = 5
	}
	if !z.lit.build(z.lengths[:litSymbols], litEntry) || !z.dist.build(z.lengths[litSymbols:], distEntry) {
		panic("the fixed codes are complete")
	}
	return z
})
