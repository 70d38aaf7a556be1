package qcow2fmt

// Bits of L1 and L2 entries (Cluster mapping).
const (
	flagCopied     = uint64(1) << 63
	flagCompressed = uint64(1) << 62
	flagZero       = uint64(1) << 0
	offsetMask     = uint64(0x00fffffffffffe00) // bits 9-55
)

// L1Entry is an entry of an L1 table. The flag that marks a compressed
// cluster in an L2 entry has no meaning here.
type L1Entry uint64

// NewL1Entry returns an entry for the L2 table at offset.
func NewL1Entry(offset int64, copied bool) L1Entry {
	e := uint64(offset) & offsetMask
	if copied {
		e |= flagCopied
	}
	return L1Entry(e)
}

// Offset returns the offset of the L2 table, 0 if there is none.
func (e L1Entry) Offset() int64 { return int64(uint64(e) & offsetMask) }

// Copied reports whether the refcount of the L2 table is exactly one.
func (e L1Entry) Copied() bool { return uint64(e)&flagCopied != 0 }

// Reserved returns the reserved bits that are set.
func (e L1Entry) Reserved() uint64 { return uint64(e) &^ (offsetMask | flagCopied) }

// L2Entry is the first word of an entry of an L2 table.
type L2Entry uint64

// NewL2Entry returns an entry for a host cluster.
func NewL2Entry(offset int64, copied bool) L2Entry { return L2Entry(NewL1Entry(offset, copied)) }

// NewCompressedEntry returns an entry for lenBytes bytes of compressed data at
// offset (Compressed Clusters Descriptor). Both must be within the range that
// the cluster size leaves for them.
func (g Geometry) NewCompressedEntry(offset, lenBytes int64) L2Entry {
	further := (offset+lenBytes-1)/SectorBytes - offset/SectorBytes
	return L2Entry(flagCompressed | uint64(further)<<g.compressedShift() | uint64(offset))
}

// MaxCompressedOffset returns the first offset at which compressed data cannot
// start.
func (g Geometry) MaxCompressedOffset() int64 {
	return min(int64(1)<<g.compressedShift(), MaxOffset)
}

// compressedShift is x of the Compressed Clusters Descriptor.
func (g Geometry) compressedShift() int { return 62 - (g.ClusterBits - 8) }

// Offset returns the offset of the host cluster of a standard descriptor, 0
// if there is none.
func (e L2Entry) Offset() int64 { return int64(uint64(e) & offsetMask) }

// Copied reports whether the refcount of the cluster is exactly one.
func (e L2Entry) Copied() bool { return uint64(e)&flagCopied != 0 }

// Compressed reports whether the cluster is compressed.
func (e L2Entry) Compressed() bool { return uint64(e)&flagCompressed != 0 }

// Zero reports whether the zero flag is set. It has a meaning only in standard
// descriptors of a geometry with ZeroFlag and without ExtendedL2.
func (e L2Entry) Zero() bool { return uint64(e)&flagZero != 0 }

// WithCopied returns the entry with the COPIED flag set or cleared.
func (e L2Entry) WithCopied(copied bool) L2Entry {
	if copied {
		return e | L2Entry(flagCopied)
	}
	return e &^ L2Entry(flagCopied)
}

// WithZero returns the entry with the zero flag set or cleared.
func (e L2Entry) WithZero(zero bool) L2Entry {
	if zero {
		return e | L2Entry(flagZero)
	}
	return e &^ L2Entry(flagZero)
}

// CompressedRange returns where the data of a compressed cluster starts, and
// how many bytes reach to the end of its last sector. The data may end
// anywhere in the last sector.
func (g Geometry) CompressedRange(e L2Entry) (offset, lenBytes int64) {
	x := g.compressedShift()
	offset = int64(uint64(e) & (1<<x - 1))
	further := int64(uint64(e) &^ (flagCopied | flagCompressed) >> x)
	return offset, (further+1)*SectorBytes - offset%SectorBytes
}

// Reserved returns the reserved bits of an entry that are set.
func (g Geometry) Reserved(e L2Entry) uint64 {
	if e.Compressed() {
		offset, _ := g.CompressedRange(e)
		return uint64(offset) &^ uint64(MaxOffset-1)
	}
	used := offsetMask | flagCopied
	if g.ZeroFlag && !g.ExtendedL2 {
		used |= flagZero
	}
	return uint64(e) &^ used
}

// Subclusters is the second word of an extended L2 entry.
type Subclusters uint64

// NewSubclusters returns the word for two sets of subclusters, one bit for
// each, bit 0 for the first.
func NewSubclusters(allocated, zero uint32) Subclusters {
	return Subclusters(uint64(zero)<<32 | uint64(allocated))
}

// Allocated returns the subclusters that are allocated.
func (s Subclusters) Allocated() uint32 { return uint32(s) }

// Zero returns the subclusters that read as zeroes.
func (s Subclusters) Zero() uint32 { return uint32(s >> 32) }

// RefcountTableEntry is an entry of the refcount table.
type RefcountTableEntry uint64

// Offset returns the offset of the refcount block, 0 if there is none. Bits
// 56-63 are part of it; no offset at or above MaxOffset is valid in practice.
func (e RefcountTableEntry) Offset() uint64 { return uint64(e) &^ (SectorBytes - 1) }

// Reserved returns the reserved bits that are set.
func (e RefcountTableEntry) Reserved() uint64 { return uint64(e) & (SectorBytes - 1) }
