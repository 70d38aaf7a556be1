package qcow2

import (
	"math/bits"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// plan is a write that changes the mapping: a run of guest clusters in one
// slice that get a run of host clusters. While it is under way no other call
// changes the mapping of these clusters.
type plan struct {
	off, n int64 // bytes of the disk that are written
	first  int64 // guest cluster
	count  int64 // of clusters
	host   int64 // offset of the host clusters
	fresh  bool  // they read as zeroes
	reused bool  // the (one) host cluster is that of the entry
	heads  [2]entry
	sync   bool // what is copied must be durable before the mapping refers to it
}

// span is a piece of the disk.
type span struct{ off, n int64 }

// makePlan decides where the beginning of [off, off+n) goes and takes the room
// for it. It returns nil if it can be overwritten by now.
func (img *Image) makePlan(off, n int64) (*plan, error) {
	img.plan.Lock()
	defer img.plan.Unlock()
	if err := img.prepare(); err != nil {
		return nil, err
	}
	n = min(n, img.sliceEnd(off)-off)
	first := off >> img.geo.ClusterBits
	img.await(first, (off+n-1)>>img.geo.ClusterBits-first+1)
	p := &plan{off: off, n: n, first: first}
	var err error
	if p.sync, err = img.ownTable(off); err != nil {
		return nil, err
	}
	if err := img.survey(p); err != nil || p.count == 0 {
		return nil, err
	}
	if !p.reused {
		run, err := img.refs.allocate(p.count)
		if err != nil {
			return nil, err
		}
		p.count, p.host, p.fresh = run.n, run.first<<img.geo.ClusterBits, run.fresh
	}
	p.n = min(n, (p.first+p.count)<<img.geo.ClusterBits-off)
	img.plans = append(img.plans, p)
	return p, nil
}

// sliceEnd returns where the range of the slice that maps off ends.
func (img *Image) sliceEnd(off int64) int64 {
	covers := img.maps.sliceBytes / img.geo.L2EntryBytes() << img.geo.ClusterBits
	return (off/covers + 1) * covers
}

// await waits until no plan concerns one of n guest clusters. The caller holds
// plan.
func (img *Image) await(first, n int64) {
	for {
		busy := false
		for _, p := range img.plans {
			busy = busy || p.first < first+n && first < p.first+p.count
		}
		if !busy {
			return
		}
		img.landed.Wait()
	}
}

// survey finds out how many clusters from p.off on, within p.n, get room in
// the same way: one that has it, or a run of those that need some. The count
// is 0 if the first can be overwritten. The caller holds plan.
func (img *Image) survey(p *plan) error {
	m := img.maps
	return m.update(p.off, func(s slot, sl *slice) error {
		last := (p.off + p.n - 1) >> m.geo.ClusterBits
		at := s.at
		for c := p.first; c <= last; c, at = c+1, at+m.geo.L2EntryBytes() {
			r, err := m.piece(sl, at, max(p.off, c<<m.geo.ClusterBits))
			if err != nil {
				return err
			}
			e := m.entryAt(sl, at)
			own := !e.Compressed() && e.Offset() != 0 && e.Copied()
			if own && p.count > 0 || own && r.state == stored {
				return nil
			}
			if p.count == 0 {
				p.heads[0] = e
			}
			p.heads[1] = e
			p.count++
			if own {
				p.reused, p.host = true, e.Offset()
				return img.guarded(run{host: p.host, n: m.geo.ClusterBytes()})
			}
		}
		return nil
	})
}

// carryOut moves the data of a plan and then changes the mapping.
func (img *Image) carryOut(p *plan, w payload, skip int64) error {
	err := img.fill(p, w, skip)
	if err == nil {
		err = img.link(p)
	}
	img.land(p, err)
	return err
}

// land ends a plan. After an error nothing refers to the room that it took.
func (img *Image) land(p *plan, err error) {
	img.plan.Lock()
	defer img.plan.Unlock()
	for i, q := range img.plans {
		if q == p {
			last := len(img.plans) - 1
			img.plans[i], img.plans[last] = img.plans[last], nil
			img.plans = img.plans[:last]
			break
		}
	}
	img.landed.Broadcast()
	if err != nil && !p.reused && p.host != 0 {
		// If this fails as well, the room only leaks.
		_ = img.refs.drop(release{first: p.host >> img.geo.ClusterBits, n: p.count})
	}
}

// fill writes the data of a plan, and around it what the disk held before.
func (img *Image) fill(p *plan, w payload, skip int64) error {
	start := p.first << img.geo.ClusterBits
	for _, s := range img.around(p) {
		if err := img.copyOld(p, s, p.host+s.off-start); err != nil {
			return err
		}
	}
	return w.write(img.file, p.host+p.off-start, skip, p.n, p.fresh)
}

// around returns the pieces of the plan's clusters that are not written and
// must be copied. Only the first and the last cluster can have some.
func (img *Image) around(p *plan) []span {
	var spans []span
	last := p.first + p.count - 1
	spans = img.appendAround(spans, p, p.first, p.heads[0])
	if last != p.first {
		spans = img.appendAround(spans, p, last, p.heads[1])
	}
	return spans
}

// appendAround appends the pieces of one cluster.
func (img *Image) appendAround(dst []span, p *plan, cluster int64, old entry) []span {
	unit := img.geo.SubclusterBytes()
	start := cluster << img.geo.ClusterBits
	need := img.touched(p, cluster)
	if p.reused {
		need &^= img.held(old)
	} else {
		need |= img.held(old)
	}
	for need != 0 {
		from := bits.TrailingZeros32(need)
		to := from + bits.TrailingZeros32(^(need >> from))
		need &^= uint32(1<<to - 1<<from)
		dst = appendOutside(dst, start+int64(from)*unit, start+int64(to)*unit, p.off, p.off+p.n)
	}
	return dst
}

// appendOutside appends what of [from, to) lies outside [cut, end).
func appendOutside(dst []span, from, to, cut, end int64) []span {
	if a, b := from, min(to, cut); a < b {
		dst = append(dst, span{a, b - a})
	}
	if a, b := max(from, end), to; a < b {
		dst = append(dst, span{a, b - a})
	}
	return dst
}

// touched returns the set of subclusters of a cluster that a plan writes to. A
// cluster without subclusters is one.
func (img *Image) touched(p *plan, cluster int64) uint32 {
	unit := img.geo.SubclusterBytes()
	start := cluster << img.geo.ClusterBits
	from := max(p.off-start, 0) / unit
	to := (min(p.off+p.n-start, img.geo.ClusterBytes()) + unit - 1) / unit
	return uint32(uint64(1)<<to - uint64(1)<<from)
}

// held returns the set of subclusters whose data an entry holds, and which
// must be copied if the cluster gets another place.
func (img *Image) held(e entry) uint32 {
	switch {
	case !img.geo.ExtendedL2:
		return 0 // the one subcluster is always touched
	case e.Compressed():
		return ^uint32(0)
	}
	return e.sub.Allocated()
}

// copyOld copies a piece of the disk to a place in the plan's clusters. Zeroes
// are not copied to where there are some.
func (img *Image) copyOld(p *plan, s span, host int64) error {
	for s.n > 0 {
		r := run{state: zeroed, off: s.off, n: s.n}
		if inside := img.Size() - s.off; inside > 0 {
			var err error
			if r, err = img.maps.find(s.off, min(s.n, inside)); err != nil {
				return err
			}
		}
		if r.state == unallocated && (img.backing == nil || r.off >= img.backing.Size()) {
			r.state = zeroed
		}
		r.n = min(r.n, maxCopyBytes)
		if err := img.copyRun(p, r, host); err != nil {
			return err
		}
		s.off, s.n, host = s.off+r.n, s.n-r.n, host+r.n
	}
	return nil
}

// maxCopyBytes bounds the memory for copying a piece of a cluster.
const maxCopyBytes = 256 << 10

func (img *Image) copyRun(p *plan, r run, host int64) error {
	if r.state == zeroed {
		if p.fresh {
			return nil
		}
		p.sync = true
		return img.file.zero(host, r.n)
	}
	p.sync = true
	buf := getScratch(int(r.n))
	defer buf.Release()
	if err := img.readRun(buf.data, r, r.n); err != nil {
		return err
	}
	return img.file.writeAt(buf.data, host)
}

// link makes the mapping refer to the plan's clusters, and releases those that
// were there before.
func (img *Image) link(p *plan) error {
	m, g := img.maps, img.geo
	return m.update(p.first<<g.ClusterBits, func(s slot, sl *slice) error {
		at := s.at
		for i := range p.count {
			old := m.entryAt(sl, at)
			e := entry{L2Entry: qcow2fmt.NewL2Entry(p.host+i<<g.ClusterBits, true)}
			has := img.touched(p, p.first+i) | img.held(old)
			if g.ExtendedL2 {
				e.sub = qcow2fmt.NewSubclusters(has, old.sub.Zero()&^has)
			}
			if p.reused {
				// Below the zeroes can lie what was there before them.
				p.sync = p.sync || !g.ExtendedL2 || old.sub.Zero()&has != 0
			} else {
				m.releaseOld(old)
			}
			m.putEntry(sl, at, e)
			at += g.L2EntryBytes()
		}
		m.syncFirst = m.syncFirst || p.sync
		return nil
	})
}

// releaseOld gives up the host clusters of an entry that is about to be
// replaced. The caller holds mapper.mu for writing.
func (m *mapper) releaseOld(e entry) {
	if e.Compressed() {
		off, n := m.geo.CompressedRange(e.L2Entry)
		first := off >> m.geo.ClusterBits
		m.dropClusters(first, (off+n-1)>>m.geo.ClusterBits-first+1, roleCompressed)
		return
	}
	if off := e.Offset(); off != 0 {
		m.dropClusters(off>>m.geo.ClusterBits, 1, roleData)
	}
}
