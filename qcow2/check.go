package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Check examines the metadata of the image in dev: entries of L1, L2, refcount
// and bitmap tables, COPIED flags, the refcount of every cluster, and clusters
// that are used for two things. It changes nothing, opens nothing else and
// reads no data of the guest.
//
// An error says that the check could not run: the file cannot be read, or the
// header, the snapshot table or the bitmap directory is damaged, without which
// nobody knows what is in use.
func Check(ctx context.Context, dev block.Device) (*Report, error) {
	c, err := examine(ctx, dev)
	if err != nil {
		return nil, err
	}
	return &c.report, nil
}

// checker is one examination of an image.
type checker struct {
	ctx    context.Context
	file   *container
	hdr    *qcow2fmt.Header
	geo    qcow2fmt.Geometry
	report Report
	census *census
	refs   *refcounts // for reading
	l1     []l1Table  // the active one first
	l2     []*l2Use   // in the order in which they were found
	byOff  map[int64]*l2Use
	low    int64 // clusters whose refcount is too low
	broken bool  // the refcount table or a block cannot be used as it is

	rebuild bool // leave the refcounts' own tables out of the census
}

// l1Table is an L1 table in memory.
type l1Table struct {
	off     int64 // in the file
	entries []qcow2fmt.L1Entry
}

// l2Use is an L2 table that some L1 tables refer to.
type l2Use struct {
	off    int64
	refs   uint32
	active bool // the active L1 table does
}

// maxL1Total bounds the entries of all L1 tables of an image together.
const maxL1Total = 1 << 26

func newChecker(ctx context.Context, dev block.Device) (*checker, error) {
	hdr, err := readHeader(dev)
	if err != nil {
		return nil, err
	}
	c := &checker{
		ctx: ctx, file: newContainer(dev), hdr: hdr, geo: hdr.Geometry(),
		census: newCensus(), byOff: make(map[int64]*l2Use),
	}
	c.refs, err = newRefcounts(c.file, hdr, 0)
	return c, err
}

// examine walks over the whole image.
func examine(ctx context.Context, dev block.Device) (*checker, error) {
	c, err := newChecker(ctx, dev)
	if err != nil {
		return nil, err
	}
	c.checkMarks()
	steps := []func() error{
		c.countFixed, c.countL1s, c.countL2s, c.countBitmaps, c.countRefcountBlocks,
		c.compare, c.checkCopied, c.findOverlaps,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	c.report.TotalClusters = c.geo.Clusters(int64(c.hdr.Size))
	return c, nil
}

// checkMarks reports the bits that ask for a repair. They break no rule.
func (c *checker) checkMarks() {
	for _, m := range []struct {
		bit        uint64
		code, text string
	}{
		{qcow2fmt.IncompatDirty, CodeMarkedDirty, "the image is marked dirty: refcounts may be wrong"},
		{qcow2fmt.IncompatCorrupt, CodeMarkedCorrupt, "the image is marked corrupt"},
	} {
		if c.hdr.Incompatible&m.bit != 0 {
			c.report.add(diskerr.Finding{Code: m.code, Severity: diskerr.Warning, Offset: 72, Message: m.text,
				Repairable: true, Repair: "clear the mark once everything else is right"})
		}
	}
}

// countTable counts the clusters of a table of n bytes.
func (c *checker) countTable(off, n int64, as part) error {
	return c.census.add(off>>c.geo.ClusterBits, c.geo.Clusters(n), 1, as)
}

// countFixed counts the header, the refcount table and the snapshot table, and
// reads the L1 tables.
func (c *checker) countFixed() error {
	if err := c.census.add(0, 1, 1, partHeader); err != nil {
		return err
	}
	if !c.rebuild {
		if err := c.countTable(c.refs.tableAt, int64(len(c.refs.table))*8, partRefcountTable); err != nil {
			return err
		}
	}
	snapshots, tableBytes, err := readSnapshots(c.file, c.hdr)
	if err != nil {
		return err
	}
	if err := c.countTable(int64(c.hdr.SnapshotsOffset), tableBytes, partSnapshots); err != nil {
		return err
	}
	if err := c.readL1(int64(c.hdr.L1Offset), int(c.hdr.L1Entries)); err != nil {
		return err
	}
	total := int64(c.hdr.L1Entries)
	for _, s := range snapshots {
		if total += int64(s.L1Entries); total > maxL1Total {
			return &diskerr.FormatError{Format: formatName, Structure: "snapshot table", Field: "L1 entries", Offset: -1,
				Value: total, Reason: fmt.Sprintf("all L1 tables together must not exceed %d entries", maxL1Total)}
		}
		if err := c.readL1(int64(s.L1Offset), int(s.L1Entries)); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) readL1(off int64, entries int) error {
	l1, err := readL1(c.file, off, entries)
	if err != nil {
		return err
	}
	c.l1 = append(c.l1, l1Table{off, l1})
	return c.countTable(off, int64(entries)*8, partL1)
}

// countL1s counts the L2 tables that the L1 tables refer to.
func (c *checker) countL1s() error {
	for t, l1 := range c.l1 {
		for i, e := range l1.entries {
			at := l1.off + int64(i)*8
			if e.Reserved() != 0 {
				c.report.corrupt(CodeReservedBits, at, "clear the bits", "L1 entry %d (%#x) has reserved bits set", i, uint64(e))
			}
			if e.Offset() == 0 || !c.validOffset(e.Offset(), at, true, fmt.Sprintf("L1 entry %d", i)) {
				continue
			}
			u := c.byOff[e.Offset()]
			if u == nil {
				u = &l2Use{off: e.Offset()}
				c.byOff[u.off] = u
				c.l2 = append(c.l2, u)
			}
			u.refs++
			u.active = u.active || t == 0
			if err := c.census.add(u.off>>c.geo.ClusterBits, 1, 1, partL2); err != nil {
				return err
			}
		}
	}
	return nil
}

// offsetFault returns the code for an offset that cannot be right, or "". A
// table must lie within the file; of a cluster with data only the beginning.
func (c *checker) offsetFault(off int64, table bool) string {
	switch {
	case off&(c.geo.ClusterBytes()-1) != 0:
		return CodeMisaligned
	case off >= c.file.size() || table && c.geo.ClusterBytes() > c.file.size()-off:
		return CodeOutside
	}
	return ""
}

// validOffset reports an offset that cannot be right.
func (c *checker) validOffset(off, at int64, table bool, what string) bool {
	code := c.offsetFault(off, table)
	if code == "" {
		return true
	}
	why := "is no multiple of the cluster size"
	if code == CodeOutside {
		why = fmt.Sprintf("lies past the end of the file at %#x", c.file.size())
	}
	c.report.corrupt(code, at, "clear the entry; what it mapped is lost", "%s: offset %#x %s", what, off, why)
	return false
}

// countL2s counts the clusters that the L2 tables refer to.
func (c *checker) countL2s() error {
	p := make([]byte, c.geo.ClusterBytes())
	for _, u := range c.l2 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.file.readTable(p, u.off, "L2 table"); err != nil {
			return err
		}
		next := int64(0)
		for at := int64(0); at < int64(len(p)); at += c.geo.L2EntryBytes() {
			if err := c.countEntry(u, p, at, &next); err != nil {
				return err
			}
		}
	}
	return nil
}

// countEntry counts what the L2 entry at a byte offset of the table p refers
// to. next is where the cluster would have to lie that continues the one
// before.
func (c *checker) countEntry(u *l2Use, p []byte, at int64, next *int64) error {
	e := decodeEntry(c.geo, p[at:])
	if e.L2Entry == 0 && e.sub == 0 {
		return nil
	}
	if c.geo.Reserved(e.L2Entry) != 0 {
		c.report.corrupt(CodeReservedBits, u.off+at, "clear the bits", "L2 entry %#x has reserved bits set", uint64(e.L2Entry))
	}
	if e.Compressed() {
		return c.countCompressed(u, e, at)
	}
	off := e.Offset()
	if e.impossible() {
		c.report.corrupt(CodeSubclusters, u.off+at, "drop the bits that cannot be right",
			"L2 entry %#x has impossible subcluster bits %#x", uint64(e.L2Entry), uint64(e.sub))
	}
	if off == 0 || !c.validOffset(off, u.off+at, false, fmt.Sprintf("L2 entry %#x", uint64(e.L2Entry))) {
		return nil
	}
	if u.active {
		c.report.AllocatedClusters++
		if *next != 0 && off != *next {
			c.report.FragmentedClusters++
		}
		*next = off + c.geo.ClusterBytes()
	}
	return c.census.add(off>>c.geo.ClusterBits, 1, u.refs, partData)
}

// countCompressed counts the clusters that a compressed one touches.
func (c *checker) countCompressed(u *l2Use, e entry, at int64) error {
	if e.Copied() {
		c.report.corrupt(CodeCopiedFlag, u.off+at, "clear the flag",
			"L2 entry %#x: a compressed cluster has the COPIED flag", uint64(e.L2Entry))
	}
	off, n := c.geo.CompressedRange(e.L2Entry)
	if off >= c.file.size() || off >= qcow2fmt.MaxOffset {
		c.report.corrupt(CodeOutside, u.off+at, "clear the entry; what it mapped is lost",
			"L2 entry %#x: compressed data at %#x lies past the end of the file at %#x", uint64(e.L2Entry), off, c.file.size())
		return nil
	}
	if u.active {
		c.report.AllocatedClusters++
		c.report.CompressedClusters++
		c.report.FragmentedClusters++
	}
	first := off >> c.geo.ClusterBits
	last := (off + n - 1) >> c.geo.ClusterBits
	return c.census.add(first, last-first+1, u.refs, partCompressed)
}

// countBitmaps counts the clusters of the bitmaps, if they are consistent;
// otherwise nobody uses them.
func (c *checker) countBitmaps() error {
	list, err := readBitmaps(c.file, c.hdr)
	if err != nil || len(list) == 0 {
		return err
	}
	ext, err := c.hdr.Bitmaps()
	if err != nil {
		return err
	}
	if err := c.countTable(int64(ext.DirectoryOffset), int64(ext.DirectoryBytes), partBitmaps); err != nil {
		return err
	}
	for _, b := range list {
		if err := c.countBitmap(b); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) countBitmap(b bitmap) error {
	n := int64(b.TableEntries) * 8
	off := int64(b.TableOffset)
	if err := c.countTable(off, n, partBitmaps); err != nil {
		return err
	}
	p := make([]byte, min(n, c.geo.ClusterBytes()))
	for done := int64(0); done < n; done += int64(len(p)) {
		p = p[:min(int64(len(p)), n-done)]
		if err := c.file.readTable(p, off+done, "bitmap table"); err != nil {
			return err
		}
		for i := 0; i < len(p); i += 8 {
			e := qcow2fmt.BitmapTableEntry(binary.BigEndian.Uint64(p[i:]))
			at := off + done + int64(i)
			if e.Reserved() != 0 {
				c.report.corrupt(CodeReservedBits, at, "clear the entry; the bitmap is useless then", "entry %#x of the table of bitmap %q has reserved bits set", uint64(e), b.Name)
			}
			if e.Offset() == 0 || !c.validOffset(e.Offset(), at, false, "bitmap "+b.Name) {
				continue
			}
			if err := c.census.add(e.Offset()>>c.geo.ClusterBits, 1, 1, partBitmaps); err != nil {
				return err
			}
		}
	}
	return nil
}

// findOverlaps reports clusters that are used for two things. Their refcounts
// can be right all the same.
func (c *checker) findOverlaps() error {
	for _, i := range c.census.sorted() {
		for k, parts := range c.census.chunks[i].parts {
			if !parts.mixed() {
				continue
			}
			c.report.Overlaps++
			off := (i*censusChunkClusters + int64(k)) << c.geo.ClusterBits
			c.report.add(diskerr.Finding{Code: CodeOverlap, Severity: diskerr.Error, Offset: off,
				Message: "the cluster is used for " + strings.Join(parts.names(), " and for ")})
		}
	}
	return nil
}
