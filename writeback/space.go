package writeback

import (
	"sync"

	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/overlay"
)

// space knows how much room on the host it takes to carry out what the guest
// writes.
type space struct {
	layout *vvfat.Layout
	copies bool // the host cannot clone: a change of a file takes all of its size

	mu      sync.Mutex
	touched map[vvfat.NodeID]bool // files of the base that are counted
}

func (s *space) init(l *vvfat.Layout, clones bool) {
	s.layout, s.copies, s.touched = l, !clones, map[vvfat.NodeID]bool{}
}

// charge is overlay.Options.Charge. A file of the base is replaced by a new
// inode when it changes first, whole unless the host can clone; everything else
// takes what is written.
func (s *space) charge(off, n int64, keep bool) (bytes int64) {
	g := s.layout.Geometry()
	off -= s.layout.VolumeOffset()
	end := off + n
	off = max(off, g.DataOffset()) // boot sectors and tables are nothing on the host
	for off < end {
		node, next := s.nodeAt(off, end)
		switch {
		case node == nil || !node.Dir && !s.copies:
			bytes += next - off
		case !node.Dir:
			bytes += s.file(node.ID, node.Size, keep)
		}
		off = next
	}
	return bytes
}

// nodeAt returns what the base has at an offset of the volume, nil for nothing,
// and how far that goes, at most to end. What no node has lies behind all that
// nodes have.
func (s *space) nodeAt(off, end int64) (*vvfat.Node, int64) {
	g := s.layout.Geometry()
	c, ok := g.ClusterAt(off)
	if !ok {
		return nil, end
	}
	id, ok := s.layout.OwnerOf(c)
	if !ok {
		return nil, end
	}
	node := s.layout.Node(id)
	return &node, min(end, g.ClusterOffset(node.FirstCluster)+int64(node.Clusters)*int64(g.ClusterBytes()))
}

// file counts a file of the base once.
func (s *space) file(id vvfat.NodeID, size int64, keep bool) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.touched[id] {
		return 0
	}
	if keep {
		s.touched[id] = true
	}
	return size
}

// isMetadata reports whether a range of the disk consists of what is needed to
// delete and to unmount: boot sectors, FATs, the root directory of FAT12 and FAT16,
// and the clusters of the directories of the base. Those of others are in the
// overlay, and have their room there.
func (s *space) isMetadata(off, n int64) bool {
	off -= s.layout.VolumeOffset()
	end, g := off+n, s.layout.Geometry()
	for off = max(off, g.DataOffset()); off < end; {
		node, next := s.nodeAt(off, end)
		if node == nil || !node.Dir {
			return false
		}
		off = next
	}
	return true
}

// metadataBytes returns the room that all of that can take in the overlay.
func (s *space) metadataBytes() int64 {
	g, volume := s.layout.Geometry(), s.layout.VolumeOffset()
	sum := volume + g.DataOffset()
	counted := int64(0) // the end of what is counted, as the clusters of nodes rise
	for id := range s.layout.Nodes() {
		node := s.layout.Node(id)
		if !node.Dir || node.Clusters == 0 {
			continue
		}
		off := volume + g.ClusterOffset(node.FirstCluster)
		end := off + int64(node.Clusters)*int64(g.ClusterBytes())
		off = max(off/overlay.RoomBytes*overlay.RoomBytes, counted)
		end = (end + overlay.RoomBytes - 1) / overlay.RoomBytes * overlay.RoomBytes
		sum, counted = sum+max(end-off, 0), max(end, counted)
	}
	return sum
}

// MetadataBytes returns how much of the overlay the structures of a disk can
// take that must stay writable when there is no more room.
func MetadataBytes(l *vvfat.Layout) int64 { return (&space{layout: l}).metadataBytes() }

// owe tells the disk how much room the changes take that a commit leaves for
// later. What waits cannot hold more than the guest has written.
func (s *Session) owe(res *diff.Result, done func(*diff.Change) bool) {
	if s.o.DryRun {
		return
	}
	waits, left := int64(0), int64(0)
	for _, w := range res.Waiting {
		waits += w.Bytes
	}
	for _, c := range res.Changes {
		contents := c.Kind == diff.Create || len(c.Written) > 0
		if !c.IsDir() && c.Kind != diff.Remove && contents && (done == nil || !done(c)) {
			left += int64(c.Entry.Size)
		}
	}
	s.disk.SetDebt(left + min(waits, s.disk.Activity().UsedBytes))
}
