package qcow2

import (
	"fmt"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// ownTable makes sure that off has an L2 table which belongs to this disk
// alone: it makes a new one, or copies one that a snapshot shares. sync says
// that the copy must be durable before the L1 table refers to it. The caller
// holds plan.
func (img *Image) ownTable(off int64) (sync bool, err error) {
	m := img.maps
	m.mu.RLock()
	s, err := m.slotOf(off)
	var old qcow2fmt.L1Entry
	if err == nil {
		old = m.l1[s.l1]
	}
	m.mu.RUnlock()
	if err != nil {
		return false, err
	}
	if s.table != 0 && old.Copied() {
		return false, img.checkTable(s)
	}
	run, err := img.refs.allocateOne()
	if err != nil {
		return false, err
	}
	host := run.first << img.geo.ClusterBits
	if sync, err = img.newTable(s.table, host, run.fresh); err != nil {
		_ = img.refs.drop(release{first: run.first, n: 1}) // else it would only leak
		return false, err
	}
	img.refs.guard.add(run.first, 1)
	m.forgetTables(release{first: run.first, n: 1})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setL1(s.l1, qcow2fmt.NewL1Entry(host, true))
	m.syncFirst = m.syncFirst || sync
	if s.table != 0 {
		m.dropClusters(s.table>>img.geo.ClusterBits, 1, roleTable)
	}
	return sync, nil
}

// newTable fills an L2 table at host with a copy of old, or with zeroes if old
// is 0. It reports whether it wrote anything.
func (img *Image) newTable(old, host int64, fresh bool) (wrote bool, err error) {
	size := img.geo.ClusterBytes()
	if old == 0 && fresh {
		return false, img.file.reserve(host + size)
	}
	if old == 0 {
		return true, img.file.zero(host, size)
	}
	buf := getScratch(int(size))
	defer buf.Release()
	if err := img.file.readTable(buf.data, old, "L2 table"); err != nil {
		return false, err
	}
	return true, img.file.writeAt(buf.data, host)
}

// checkTable refuses to write an L2 table that lies on another table of the
// image.
func (img *Image) checkTable(s slot) error {
	if !img.fixed.overlaps(s.table>>img.geo.ClusterBits, 1) {
		return nil
	}
	return img.fail(&diskerr.FormatError{
		Format: formatName, Structure: "L1 table", Field: fmt.Sprintf("entry %d", s.l1), Offset: -1,
		Value: s.table, Reason: "an L2 table lies on another table of the image",
	})
}
