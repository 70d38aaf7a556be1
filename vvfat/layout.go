package vvfat

import (
	"fmt"
	"sort"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// Layout is the disk of a tree: where everything lies, but no contents. It is
// immutable and safe for concurrent use.
//
// Clusters are given out in the order of positions. A position is a node's
// number, but for the entries of the root when some of them come first. So one
// list of first clusters in rising order is all that is needed to find the
// owner of a cluster, and no FAT is held.
type Layout struct {
	tree  *Tree
	names *names
	o     Options
	given Options // as NewLayout got them
	id    Identity
	geo   fatfmt.Geometry // = id.Geometry

	// starts holds the first cluster of each position and, at its end, the
	// first free cluster. A position that has no clusters starts where the
	// next one does.
	starts []uint32
	// order holds the nodes at positions 1, 2, …, and inverse their positions,
	// if some entries of the root come first; else both are nil.
	order   []NodeID
	inverse []uint32
	// fronts is the number of entries before the label in the root.
	fronts int

	pieces  []piece // all bytes that are neither FAT, directory nor file
	volume  int64   // offset of the volume, bytes
	volEnd  int64   // end of the volume's last sector, bytes
	entries [2]uint32
}

// position is the place of a node in the order of clusters.
type position uint32

// piece is bytes at a fixed place of the disk.
type piece struct {
	off  int64
	data []byte
}

// NewLayout lays out the disk of a tree. It does no I/O and depends on nothing
// but its arguments.
//
// Errors are *OptionError for a mistake in the options, *FitError and
// *RootError (both match diskerr.ErrNoSpace) for a tree that does not fit, and
// *fs.PathError for a directory with too many entries.
func NewLayout(t *Tree, o Options) (*Layout, error) {
	given := o
	if err := o.complete(); err != nil {
		return nil, err
	}
	cp, err := fatfmt.LookupCodePage(o.CodePage)
	if err != nil {
		return nil, &OptionError{Option: "--codepage", Reason: err.Error()}
	}
	l := &Layout{tree: t, o: o, given: given, names: &names{tree: t, cp: cp, distinct: map[NodeID]string{}}}
	if err := l.identify(); err != nil {
		return nil, err
	}
	labelSlots := 0
	if l.id.Label != fatfmt.NoLabel {
		labelSlots = 1
	}
	d, err := measure(l.names, labelSlots, o.Warn)
	if err != nil {
		return nil, err
	}
	if err := l.front(); err != nil {
		return nil, err
	}
	if err := l.place(d); err != nil {
		return nil, err
	}
	l.assign(d)
	if err := l.render(); err != nil {
		return nil, err
	}
	l.names.hashes = nil
	l.o.Warn, l.given.Warn = nil, nil
	return l, nil
}

// nodeAt returns the node at a position.
func (l *Layout) nodeAt(p position) NodeID {
	if p > 0 && int(p) <= len(l.order) {
		return l.order[p-1]
	}
	return NodeID(p)
}

// positionOf returns the position of a node.
func (l *Layout) positionOf(id NodeID) position {
	if id > 0 && int(id) <= len(l.inverse) {
		return position(l.inverse[id-1])
	}
	return position(id)
}

// extent returns the clusters of a position: first up to, not with, end.
func (l *Layout) extent(p position) (first, end uint32) { return l.starts[p], l.starts[p+1] }

// firstCluster returns what a directory entry has as the first cluster of a
// node: 0 if it has none.
func (l *Layout) firstCluster(id NodeID) uint32 {
	if first, end := l.extent(l.positionOf(id)); first < end {
		return first
	}
	return 0
}

// used returns the first cluster that nothing uses.
func (l *Layout) used() uint32 { return l.starts[len(l.starts)-1] }

// owner returns the position whose extent holds cluster c, which is used.
func (l *Layout) owner(c uint32) position {
	// The last position that starts at or before c: those that start there
	// too but have no clusters come earlier.
	return position(sort.Search(len(l.starts), func(i int) bool { return l.starts[i] > c }) - 1)
}

// assign gives every node its clusters. The demand is known to fit.
func (l *Layout) assign(d *demand) {
	t, cluster := l.tree, int64(l.geo.ClusterBytes())
	dirBytes := make(map[NodeID]uint32) // of the root's directories, if these are out of order
	next, dirs := uint32(2), 0
	if l.order != nil {
		first, end := t.children(RootID)
		k := 1
		for id := first; id < end; id++ {
			if t.node(id).isDir() {
				dirBytes[id] = d.dirBytes[k]
				k++
			}
		}
	}
	l.starts = make([]uint32, 0, t.count+1)
	for p := position(0); int(p) < t.count; p++ {
		l.starts = append(l.starts, next)
		id := l.nodeAt(p)
		n := t.node(id)
		size := int64(n.size)
		if n.isDir() {
			size = int64(d.dirBytes[dirs])
			if moved, ok := dirBytes[id]; ok {
				size = int64(moved)
			}
			dirs++
		}
		switch {
		case id != RootID:
		case l.geo.Type != fatfmt.FAT32:
			continue // the root has a place of its own
		default:
			size = max(size, 1) // it has at least one cluster
		}
		next += uint32((size + cluster - 1) / cluster)
	}
	l.starts = append(l.starts, next)
}

// FillEntries implements fatfmt.EntrySource: it computes the entries of the FAT.
func (l *Layout) FillEntries(first uint32, dst []uint32) {
	i, used := 0, l.used()
	for ; i < len(dst) && first < 2; i, first = i+1, first+1 {
		dst[i] = l.entries[first]
	}
	if i < len(dst) && first < used {
		end := l.geo.Type.EndMark()
		for p := l.owner(first); i < len(dst) && first < used; p++ {
			last := l.starts[p+1]
			for ; i < len(dst) && first < last; i++ {
				first++
				dst[i] = first
			}
			if i > 0 && first == last && last > l.starts[p] {
				dst[i-1] = end
			}
		}
	}
	clear(dst[i:])
}

var _ fatfmt.EntrySource = (*Layout)(nil)

// Size returns the size of the disk in bytes.
func (l *Layout) Size() int64 { return l.id.SizeBytes }

// Tree returns the tree that the disk shows.
func (l *Layout) Tree() *Tree { return l.tree }

// Identity returns what the next generation of the disk keeps.
func (l *Layout) Identity() Identity { return l.id }

// Info describes the disk for people.
type Info struct {
	Type         string `json:"type"`          // FAT12, FAT16 or FAT32
	Table        string `json:"table"`         // none, mbr or gpt
	Label        string `json:"label"`         // "" if there is none
	Serial       string `json:"serial"`        // as DOS writes it, 1234-ABCD
	SizeBytes    int64  `json:"size_bytes"`    // of the disk
	VolumeOffset int64  `json:"volume_offset"` // bytes
	VolumeBytes  int64  `json:"volume_bytes"`
	SectorBytes  int    `json:"sector_bytes"`
	ClusterBytes int    `json:"cluster_bytes"`
	Clusters     int64  `json:"clusters"`
	FreeClusters int64  `json:"free_clusters"`
	Files        int    `json:"files"`
	Directories  int    `json:"directories"`
	FileBytes    int64  `json:"file_bytes"`
	Cylinders    int    `json:"cylinders"` // of the BIOS geometry
	Heads        int    `json:"heads"`
	TrackSectors int    `json:"track_sectors"`
}

// Info describes the disk.
func (l *Layout) Info() Info {
	g := &l.geo
	heads, spt := int(g.Heads), int(g.SectorsPerTrack)
	return Info{
		Type:         g.Type.String(),
		Table:        l.id.Table.String(),
		Label:        fatfmt.DecodeLabel(l.id.Label, l.names.cp),
		Serial:       fmt.Sprintf("%04X-%04X", l.id.Serial>>16, l.id.Serial&0xFFFF),
		SizeBytes:    l.id.SizeBytes,
		VolumeOffset: l.volume,
		VolumeBytes:  g.TotalBytes(),
		SectorBytes:  g.SectorBytes,
		ClusterBytes: g.ClusterBytes(),
		Clusters:     int64(g.Clusters),
		FreeClusters: int64(g.Clusters) - int64(l.used()-2),
		Files:        l.tree.Files(),
		Directories:  l.tree.Dirs(),
		FileBytes:    l.tree.Bytes(),
		Cylinders:    int(l.id.SizeBytes / int64(g.SectorBytes) / int64(max(heads*spt, 1))),
		Heads:        heads,
		TrackSectors: spt,
	}
}
