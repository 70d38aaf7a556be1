package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// hostRun is a run of host clusters that were just allocated.
type hostRun struct {
	first, n int64 // cluster indexes
	fresh    bool  // they read as zeroes
}

// Sizes of the reserve of WriteThrough. It doubles each time that it is used
// up.
const (
	minReserveBytes int64 = 1 << 20
	maxReserveBytes int64 = 64 << 20
	maxReserveRuns        = 1024
)

// allocate gives out a run of at most want free clusters, each with refcount
// one from now on.
func (r *refcounts) allocate(want int64) (hostRun, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return hostRun{}, r.failed
	}
	if r.reserveUp == 0 {
		return r.take(want)
	}
	for len(r.reserve) == 0 {
		err := r.refill()
		if errors.Is(err, diskerr.ErrNoSpace) && r.reserveUp > 1 {
			r.reserveUp /= 2 // there may be room for less
		} else if err != nil {
			return hostRun{}, err
		}
	}
	next := &r.reserve[0]
	run := hostRun{next.first, min(want, next.n), true}
	if next.first, next.n = next.first+run.n, next.n-run.n; next.n == 0 {
		r.reserve = r.reserve[1:]
	}
	return run, nil
}

// allocateTable gives out a run of exactly n clusters for a table. They lie
// behind everything else, after the refcount blocks that count them.
func (r *refcounts) allocateTable(n int64) (hostRun, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return hostRun{}, r.failed
	}
	perBlock := int64(1) << r.geo.RefcountBlockBits()
	blocks := (n + perBlock - 2) / max(perBlock-1, 1)
	i := int64(len(r.table))
	for i > 0 && r.table[i-1] == 0 {
		i--
	}
	if i+blocks > int64(len(r.table)) {
		if _, err := r.growTable(i + blocks); err != nil {
			return hostRun{}, err
		}
	}
	first := i * perBlock
	if r.guard.overlaps(first, blocks+n) {
		return hostRun{}, r.damaged(first, "a cluster that holds a table has refcount 0")
	}
	if err := r.checkEnd(first + blocks + n); err != nil {
		return hostRun{}, err
	}
	if err := r.writeBlocks(first, blocks+n); err != nil {
		return hostRun{}, err
	}
	for b := range blocks {
		r.table[i+b] = qcow2fmt.RefcountTableEntry((first + b) << r.geo.ClusterBits)
		r.tableDirty[int(i+b)*8/qcow2fmt.SectorBytes] = struct{}{}
	}
	r.guard.add(first, blocks)
	r.raised++
	return hostRun{first: first + blocks, n: n}, nil
}

// allocateOne gives out one cluster.
func (r *refcounts) allocateOne() (hostRun, error) { return r.allocate(1) }

// take finds a run of at most want free clusters and counts them. The caller
// holds mu.
func (r *refcounts) take(want int64) (hostRun, error) {
	first, n, err := r.findFree(r.hint, want)
	if err != nil {
		return hostRun{}, err
	}
	if r.guard.overlaps(first, n) {
		return hostRun{}, r.damaged(first, "a cluster that holds a table has refcount 0")
	}
	run := hostRun{first, n, first >= r.freshFrom}
	if !run.fresh && first+n > r.freshFrom {
		run.n = r.freshFrom - first
	}
	if run.fresh {
		r.freshFrom = first + n
	}
	for c := first; c < first+run.n; c++ {
		if err := r.set(c, 1); err != nil {
			return hostRun{}, err
		}
	}
	r.raised++
	r.hint = first + run.n
	return run, nil
}

// findFree returns the first run of at most want clusters with refcount 0 from
// the cluster c on, making refcount blocks where there are none. The caller
// holds mu.
func (r *refcounts) findFree(c, want int64) (first, n int64, err error) {
	perPage := r.sliceBytes * 8 >> r.geo.RefcountOrder
	for n < want {
		p, i, err := r.page(c)
		if err != nil {
			return 0, 0, err
		}
		if p == nil {
			if n > 0 {
				break // what is there will do
			}
			if c, err = r.addBlock(c); err != nil {
				return 0, 0, err
			}
			continue
		}
		for ; i < int(perPage) && n < want; i, c = i+1, c+1 {
			if qcow2fmt.Refcount(p.data, i, r.geo.RefcountOrder) == 0 {
				if n == 0 {
					first = c
				}
				n++
			} else if n > 0 {
				return first, n, nil
			}
		}
	}
	return first, n, r.checkEnd(first + n)
}

// checkEnd refuses clusters that no table entry can hold.
func (r *refcounts) checkEnd(end int64) error {
	if end <= qcow2fmt.MaxOffset>>r.geo.ClusterBits {
		return nil
	}
	return &diskerr.NoSpaceError{What: "qcow2 image", Needed: end << r.geo.ClusterBits, Available: qcow2fmt.MaxOffset}
}

// addBlock makes the refcount block for a cluster whose range has none, inside
// that range, and returns the next cluster to look at. The caller holds mu.
func (r *refcounts) addBlock(cluster int64) (next int64, err error) {
	perBlock := int64(1) << r.geo.RefcountBlockBits()
	i := cluster / perBlock
	if i >= int64(len(r.table)) {
		return r.growTable(i)
	}
	// Everything in the range is free, so the block can lie at its start. It
	// counts itself.
	first := i * perBlock
	if r.guard.overlaps(first, 1) {
		return 0, r.damaged(first, "a cluster that holds a table has refcount 0")
	}
	if err := r.checkEnd(first + 1); err != nil {
		return 0, err
	}
	if err := r.writeBlocks(first, 1); err != nil {
		return 0, err
	}
	r.guard.add(first, 1)
	r.table[i] = qcow2fmt.RefcountTableEntry(first << r.geo.ClusterBits)
	r.tableDirty[int(i)*8/qcow2fmt.SectorBytes] = struct{}{}
	r.raised++
	return first, nil
}

// writeBlocks writes new refcount blocks at the cluster first and the following
// ones, for the ranges of clusters that begin there. They count used clusters,
// themselves included, and are as many as that takes. The caller holds mu.
func (r *refcounts) writeBlocks(first, used int64) error {
	perBlock := int64(1) << r.geo.RefcountBlockBits()
	for n := int64(0); n*perBlock < used; n++ {
		data := make([]byte, r.geo.ClusterBytes())
		for i := range min(perBlock, used-n*perBlock) {
			qcow2fmt.PutRefcount(data, int(i), r.geo.RefcountOrder, 1)
		}
		off := (first + n) << r.geo.ClusterBits
		if err := r.file.writeAt(data, off); err != nil {
			return err
		}
		r.forgetPages(off)
	}
	r.freshFrom = max(r.freshFrom, first+used)
	return nil
}

// forgetPages drops the slices of a cluster that got a new meaning. The caller
// holds mu.
func (r *refcounts) forgetPages(off int64) {
	kept := r.ring[:0]
	for _, p := range r.ring {
		if p.off < off || p.off >= off+r.geo.ClusterBytes() {
			kept = append(kept, p)
			continue
		}
		if p.dirty {
			r.dirty--
		}
		delete(r.slices, p.off)
	}
	r.ring, r.hand = kept, 0
}

// growTable makes a larger refcount table, which lies in the range of the
// entry i that is needed, together with the refcount blocks that count it. It
// is durable before the header points to it. The caller holds mu.
func (r *refcounts) growTable(i int64) (next int64, err error) {
	perBlock := int64(1) << r.geo.RefcountBlockBits()
	entries := i + 1 + i/2
	tableClusters, blocks := int64(0), int64(0)
	for need := int64(1); blocks < need; { // the table counts itself: iterate to the fixed point
		blocks = need
		entries = max(entries, i+blocks)
		tableClusters = r.geo.Clusters(entries * 8)
		need = (tableClusters + blocks + perBlock - 1) / perBlock
	}
	if tableClusters<<r.geo.ClusterBits > qcow2fmt.MaxRefcountTableBytes {
		return 0, &diskerr.NoSpaceError{What: "refcount table", Needed: tableClusters << r.geo.ClusterBits,
			Available: qcow2fmt.MaxRefcountTableBytes, Hint: "use larger clusters"}
	}
	first, used := i*perBlock, blocks+tableClusters
	if r.guard.overlaps(first, used) {
		return 0, r.damaged(first, "a cluster that holds a table has refcount 0")
	}
	if err := r.checkEnd(first + used); err != nil {
		return 0, err
	}
	if err := r.writeBlocks(first, used); err != nil {
		return 0, err
	}
	old := release{first: r.tableAt >> r.geo.ClusterBits, n: r.geo.Clusters(int64(len(r.table)) * 8)}
	table := make([]qcow2fmt.RefcountTableEntry, tableClusters<<r.geo.ClusterBits/8)
	copy(table, r.table)
	for b := range blocks {
		table[i+b] = qcow2fmt.RefcountTableEntry((first + b) << r.geo.ClusterBits)
	}
	if err := r.switchTable(table, (first+blocks)<<r.geo.ClusterBits); err != nil {
		return 0, err
	}
	r.guard.add(first, used)
	r.guard.remove(old.first, old.n)
	return first + used, r.dropLocked(old)
}

// switchTable writes a new table at an offset and makes the header point to
// it. The caller holds mu.
func (r *refcounts) switchTable(table []qcow2fmt.RefcountTableEntry, at int64) error {
	p := make([]byte, len(table)*8)
	for i, e := range table {
		binary.BigEndian.PutUint64(p[i*8:], uint64(e))
	}
	if err := r.file.writeAt(p, at); err != nil {
		return err
	}
	// The new table lists every block, so all must be durable with it.
	if err := r.writePages(); err != nil {
		return err
	}
	if err := r.file.sync(); err != nil {
		return err
	}
	err := r.setTable(at, int64(len(p))>>r.geo.ClusterBits)
	if err == nil {
		err = r.file.sync()
	}
	if err != nil {
		// Nobody knows which table the header points to now.
		r.failed = fmt.Errorf("qcow2: moving the refcount table: %w", err)
		return r.failed
	}
	r.table, r.tableAt = table, at
	clear(r.tableDirty)
	return nil
}

// refill finds the next reserve, counts it durably and makes it read as
// zeroes. The caller holds mu.
func (r *refcounts) refill() error {
	var reserve []release
	for left := r.reserveUp; left > 0 && len(reserve) < maxReserveRuns; {
		run, err := r.take(left)
		if err != nil {
			return err
		}
		off, n := run.first<<r.geo.ClusterBits, run.n<<r.geo.ClusterBits
		if run.fresh {
			err = r.file.reserve(off + n)
		} else {
			err = r.file.zero(off, n)
		}
		if err != nil {
			return errors.Join(err, r.dropLocked(release{first: run.first, n: run.n}), r.dropAll(reserve))
		}
		reserve, left = append(reserve, release{first: run.first, n: run.n}), left-run.n
	}
	if err := r.writeOutLocked(); err != nil {
		return err
	}
	if err := r.file.sync(); err != nil {
		return err
	}
	r.durable, r.reserve = r.raised, reserve
	r.reserveUp = min(2*r.reserveUp, max(maxReserveBytes>>r.geo.ClusterBits, 1))
	return nil
}

// dropAll takes one reference from every cluster of some runs. The caller
// holds mu.
func (r *refcounts) dropAll(runs []release) error {
	var errs []error
	for _, run := range runs {
		errs = append(errs, r.dropLocked(run))
	}
	return errors.Join(errs...)
}

// startReserve turns the reserve of WriteThrough on.
func (r *refcounts) startReserve() {
	r.reserveUp = max(minReserveBytes>>r.geo.ClusterBits, 1)
}

// endReserve gives back what is left of the reserve.
func (r *refcounts) endReserve() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.reserve
	r.reserve = nil
	return r.dropAll(left)
}

// raise adds one reference to a cluster that has some. It returns false if the
// refcount cannot grow. The caller holds mu.
func (r *refcounts) raise(cluster int64) (bool, error) {
	n, err := r.count(cluster)
	if err != nil || n == r.geo.MaxRefcount() {
		return false, err
	}
	if n == 0 {
		return false, r.damaged(cluster, fmt.Sprintf("a cluster in use has refcount %d", n))
	}
	r.raised++
	return true, r.set(cluster, n+1)
}

// discardFree passes those clusters of a run on to the file that are free now.
func (r *refcounts) discardFree(run release) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := run.first; c < run.first+run.n; c++ {
		n, err := r.count(c)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if err := r.file.discard(c<<r.geo.ClusterBits, r.geo.ClusterBytes()); err != nil {
			return err
		}
	}
	return nil
}
