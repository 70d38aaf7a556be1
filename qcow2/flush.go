package qcow2

import (
	"encoding/binary"
	"fmt"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// The rounds that carry changed tables to the file. The state of the file
// after each step, if the power fails there:
//
//	take         the tables of the round before; new clusters are not counted
//	refcounts    some new clusters are counted: leaks
//	sync         all are counted, their data is durable: leaks
//	tables       some are referred to; the rest are leaks
//	sync         all are referred to: the flush is done
//	free         nothing; lower refcounts go out with the next round

// changes are copies of the tables that a round writes.
type changes struct {
	slices    []takenSlice
	l1        []takenSector
	syncFirst bool   // something was copied that these tables refer to
	number    uint64 // of the last changes taken that were not empty
	batch     batch
}

type takenSlice struct {
	slice *slice
	data  []byte
}

type takenSector struct {
	off  int64 // in the file
	data [qcow2fmt.SectorBytes]byte
}

func (c *changes) empty() bool { return len(c.slices)+len(c.l1) == 0 }

// take copies every changed table. With seal it also ends the epoch, and what
// was released before is the round's to free.
func (m *mapper) take(seal bool) *changes {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &changes{syncFirst: m.syncFirst}
	m.syncFirst = false
	for _, sl := range m.dirty {
		if sl.dirty {
			sl.dirty, sl.writing = false, true
			c.slices = append(c.slices, takenSlice{sl, append([]byte(nil), sl.data...)})
		}
	}
	clear(m.dirty)
	m.dirty = m.dirty[:0]
	for sector := range m.l1Dirty {
		c.l1 = append(c.l1, m.l1Sector(sector))
	}
	clear(m.l1Dirty)
	if seal {
		c.batch = m.seal()
	}
	if !c.empty() {
		m.taken++
	}
	c.number = m.taken
	return c
}

// l1Sector encodes a sector of the L1 table. The caller holds mu.
func (m *mapper) l1Sector(sector int) takenSector {
	t := takenSector{off: m.l1Offset + int64(sector)*qcow2fmt.SectorBytes}
	first := sector * len(t.data) / 8
	for i, e := range m.l1[first:min(first+len(t.data)/8, len(m.l1))] {
		binary.BigEndian.PutUint64(t.data[i*8:], uint64(e))
	}
	return t
}

// write hands the changes to the file.
func (m *mapper) write(c *changes) error {
	for _, s := range c.slices {
		if err := m.file.writeAt(s.data, s.slice.off); err != nil {
			return err
		}
	}
	for _, t := range c.l1 {
		if err := m.file.writeAt(t.data[:], t.off); err != nil {
			return err
		}
	}
	m.mu.Lock()
	for _, s := range c.slices {
		s.slice.writing = false
	}
	m.mu.Unlock()
	return nil
}

// Flush makes every write that returned before, and its mapping, durable.
func (img *Image) Flush() error {
	if err := img.gate.Enter(); err != nil {
		return err
	}
	defer img.gate.Leave()
	return img.flush()
}

func (img *Image) flush() error {
	if img.readOnly {
		return nil
	}
	return img.rounds.Do(img.round)
}

// round makes everything durable that was taken when it began. One runs at a
// time.
func (img *Image) round() error {
	img.roundMu.Lock()
	defer img.roundMu.Unlock()
	return img.roundLocked()
}

// roundLocked is round. The caller holds roundMu.
func (img *Image) roundLocked() error {
	if err := img.failure(); err != nil {
		return err
	}
	if !img.prepared.Load() {
		return nil // nothing was ever changed
	}
	run := img.roundBack
	if img.opts.Mode == WriteThrough {
		run = img.roundThrough
	}
	batch, err := run()
	if err == nil {
		img.batches = append(img.batches, batch)
		err = img.free(false)
	}
	if err != nil {
		return img.fail(err)
	}
	return nil
}

// roundBack is the round of WriteBack.
func (img *Image) roundBack() (batch, error) {
	c := img.maps.take(true)
	if err := img.syncRefcounts(); err != nil {
		return batch{}, err
	}
	if c.empty() {
		return c.batch, nil
	}
	if err := img.maps.write(c); err != nil {
		return batch{}, err
	}
	if err := img.file.sync(); err != nil {
		return batch{}, err
	}
	img.maps.nowDurable(c)
	return c.batch, nil
}

// roundThrough is the round of WriteThrough: the tables are with the kernel
// already, or go there in push.
func (img *Image) roundThrough() (batch, error) {
	img.pushing.Lock()
	c, err := img.pushLocked(true)
	img.pushing.Unlock()
	if err == nil {
		err = img.syncRefcounts()
	}
	if err != nil {
		return batch{}, err
	}
	img.maps.nowDurable(c)
	return c.batch, nil
}

// syncRefcounts writes all changed refcounts and syncs the file.
func (img *Image) syncRefcounts() error {
	mark, err := img.refs.writeOut()
	if err != nil {
		return err
	}
	if err := img.file.sync(); err != nil {
		return err
	}
	img.refs.synced(mark)
	return nil
}

// push hands every changed table to the kernel, for WriteThrough.
func (img *Image) push() error {
	img.pushing.Lock()
	defer img.pushing.Unlock()
	if _, err := img.pushLocked(false); err != nil {
		return img.fail(err)
	}
	return nil
}

// pushLocked is push. What the tables refer to is durable before them, unless
// it comes from the reserve and is zeroes or new data. The caller holds
// pushing.
func (img *Image) pushLocked(seal bool) (*changes, error) {
	c := img.maps.take(seal)
	if c.empty() {
		return c, nil
	}
	if c.syncFirst || img.refs.pendingRaise() {
		if err := img.syncRefcounts(); err != nil {
			return nil, err
		}
	}
	return c, img.maps.write(c)
}

// nowDurable notes that c, and all that was taken before, is durable.
func (m *mapper) nowDurable(c *changes) {
	m.mu.Lock()
	m.durable = c.number
	m.mu.Unlock()
}

// settled reports whether the whole mapping is durable.
func (m *mapper) settled() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.dirty) == 0 && len(m.l1Dirty) == 0 && m.taken == m.durable
}

// free lowers the refcounts of released clusters, as far as the calls that
// might use them have ended, or all of them at the end. The caller holds roundMu,
// or no other call is under way.
func (img *Image) free(all bool) error {
	for len(img.batches) > 0 && (all || img.batches[0].epoch.active.Load() == 0) {
		b := img.batches[0]
		img.batches = img.batches[1:]
		for _, r := range b.releases {
			if err := img.freeRun(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// freeRun lowers the refcounts of one run and forgets what was cached of it.
func (img *Image) freeRun(r release) error {
	switch r.role {
	case roleTable:
		img.maps.forgetTables(r)
		img.refs.guard.remove(r.first, r.n)
	case roleCompressed:
		if img.clusters != nil {
			img.clusters.clear()
		}
	}
	if err := img.refs.drop(r); err != nil {
		return err
	}
	if !img.opts.Discard {
		return nil
	}
	return img.refs.discardFree(r)
}

// forgetTables drops the slices of L2 tables that are no more.
func (m *mapper) forgetTables(r release) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := 0; i < len(m.ring); {
		if c := m.ring[i].off >> m.geo.ClusterBits; c >= r.first && c < r.first+r.n {
			m.drop(i)
			continue
		}
		i++
	}
}

// fail records the first error after which the file may not hold what was
// promised. The image takes no more writes.
func (img *Image) fail(err error) error {
	err = fmt.Errorf("qcow2: writes may be lost, the image takes no more until it is reopened: %w", err)
	if !img.failed.CompareAndSwap(nil, &err) {
		return *img.failed.Load()
	}
	return err
}

// failure returns the error that fail recorded, or nil.
func (img *Image) failure() error {
	if err := img.failed.Load(); err != nil {
		return *err
	}
	return nil
}
