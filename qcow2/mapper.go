package qcow2

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// formatName is how errors call the format.
const formatName = "qcow2"

// mapper knows where each guest cluster lies: the L1 table and a cache of
// slices of L2 tables.
//
// mu is never held over I/O. A slice that is not there is loaded by whoever
// needs it, outside of mu; others that need it wait for the same load.
type mapper struct {
	file       *container
	geo        qcow2fmt.Geometry
	sliceBytes int64
	maxSlices  int
	diskBytes  int64 // covered by the L1 table

	mu       sync.RWMutex
	l1       []qcow2fmt.L1Entry
	l1Offset int64
	l1Dirty  map[int]struct{} // sectors of the L1 table that a round must write
	slices   map[int64]*slice // by offset in the file
	ring     []*slice         // the same, in the order of the clock
	hand     int              // of the clock
	dirty    []*slice         // those that a round must write, and some that it need not
	// syncFirst: a changed table refers to something that was copied.
	syncFirst bool
	// taken and durable number the changes that rounds took and made durable.
	taken, durable uint64

	pending []release // clusters to free once a round has written the tables
	epoch   *epoch    // of the calls that begin now
}

// slice is a piece of an L2 table in memory.
type slice struct {
	off     int64  // in the file
	data    []byte // guarded by mapper.mu
	err     error  // of loading
	loaded  chan struct{}
	ready   bool // loaded, without error; guarded by mapper.mu
	dirty   bool // guarded by mapper.mu
	writing bool // a round is writing a copy; guarded by mapper.mu
	used    atomic.Bool
}

// maxSliceBytes is the size of a slice, or the cluster size if that is less.
const maxSliceBytes = 4096

func newMapper(file *container, geo qcow2fmt.Geometry, cacheBytes int) *mapper {
	if cacheBytes == 0 {
		cacheBytes = DefaultTableCacheBytes
	}
	m := &mapper{
		file: file, geo: geo, sliceBytes: min(maxSliceBytes, geo.ClusterBytes()),
		l1Dirty: make(map[int]struct{}), slices: make(map[int64]*slice), epoch: new(epoch),
	}
	m.maxSlices = max(cacheBytes/int(m.sliceBytes), minTableSlices)
	return m
}

// slot is the place of the entry of one guest cluster.
type slot struct {
	l1    int   // index in the L1 table
	table int64 // offset of the L2 table, 0 if there is none
	slice int64 // offset of the slice in the file
	at    int64 // byte offset of the entry within the slice
	shown int64 // bytes of the disk from the cluster's start to the end of the slice's or missing table's range
}

// slotOf returns the slot of the guest cluster that holds off. The caller
// holds mu.
func (m *mapper) slotOf(off int64) (slot, error) {
	g := m.geo
	index := off >> g.ClusterBits
	s := slot{l1: int(index >> g.L2EntryBits())}
	inTable := index & (g.L2Entries() - 1)
	s.table = m.l1[s.l1].Offset()
	if s.table == 0 {
		s.shown = (g.L2Entries() - inTable) << g.ClusterBits
		return s, nil
	}
	if s.table&(g.ClusterBytes()-1) != 0 {
		return s, &diskerr.FormatError{
			Format: formatName, Structure: "L1 table", Field: fmt.Sprintf("entry %d", s.l1),
			Offset: m.l1Offset + int64(s.l1)*8, Value: fmt.Sprintf("%#x", uint64(m.l1[s.l1])),
			Reason: "the offset of an L2 table must be a multiple of the cluster size",
		}
	}
	inTable *= g.L2EntryBytes()
	s.at = inTable & (m.sliceBytes - 1)
	s.slice = s.table + inTable - s.at
	s.shown = (m.sliceBytes - s.at) / g.L2EntryBytes() << g.ClusterBits
	return s, nil
}

// lookup returns the slot and the loaded slice of off. The slice is nil if
// there is no L2 table. missing is the offset of a slice to load first, or 0.
// The caller holds mu.
func (m *mapper) lookup(off int64) (s slot, sl *slice, missing int64, err error) {
	s, err = m.slotOf(off)
	if err != nil || s.table == 0 {
		return s, nil, 0, err
	}
	sl = m.slices[s.slice]
	if sl == nil || !sl.ready {
		return s, nil, s.slice, nil
	}
	if !sl.used.Load() {
		sl.used.Store(true)
	}
	return s, sl, 0, nil
}

// update calls change with the slot of off and its slice, loaded, under mu.
// The slice is nil if there is no L2 table.
func (m *mapper) update(off int64, change func(slot, *slice) error) error {
	for {
		m.mu.Lock()
		s, sl, missing, err := m.lookup(off)
		if missing == 0 {
			if err == nil {
				err = change(s, sl)
			}
			m.mu.Unlock()
			return err
		}
		m.mu.Unlock()
		if err := m.load(missing); err != nil {
			return err
		}
	}
}

// markDirty notes that a round must write the slice. The caller holds mu for
// writing.
func (m *mapper) markDirty(sl *slice) {
	if !sl.dirty {
		sl.dirty = true
		m.dirty = append(m.dirty, sl)
	}
}

// setL1 changes an entry of the L1 table. The caller holds mu for writing.
func (m *mapper) setL1(i int, e qcow2fmt.L1Entry) {
	m.l1[i] = e
	m.l1Dirty[i*8/qcow2fmt.SectorBytes] = struct{}{}
}

// load brings the slice at off into the cache, or waits for another call that
// does.
func (m *mapper) load(off int64) error {
	m.mu.Lock()
	sl := m.slices[off]
	if sl != nil {
		m.mu.Unlock()
		<-sl.loaded
		return sl.err
	}
	sl = &slice{off: off, loaded: make(chan struct{})}
	sl.data = m.evict()
	m.slices[off] = sl
	m.ring = append(m.ring, sl)
	m.mu.Unlock()

	err := m.file.readTable(sl.data, off, "L2 table")

	m.mu.Lock()
	sl.err, sl.ready = err, err == nil
	if err != nil {
		m.forget(off)
	}
	m.mu.Unlock()
	close(sl.loaded)
	return err
}

// evict returns a buffer for a slice: that of a slice that it throws out if
// the cache is full, else a new one. Slices that a round must write stay, so
// the cache can grow until one does. The caller holds mu for writing.
func (m *mapper) evict() []byte {
	for tries := 2 * len(m.ring); tries > 0 && len(m.ring) >= m.maxSlices; tries-- {
		m.hand = (m.hand + 1) % len(m.ring)
		sl := m.ring[m.hand]
		if !sl.ready || sl.dirty || sl.writing || sl.used.CompareAndSwap(true, false) {
			continue
		}
		m.drop(m.hand)
		return sl.data
	}
	return make([]byte, m.sliceBytes)
}

// drop removes the i-th slice of the ring. The caller holds mu for writing.
func (m *mapper) drop(i int) {
	sl, last := m.ring[i], len(m.ring)-1
	m.ring[i], m.ring[last] = m.ring[last], nil
	m.ring = m.ring[:last]
	delete(m.slices, sl.off)
	sl.dirty = false
}

// forget drops the slice at off, if it is there. The caller holds mu for
// writing.
func (m *mapper) forget(off int64) {
	for i, sl := range m.ring {
		if sl.off == off {
			m.drop(i)
			return
		}
	}
}

// crowded reports whether so many changes wait for a round that one should
// run.
func (m *mapper) crowded() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.dirty) > m.maxSlices/2 || len(m.pending) > maxPending
}

// maxPending bounds the list of clusters that wait for a round to become free.
const maxPending = 4096
