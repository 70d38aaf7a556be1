package hosttwin

import (
	"math/rand/v2"
)

// change is one change since the last state that is durable as a whole.
type change struct {
	id uint64 // of the inode whose sync makes it durable, or noInode
	// A change of contents: p written at off, then the size.
	data bool
	off  int64
	p    []byte
	size int64
	// Any other change, and the time it takes place at.
	do func(s *state)
	// durable on its own, by a sync of the file.
	durable bool
}

// noInode stands for none, in changes of names.
const noInode = 0

// structure carries out and notes a change of names, or of attributes of the
// inode id. The caller holds mu.
func (m *Machine) structure(id uint64, do func(s *state)) {
	do(m.live)
	m.changes = append(m.changes, change{id: id, do: do})
}

// contents carries out and notes a change of contents.
func (m *Machine) contents(n *inode, p []byte, off, size int64) {
	now := m.live.tick()
	c := change{id: n.id, data: true, p: append([]byte(nil), p...), off: off, size: size}
	c.apply(n, 0, int64(len(p)))
	n.resize(size)
	n.mtime, n.ctime = now, now
	m.changes = append(m.changes, c)
	id := n.id
	m.changes = append(m.changes, change{id: id, do: func(s *state) {
		if n := s.inodes[id]; n != nil {
			n.mtime, n.ctime = now, now
		}
	}})
}

// apply puts the bytes [from, to) of the change into n.
func (c *change) apply(n *inode, from, to int64) {
	if end := c.off + to; to > from && end > int64(len(n.data)) {
		n.resize(end)
	}
	copy(n.data[min(c.off+from, int64(len(n.data))):], c.p[from:to])
}

// syncFile makes the contents and attributes of an inode durable.
func (m *Machine) syncFile(id uint64) {
	for i := range m.changes {
		if m.changes[i].id == id {
			m.changes[i].durable = true
		}
	}
}

// syncStructure makes every change of names and attributes durable.
func (m *Machine) syncStructure() { m.synced = len(m.changes) }

// survivors returns what is left after a cut.
func (m *Machine) survivors(seed uint64, rng *rand.Rand) *state {
	s := m.durable.clone()
	prefix := m.synced
	switch {
	case seed == 1:
		prefix = len(m.changes)
	case seed > 1:
		prefix += rng.IntN(len(m.changes) - m.synced + 1)
	}
	chance := rng.Float64()
	lose := func() bool { return seed == 0 || seed > 1 && rng.Float64() < chance }
	for i := range m.changes {
		c := &m.changes[i]
		switch {
		case c.data:
			c.survive(s, lose)
		case i < prefix || c.durable:
			c.do(s)
		}
	}
	for _, n := range s.inodes {
		s.unref(n)
	}
	s.clock = m.live.clock
	return s
}

// survive applies those sectors of the change that are not lost. A size that
// is lost is so whole: what lies beyond it is cut off by a later change only.
func (c *change) survive(s *state, lose func() bool) {
	n := s.inodes[c.id]
	if n == nil {
		return
	}
	size := int64(len(n.data))
	if c.durable || !lose() {
		size = c.size
	}
	for from := int64(0); from < int64(len(c.p)); {
		to := min(from+sectorBytes-(c.off+from)%sectorBytes, int64(len(c.p)))
		if c.durable || !lose() {
			c.apply(n, from, to)
		}
		from = to
	}
	n.resize(size)
}
