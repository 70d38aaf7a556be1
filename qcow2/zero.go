package qcow2

import (
	"errors"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// erasure is what happens to the entries of clusters that lose their contents.
type erasure uint8

const (
	eraseFree erasure = iota // zeroes, the host clusters become free
	eraseKeep                // zeroes, the host clusters stay
	eraseDrop                // whatever takes least room and never shows old data
	eraseGone                // as if never written; for what lies past the end
)

// WriteZeroes makes a range read as zeroes by changing entries only, apart from
// the ends of the range. The zeroes are explicit: they hide the backing file
// and show in AppendMap. An image of version 2 has no zero clusters; with a
// backing file that is errors.ErrUnsupported.
func (img *Image) WriteZeroes(off, n int64, f block.ZeroFlags) error {
	if err := img.enterWrite(off, n); err != nil || n == 0 {
		return img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	if !img.geo.ZeroFlag && img.backed {
		return errors.ErrUnsupported
	}
	how := eraseFree
	if f&block.NoHole != 0 {
		how = eraseKeep
	}
	return img.zeroRange(off, n, how)
}

// blank makes a range read as zeroes in whatever way the version has.
func (img *Image) blank(off, n int64) error {
	if !img.geo.ZeroFlag && img.backed {
		_, err := img.store(payload{}, off, n)
		return err
	}
	return img.zeroRange(off, n, eraseFree)
}

// zeroRange makes a range read as zeroes. It may reach past the end of the
// disk, but not of the tables.
func (img *Image) zeroRange(off, n int64, how erasure) error {
	if !img.geo.ZeroFlag {
		how = eraseGone // there are no zero clusters, and nothing shows instead
	}
	start, end := img.inner(off, n, img.geo.SubclusterBytes())
	if start >= end {
		return img.zeroPiece(off, n)
	}
	if err := img.zeroPiece(off, start-off); err != nil {
		return err
	}
	err := img.erase(start, end, how, func(off, n int64) error { return img.zeroPiece(off, n) })
	if err != nil {
		return err
	}
	return img.zeroPiece(end, off+n-end)
}

// Discard frees the clusters within a range. They read as zeroes afterwards,
// but for those of an image of version 2 with a backing file, which stay.
func (img *Image) Discard(off, n int64) error {
	if err := img.enterWrite(off, n); err != nil || n == 0 {
		return img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	start, end := img.inner(off, n, img.geo.ClusterBytes())
	if start >= end || !img.geo.ZeroFlag && img.backed {
		return nil
	}
	return img.erase(start, end, eraseDrop, nil)
}

// inner returns the part of [off, off+n) that consists of whole units. A unit
// that the disk ends in counts as whole if the range reaches the end.
func (img *Image) inner(off, n, unit int64) (start, end int64) {
	start, end = (off+unit-1)&^(unit-1), off+n
	if end == img.Size() {
		end += unit - 1
	}
	return start, end &^ (unit - 1)
}

// zeroPiece writes zeroes, unless there are some.
func (img *Image) zeroPiece(off, n int64) error {
	for n > 0 {
		r, err := img.maps.find(off, n)
		if err != nil {
			return err
		}
		blank := r.state == zeroed || r.state == unallocated && !img.backed
		if !blank {
			if _, err := img.store(payload{}, off, r.n); err != nil {
				return err
			}
		}
		off, n = off+r.n, n-r.n
	}
	return nil
}

// errPartial says that a part of a compressed cluster was to be erased.
var errPartial = errors.New("a compressed cluster cannot be changed in part")

// erase changes the entries of [start, end), whole subclusters or clusters. A
// part of a compressed cluster goes to write.
func (img *Image) erase(start, end int64, how erasure, write func(off, n int64) error) error {
	changed := false
	for start < end {
		n := min(end, img.sliceEnd(start)) - start
		if cut := -start & (img.geo.ClusterBytes() - 1); cut != 0 {
			n = min(n, cut) // the rest of a cluster by itself
		} else if n >= img.geo.ClusterBytes() {
			n &^= img.geo.ClusterBytes() - 1
		}
		dirty, err := img.eraseSome(start, n, how)
		if err == errPartial {
			err = write(start, n)
		}
		if err != nil {
			return err
		}
		changed = changed || dirty
		start += n
		if img.maps.crowded() {
			if err := img.flush(); err != nil {
				return err
			}
		}
	}
	if changed && img.opts.Mode == WriteThrough {
		return img.push()
	}
	return nil
}

// eraseSome changes entries of one slice: those of whole clusters, or that of
// one cluster in part.
func (img *Image) eraseSome(off, n int64, how erasure) (changed bool, err error) {
	img.plan.Lock()
	defer img.plan.Unlock()
	if err := img.prepare(); err != nil {
		return false, err
	}
	first := off >> img.geo.ClusterBits
	img.await(first, (off+n-1)>>img.geo.ClusterBits-first+1)
	if how == eraseDrop || how == eraseGone {
		img.maps.mu.RLock()
		s, err := img.maps.slotOf(off)
		img.maps.mu.RUnlock()
		if err != nil || s.table == 0 {
			return false, err
		}
	}
	if _, err := img.ownTable(off); err != nil {
		return false, err
	}
	err = img.maps.update(off, func(s slot, sl *slice) error {
		at := s.at
		for c := first; c<<img.geo.ClusterBits < off+n; c++ {
			dirty, err := img.eraseEntry(sl, at, c<<img.geo.ClusterBits, off, off+n, how)
			if err != nil {
				return err
			}
			changed = changed || dirty
			at += img.geo.L2EntryBytes()
		}
		return nil
	})
	return changed, err
}

// eraseEntry changes the entry of the cluster at start for what lies of it in
// [off, end). The caller holds mapper.mu for writing.
func (img *Image) eraseEntry(sl *slice, at, start, off, end int64, how erasure) (bool, error) {
	m, g := img.maps, img.geo
	old := m.entryAt(sl, at)
	next := img.erased(old, how)
	if whole := off <= start && end >= start+g.ClusterBytes(); !whole && g.ExtendedL2 {
		if old.Compressed() {
			return false, errPartial
		}
		p := plan{off: max(off, start), n: min(end, start+g.ClusterBytes()) - max(off, start)}
		next = partlyErased(old, img.touched(&p, start>>g.ClusterBits), how)
	}
	if next == old {
		return false, nil
	}
	if old.Compressed() || next.Offset() != old.Offset() {
		m.releaseOld(old)
	}
	m.putEntry(sl, at, next)
	return true, nil
}

// erased returns the entry of a whole cluster that was erased.
func (img *Image) erased(old entry, how erasure) entry {
	host := qcow2fmt.L2Entry(0)
	switch {
	case how == eraseGone, how == eraseDrop && !img.backed:
		return entry{}
	case how == eraseDrop && old == entry{}:
		return old
	case how == eraseKeep && !old.Compressed():
		host = qcow2fmt.NewL2Entry(old.Offset(), old.Copied() && old.Offset() != 0)
	}
	if img.geo.ExtendedL2 {
		return entry{host, qcow2fmt.NewSubclusters(0, ^uint32(0))}
	}
	return entry{L2Entry: host.WithZero(true)}
}

// partlyErased returns the entry of a cluster of which some subclusters become
// zeroes.
func partlyErased(old entry, gone uint32, how erasure) entry {
	allocated := old.sub.Allocated() &^ gone
	next := entry{old.L2Entry, qcow2fmt.NewSubclusters(allocated, old.sub.Zero()|gone)}
	if allocated == 0 && how != eraseKeep {
		next.L2Entry = 0
	}
	return next
}
