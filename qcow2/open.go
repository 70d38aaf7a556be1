package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Open opens the image in dev, which belongs to the Image from then on; after
// an error it still belongs to the caller.
//
// An image that is marked dirty or corrupt opens only for reading, else the
// error matches diskerr.ErrDirty: [Repair] it first. A damaged one is a
// *diskerr.FormatError, one with features that are not handled a
// *diskerr.FeatureError. Nothing is written before the first change.
func Open(dev block.Device, o Options) (*Image, error) {
	if o.Snapshot != "" || block.LimitsOf(dev).ReadOnly {
		o.ReadOnly = true
	}
	hdr, err := readHeader(dev)
	if err != nil {
		return nil, err
	}
	img := newImage(dev, hdr, o)
	if err := img.openMode(); err != nil {
		return nil, err
	}
	if err := img.openTables(); err != nil {
		return nil, err
	}
	if !img.readOnly {
		if img.refs, err = newRefcounts(img.file, hdr, o.TableCacheBytes); err != nil {
			return nil, err
		}
		img.refs.setTable = img.setRefcountTable
	}
	if err := img.openBacking(); err != nil {
		return nil, err
	}
	return img, nil
}

// newImage returns an image without tables.
func newImage(dev block.Device, hdr *qcow2fmt.Header, o Options) *Image {
	img := &Image{
		opts: o, file: newContainer(dev), hdr: hdr,
		geo: hdr.Geometry(), compression: hdr.Compression, readOnly: o.ReadOnly,
		backed: hdr.BackingName != "",
	}
	img.file.limit = o.MaxFileBytes
	img.landed = sync.NewCond(&img.plan)
	img.size.Store(int64(hdr.Size))
	img.maps = newMapper(img.file, img.geo, o.TableCacheBytes)
	if o.DataCacheBytes >= 0 {
		img.clusters = newClusterCache(o.DataCacheBytes, img.geo.ClusterBytes())
	}
	return img
}

// readHeader reads and validates the header and what is stored beside it.
func readHeader(dev block.Device) (*qcow2fmt.Header, error) {
	// Most headers end within the first read; the cluster size tells how much
	// more there may be.
	p, err := readStart(dev, 4096)
	if err != nil {
		return nil, err
	}
	hdr, err := qcow2fmt.DecodeHeader(p)
	if err != nil {
		return nil, err
	}
	if p, err = readStart(dev, hdr.Geometry().ClusterBytes()); err != nil {
		return nil, err
	}
	if err := hdr.DecodeArea(p); err != nil {
		return nil, err
	}
	return hdr, hdr.CheckFeatures()
}

// readStart reads the first n bytes of dev, or all if it is shorter.
func readStart(dev block.Device, n int64) ([]byte, error) {
	p := make([]byte, min(n, dev.Size()))
	return p, block.ReadFull(dev, p, 0)
}

// openMode refuses to write what must be repaired first.
func (img *Image) openMode() error {
	flags := img.hdr.Incompatible & (qcow2fmt.IncompatDirty | qcow2fmt.IncompatCorrupt)
	if img.readOnly || img.opts.repair || flags == 0 {
		return nil
	}
	what := "dirty"
	if flags&qcow2fmt.IncompatCorrupt != 0 {
		what = "corrupt"
	}
	return fmt.Errorf("qcow2: the image is marked %s: %w", what, diskerr.ErrDirty)
}

// openTables loads the L1 table, that of the snapshot if one was asked for.
func (img *Image) openTables() error {
	entries, offset := img.hdr.L1Entries, img.hdr.L1Offset
	if img.opts.Snapshot != "" {
		s, err := img.findSnapshot(img.opts.Snapshot)
		if err != nil {
			return err
		}
		need := img.geo.L1EntriesFor(int64(s.DiskBytes))
		if need > int64(s.L1Entries) {
			return &diskerr.FormatError{Format: formatName, Structure: "snapshot table", Field: "L1 entries",
				Offset: -1, Value: s.L1Entries, Reason: fmt.Sprintf("the snapshot's disk size needs %d", need)}
		}
		entries, offset = s.L1Entries, s.L1Offset
		img.size.Store(int64(s.DiskBytes))
	}
	l1, err := readL1(img.file, int64(offset), int(entries))
	img.maps.l1, img.maps.l1Offset = l1, int64(offset)
	return err
}

// tableStepBytes is how much of an L1 table is read at once.
const tableStepBytes = 256 << 10

// readL1 reads an L1 table. The number of entries was validated.
func readL1(file *container, offset int64, entries int) ([]qcow2fmt.L1Entry, error) {
	// Look before allocating: the number may be a lie.
	if err := file.readTable(nil, offset+int64(entries)*8, "L1 table"); err != nil {
		return nil, err
	}
	l1 := make([]qcow2fmt.L1Entry, entries)
	buf := getScratch(min(entries*8, tableStepBytes))
	defer buf.Release()
	for done := 0; done < entries; {
		p := buf.data[:min((entries-done)*8, tableStepBytes)]
		if err := file.readTable(p, offset+int64(done)*8, "L1 table"); err != nil {
			return nil, err
		}
		for ; len(p) > 0; p, done = p[8:], done+1 {
			l1[done] = qcow2fmt.L1Entry(binary.BigEndian.Uint64(p))
		}
	}
	return l1, nil
}

// Close ends the image: it refuses new calls, waits for those under way, makes
// everything durable and closes the file and the backing file.
func (img *Image) Close() error {
	if err := img.gate.Close(); err != nil {
		return err
	}
	err := img.finish()
	err = errors.Join(err, img.file.dev.Close())
	if img.backing != nil {
		err = errors.Join(err, img.backing.Close())
	}
	return err
}

// finish makes everything durable, lowers the refcounts of what was released
// and gives back what was taken in advance. No call is under way.
func (img *Image) finish() error {
	if img.readOnly || !img.prepared.Load() {
		return nil
	}
	if err := img.flush(); err != nil {
		return err
	}
	err := img.free(true)
	if err == nil {
		err = img.refs.endReserve()
	}
	if err == nil {
		err = img.syncRefcounts()
	}
	if err == nil {
		err = img.file.trim()
	}
	return err
}
