package qcow2

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// state says where the bytes of a piece of the disk are.
type state uint8

const (
	unallocated state = iota // in the backing file, zeroes without one
	zeroed                   // zeroes
	stored                   // in a host cluster
	compressed               // in a compressed cluster
)

// run is a piece of the disk in one state.
type run struct {
	state    state
	off, n   int64            // bytes of the disk
	host     int64            // stored: where off lies; zeroed: the same if there is a host cluster, else 0
	writable bool             // stored: the host clusters belong to this place alone
	entry    qcow2fmt.L2Entry // compressed
}

// entry is an L2 entry with its second word, which is 0 without extended L2
// entries.
type entry struct {
	qcow2fmt.L2Entry
	sub qcow2fmt.Subclusters
}

// entryAt decodes the entry at a byte offset of a slice. The caller holds mu.
func (m *mapper) entryAt(sl *slice, at int64) entry {
	return decodeEntry(m.geo, sl.data[at:])
}

// impossible reports whether the subcluster bits contradict each other or the
// first word (Extended L2 Entries).
func (e entry) impossible() bool {
	return e.sub.Allocated()&e.sub.Zero() != 0 || e.Offset() == 0 && e.sub.Allocated() != 0
}

// decodeEntry decodes the entry at the start of p.
func decodeEntry(g qcow2fmt.Geometry, p []byte) entry {
	e := entry{L2Entry: qcow2fmt.L2Entry(binary.BigEndian.Uint64(p))}
	if g.ExtendedL2 {
		e.sub = qcow2fmt.Subclusters(binary.BigEndian.Uint64(p[8:]))
	}
	return e
}

// encodeEntry encodes an entry to the start of p.
func encodeEntry(g qcow2fmt.Geometry, p []byte, e entry) {
	binary.BigEndian.PutUint64(p, uint64(e.L2Entry))
	if g.ExtendedL2 {
		binary.BigEndian.PutUint64(p[8:], uint64(e.sub))
	}
}

// putEntry encodes an entry. The caller holds mu for writing.
func (m *mapper) putEntry(sl *slice, at int64, e entry) {
	encodeEntry(m.geo, sl.data[at:], e)
	m.markDirty(sl)
}

// find returns the run that starts at off, at most n bytes of it. It loads
// tables as needed.
func (m *mapper) find(off, n int64) (run, error) {
	for {
		r, missing, err := m.findCached(off, n)
		if missing == 0 {
			return r, err
		}
		if err := m.load(missing); err != nil {
			return run{}, err
		}
	}
}

// findCached is find for tables that are in the cache. missing is the offset
// of a slice to load first, or 0.
func (m *mapper) findCached(off, n int64) (r run, missing int64, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, sl, missing, err := m.lookup(off)
	if err != nil || missing != 0 {
		return run{}, missing, err
	}
	in := off & (m.geo.ClusterBytes() - 1)
	n = min(n, s.shown-in)
	if sl == nil {
		return run{off: off, n: n}, 0, nil
	}
	r, err = m.piece(sl, s.at, off)
	if err != nil {
		return run{}, 0, err
	}
	for at := s.at; r.n < n; {
		if end := r.off + r.n; end&(m.geo.ClusterBytes()-1) == 0 {
			at += m.geo.L2EntryBytes()
		}
		next, err := m.piece(sl, at, r.off+r.n)
		if err != nil || !r.join(next) {
			break // an error belongs to whoever reads that far
		}
	}
	r.n = min(r.n, n)
	return r, 0, nil
}

// join lengthens r by next if the two are one run.
func (r *run) join(next run) bool {
	switch {
	case r.state != next.state, r.state == compressed, r.writable != next.writable:
		return false
	case r.state == stored && r.host+r.n != next.host:
		return false
	}
	r.n += next.n
	return true
}

// piece returns the longest run from off on within one cluster, whose entry
// lies at a byte offset of the slice. The caller holds mu.
func (m *mapper) piece(sl *slice, at, off int64) (run, error) {
	g, e := m.geo, m.entryAt(sl, at)
	in := off & (g.ClusterBytes() - 1)
	r := run{off: off, n: g.ClusterBytes() - in}
	if e.Compressed() {
		r.state, r.entry = compressed, e.L2Entry
		return r, nil
	}
	host := e.Offset()
	if host&(g.ClusterBytes()-1) != 0 {
		return run{}, m.entryError(sl, at, e, "the offset of a host cluster must be a multiple of the cluster size")
	}
	if host != 0 {
		r.host, r.writable = host+in, e.Copied()
	}
	switch {
	case g.ExtendedL2:
		return r, m.subcluster(&r, sl, at, e, in)
	case g.ZeroFlag && e.Zero():
		r.state = zeroed
	case host != 0:
		r.state = stored
	}
	return r, nil
}

// subcluster narrows r to the subclusters from in on that share a state. The
// caller holds mu.
func (m *mapper) subcluster(r *run, sl *slice, at int64, e entry, in int64) error {
	allocated, zero := e.sub.Allocated(), e.sub.Zero()
	if allocated&zero != 0 {
		return m.entryError(sl, at, e, "a subcluster is both allocated and zero")
	}
	if allocated != 0 && e.Offset() == 0 {
		return m.entryError(sl, at, e, "subclusters are allocated without a host cluster")
	}
	size := m.geo.SubclusterBytes()
	i := int(in / size)
	var same int // subclusters from i on in the same state
	switch allocated, zero := allocated>>i, zero>>i; {
	case allocated&1 != 0:
		r.state, same = stored, bits.TrailingZeros32(^allocated)
	case zero&1 != 0:
		r.state, same = zeroed, bits.TrailingZeros32(^zero)
	default:
		same = bits.TrailingZeros32(allocated | zero)
	}
	r.n = int64(min(i+same, qcow2fmt.SubclustersPerCluster))*size - in
	return nil
}

// entryError describes an invalid L2 entry.
func (m *mapper) entryError(sl *slice, at int64, e entry, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "L2 table", Field: "entry", Offset: sl.off + at,
		Value: fmt.Sprintf("%#x", uint64(e.L2Entry)), Reason: reason,
	}
}
