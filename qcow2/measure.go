package qcow2

import (
	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Measurement is how large the file of an image becomes.
type Measurement struct {
	Required       int64 `json:"required"`        // bytes, for what the source holds now
	FullyAllocated int64 `json:"fully-allocated"` // bytes, once every cluster is written
}

// Measure returns how large the file of a new image with the options o would
// be if it took the contents of src, uncompressed.
func Measure(src block.Device, o CreateOptions) (Measurement, error) {
	m, hdr, err := measureSize(src.Size(), o)
	if err != nil {
		return m, err
	}
	data, err := dataClusters(src, int64(hdr.ClusterBits))
	m.Required += data << hdr.ClusterBits
	return m, err
}

// MeasureSize is Measure for a source without contents.
func MeasureSize(sizeBytes int64, o CreateOptions) (Measurement, error) {
	m, _, err := measureSize(sizeBytes, o)
	return m, err
}

// measureSize adds up an image whose clusters are all in use; Required is its
// tables alone.
func measureSize(sizeBytes int64, o CreateOptions) (Measurement, *qcow2fmt.Header, error) {
	hdr, err := o.header(sizeBytes)
	if err != nil {
		return Measurement{}, nil, err
	}
	if _, err := plotLayout(hdr, o.ExtraL1); err != nil {
		return Measurement{}, nil, err
	}
	g := hdr.Geometry()
	data := g.Clusters(int64(hdr.Size))
	l2 := g.L1EntriesFor(int64(hdr.Size))
	fixed := 1 + g.Clusters(l2*8) + l2
	perBlock := int64(1) << g.RefcountBlockBits()
	used := data + fixed
	for {
		blocks := (used + perBlock - 1) / perBlock
		table := g.Clusters(blocks * 8)
		if next := data + fixed + blocks + table; next != used {
			used = next // blocks and table count themselves
			continue
		}
		return Measurement{Required: (used - data) << g.ClusterBits, FullyAllocated: used << g.ClusterBits}, hdr, nil
	}
}

// dataClusters counts the clusters of src that hold more than zeroes, as far as
// src knows.
func dataClusters(src block.Device, clusterBits int64) (int64, error) {
	count, next := int64(0), int64(0) // next is the first cluster not looked at
	for e, err := range block.Extents(src, 0, src.Size()) {
		if err != nil {
			return 0, err
		}
		if e.Flags&block.Zero != 0 {
			continue
		}
		first := max(e.Off>>clusterBits, next)
		last := (e.Off + e.Len - 1) >> clusterBits
		if last >= first {
			count += last - first + 1
			next = last + 1
		}
	}
	return count, nil
}
