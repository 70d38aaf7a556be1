package qcow2

import (
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// fixBitmaps clears entries of bitmap tables that cannot be right: with reserved
// bits, for a place that cannot be, or for one that something else uses, which
// is worth more than a bitmap. What a bitmap lost nobody can tell, so it is
// marked as in use, by which no program trusts it any more.
func (c *checker) fixBitmaps() (changed bool, err error) {
	list, err := readBitmaps(c.file, c.hdr)
	if err != nil {
		return false, err
	}
	img := &Image{file: c.file}
	for _, b := range list {
		if !c.changeable(b.off) || !c.changeable(int64(b.TableOffset)) {
			continue
		}
		table, err := img.readBitmapTable(b)
		if err != nil {
			return changed, err
		}
		marked := false
		for i, e := range table {
			if !c.wrongBitmapEntry(e) {
				continue
			}
			if !marked {
				if err := img.writeBitmapSize(b, b.TableEntries, b.Flags|qcow2fmt.BitmapInUse); err != nil {
					return changed, err
				}
				marked, changed = true, true
			}
			if err := c.writeWord(int64(b.TableOffset)+int64(i)*8, 0); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

func (c *checker) wrongBitmapEntry(e qcow2fmt.BitmapTableEntry) bool {
	off := e.Offset()
	if e.Reserved() != 0 || off == 0 {
		return e.Reserved() != 0
	}
	_, parts := c.census.of(off >> c.geo.ClusterBits)
	return c.offsetFault(off, false) != "" || parts&^partBitmaps != 0
}
