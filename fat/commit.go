package fat

import (
	"maps"
	"slices"
)

// snapshot is what one commit writes: the state of one moment.
type snapshot struct {
	links  []change // old chains get their new tails
	ends   []change // old chains end earlier
	epoch  uint64
	doomed []uint32 // chains to be freed
	fresh  []*image // blocks of directories that are not on the medium yet
	blocks []*image // other blocks of directories
	pinned []*node  // their directories
}

// image is a block of a directory, as a commit brings it to the medium.
type image struct {
	dir   *node
	block int
	off   int64
	base  []byte                // what is on the medium
	final []byte                // what is to be there at the end
	steps [stepFinal + 1][]byte // what is written in each step; nil for nothing
}

// The steps in which blocks of directories are written, with a flush after
// each that has anything to write.
const (
	stepSpread = iota // the end mark moves on
	stepGone          // entries that move are gone from their old places
	stepTurned        // ".." leads to the new parent
	stepFinal
)

// commit writes all that waits, in the order that the package documentation
// promises. It returns when that is durable.
func (v *Volume) commit() error {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	if err := v.failed.Load(); err != nil {
		return *err
	}
	v.unschedule()
	v.busy.Store(true)
	defer v.busy.Store(false)
	s, err := v.snapshot()
	if err == nil {
		err = v.write(s)
		v.unpin(s.pinned)
	}
	if err != nil {
		return v.fail(err)
	}
	return nil
}

// write carries out a snapshot. The caller holds commitMu.
func (v *Volume) write(s *snapshot) error {
	steps := []func() error{
		func() error { return v.writeNew(s) },
		func() error { return v.table.apply(s.links, s.epoch) },
		func() error { return v.writeBlocks(s.blocks, stepSpread) },
		func() error { return v.writeBlocks(s.blocks, stepGone) },
		func() error { return v.writeBlocks(s.blocks, stepTurned) },
		func() error { return v.writeBlocks(s.blocks, stepFinal) },
		func() error { return v.table.apply(s.ends, s.epoch) },
		func() error { return v.free(s) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return err
		}
		if i == len(steps)-1 {
			return nil // freed clusters may come to the medium at any time later
		}
		if err := v.disk.flush(); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes what nothing on the medium leads to yet.
func (v *Volume) writeNew(s *snapshot) error {
	for _, b := range s.fresh {
		if err := v.disk.write(b.final, b.off); err != nil {
			return err
		}
	}
	return v.table.flush()
}

// writeBlocks writes one step of the blocks, neighbours together.
func (v *Volume) writeBlocks(blocks []*image, step int) error {
	var off int64
	var buf []byte
	for _, b := range blocks {
		p := b.steps[step]
		if p == nil {
			continue
		}
		if len(buf) > 0 && off+int64(len(buf)) != b.off {
			if err := v.disk.write(buf, off); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if len(buf) == 0 {
			off = b.off
		}
		buf = append(buf, p...)
	}
	return v.disk.write(buf, off)
}

// free frees the clusters that no entry on the medium has any more.
func (v *Volume) free(s *snapshot) error {
	v.space.mu.Lock()
	for _, first := range s.doomed {
		if err := v.space.release(first); err != nil {
			v.space.mu.Unlock()
			return err
		}
	}
	v.space.mu.Unlock()
	if len(s.doomed) > 0 {
		if err := v.table.flush(); err != nil {
			return err
		}
	}
	if len(s.fresh)+len(s.blocks)+len(s.doomed)+len(s.links)+len(s.ends) == 0 {
		return nil
	}
	return v.writeFSInfo()
}

// snapshot takes what waits, so that what changes from now on belongs to the
// next commit.
func (v *Volume) snapshot() (*snapshot, error) {
	v.treeMu.Lock()
	defer v.treeMu.Unlock()
	defer func() {
		v.unpin(v.held)
		v.held = v.held[:0]
	}()
	// A change from here on makes a node dirty again, since its entry may
	// already have been read.
	v.cacheMu.Lock()
	nodes := slices.Collect(maps.Keys(v.dirty))
	clear(v.dirty)
	for _, n := range nodes {
		n.dirty = false
	}
	v.cacheMu.Unlock()
	s := &snapshot{}
	moves, err := v.settle(nodes)
	if err != nil {
		return nil, err
	}
	v.takeBlocks(s, moves)
	s.links, s.ends, s.epoch = v.table.takeDeferred()
	v.space.mu.Lock()
	s.doomed, v.space.doomed = v.space.doomed, nil
	v.space.mu.Unlock()
	v.cacheMu.Lock()
	for _, n := range nodes {
		v.drop(n)
	}
	v.cacheMu.Unlock()
	return s, nil
}
