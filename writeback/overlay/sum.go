package overlay

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/fatkit/fatkit/block"
)

// MaxSumBytes is the longest piece of the disk that has one checksum.
const MaxSumBytes = 64 * sectorBytes

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Summer computes checksums of what the guest has written, as it was at the
// freeze. It is for one goroutine.
type Summer struct {
	e   *Epoch
	buf []byte
}

// NewSummer returns one for the epoch.
func (e *Epoch) NewSummer() *Summer { return &Summer{e, make([]byte, MaxSumBytes)} }

// Sum returns the checksum of those sectors of [off, off+n) that the guest had
// ever written, and of which these are. The range is of whole sectors, at most
// MaxSumBytes. A checksum is never 0. Two polynomials make it one of 64 bits: it
// tells the states of a disk apart, but not against somebody who forges them; a
// guest that does so loses a change of its own.
func (s *Summer) Sum(off, n int64) (uint64, error) {
	first, end := sectors(off, n)
	mask := s.e.had(first, end)
	var head [8]byte
	binary.LittleEndian.PutUint64(head[:], mask)
	a, b := crc32.Update(0, castagnoli, head[:]), crc32.Update(0, crc32.IEEETable, head[:])
	for i := first; i < end; i++ {
		if mask>>(i-first)&1 == 0 {
			continue
		}
		from := i
		for i < end && mask>>(i-first)&1 != 0 {
			i++
		}
		p := s.buf[:(i-from)*sectorBytes]
		if err := block.ReadFull(s.e, p, from*sectorBytes); err != nil {
			return 0, err
		}
		a, b = crc32.Update(a, castagnoli, p), crc32.Update(b, crc32.IEEETable, p)
	}
	return max(uint64(a)<<32|uint64(b), 1), nil
}

// had returns which of at most 64 sectors were in the image at the freeze, in
// bits from the lowest. The order of the looks matters: a writer notes that a
// sector is moved, and before whether it is aside, before it notes it as written.
func (e *Epoch) had(first, end int64) (mask uint64) {
	for i := first; i < end; i++ {
		if e.d.written.has(i) && (!e.moved.has(i) || e.aside.has(i)) {
			mask |= 1 << (i - first)
		}
	}
	return mask
}
