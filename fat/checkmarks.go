package fat

// mark is what the checker knows of a cluster.
type mark uint8

const (
	markFree   mark = iota // free, bad, or not looked at
	markOrphan             // in use by the FAT, and nothing leads to it so far
	markOwned              // part of a file or directory
	markTail               // an orphan that another orphan leads to
)

// marks holds two bits for each cluster.
type marks []uint64

func newMarks(clusters uint32) marks { return make(marks, (uint64(clusters)+2+31)/32) }

func (m marks) get(c uint32) mark { return mark(m[c/32] >> (c % 32 * 2) & 3) }

func (m marks) set(c uint32, k mark) {
	shift := c % 32 * 2
	m[c/32] = m[c/32]&^(3<<shift) | uint64(k)<<shift
}

// next returns the first cluster from c on, up to last, that has mark k.
func (m marks) next(c, last uint32, k mark) (uint32, bool) {
	for ; c <= last; c++ {
		if c%32 == 0 && m[c/32] == 0 && k != markFree {
			c += 31
			continue
		}
		if m.get(c) == k {
			return c, true
		}
	}
	return 0, false
}
