package fatfmt

import (
	"encoding/binary"
	"fmt"
)

// A FAT is an array of entries, one for each cluster number from 0. Entries 0
// and 1 belong to no cluster: entry 0 holds the media byte, entry 1 flags.
//
//	FAT12   two entries in three bytes: bytes  b0        b1        b2
//	                                    entry  76543210  n+1,n     n+1
//	                                           n low     lo | hi   high
//	FAT16   two bytes
//	FAT32   four bytes, of which the top 4 bits are reserved: ignored when
//	        read, kept when written
//
// FAT 1.03, "FAT Data Structure" and "FAT Type Determination".

// Flags of FAT entry 1: FAT 1.03, "FAT Data Structure". FAT12 has none. A
// set bit is good news.
const (
	clean16   = 0x8000
	noError16 = 0x4000
	clean32   = 0x08000000
	noError32 = 0x04000000
)

// mask32 covers the bits of a FAT32 entry that count.
const mask32 = 0x0FFFFFFF

// Mask returns the bits of an entry that carry its value.
func (t Type) Mask() uint32 {
	switch t {
	case FAT12:
		return 0xFFF
	case FAT16:
		return 0xFFFF
	case FAT32:
		return mask32
	}
	panic("fatfmt: no FAT type: " + t.String())
}

// EndMark returns the value that new chains end with. On reading, any value
// from EndMark()-7 ends a chain; use [Type.Classify].
func (t Type) EndMark() uint32 { return t.Mask() }

// BadMark returns the value that marks a bad cluster.
func (t Type) BadMark() uint32 { return t.Mask() - 8 }

// CleanBit returns the bit of entry 1 that is set while the volume is cleanly
// unmounted; 0 on FAT12, which has none.
func (t Type) CleanBit() uint32 {
	switch t {
	case FAT16:
		return clean16
	case FAT32:
		return clean32
	}
	return 0
}

// NoErrorBit returns the bit of entry 1 that is set while no disk error was
// met; 0 on FAT12, which has none.
func (t Type) NoErrorBit() uint32 {
	switch t {
	case FAT16:
		return noError16
	case FAT32:
		return noError32
	}
	return 0
}

// FirstEntries returns the entries 0 and 1 of a fresh, clean volume.
func (t Type) FirstEntries(media byte) (e0, e1 uint32) {
	return t.Mask()&^0xFF | uint32(media), t.EndMark()
}

// EntryOffset returns where the entry of cluster c begins, in bytes from the
// start of the FAT. The entry takes [Type.EntryBytes] bytes from there, which
// on FAT12 may lie in two sectors.
func (t Type) EntryOffset(c uint32) int64 {
	if t == FAT12 {
		return int64(c) + int64(c)/2
	}
	return int64(c) * int64(t/8)
}

// EntryBytes returns how many bytes an entry touches: 2, 2 or 4.
func (t Type) EntryBytes() int {
	if t == FAT32 {
		return 4
	}
	return 2
}

// EntriesBytes returns the size in bytes of a FAT of n entries, not rounded to
// sectors.
func (t Type) EntriesBytes(n uint32) int64 { return (int64(n)*int64(t) + 7) / 8 }

// EntriesIn returns how many whole entries n bytes hold.
func (t Type) EntriesIn(n int64) int64 { return n * 8 / int64(t) }

// Entry returns the entry of cluster c in fat, which begins with entry 0. The
// reserved bits of FAT32 are masked off.
func (t Type) Entry(fat []byte, c uint32) uint32 { return t.DecodeEntry(fat[t.EntryOffset(c):], c) }

// PutEntry sets the entry of cluster c in fat, which begins with entry 0. It
// keeps the reserved bits of FAT32 and the neighbour's half byte of FAT12.
func (t Type) PutEntry(fat []byte, c, v uint32) { t.EncodeEntry(fat[t.EntryOffset(c):], c, v) }

// DecodeEntry returns the entry of cluster c, whose first byte is p[0]. Only
// the parity of c matters, and only on FAT12.
func (t Type) DecodeEntry(p []byte, c uint32) uint32 {
	switch t {
	case FAT12:
		return uint32(binary.LittleEndian.Uint16(p)) >> (c & 1 * 4) & 0xFFF
	case FAT16:
		return uint32(binary.LittleEndian.Uint16(p))
	}
	return binary.LittleEndian.Uint32(p) & mask32
}

// EncodeEntry sets the entry of cluster c, whose first byte is p[0], as
// [Type.PutEntry] does.
func (t Type) EncodeEntry(p []byte, c, v uint32) {
	switch t {
	case FAT12:
		shift := c & 1 * 4
		old := uint32(binary.LittleEndian.Uint16(p)) &^ (0xFFF << shift)
		binary.LittleEndian.PutUint16(p, uint16(old|v&0xFFF<<shift))
	case FAT16:
		binary.LittleEndian.PutUint16(p, uint16(v))
	default:
		old := binary.LittleEndian.Uint32(p) &^ mask32
		binary.LittleEndian.PutUint32(p, old|v&mask32)
	}
}

// Kind is what a FAT entry says of its cluster, the same for all widths.
type Kind uint8

// The kinds of entries.
const (
	Free     Kind = iota // the cluster is free
	Data                 // the value is the next cluster of the chain
	End                  // the cluster is the last of its chain
	Bad                  // the cluster is damaged and must not be used
	Reserved             // no meaning: 1, or a number past the last cluster
)

var kindNames = [...]string{"free", "data", "end", "bad", "reserved"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Classify returns what the entry value v says on a volume whose largest
// cluster number is maxCluster.
func (t Type) Classify(v, maxCluster uint32) Kind {
	v &= t.Mask()
	switch {
	case v == 0:
		return Free
	case v >= t.EndMark()-7:
		return End
	case v == t.BadMark():
		return Bad
	case v >= 2 && v <= maxCluster:
		return Data
	}
	return Reserved
}

// EntrySource gives the entries of a FAT that exists nowhere as a whole.
type EntrySource interface {
	// FillEntries sets dst to the entries first, first+1, …. It is asked for
	// entries past the last cluster too when the FAT is padded to a sector.
	FillEntries(first uint32, dst []uint32)
}

// RenderEntries sets p to the bytes of a FAT from offBytes on. The entries
// come from src, a batch of at most len(scratch) at a time; scratch must hold
// at least two. The reserved bits of FAT32 are 0.
func (t Type) RenderEntries(p []byte, offBytes int64, scratch []uint32, src EntrySource) {
	if t == FAT12 {
		render12(p, offBytes, scratch, src)
		return
	}
	width := int64(t / 8)
	for len(p) > 0 {
		first := offBytes / width
		skip := int(offBytes % width)
		n := min((skip+len(p)+int(width)-1)/int(width), len(scratch))
		batch := scratch[:n]
		src.FillEntries(uint32(first), batch)
		if skip == 0 {
			whole := min(n, len(p)/int(width))
			t.pack(p, batch[:whole])
			p, offBytes, batch = p[whole*int(width):], offBytes+int64(whole)*width, batch[whole:]
		}
		if len(batch) == 0 {
			continue
		}
		var entry [4]byte // one that begins before p or ends after it
		binary.LittleEndian.PutUint32(entry[:], batch[0]&t.Mask())
		m := copy(p, entry[skip:width])
		p, offBytes = p[m:], offBytes+int64(m)
	}
}

// pack writes whole FAT16 or FAT32 entries to p.
func (t Type) pack(p []byte, entries []uint32) {
	if t == FAT16 {
		for i, v := range entries {
			binary.LittleEndian.PutUint16(p[2*i:], uint16(v))
		}
		return
	}
	for i, v := range entries {
		binary.LittleEndian.PutUint32(p[4*i:], v&mask32)
	}
}

// render12 is RenderEntries for FAT12, three bytes at a time.
func render12(p []byte, offBytes int64, scratch []uint32, src EntrySource) {
	for len(p) > 0 {
		group, skip := offBytes/3, int(offBytes%3)
		groups := min((skip+len(p)+2)/3, len(scratch)/2)
		batch := scratch[:2*groups]
		src.FillEntries(uint32(2*group), batch)
		for i := 0; i < len(batch) && len(p) > 0; i += 2 {
			v := batch[i]&0xFFF | batch[i+1]&0xFFF<<12
			three := [3]byte{byte(v), byte(v >> 8), byte(v >> 16)}
			m := copy(p, three[skip:])
			p, offBytes, skip = p[m:], offBytes+int64(m), 0
		}
	}
}
