package qcow2

import "sync/atomic"

// A cluster that the mapping no longer refers to may still be read or written
// by a call that looked it up before. It must not get a new owner until such
// calls have ended. Each call belongs to the epoch in which it began; clusters
// that are released in an epoch become free after a round has written the
// tables, and after all calls of that epoch and the ones before have left.

// epoch counts the calls and segments that began in it and have not ended.
type epoch struct{ active atomic.Int64 }

// Release ends a call, or a segment that it handed out.
func (e *epoch) Release() { e.active.Add(-1) }

// enter begins a call that looks up host clusters.
func (m *mapper) enter() *epoch {
	m.mu.RLock()
	e := m.epoch
	e.active.Add(1)
	m.mu.RUnlock()
	return e
}

// release is a run of host clusters, each of which loses one reference.
type release struct {
	first, n int64 // cluster indexes
	role     role
}

// role says which caches may hold something of released clusters.
type role uint8

const (
	roleData       role = iota
	roleCompressed      // of compressed clusters
	roleTable           // an L2 table
)

// batch is what was released in one epoch.
type batch struct {
	epoch    *epoch
	releases []release
}

// dropClusters gives up one reference to n host clusters from first on, at the end of
// the next round. The caller holds mu for writing.
func (m *mapper) dropClusters(first, n int64, as role) {
	if k := len(m.pending) - 1; k >= 0 {
		if last := &m.pending[k]; last.role == as && last.first+last.n == first {
			last.n += n
			return
		}
	}
	m.pending = append(m.pending, release{first, n, as})
}

// seal ends the epoch and returns what was released in it. The caller holds mu
// for writing.
func (m *mapper) seal() batch {
	b := batch{m.epoch, m.pending}
	if len(b.releases) > 0 {
		m.epoch, m.pending = new(epoch), nil
	}
	return b
}
