package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Resize changes the size of the virtual disk to a multiple of 512 bytes. What
// growth adds reads as zeroes, whatever the backing file has there, and is not
// marked in bitmaps. After a power cut within the call bitmaps can be marked as
// in use, which makes them useless; nothing else is lost. No other call may be under way on bytes that shrinking cuts off.
func (img *Image) Resize(sizeBytes int64) error {
	if err := img.enterWrite(0, 0); err != nil {
		return err
	}
	defer img.gate.Leave()
	if sizeBytes < 0 || sizeBytes%qcow2fmt.SectorBytes != 0 {
		return fmt.Errorf("qcow2: size %d is no multiple of 512: %w", sizeBytes, fs.ErrInvalid)
	}
	held, err := img.startResize(sizeBytes)
	if err != nil {
		return err
	}
	old := img.Size()
	switch {
	case sizeBytes > old:
		err = img.grow(old, sizeBytes)
	case sizeBytes < old:
		err = img.shrink(sizeBytes, old)
	}
	if err != nil && img.Size() == old {
		return errors.Join(err, img.releaseBitmaps(held))
	}
	if err == nil {
		err = img.fitBitmaps(held, old, sizeBytes)
	}
	return err
}

// startResize refuses what other parts of the image depend on, and returns the
// bitmaps that have to follow.
func (img *Image) startResize(sizeBytes int64) ([]bitmap, error) {
	img.plan.Lock()
	defer img.plan.Unlock()
	if err := img.prepare(); err != nil {
		return nil, err
	}
	if err := img.checkResize(sizeBytes); err != nil {
		return nil, err
	}
	held, err := img.holdBitmaps()
	if err == nil && len(held) > 0 && sizeBytes == 0 {
		err = errors.Join(errNoBits, img.releaseBitmaps(held))
	}
	return held, err
}

// checkResize is the part of startResize that changes nothing.
func (img *Image) checkResize(sizeBytes int64) error {
	if img.hdr.Snapshots > 0 && img.hdr.Version < 3 {
		return &diskerr.FeatureError{Format: formatName, Names: []string{"resizing an image of version 2 with snapshots"}}
	}
	if max := img.geo.L2Covers() * (qcow2fmt.MaxL1Bytes / 8); sizeBytes > max {
		return &diskerr.NoSpaceError{What: "L1 table", Needed: sizeBytes, Available: max, Hint: "use larger clusters"}
	}
	return nil
}

// grow makes the disk larger: first the tables, then zeroes where something
// else would show, at last the size.
func (img *Image) grow(old, sizeBytes int64) error {
	if need := img.geo.L1EntriesFor(sizeBytes); need > int64(len(img.maps.l1)) {
		if err := img.growL1(need); err != nil {
			return err
		}
	}
	shown := img.geo.Clusters(old) << img.geo.ClusterBits
	if img.backing != nil {
		shown = max(shown, img.backing.Size())
	}
	if n := min(shown, sizeBytes) - old; n > 0 {
		if err := img.zeroGrown(old, n); err != nil {
			return err
		}
	}
	return img.setSize(sizeBytes)
}

// zeroGrown makes what lies behind the end of the disk read as zeroes.
func (img *Image) zeroGrown(off, n int64) error {
	e := img.maps.enter()
	defer e.Release()
	return img.blank(off, n)
}

// shrink makes the disk smaller. What is cut off is freed or zeroed first, so
// that it does not show when the disk grows again, with whatever program.
func (img *Image) shrink(sizeBytes, old int64) error {
	start := img.geo.Clusters(sizeBytes) << img.geo.ClusterBits
	end := img.geo.Clusters(old) << img.geo.ClusterBits
	e := img.maps.enter()
	err := img.zeroPiece(sizeBytes, min(start, old)-sizeBytes)
	e.Release()
	if err == nil {
		err = img.erase(start, end, eraseGone, nil)
	}
	if err != nil {
		return err
	}
	return img.setSize(sizeBytes)
}

// setSize makes everything durable and then the size.
func (img *Image) setSize(sizeBytes int64) error {
	if err := img.flush(); err != nil {
		return err
	}
	if err := img.patchHeader(func(h *qcow2fmt.Header) { h.Size = uint64(sizeBytes) }); err != nil {
		return img.fail(err)
	}
	if err := img.file.sync(); err != nil {
		return img.fail(err)
	}
	img.size.Store(sizeBytes)
	return nil
}

// growL1 moves the L1 table to where it has room for the given number of
// entries.
func (img *Image) growL1(entries int64) error {
	img.roundMu.Lock()
	defer img.roundMu.Unlock()
	img.plan.Lock()
	defer img.plan.Unlock()
	// After a round, and while plan is held, the L1 table in memory is the one
	// in the file.
	if err := img.roundLocked(); err != nil {
		return err
	}
	clusters := img.geo.Clusters(entries * 8)
	run, err := img.refs.allocateTable(clusters)
	if err != nil {
		return err
	}
	m := img.maps
	m.mu.RLock()
	l1 := make([]qcow2fmt.L1Entry, entries)
	copy(l1, m.l1)
	m.mu.RUnlock()
	at := run.first << img.geo.ClusterBits
	p := make([]byte, clusters<<img.geo.ClusterBits)
	for i, e := range l1 {
		binary.BigEndian.PutUint64(p[i*8:], uint64(e))
	}
	if err := img.file.writeAt(p, at); err != nil {
		return err
	}
	if err := img.syncRefcounts(); err != nil {
		return img.fail(err)
	}
	return img.switchL1(l1, at)
}

// switchL1 makes the header point to an L1 table that is durable. The caller
// holds roundMu and plan.
func (img *Image) switchL1(l1 []qcow2fmt.L1Entry, at int64) error {
	m := img.maps
	old := release{first: m.l1Offset >> img.geo.ClusterBits, n: img.geo.Clusters(int64(len(m.l1)) * 8)}
	err := img.patchHeader(func(h *qcow2fmt.Header) { h.L1Offset, h.L1Entries = uint64(at), uint32(len(l1)) })
	if err == nil {
		err = img.file.sync()
	}
	if err != nil {
		return img.fail(err)
	}
	m.mu.Lock()
	m.l1, m.l1Offset = l1, at
	m.mu.Unlock()
	n := img.geo.Clusters(int64(len(l1)) * 8)
	img.refs.guard.add(at>>img.geo.ClusterBits, n)
	img.fixed.add(at>>img.geo.ClusterBits, n)
	img.refs.guard.remove(old.first, old.n)
	img.fixed.remove(old.first, old.n)
	return img.refs.drop(old)
}
