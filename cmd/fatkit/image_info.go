package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageInfoLong = `Print what an image says about itself: format, sizes, features, backing file,
snapshots. Only the image is opened, nothing that it names, except with
--backing-chain, which goes on with its backing file and with that one's.`

// imageInfo is what "qemu-img info --output=json" prints.
type imageInfo struct {
	Filename      string          `json:"filename"`
	Format        string          `json:"format"`
	VirtualSize   int64           `json:"virtual-size"`
	ActualSize    *int64          `json:"actual-size,omitempty"`
	ClusterSize   int64           `json:"cluster-size,omitempty"`
	DirtyFlag     bool            `json:"dirty-flag"`
	BackingName   string          `json:"backing-filename,omitempty"`
	FullBacking   string          `json:"full-backing-filename,omitempty"`
	BackingFormat string          `json:"backing-filename-format,omitempty"`
	Snapshots     []snapshotInfo  `json:"snapshots,omitempty"`
	Specific      *formatSpecific `json:"format-specific,omitempty"`
}

type formatSpecific struct {
	Type string    `json:"type"`
	Data qcow2Info `json:"data"`
}

// qcow2Info lists features. Version 2 ("0.10") has none of those behind a
// pointer.
type qcow2Info struct {
	Compat          string       `json:"compat"`
	CompressionType string       `json:"compression-type"`
	LazyRefcounts   *bool        `json:"lazy-refcounts,omitempty"`
	Bitmaps         []bitmapInfo `json:"bitmaps,omitempty"`
	RefcountBits    int          `json:"refcount-bits"`
	Corrupt         *bool        `json:"corrupt,omitempty"`
	ExtendedL2      *bool        `json:"extended-l2,omitempty"`
}

type bitmapInfo struct {
	Name        string   `json:"name"`
	Granularity int64    `json:"granularity"`
	Flags       []string `json:"flags"`
}

type snapshotInfo struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	VMStateSize uint64  `json:"vm-state-size"`
	DateSec     uint32  `json:"date-sec"`
	DateNsec    uint32  `json:"date-nsec"`
	VMClockSec  uint64  `json:"vm-clock-sec"`
	VMClockNsec uint64  `json:"vm-clock-nsec"`
	Icount      *uint64 `json:"icount,omitempty"`
}

func newImageInfo() *cobra.Command {
	in, out, chain := inputFlags{}, outputFlags{}, false
	cmd := &cobra.Command{
		Use:     "info [flags] IMAGE",
		Short:   "print what an image says about itself",
		Long:    imageInfoLong,
		Example: "  fatkit image info disk.qcow2\n  fatkit image info --json disk.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if chain {
				list, err := readChainInfo(cmd.Context(), &in, args[0])
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), list, func(w io.Writer) error { return printChain(w, list) })
			}
			info, err := readImageInfo(cmd.Context(), &in, args[0])
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), info, info.text)
		},
	}
	cmd.Flags().SortFlags = false
	in.register(cmd.Flags())
	cmd.Flags().BoolVar(&chain, "backing-chain", false, "go on with the backing files")
	in.registerBacking(cmd.Flags())
	out.register(cmd.Flags())
	return cmd
}

// readImageInfo opens the image name alone and describes it.
func readImageInfo(ctx context.Context, in *inputFlags, name string) (*imageInfo, error) {
	dev, format, err := in.openMedium(ctx, name, false)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	info := bareImageInfo(name, format, dev.Size())
	if format != stack.FormatQcow2 {
		return info, nil
	}
	stat, err := qcow2.Stat(dev)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	info.describe(stat)
	return info, nil
}

// readChainInfo opens the image name with its backing files and describes all.
func readChainInfo(ctx context.Context, in *inputFlags, name string) ([]*imageInfo, error) {
	dev, _, err := in.openDisk(ctx, name)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	var list []*imageInfo
	for _, level := range stack.Levels(name, dev) {
		info := bareImageInfo(level.Name, level.Format, level.Dev.Size())
		if img, ok := level.Dev.(*qcow2.Image); ok {
			stat, err := img.Info()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", level.Name, err)
			}
			info.describe(stat)
		}
		list = append(list, info)
	}
	return list, nil
}

// bareImageInfo describes an image of which nothing but its size is known.
func bareImageInfo(name, format string, size int64) *imageInfo {
	info := &imageInfo{Filename: name, Format: format, VirtualSize: size}
	if n, ok := allocatedBytes(name); ok && !stack.IsURI(name) {
		info.ActualSize = &n
	}
	return info
}

// describe adds what a qcow2 image says.
func (i *imageInfo) describe(s *qcow2.Info) {
	i.VirtualSize, i.ClusterSize, i.DirtyFlag = s.Size, s.ClusterBytes, s.Dirty
	i.BackingName, i.BackingFormat = s.BackingName, s.BackingFormat
	i.FullBacking = stack.BackingPath(i.Filename, s.BackingName)
	data := qcow2Info{Compat: "0.10", CompressionType: s.Compression.String(), RefcountBits: s.RefcountBits}
	if s.Version >= 3 {
		data.Compat = "1.1"
		data.LazyRefcounts, data.Corrupt, data.ExtendedL2 = &s.LazyRefcounts, &s.Corrupt, &s.ExtendedL2
	}
	for _, b := range s.Bitmaps {
		data.Bitmaps = append(data.Bitmaps, describeBitmap(b))
	}
	for _, snap := range s.Snapshots {
		i.Snapshots = append(i.Snapshots, describeSnapshot(snap))
	}
	i.Specific = &formatSpecific{Type: i.Format, Data: data}
}

// describeBitmap names the flags of a bitmap (Bitmap directory, bytes 12-15).
func describeBitmap(b *qcow2fmt.Bitmap) bitmapInfo {
	info := bitmapInfo{Name: b.Name, Granularity: 1 << b.GranularityBits, Flags: []string{}}
	for bit, name := range []string{"in-use", "auto"} {
		if b.Flags&(1<<bit) != 0 {
			info.Flags = append(info.Flags, name)
		}
	}
	return info
}

func describeSnapshot(s *qcow2fmt.Snapshot) snapshotInfo {
	info := snapshotInfo{
		ID: s.ID, Name: s.Name, VMStateSize: s.StateBytes, DateSec: s.Seconds, DateNsec: s.Nanoseconds,
		VMClockSec: s.GuestNanos / uint64(time.Second), VMClockNsec: s.GuestNanos % uint64(time.Second),
	}
	if s.Icount != ^uint64(0) {
		info.Icount = &s.Icount
	}
	return info
}
