package qcow2

import (
	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// Info is what an image says about itself.
type Info struct {
	Version       int
	Size          int64 // of the virtual disk, in bytes
	FileBytes     int64 // size of the file
	ClusterBytes  int64
	RefcountBits  int
	ExtendedL2    bool
	Compression   qcow2fmt.Compression
	LazyRefcounts bool
	Dirty         bool
	Corrupt       bool
	BackingName   string
	BackingFormat string
	Snapshots     []*qcow2fmt.Snapshot
	Bitmaps       []*qcow2fmt.Bitmap // nil unless the image says that they are consistent
}

// Stat reads the description of the image in dev and opens nothing else.
func Stat(dev block.Device) (*Info, error) {
	hdr, err := readHeader(dev)
	if err != nil {
		return nil, err
	}
	return describe(newContainer(dev), hdr)
}

// describe is Stat for a header that was read.
func describe(file *container, hdr *qcow2fmt.Header) (*Info, error) {
	snapshots, _, err := readSnapshots(file, hdr)
	if err != nil {
		return nil, err
	}
	bitmaps, err := readBitmaps(file, hdr)
	if err != nil {
		return nil, err
	}
	info := &Info{
		Version: int(hdr.Version), Size: int64(hdr.Size), FileBytes: file.size(),
		ClusterBytes: hdr.Geometry().ClusterBytes(), RefcountBits: 1 << hdr.RefcountOrder,
		ExtendedL2: hdr.Geometry().ExtendedL2, Compression: hdr.Compression,
		LazyRefcounts: hdr.Compatible&qcow2fmt.CompatLazyRefcounts != 0,
		Dirty:         hdr.Incompatible&qcow2fmt.IncompatDirty != 0,
		Corrupt:       hdr.Incompatible&qcow2fmt.IncompatCorrupt != 0,
		BackingName:   hdr.BackingName, BackingFormat: hdr.BackingFormat(),
		Snapshots: snapshots,
	}
	for _, b := range bitmaps {
		info.Bitmaps = append(info.Bitmaps, b.Bitmap)
	}
	return info, nil
}
