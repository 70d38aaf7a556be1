package qcow2

import (
	"encoding/binary"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// prepare does what must be done before the first change: it learns where the
// tables are, clears the feature bits of what this code does not keep up to
// date, and marks bitmaps that would have to follow the change. The caller
// holds plan.
func (img *Image) prepare() error {
	if img.prepared.Load() {
		return nil
	}
	if err := img.failure(); err != nil {
		return err
	}
	if err := img.buildGuards(); err != nil {
		return err
	}
	keep, err := img.markBitmaps()
	if err != nil {
		return err
	}
	if old := img.hdr.Autoclear; old&^keep != 0 {
		if err := img.patchHeader(func(h *qcow2fmt.Header) { h.Autoclear &= keep }); err != nil {
			return err
		}
		if err := img.file.sync(); err != nil {
			return err
		}
	}
	if img.opts.Mode == WriteThrough {
		img.refs.startReserve()
	}
	img.prepared.Store(true)
	return nil
}

// buildGuards collects the clusters of all tables.
func (img *Image) buildGuards() error {
	snapshots, tableBytes, err := readSnapshots(img.file, img.hdr)
	if err != nil {
		return err
	}
	bits := img.geo.ClusterBits
	table := func(off, n int64) release { return release{first: off >> bits, n: img.geo.Clusters(n)} }
	fixed := []release{
		{first: 0, n: 1},
		table(img.maps.l1Offset, int64(len(img.maps.l1))*8),
		table(img.refs.tableAt, int64(len(img.refs.table))*8),
		table(int64(img.hdr.SnapshotsOffset), tableBytes),
	}
	for _, s := range snapshots {
		fixed = append(fixed, table(int64(s.L1Offset), int64(s.L1Entries)*8))
	}
	for _, e := range img.refs.table {
		if off := e.Offset(); off != 0 && off < uint64(qcow2fmt.MaxOffset) {
			fixed = append(fixed, release{first: int64(off >> bits), n: 1})
		}
	}
	all := append([]release(nil), fixed...)
	img.maps.mu.RLock()
	for _, e := range img.maps.l1 {
		if off := e.Offset(); off != 0 {
			all = append(all, release{first: off >> bits, n: 1})
		}
	}
	img.maps.mu.RUnlock()
	img.fixed, img.refs.guard = newGuard(fixed), newGuard(all)
	return nil
}

// markBitmaps marks every enabled bitmap as in use, which says that it may
// have missed changes (Bitmap directory, flags), and returns the autoclear bits
// that stay. A directory that cannot be read loses its bit instead.
func (img *Image) markBitmaps() (keep uint64, err error) {
	list, err := readBitmaps(img.file, img.hdr)
	if err != nil || len(list) == 0 {
		return 0, nil
	}
	for _, b := range list {
		if b.Flags&qcow2fmt.BitmapAuto == 0 || b.Flags&qcow2fmt.BitmapInUse != 0 {
			continue
		}
		var p [4]byte
		binary.BigEndian.PutUint32(p[:], b.Flags|qcow2fmt.BitmapInUse)
		if err := img.file.writeAt(p[:], b.off+qcow2fmt.BitmapFlagsOffset); err != nil {
			return 0, err
		}
	}
	return qcow2fmt.AutoclearBitmaps, img.file.sync()
}

// patchHeader changes fields of the header that lie in its first sector.
func (img *Image) patchHeader(change func(*qcow2fmt.Header)) error {
	img.hdrMu.Lock()
	defer img.hdrMu.Unlock()
	next := *img.hdr
	change(&next)
	p := make([]byte, next.HeaderBytes)
	next.Encode(p)
	if err := img.file.writeAt(p[:min(len(p), qcow2fmt.SectorBytes)], 0); err != nil {
		return err
	}
	img.hdr = &next
	return nil
}

// header returns the header, which nobody changes in place.
func (img *Image) header() *qcow2fmt.Header {
	img.hdrMu.Lock()
	defer img.hdrMu.Unlock()
	return img.hdr
}

// setRefcountTable makes the header point to another refcount table.
func (img *Image) setRefcountTable(offset, clusters int64) error {
	return img.patchHeader(func(h *qcow2fmt.Header) {
		h.RefcountTableOffset, h.RefcountTableClusters = uint64(offset), uint32(clusters)
	})
}
