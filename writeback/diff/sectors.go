package diff

// sectorBytes is the unit in which writes are remembered. It is the smallest
// sector, so it fits all.
const sectorBytes = 512

// sectors is a set of sectors of the disk, by number. It takes memory for what
// is in it, a bit for each sector in chunks of 2 MiB of the disk.
type sectors map[int64]*sectorChunk

// chunkSectors is the number of sectors in a chunk.
const chunkSectors = 4096

type sectorChunk [chunkSectors / 64]uint64

// add puts the sectors that [off, off+n) touches into the set.
func (s sectors) add(off, n int64) {
	for i, end := off/sectorBytes, (off+n+sectorBytes-1)/sectorBytes; i < end; {
		c := s[i/chunkSectors]
		if c == nil {
			c = new(sectorChunk)
			s[i/chunkSectors] = c
		}
		for ; i < end; i++ {
			at := i % chunkSectors
			c[at/64] |= 1 << (at % 64)
			if at == chunkSectors-1 {
				i++
				break
			}
		}
	}
}

// drop takes the sectors of [off, off+n) out of the set.
func (s sectors) drop(off, n int64) {
	for i, end := off/sectorBytes, (off+n+sectorBytes-1)/sectorBytes; i < end; {
		next := min(end, (i/chunkSectors+1)*chunkSectors)
		if c := s[i/chunkSectors]; c != nil {
			for ; i < next; i++ {
				at := i % chunkSectors
				c[at/64] &^= 1 << (at % 64)
			}
			if *c == (sectorChunk{}) {
				delete(s, (i-1)/chunkSectors)
			}
		}
		i = next
	}
}

// has reports whether the sector at off is in the set.
func (s sectors) has(off int64) bool {
	i := off / sectorBytes
	c := s[i/chunkSectors]
	at := i % chunkSectors
	return c != nil && c[at/64]&(1<<(at%64)) != 0
}

// all reports whether every sector that [off, off+n) touches is in the set.
func (s sectors) all(off, n int64) bool {
	for end := off + n; off < end; off = (off/sectorBytes + 1) * sectorBytes {
		if !s.has(off) {
			return false
		}
	}
	return true
}

// within appends the parts of [off, off+n) that are in the set to dst, moved
// by shift, and joined where they meet.
func (s sectors) within(dst []Range, off, n, shift int64) []Range {
	for end := off + n; off < end; {
		next := min(end, (off/sectorBytes+1)*sectorBytes)
		if s.has(off) {
			dst = appendRange(dst, Range{off + shift, next - off})
		}
		off = next
	}
	return dst
}

// appendRange appends r, or lengthens the last range by it.
func appendRange(dst []Range, r Range) []Range {
	if r.Len == 0 {
		return dst
	}
	if k := len(dst) - 1; k >= 0 && dst[k].Off+dst[k].Len == r.Off {
		dst[k].Len += r.Len
		return dst
	}
	return append(dst, r)
}
