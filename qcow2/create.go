package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// CreateOptions describe a new image. The zero value is an image of version 3
// with clusters of 64 KiB and refcounts of 16 bits.
type CreateOptions struct {
	Version       int   // 2 or 3; 0 means 3
	ClusterBytes  int64 // a power of two, 512 bytes to 2 MiB; 0 means 64 KiB
	RefcountBits  int   // a power of two, 1 to 64; 0 means 16
	ExtendedL2    bool  // subclusters; clusters are 16 KiB at least
	Compression   qcow2fmt.Compression
	LazyRefcounts bool   // lets QEMU put off counting; this package never does
	BackingName   string // stored as it is; nothing is opened
	BackingFormat string // such as "raw" or "qcow2"
	ExtraL1       int64  // entries of the L1 table beyond those that the size needs
}

// layout is where the parts of a new image lie, in clusters:
//
//	header | refcount table | refcount blocks | L1 table
type layout struct {
	geo                     qcow2fmt.Geometry
	l1Entries               int64
	table, blocks, l1, used int64 // sizes; the first cluster is the header's
}

// Create makes dev an empty image of a disk of sizeBytes, rounded up to a
// multiple of 512. What was in dev is lost. The image is durable when Create
// returns; the header is written last. dev stays the caller's.
func Create(dev block.Device, sizeBytes int64, o CreateOptions) error {
	hdr, err := o.header(sizeBytes)
	if err != nil {
		return err
	}
	l, err := plotLayout(hdr, o.ExtraL1)
	if err != nil {
		return err
	}
	hdr.RefcountTableOffset, hdr.RefcountTableClusters = 1<<hdr.ClusterBits, uint32(l.table)
	hdr.L1Offset, hdr.L1Entries = uint64(1+l.table+l.blocks)<<hdr.ClusterBits, uint32(l.l1Entries)
	area, err := hdr.AppendArea(nil)
	if err != nil {
		return err
	}
	if err := hdr.Validate(); err != nil {
		return err // the options ask for something that the format forbids
	}
	return l.write(dev, area)
}

// header returns the header for the options, without the places of tables.
func (o CreateOptions) header(sizeBytes int64) (*qcow2fmt.Header, error) {
	if sizeBytes < 0 || sizeBytes > 1<<62 {
		return nil, fmt.Errorf("qcow2: disk size %d: %w", sizeBytes, fs.ErrInvalid)
	}
	if o.Version == 0 {
		o.Version = 3
	}
	if o.ClusterBytes == 0 {
		o.ClusterBytes = 64 << 10
	}
	if o.RefcountBits == 0 {
		o.RefcountBits = 16
	}
	if bits.OnesCount64(uint64(o.ClusterBytes)) != 1 || bits.OnesCount(uint(o.RefcountBits)) != 1 {
		return nil, fmt.Errorf("qcow2: cluster size and refcount width must be powers of two: %w", fs.ErrInvalid)
	}
	h := &qcow2fmt.Header{
		Version: uint32(o.Version), ClusterBits: uint32(bits.TrailingZeros64(uint64(o.ClusterBytes))),
		Size:          uint64(sizeBytes+qcow2fmt.SectorBytes-1) &^ (qcow2fmt.SectorBytes - 1),
		RefcountOrder: uint32(bits.TrailingZeros(uint(o.RefcountBits))),
		HeaderBytes:   qcow2fmt.NewHeaderBytes, Compression: o.Compression, BackingName: o.BackingName,
	}
	if o.BackingName != "" && o.BackingFormat != "" {
		h.SetExtension(qcow2fmt.ExtBackingFormat, []byte(o.BackingFormat))
	}
	if o.Version == 2 {
		if o.ExtendedL2 || o.LazyRefcounts || o.Compression != qcow2fmt.CompressionDeflate {
			return nil, fmt.Errorf("qcow2: subclusters, lazy refcounts and zstd need version 3: %w", fs.ErrInvalid)
		}
		h.HeaderBytes = qcow2fmt.HeaderBytesV2
		return h, nil
	}
	if o.LazyRefcounts {
		h.Compatible |= qcow2fmt.CompatLazyRefcounts
	}
	if o.ExtendedL2 {
		h.Incompatible |= qcow2fmt.IncompatExtendedL2
	}
	if o.Compression != qcow2fmt.CompressionDeflate {
		h.Incompatible |= qcow2fmt.IncompatCompression
	}
	if names := qcow2fmt.AppendFeatureNames(nil, qcow2fmt.KnownFeatureNames()); o.ClusterBytes > 1<<10 {
		h.SetExtension(qcow2fmt.ExtFeatureNames, names) // small clusters need their room for names
	}
	return h, nil
}

// plotLayout places the parts of a new image.
func plotLayout(hdr *qcow2fmt.Header, extraL1 int64) (layout, error) {
	l := layout{geo: hdr.Geometry()}
	if hdr.ClusterBits < qcow2fmt.MinClusterBits || hdr.ClusterBits > qcow2fmt.MaxClusterBits ||
		hdr.RefcountOrder > qcow2fmt.MaxRefcountOrder {
		return l, fmt.Errorf("qcow2: clusters are 512 bytes to 2 MiB, refcounts 1 to 64 bits: %w", fs.ErrInvalid)
	}
	l.l1Entries = max(l.geo.L1EntriesFor(int64(hdr.Size))+extraL1, 1)
	if l.l1Entries > qcow2fmt.MaxL1Bytes/8 {
		return l, &diskerr.NoSpaceError{What: "L1 table", Needed: l.l1Entries * 8, Available: qcow2fmt.MaxL1Bytes,
			Hint: "use larger clusters"}
	}
	l.l1 = l.geo.Clusters(l.l1Entries * 8)
	perBlock := int64(1) << l.geo.RefcountBlockBits()
	for l.used = 1; ; { // tables count themselves: iterate to the fixed point
		l.blocks = (l.used + perBlock - 1) / perBlock
		l.table = l.geo.Clusters(l.blocks * 8)
		if used := 1 + l.table + l.blocks + l.l1; used != l.used {
			l.used = used
			continue
		}
		return l, nil
	}
}

// write puts the new image on dev.
func (l *layout) write(dev block.Device, header []byte) error {
	c := newContainer(dev)
	if c.resizer != nil {
		if err := c.resizer.Resize(0); errors.Is(err, errors.ErrUnsupported) {
			c.resizer = nil // a block device
		} else if err != nil {
			return err
		}
	}
	if c.resizer != nil {
		if err := c.resizer.Resize(l.used << l.geo.ClusterBits); err != nil {
			return err
		}
	} else if err := c.zero(0, l.used<<l.geo.ClusterBits); err != nil {
		return err
	}
	if err := l.writeRefcounts(c); err != nil {
		return err
	}
	if err := c.sync(); err != nil {
		return err
	}
	if err := c.writeAt(header, 0); err != nil {
		return err
	}
	return c.sync()
}

// writeRefcounts counts every cluster that is used once.
func (l *layout) writeRefcounts(c *container) error {
	perBlock := int64(1) << l.geo.RefcountBlockBits()
	table := make([]byte, l.blocks*8)
	for b := range l.blocks {
		off := (1 + l.table + b) << l.geo.ClusterBits
		binary.BigEndian.PutUint64(table[b*8:], uint64(off))
		block := make([]byte, l.geo.ClusterBytes())
		for i := range min(perBlock, l.used-b*perBlock) {
			qcow2fmt.PutRefcount(block, int(i), l.geo.RefcountOrder, 1)
		}
		if err := c.writeAt(block, off); err != nil {
			return err
		}
	}
	return c.writeAt(table, l.geo.ClusterBytes())
}
