package qcow2

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// refcounts knows how often each host cluster is referred to: the refcount
// table, and a cache of slices of refcount blocks.
//
// Refcounts only rise before something refers to a cluster, and only drop after
// nothing does durably. So a changed slice may be written at any time, and is
// when the cache is full.
type refcounts struct {
	file       *container
	geo        qcow2fmt.Geometry
	setTable   func(offset, clusters int64) error // makes the header point to another table
	sliceBytes int64
	maxSlices  int

	mu         sync.Mutex // held over I/O
	table      []qcow2fmt.RefcountTableEntry
	tableAt    int64                // offset of the table in the file
	tableDirty map[int]struct{}     // sectors of the table to be written
	slices     map[int64]*countPage // by offset in the file
	ring       []*countPage         // the same, in the order of the clock
	hand       int
	dirty      int

	hint      int64     // no cluster below it is free
	freshFrom int64     // clusters from here on were never written
	reserve   []release // clusters that are counted durably and zeroed, for WriteThrough
	reserveUp int64     // size of the next reserve, in clusters; 0 for none

	packAt int64 // where the next compressed data goes, if its cluster has room

	raised  uint64 // counts calls that raised a refcount
	durable uint64 // raised, as of the last sync that followed a writeOut
	guard   *guard // of clusters that hold tables
	failed  error  // of moving the table; refuses everything
}

// countPage is a slice of a refcount block in memory. refcounts.mu guards it.
type countPage struct {
	off   int64 // in the file
	data  []byte
	dirty bool
	used  bool
}

func newRefcounts(file *container, hdr *qcow2fmt.Header, cacheBytes int) (*refcounts, error) {
	if cacheBytes == 0 {
		cacheBytes = DefaultTableCacheBytes
	}
	geo := hdr.Geometry()
	r := &refcounts{
		file: file, geo: geo, sliceBytes: min(maxSliceBytes, geo.ClusterBytes()),
		tableAt: int64(hdr.RefcountTableOffset), tableDirty: make(map[int]struct{}),
		slices: make(map[int64]*countPage), freshFrom: geo.Clusters(file.size()),
	}
	r.maxSlices = max(cacheBytes/int(r.sliceBytes), minTableSlices)
	if file.resizer == nil {
		r.freshFrom = 1 << 62 // what is on the device is anyone's guess
	}
	var err error
	r.table, err = readRefcountTable(file, r.tableAt, int64(hdr.RefcountTableClusters)<<geo.ClusterBits)
	return r, err
}

// readRefcountTable reads a refcount table of n bytes, a validated number.
func readRefcountTable(file *container, offset, n int64) ([]qcow2fmt.RefcountTableEntry, error) {
	if err := file.readTable(nil, offset+n, "refcount table"); err != nil {
		return nil, err
	}
	p := make([]byte, n)
	if err := file.readTable(p, offset, "refcount table"); err != nil {
		return nil, err
	}
	table := make([]qcow2fmt.RefcountTableEntry, n/8)
	for i := range table {
		table[i] = qcow2fmt.RefcountTableEntry(binary.BigEndian.Uint64(p[i*8:]))
	}
	return table, nil
}

// block returns the offset of the refcount block of a cluster, 0 if there is
// none yet. The caller holds mu.
func (r *refcounts) block(cluster int64) (int64, error) {
	i := cluster >> r.geo.RefcountBlockBits()
	if i >= int64(len(r.table)) {
		return 0, nil
	}
	off := r.table[i].Offset()
	if off >= uint64(qcow2fmt.MaxOffset) || off&uint64(r.geo.ClusterBytes()-1) != 0 {
		return 0, &diskerr.FormatError{
			Format: formatName, Structure: "refcount table", Field: fmt.Sprintf("entry %d", i),
			Offset: r.tableAt + i*8, Value: fmt.Sprintf("%#x", off),
			Reason: "the offset of a refcount block must be a multiple of the cluster size below 2^56",
		}
	}
	return int64(off), nil
}

// page returns the slice with the refcount of a cluster and its index there.
// The page is nil if the cluster has no refcount block, that is, refcount 0.
// The caller holds mu.
func (r *refcounts) page(cluster int64) (*countPage, int, error) {
	off, err := r.block(cluster)
	if err != nil || off == 0 {
		return nil, 0, err
	}
	inBlock := cluster & (1<<r.geo.RefcountBlockBits() - 1)
	perPage := r.sliceBytes * 8 >> r.geo.RefcountOrder
	off += inBlock / perPage * r.sliceBytes
	if p := r.slices[off]; p != nil {
		p.used = true
		return p, int(inBlock % perPage), nil
	}
	data, err := r.evict()
	if err != nil {
		return nil, 0, err
	}
	if err := r.file.readTable(data, off, "refcount block"); err != nil {
		return nil, 0, err
	}
	return r.insert(off, data), int(inBlock % perPage), nil
}

// insert adds a slice to the cache. The caller holds mu.
func (r *refcounts) insert(off int64, data []byte) *countPage {
	p := &countPage{off: off, data: data, used: true}
	r.slices[off] = p
	r.ring = append(r.ring, p)
	return p
}

// evict returns a buffer for a slice, that of another one if the cache is
// full. The caller holds mu.
func (r *refcounts) evict() ([]byte, error) {
	if len(r.ring) < r.maxSlices {
		return make([]byte, r.sliceBytes), nil
	}
	for {
		r.hand = (r.hand + 1) % len(r.ring)
		p := r.ring[r.hand]
		if p.used {
			p.used = false
			continue
		}
		if err := r.writePage(p); err != nil {
			return nil, err
		}
		last := len(r.ring) - 1
		r.ring[r.hand], r.ring[last] = r.ring[last], nil
		r.ring = r.ring[:last]
		delete(r.slices, p.off)
		return p.data, nil
	}
}

// writePage writes a slice if it was changed. The caller holds mu.
func (r *refcounts) writePage(p *countPage) error {
	if !p.dirty {
		return nil
	}
	if err := r.file.writeAt(p.data, p.off); err != nil {
		return err
	}
	p.dirty = false
	r.dirty--
	return nil
}

// count returns the refcount of a cluster. The caller holds mu.
func (r *refcounts) count(cluster int64) (uint64, error) {
	p, i, err := r.page(cluster)
	if err != nil || p == nil {
		return 0, err
	}
	return qcow2fmt.Refcount(p.data, i, r.geo.RefcountOrder), nil
}

// set changes the refcount of a cluster that has a refcount block. The caller
// holds mu.
func (r *refcounts) set(cluster int64, n uint64) error {
	p, i, err := r.page(cluster)
	if err != nil {
		return err
	}
	if p == nil {
		return r.damaged(cluster, "a cluster in use has no refcount block")
	}
	qcow2fmt.PutRefcount(p.data, i, r.geo.RefcountOrder, n)
	if !p.dirty {
		p.dirty = true
		r.dirty++
	}
	return nil
}

// drop takes one reference from each cluster of a run. It is called when
// nothing durable holds that reference any more.
func (r *refcounts) drop(run release) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropLocked(run)
}

// dropLocked is drop. The caller holds mu.
func (r *refcounts) dropLocked(run release) error {
	for c := run.first; c < run.first+run.n; c++ {
		n, err := r.count(c)
		if err != nil {
			return err
		}
		if n == 0 {
			return r.damaged(c, "a cluster in use has refcount 0")
		}
		if err := r.set(c, n-1); err != nil {
			return err
		}
		if n == 1 {
			r.hint = min(r.hint, c)
			if c == r.packAt>>r.geo.ClusterBits {
				r.packAt = 0 // it gets another use
			}
		}
	}
	return nil
}

// writeOut hands every change to the file, in the order that keeps it whole: a
// new refcount block is durable before the table points to it. It returns the
// mark for synced.
func (r *refcounts) writeOut() (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raised, r.writeOutLocked()
}

// writeOutLocked is writeOut. The caller holds mu.
func (r *refcounts) writeOutLocked() error {
	if r.failed != nil {
		return r.failed
	}
	if err := r.writePages(); err != nil {
		return err
	}
	if len(r.tableDirty) == 0 {
		return nil
	}
	if err := r.file.sync(); err != nil {
		return err
	}
	for sector := range r.tableDirty {
		if err := r.writeTableSector(sector); err != nil {
			return err
		}
	}
	clear(r.tableDirty)
	return nil
}

// writePages writes all changed slices. The caller holds mu.
func (r *refcounts) writePages() error {
	if r.dirty == 0 {
		return nil
	}
	for _, p := range r.ring {
		if err := r.writePage(p); err != nil {
			return err
		}
	}
	return nil
}

// writeTableSector writes a sector of the refcount table. The caller holds mu.
func (r *refcounts) writeTableSector(sector int) error {
	var p [qcow2fmt.SectorBytes]byte
	first := sector * len(p) / 8
	for i := range len(p) / 8 {
		binary.BigEndian.PutUint64(p[i*8:], uint64(r.table[first+i]))
	}
	return r.file.writeAt(p[:], r.tableAt+int64(first)*8)
}

// synced notes that a sync began after the writeOut that returned mark, and
// succeeded.
func (r *refcounts) synced(mark uint64) {
	r.mu.Lock()
	r.durable = max(r.durable, mark)
	r.mu.Unlock()
}

// pendingRaise reports whether a refcount was raised that is not known to be
// durable.
func (r *refcounts) pendingRaise() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raised != r.durable
}

func (r *refcounts) damaged(cluster int64, reason string) error {
	return &diskerr.FormatError{
		Format: formatName, Structure: "refcount block", Field: fmt.Sprintf("refcount of cluster %d", cluster),
		Offset: cluster << r.geo.ClusterBits, Reason: reason + "; check and repair the image",
	}
}
