package qcow2

import (
	"context"
	"encoding/binary"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// RepairMode says what Repair may change.
type RepairMode uint8

const (
	// RepairLeaks frees clusters that nothing uses.
	RepairLeaks RepairMode = iota
	// RepairAll also corrects flags and refcounts, clears entries that point
	// nowhere, and takes the dirty and corrupt marks away if all is well.
	RepairAll
)

// Repair corrects what Check finds in the image in dev, which nobody may have
// open. Its report says what was found, what of it was repaired, and how much
// remains. The errors are those of Check, and those of writing.
//
// Each step leaves an image that is no worse than before if the power fails in
// it: entries that point nowhere are cleared first; then refcounts are lowered
// in place, or, if some are too low or lie where they cannot be, written anew
// elsewhere and put in place by one write to the header; flags come last.
func Repair(ctx context.Context, dev block.Device, mode RepairMode) (*Report, error) {
	before, err := examine(ctx, dev)
	if err != nil {
		return nil, err
	}
	c := before
	for _, step := range repairSteps[mode] {
		changed, err := step(c)
		if err != nil {
			return nil, err
		}
		if !changed {
			continue
		}
		if err := c.file.sync(); err != nil {
			return nil, err
		}
		if c, err = examine(ctx, dev); err != nil {
			return nil, err
		}
	}
	if err := c.file.trim(); err != nil {
		return nil, err
	}
	return compareReports(&before.report, &c.report), nil
}

// repairSteps are the steps of each mode. Each is given a fresh examination and
// says whether it wrote anything.
var repairSteps = [...][]func(*checker) (bool, error){
	RepairLeaks: {(*checker).lowerRefcounts},
	RepairAll: {
		(*checker).fixBitmaps, (*checker).fixL1, (*checker).copyOut, (*checker).fixL2, (*checker).rebuildRefcounts,
		// Tables that shared a cluster with refcounts have it for themselves now.
		(*checker).fixL2, (*checker).rebuildRefcounts, (*checker).lowerRefcounts,
		(*checker).fixCopied, (*checker).clearMarks,
	},
}

// compareReports returns the final report with the findings of the first one,
// those that are gone marked as repaired.
func compareReports(before, after *Report) *Report {
	type key struct {
		code   string
		offset int64
	}
	left := make(map[key]bool)
	for _, f := range after.Findings {
		left[key{f.Code, f.Offset}] = true
	}
	out := *after
	out.Findings = nil
	seen := make(map[key]bool)
	for _, f := range before.Findings {
		k := key{f.Code, f.Offset}
		f.Repaired, seen[k] = !left[k], true
		out.Findings = append(out.Findings, f)
	}
	for _, f := range after.Findings {
		if !seen[key{f.Code, f.Offset}] {
			out.add(f)
		}
	}
	out.CorruptionsFixed = max(before.Corruptions-after.Corruptions, 0)
	out.LeaksFixed = max(before.Leaks-after.Leaks, 0)
	return &out
}

// foreignTables are the parts that an L2 table cannot share a cluster with, and
// that stay where they are in a repair.
const foreignTables = partHeader | partL1 | partSnapshots | partBitmaps

// changeable reports whether a table at off can be written without harm to
// something else that lies there.
func (c *checker) changeable(off int64) bool {
	_, parts := c.census.of(off >> c.geo.ClusterBits)
	return !parts.mixed()
}

// fixL1 corrects L1 entries that cannot be right.
func (c *checker) fixL1() (changed bool, err error) {
	for _, l1 := range c.l1 {
		for i, e := range l1.entries {
			next := e &^ qcow2fmt.L1Entry(e.Reserved())
			if off := e.Offset(); off != 0 {
				_, parts := c.census.of(off >> c.geo.ClusterBits)
				if c.offsetFault(off, true) != "" || parts&foreignTables != 0 {
					next = 0
				}
			}
			if next == e {
				continue
			}
			changed = true
			if err := c.writeWord(l1.off+int64(i)*8, uint64(next)); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}

// copyOut gives data that shares a cluster with a table, or with compressed
// data, a copy of its own. Which of the two is wrong nobody can know; so
// neither is lost. Refcounts that lie on data move by themselves.
func (c *checker) copyOut() (changed bool, err error) {
	const refcounts = partRefcountTable | partRefcountBlock
	end := c.census.end()
	places := make(map[int64]int64) // of the copies, by offset of the cluster
	buf := make([]byte, c.geo.ClusterBytes())
	for _, i := range c.census.sorted() {
		for k, parts := range c.census.chunks[i].parts {
			if parts&partData == 0 || !(parts &^ refcounts).mixed() {
				continue
			}
			off := (i*censusChunkClusters + int64(k)) << c.geo.ClusterBits
			places[off] = (end + int64(len(places))) << c.geo.ClusterBits
			if err := c.file.readData(buf, off); err != nil {
				return false, err
			}
			if err := c.file.writeAt(buf, places[off]); err != nil {
				return false, err
			}
		}
	}
	if len(places) == 0 {
		return false, nil
	}
	const movable = partL2 | partData
	return c.eachL2(movable, func(u *l2Use, e entry) (entry, error) {
		if at, ok := places[e.Offset()]; ok && c.placed(e) {
			e.L2Entry = qcow2fmt.NewL2Entry(at, false) | e.L2Entry&1
		}
		return e, nil
	})
}

// fixL2 corrects L2 entries that cannot be right.
func (c *checker) fixL2() (changed bool, err error) {
	if c.report.Corruptions == 0 {
		return false, nil
	}
	return c.eachL2(partL2, func(u *l2Use, e entry) (entry, error) { return c.fixedEntry(e), nil })
}

// fixedEntry returns what an L2 entry should be, apart from its COPIED flag.
func (c *checker) fixedEntry(e entry) entry {
	e.L2Entry &^= qcow2fmt.L2Entry(c.geo.Reserved(e.L2Entry))
	if e.Compressed() {
		off, _ := c.geo.CompressedRange(e.L2Entry)
		if off >= c.file.size() {
			return entry{}
		}
		e.L2Entry = e.WithCopied(false)
		return e
	}
	if off := e.Offset(); off != 0 && c.offsetFault(off, false) != "" {
		// Zeroes stay zeroes without the room that was set aside for them.
		return entry{(e.L2Entry & 1), qcow2fmt.NewSubclusters(0, e.sub.Zero())}
	}
	if e.Offset() == 0 {
		e.L2Entry = e.WithCopied(false)
		e.sub = qcow2fmt.NewSubclusters(0, e.sub.Zero())
	}
	e.sub = qcow2fmt.NewSubclusters(e.sub.Allocated(), e.sub.Zero()&^e.sub.Allocated())
	return e
}

// fixCopied makes the COPIED flags of the active tables agree with the
// refcounts.
func (c *checker) fixCopied() (changed bool, err error) {
	l1 := c.l1[0]
	for i, e := range l1.entries {
		at := l1.off + int64(i)*8
		if e.Offset() == 0 || c.byOff[e.Offset()] == nil || !c.changeable(at) {
			continue
		}
		n, err := c.refs.count(e.Offset() >> c.geo.ClusterBits)
		if err != nil {
			return changed, err
		}
		if e.Copied() == (n == 1) {
			continue
		}
		changed = true
		if err := c.writeWord(at, uint64(qcow2fmt.NewL1Entry(e.Offset(), n == 1))); err != nil {
			return changed, err
		}
	}
	fixed, err := c.eachL2(partL2, func(u *l2Use, e entry) (entry, error) {
		if !u.active || !c.placed(e) {
			return e, nil
		}
		n, err := c.refs.count(e.Offset() >> c.geo.ClusterBits)
		e.L2Entry = e.WithCopied(n == 1)
		return e, err
	})
	return changed || fixed, err
}

// eachL2 replaces every entry by what fix returns, in every L2 table that shares
// its cluster with nothing but the given parts.
func (c *checker) eachL2(only part, fix func(*l2Use, entry) (entry, error)) (changed bool, err error) {
	p := make([]byte, c.geo.ClusterBytes())
	for _, u := range c.l2 {
		if err := c.ctx.Err(); err != nil {
			return changed, err
		}
		if _, parts := c.census.of(u.off >> c.geo.ClusterBits); parts&^only != 0 {
			continue
		}
		if err := c.file.readTable(p, u.off, "L2 table"); err != nil {
			return changed, err
		}
		dirty := false
		for at := int64(0); at < int64(len(p)); at += c.geo.L2EntryBytes() {
			e := decodeEntry(c.geo, p[at:])
			next, err := fix(u, e)
			if err != nil {
				return changed, err
			}
			if next != e {
				encodeEntry(c.geo, p[at:], next)
				dirty = true
			}
		}
		if !dirty {
			continue
		}
		changed = true
		if err := c.file.writeAt(p, u.off); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (c *checker) writeWord(off int64, v uint64) error {
	var p [8]byte
	binary.BigEndian.PutUint64(p[:], v)
	return c.file.writeAt(p[:], off)
}

// lowerRefcounts frees leaked clusters, in place.
func (c *checker) lowerRefcounts() (changed bool, err error) {
	if c.report.Leaks == 0 || c.broken {
		return false, nil
	}
	perBlock := int64(1) << c.geo.RefcountBlockBits()
	clusters := c.geo.Clusters(c.file.size())
	for i, e := range c.refs.table {
		first := int64(i) * perBlock
		if e.Offset() == 0 || first >= clusters {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return changed, err
		}
		for cl := first; cl < min(first+perBlock, clusters); cl++ {
			have, err := c.refs.count(cl)
			if err != nil {
				return changed, err
			}
			if used, _ := c.census.of(cl); have > uint64(used) {
				changed = true
				if err := c.refs.set(cl, uint64(used)); err != nil {
					return changed, err
				}
			}
		}
	}
	return changed, c.refs.writePages()
}

// clearMarks takes the dirty and corrupt marks away if nothing is wrong.
func (c *checker) clearMarks() (changed bool, err error) {
	const marks = qcow2fmt.IncompatDirty | qcow2fmt.IncompatCorrupt
	if c.hdr.Incompatible&marks == 0 || c.report.Corruptions+c.report.Overlaps > 0 {
		return false, nil
	}
	return true, c.patchHeader(func(h *qcow2fmt.Header) { h.Incompatible &^= marks })
}

// patchHeader changes fields of the header that lie in its first sector.
func (c *checker) patchHeader(change func(*qcow2fmt.Header)) error {
	img := &Image{file: c.file, hdr: c.hdr}
	err := img.patchHeader(change)
	c.hdr = img.hdr
	return err
}

// rebuildRefcounts writes all refcounts anew behind everything that is in use,
// if some are too low or their tables cannot be used.
func (c *checker) rebuildRefcounts() (changed bool, err error) {
	if !c.broken && c.low == 0 {
		return false, nil
	}
	fresh, err := newChecker(c.ctx, c.file.dev)
	if err != nil {
		return false, err
	}
	fresh.rebuild = true
	for _, step := range []func() error{fresh.countFixed, fresh.countL1s, fresh.countL2s, fresh.countBitmaps} {
		if err := step(); err != nil {
			return false, err
		}
	}
	return true, fresh.writeRefcounts(c.census.end())
}

// writeRefcounts writes the refcounts of a census, with those of their own
// blocks and table, from the cluster end on, and switches to them.
func (c *checker) writeRefcounts(end int64) error {
	regions, table, err := c.plotRefcounts(end)
	if err != nil {
		return err
	}
	used := int64(len(regions)) + table
	if err := c.census.add(end, used, 1, partRefcountBlock); err != nil {
		return err
	}
	perBlock := int64(1) << c.geo.RefcountBlockBits()
	entries := make([]byte, table<<c.geo.ClusterBits)
	block := make([]byte, c.geo.ClusterBytes())
	for i, region := range regions {
		clear(block)
		for k := range perBlock {
			refs, _ := c.census.of(region*perBlock + k)
			qcow2fmt.PutRefcount(block, int(k), c.geo.RefcountOrder, min(uint64(refs), c.geo.MaxRefcount()))
		}
		off := (end + int64(i)) << c.geo.ClusterBits
		binary.BigEndian.PutUint64(entries[region*8:], uint64(off))
		if err := c.file.writeAt(block, off); err != nil {
			return err
		}
	}
	at := (end + int64(len(regions))) << c.geo.ClusterBits
	if err := c.file.writeAt(entries, at); err != nil {
		return err
	}
	if err := c.file.sync(); err != nil {
		return err
	}
	return c.patchHeader(func(h *qcow2fmt.Header) {
		h.RefcountTableOffset, h.RefcountTableClusters = uint64(at), uint32(table)
	})
}

// plotRefcounts returns which ranges of clusters need a refcount block, and the
// size of the table in clusters, when both lie from the cluster end on.
func (c *checker) plotRefcounts(end int64) (regions []int64, table int64, err error) {
	bits := c.geo.RefcountBlockBits()
	for _, i := range c.census.sorted() {
		for k, refs := range c.census.chunks[i].refs {
			region := (i*censusChunkClusters + int64(k)) >> bits
			if refs > 0 && (len(regions) == 0 || regions[len(regions)-1] != region) {
				regions = append(regions, region)
			}
		}
	}
	inUse := len(regions)
	for blocks := int64(inUse); ; { // they count themselves: iterate to the fixed point
		last := (end + blocks + table) >> bits
		regions = regions[:inUse]
		for region := end >> bits; region <= last; region++ {
			if len(regions) == 0 || regions[len(regions)-1] < region {
				regions = append(regions, region)
			}
		}
		size := c.geo.Clusters((last + 1) * 8)
		if int64(len(regions)) == blocks && size == table {
			break
		}
		blocks, table = int64(len(regions)), size
	}
	if table<<c.geo.ClusterBits > qcow2fmt.MaxRefcountTableBytes {
		return nil, 0, &diskerr.NoSpaceError{What: "refcount table", Needed: table << c.geo.ClusterBits,
			Available: qcow2fmt.MaxRefcountTableBytes}
	}
	return regions, table, nil
}
