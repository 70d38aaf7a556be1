package fat

import (
	"bytes"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// fatChunk is how much of each FAT is read at once.
const fatChunk = 768 << 10 // a multiple of 3 bytes and of a page

// checkFATs compares the FATs, makes them equal to the best of them, and marks
// what that one says is in use.
func (c *checker) checkFATs() error {
	c.t = newTable(c.disk, &c.geo)
	c.marks = newMarks(c.geo.Clusters)
	c.unused = 2
	if c.geo.Mirrored && c.geo.FATs > 1 {
		if err := c.compareFATs(); err != nil {
			return err
		}
	}
	if err := c.checkFirstEntries(); err != nil {
		return err
	}
	buf := make([]byte, min(fatChunk, c.t.bytes))
	zero := make([]byte, 4096)
	typ, last := c.geo.Type, c.geo.MaxCluster()
	cluster := uint32(0)
	for off := int64(0); off < c.t.bytes && cluster <= last; off += fatChunk {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(fatChunk, c.t.bytes-off)]
		if err := c.disk.read(p, c.geo.FATOffset(c.geo.ActiveFAT)+off); err != nil {
			return err
		}
		for cluster <= last {
			at := int(typ.EntryOffset(cluster) - off)
			if at+typ.EntryBytes() > len(p) {
				break
			}
			if typ != fatfmt.FAT12 && at%len(zero) == 0 && at+len(zero) <= len(p) && bytes.Equal(p[at:at+len(zero)], zero) {
				cluster += uint32(typ.EntriesIn(int64(len(zero))))
				continue
			}
			c.markEntry(cluster, typ.DecodeEntry(p[at:], cluster))
			cluster++
		}
	}
	return nil
}

// markEntry notes what a FAT entry says.
func (c *checker) markEntry(cluster, v uint32) {
	if !c.geo.Valid(cluster) {
		return
	}
	switch c.geo.Type.Classify(v, c.geo.MaxCluster()) {
	case fatfmt.Free:
	case fatfmt.Bad:
		c.res.Bad++
	default:
		c.marks.set(cluster, markOrphan)
	}
}

// compareFATs makes all FATs equal, if they are not.
func (c *checker) compareFATs() error {
	best, differ, err := c.bestFAT()
	if err != nil || differ < 0 {
		return err
	}
	c.report(diskerr.Error, "fats-differ", "", differ, fmt.Sprintf("copy FAT %d to the others", best+1),
		"the FATs are not equal, first at byte %d; FAT %d is in the best state", differ-c.geo.FATOffset(1), best+1)
	buf := make([]byte, min(fatChunk, c.geo.FATBytes()))
	for off := int64(0); off < c.geo.FATBytes(); off += fatChunk {
		p := buf[:min(fatChunk, c.geo.FATBytes()-off)]
		if err := c.disk.read(p, c.geo.FATOffset(best)+off); err != nil {
			return err
		}
		other := make([]byte, len(p))
		for i := range c.geo.FATs {
			if i == best {
				continue
			}
			if err := c.disk.read(other, c.geo.FATOffset(i)+off); err != nil {
				return err
			}
			if bytes.Equal(p, other) {
				continue
			}
			if err := c.disk.write(p, c.geo.FATOffset(i)+off); err != nil {
				return err
			}
		}
	}
	return nil
}

// bestFAT returns the FAT with the fewest impossible entries, the first of
// equals, and where a FAT first differs from the first one; -1 if none does.
func (c *checker) bestFAT() (best int, differ int64, err error) {
	differ = -1
	wrong := make([]int, c.geo.FATs)
	size := c.t.bytes
	first, other := make([]byte, min(fatChunk, size)), make([]byte, min(fatChunk, size))
	for off := int64(0); off < size; off += fatChunk {
		p := first[:min(fatChunk, size-off)]
		if err := c.disk.read(p, c.geo.FATOffset(0)+off); err != nil {
			return 0, 0, err
		}
		counted := false
		for i := 1; i < c.geo.FATs; i++ {
			q := other[:len(p)]
			if err := c.disk.read(q, c.geo.FATOffset(i)+off); err != nil {
				return 0, 0, err
			}
			if bytes.Equal(p, q) {
				continue
			}
			for k := range p {
				if p[k] != q[k] && differ < 0 {
					differ = c.geo.FATOffset(i) + off + int64(k)
				}
			}
			if !counted {
				wrong[0] += c.wrongEntries(p, off)
				counted = true
			}
			wrong[i] += c.wrongEntries(q, off)
		}
	}
	for i, n := range wrong {
		if n < wrong[best] {
			best = i
		}
	}
	return best, differ, nil
}

// wrongEntries counts the impossible entries in the part p of a FAT, which
// begins at byte off. off is a multiple of 3 and of 4.
func (c *checker) wrongEntries(p []byte, off int64) int {
	typ := c.geo.Type
	first := uint32(typ.EntriesIn(off))
	n := 0
	for i := uint32(0); first+i <= c.geo.MaxCluster(); i++ {
		at := int(typ.EntryOffset(first+i) - off)
		if at+typ.EntryBytes() > len(p) {
			break
		}
		v := typ.DecodeEntry(p[at:], first+i)
		switch {
		case first+i == 0:
			if v != c.entry0() {
				n++
			}
		case first+i > 1 && typ.Classify(v, c.geo.MaxCluster()) == fatfmt.Reserved:
			n++
		}
	}
	return n
}

// entry0 is what FAT entry 0 should be.
func (c *checker) entry0() uint32 {
	e0, _ := c.geo.Type.FirstEntries(c.geo.Media)
	return e0
}

// checkFirstEntries checks entries 0 and 1, and notes the dirty marks.
func (c *checker) checkFirstEntries() error {
	typ := c.geo.Type
	for cluster := range uint32(2) {
		v, _, err := c.get(cluster)
		if err != nil {
			return err
		}
		want := c.entry0()
		if cluster == 1 {
			flags := typ.CleanBit() | typ.NoErrorBit()
			c.dirty = c.dirty || v&typ.CleanBit() != typ.CleanBit()
			c.diskError = c.diskError || v&typ.NoErrorBit() != typ.NoErrorBit()
			want = typ.EndMark()&^flags | v&flags
			if typ.Classify(v|flags, c.geo.MaxCluster()) == fatfmt.End {
				want = v
			}
		}
		if v == want {
			continue
		}
		c.report(diskerr.Warning, "fat-first-entries", "", c.entryOffset(cluster), fmt.Sprintf("set it to %#x", want),
			"FAT entry %d is %#x, should be %#x", cluster, v, want)
		if err := c.set(cluster, want); err != nil {
			return err
		}
	}
	return nil
}
