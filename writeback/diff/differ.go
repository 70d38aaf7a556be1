package diff

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// Differ compares moments of one disk with a catalog, one after the other. It
// remembers what waits. It is not safe for concurrent use.
type Differ struct {
	cat *catalog.Catalog
	o   Options

	// fresh are the sectors that were written and are not part of what was
	// committed. A cluster that an object gained must be in it, unless the
	// cluster was somebody's before.
	fresh sectors
	// pending are the objects that waited, or failed to reach the host; they
	// are looked at again. A directory in it is walked.
	pending map[catalog.ID]bool
	label   *[fatfmt.LabelBytes]byte // of the root directory, when it was walked last
}

// New returns a Differ for the disk whose last commit cat describes.
func New(cat *catalog.Catalog, o Options) *Differ {
	return &Differ{cat: cat, o: o, fresh: sectors{}, pending: map[catalog.ID]bool{}}
}

// Diff compares v with the catalog. It changes neither; Committed and Failed
// say what became of the changes. An error means that the disk or the base
// could not be read, and that nothing is known.
func (d *Differ) Diff(v View) (*Result, error) {
	s := &session{
		Differ: d, view: v, fat: newTable(v, &d.o), res: &Result{},
		marked: map[catalog.ID]bool{}, walks: map[catalog.ID]*walk{}, now: map[catalog.ID]*state{},
		waits: map[catalog.ID]problem{}, indexes: map[catalog.ID][]int{}, next: map[catalog.ID]bool{},
		walked: map[uint32]bool{}, isGone: map[catalog.ID]bool{}, wiped: map[catalog.ID]bool{}, blocked: map[place]bool{},
		stays: map[catalog.ID]problem{}, undecided: map[catalog.ID]bool{},
	}
	for _, r := range v.Written {
		d.fresh.add(r.Off, r.Len)
	}
	for _, step := range []func() error{s.mark, s.look, s.matchAll, s.judge, s.judgeNames, s.report} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s.res, nil
}

// session is one comparison.
type session struct {
	*Differ
	view View
	fat  *table
	res  *Result

	marked map[catalog.ID]bool // objects that may differ
	walks  map[catalog.ID]*walk
	queue  []catalog.ID // directories to be walked
	now    map[catalog.ID]*state
	waits  map[catalog.ID]problem
	next   map[catalog.ID]bool // what will be pending: waiting objects, and the directories that show them
	walked map[uint32]bool     // first clusters of the directories that were walked

	indexes map[catalog.ID][]int // extentOf's memory

	gone    []*catalog.Object // committed objects that their directory shows no more; nil where one was found elsewhere
	isGone  map[catalog.ID]bool
	wiped   map[catalog.ID]bool // gone objects whose entry is not deleted, but wiped
	loose   []*found            // entries that no object is known for yet; nil where it is known now
	blocked map[place]bool      // names whose entry waits

	relocated []relocation        // directories that kept their name and not their clusters
	undecided map[catalog.ID]bool // those that relocated has

	claims []claim                // see judge.go
	stays  map[catalog.ID]problem // why a gone object is not removed yet
}

// state is where and what an object is now. The objects without one are as
// they were committed.
type state struct {
	old    *catalog.Object // nil for a new one
	parent catalog.ID
	entry  catalog.Entry
	chain  []catalog.Extent
	judged bool // chain is valid
}

func (s *state) isDir() bool { return s.entry.Attr&fatfmt.AttrDirectory != 0 }

// found is an entry that a walk came across.
type found struct {
	dir   catalog.ID
	entry catalog.Entry
}

// mark finds the objects that the written sectors belong to.
func (s *session) mark() error {
	for id := range s.pending {
		s.marked[id] = true
	}
	for _, r := range s.view.Written {
		if err := s.markRange(r); err != nil {
			return err
		}
	}
	return s.readMarks()
}

// markRange marks what a written range touches.
func (s *session) markRange(r Range) error {
	g := &s.o.Geometry
	off, end := r.Off-s.o.Volume, r.Off+r.Len-s.o.Volume
	if fat := g.FATOffset(g.ActiveFAT); off < fat+g.FATBytes() && end > fat {
		if err := s.markFAT(max(off-fat, 0), min(end-fat, g.FATBytes())); err != nil {
			return err
		}
	}
	if root := g.RootOffset(); g.Type != fatfmt.FAT32 && off < root+g.RootBytes() && end > root {
		s.marked[catalog.Root] = true
	}
	cb := int64(g.ClusterBytes())
	for off = max(off, g.DataOffset()); off < end; {
		c, ok := g.ClusterAt(off)
		if !ok {
			break
		}
		o, err := s.cat.Owner(c)
		if err != nil {
			return err
		}
		if o == nil {
			off = g.ClusterOffset(c) + cb
			continue
		}
		s.marked[o.ID] = true
		off = s.afterRun(o, c)
	}
	return nil
}

// afterRun returns the offset behind the clusters of o that follow c without a
// gap, so that a long run is asked for once.
func (s *session) afterRun(o *catalog.Object, c uint32) int64 {
	if k := s.extentOf(o, c); k >= 0 {
		c = o.Chain[k].First + o.Chain[k].Count - 1
	}
	return s.o.Geometry.ClusterOffset(c) + int64(s.o.Geometry.ClusterBytes())
}

// markFAT marks the owners of the clusters whose entries, in bytes [off, end)
// of the FAT, are not as they were committed.
func (s *session) markFAT(off, end int64) error {
	g := &s.o.Geometry
	first := uint32(max(g.Type.EntriesIn(off)-1, 2)) // one before: FAT12's may straddle
	last := min(uint32(g.Type.EntriesIn(end)+1), g.MaxCluster())
	for c := first; c <= last; {
		o, err := s.cat.Owner(c)
		if err != nil {
			return err
		}
		if o == nil {
			c++
			continue
		}
		if c, err = s.compareChain(o, c, last); err != nil {
			return err
		}
	}
	return nil
}

// compareChain marks o unless the entries from c to last that follow each
// other in its committed chain still say so. It returns the first cluster that
// it did not look at.
func (s *session) compareChain(o *catalog.Object, c, last uint32) (uint32, error) {
	k := s.extentOf(o, c)
	if k < 0 {
		return c + 1, nil
	}
	end := o.Chain[k].First + o.Chain[k].Count
	for ; c < end && c <= last; c++ {
		v, err := s.fat.entry(c)
		if err != nil {
			return 0, err
		}
		same := v == c+1
		switch {
		case c+1 < end:
		case k+1 < len(o.Chain):
			same = v == o.Chain[k+1].First
		default:
			same = s.o.Geometry.Type.Classify(v, s.o.Geometry.MaxCluster()) == fatfmt.End
		}
		if !same {
			s.marked[o.ID] = true
			return end, nil
		}
	}
	return c, nil
}

// readMarks reads what marks the volume as clean, and notices a wiped FAT.
func (s *session) readMarks() error {
	g := &s.o.Geometry
	e0, err := s.fat.entry(0)
	if err != nil {
		return err
	}
	e1, err := s.fat.entry(1)
	if err != nil {
		return err
	}
	if byte(e0) != g.Media {
		s.alarm(false, "the FAT does not begin with the media byte %#x any more: it was wiped or replaced", g.Media)
	}
	boot := make([]byte, fatfmt.BootSectorBytes)
	if _, err := s.view.ReadAt(boot, s.o.Volume); err != nil {
		return err
	}
	b, err := fatfmt.DecodeBootSector(boot)
	if err != nil {
		return err
	}
	now, err := b.Geometry()
	switch {
	case err != nil:
		s.alarm(true, "the boot sector describes no volume any more: %v", err)
	case !sameShape(&now, g):
		s.alarm(true, "the boot sector describes another volume: it was formatted anew, or the disk was replaced")
	case b.HasSerial() && b.Serial != s.o.Serial:
		s.alarm(false, "the volume has another serial number, %08X and not %08X: it was formatted anew", b.Serial, s.o.Serial)
	}
	if err := s.checkPartitions(); err != nil {
		return err
	}
	clean := b.State&fatfmt.StateDirty == 0
	if bit := g.Type.CleanBit(); bit != 0 {
		s.res.Marked = true
		s.res.Busy = e1&bit == 0
		clean = clean && !s.res.Busy
	}
	s.res.Clean = clean
	s.res.Label = b.Label
	return nil
}

// checkPartitions notices a partition table that is another one.
func (s *session) checkPartitions() error {
	if s.o.Volume == 0 {
		return nil
	}
	sector := make([]byte, fatfmt.BootSectorBytes)
	if _, err := s.view.ReadAt(sector, 0); err != nil {
		return err
	}
	if !bytes.Equal(sector[PartitionsOff:PartitionsEnd], s.o.Partitions) {
		s.alarm(true, "the partition table is another one")
	}
	return nil
}

// PartitionsOff and PartitionsEnd say where the four entries of a partition
// table are in an MBR.
const PartitionsOff, PartitionsEnd = 446, 510

// sameShape reports whether two boot sectors put files at the same places.
func sameShape(a, b *fatfmt.Geometry) bool {
	return a.Type == b.Type && a.SectorBytes == b.SectorBytes && a.ClusterSectors == b.ClusterSectors &&
		a.ReservedSectors == b.ReservedSectors && a.FATs == b.FATs && a.FATSectors == b.FATSectors &&
		a.RootEntries == b.RootEntries && a.RootCluster == b.RootCluster && a.Clusters == b.Clusters
}

// alarm reports a reason to believe that the disk was overwritten.
func (s *session) alarm(foreign bool, format string, args ...any) {
	s.res.Alarms = append(s.res.Alarms, Alarm{fmt.Sprintf(format, args...), foreign})
}

// wait says that an object is not complete.
func (s *session) wait(id catalog.ID, why problem) {
	if _, ok := s.waits[id]; !ok {
		s.waits[id] = why
	}
}

// waitEntry says that an entry that is no object yet is not complete.
func (s *session) waitEntry(f *found, why problem) {
	s.next[f.dir] = true
	s.res.Waiting = append(s.res.Waiting, Waiting{Path: join(s.path(f.dir), f.entry.Name), Reason: string(why), Bytes: int64(f.entry.Size)})
}

// fewExtents is the length of a chain that is searched from its beginning.
const fewExtents = 16

// extentOf returns which extent of the committed chain of o holds cluster c; -1
// if none does.
func (s *session) extentOf(o *catalog.Object, c uint32) int {
	holds := func(e catalog.Extent) bool { return c >= e.First && c < e.First+e.Count }
	if len(o.Chain) <= fewExtents {
		return slices.IndexFunc(o.Chain, holds)
	}
	index, ok := s.indexes[o.ID]
	if !ok {
		index = make([]int, len(o.Chain))
		for i := range index {
			index[i] = i
		}
		slices.SortFunc(index, func(a, b int) int { return cmp.Compare(o.Chain[a].First, o.Chain[b].First) })
		s.indexes[o.ID] = index
	}
	i, _ := slices.BinarySearchFunc(index, c, func(k int, c uint32) int { return cmp.Compare(o.Chain[k].First+o.Chain[k].Count-1, c) })
	if i < len(index) && holds(o.Chain[index[i]]) {
		return index[i]
	}
	return -1
}

// sortedKeys returns the keys of m in rising order, so that nothing depends on
// the order of a map.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
