package vvfat

// runKind says where the bytes of a run come from.
type runKind uint8

const (
	runZero  runKind = iota // nowhere
	runBytes                // a piece
	runFAT                  // computed from the extents
	runDir                  // a rendered directory, zeroes behind its end
	runFile                 // a file of the tree
)

// run is a piece of the disk whose bytes all come from one place.
type run struct {
	kind runKind
	id   NodeID // of a directory or a file
	n    int64  // bytes, more than 0
	off  int64  // where they begin within the FAT, the directory or the file
	data []byte // of a piece
}

// runAt returns the run that begins at off, which is on the disk. It goes on
// to the end of its place and is not limited to what the caller asked for.
func (l *Layout) runAt(off int64) run {
	if off >= l.volume+l.geo.FATOffset(0) && off < l.volEnd {
		return l.volumeRun(off - l.volume)
	}
	return l.pieceRun(off)
}

// pieceRun returns the run at off among the pieces and the zeroes between
// them.
func (l *Layout) pieceRun(off int64) run {
	limit := l.id.SizeBytes
	if off < l.volume+l.geo.FATOffset(0) {
		limit = l.volume + l.geo.FATOffset(0)
	}
	for i := range l.pieces {
		p := &l.pieces[i]
		if off < p.off {
			limit = min(limit, p.off)
			break
		}
		if at := off - p.off; at < int64(len(p.data)) {
			return run{kind: runBytes, data: p.data[at:], n: int64(len(p.data)) - at}
		}
	}
	return run{kind: runZero, n: limit - off}
}

// volumeRun returns the run at off from the start of the volume, which is
// behind the boot area.
func (l *Layout) volumeRun(off int64) run {
	g := &l.geo
	if end := g.FATOffset(g.FATs); off < end {
		in := (off - g.FATOffset(0)) % g.FATBytes()
		if full := g.Type.EntriesBytes(l.used()); in < full {
			return run{kind: runFAT, off: in, n: full - in}
		}
		return run{kind: runZero, n: g.FATBytes() - in}
	}
	data := g.DataOffset()
	if off < data {
		return run{kind: runDir, id: RootID, off: off - g.FATOffset(g.FATs), n: data - off}
	}
	cluster := int64(g.ClusterBytes())
	if used := data + int64(l.used()-2)*cluster; off >= used {
		return run{kind: runZero, n: l.volEnd - l.volume - off}
	}
	p := l.owner(uint32((off-data)/cluster) + 2)
	first, last := l.extent(p)
	start := data + int64(first-2)*cluster
	in, room := off-start, int64(last-first)*cluster
	id := l.nodeAt(p)
	n := l.tree.node(id)
	switch {
	case n.isDir():
		return run{kind: runDir, id: id, off: in, n: room - in}
	case in < int64(n.size):
		return run{kind: runFile, id: id, off: in, n: int64(n.size) - in}
	}
	return run{kind: runZero, n: room - in}
}

// holeAt reports whether nothing is stored at off, and up to where that holds.
// It tells regions apart, not files: all clusters in use are one region, whose
// slack counts as data, so the answer costs the same for any tree.
func (l *Layout) holeAt(off int64) (hole bool, n int64) {
	vol := off - l.volume
	if data := l.geo.DataOffset(); vol >= data && off < l.volEnd {
		used := data + int64(l.used()-2)*int64(l.geo.ClusterBytes())
		if vol < used {
			return false, used - vol
		}
	}
	r := l.runAt(off)
	return r.kind == runZero, r.n
}
