package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageInfoLong = `Print what an image says about itself: format, sizes, features, backing file,
snapshots. Only the image is opened, nothing that it names.`

// imageInfo is what "qemu-img info --output=json" prints.
type imageInfo struct {
	Filename      string          `json:"filename"`
	Format        string          `json:"format"`
	VirtualSize   int64           `json:"virtual-size"`
	ActualSize    *int64          `json:"actual-size,omitempty"`
	ClusterSize   int64           `json:"cluster-size,omitempty"`
	DirtyFlag     bool            `json:"dirty-flag"`
	BackingName   string          `json:"backing-filename,omitempty"`
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
	in, out := inputFlags{}, outputFlags{}
	cmd := &cobra.Command{
		Use:     "info [flags] IMAGE",
		Short:   "print what an image says about itself",
		Long:    imageInfoLong,
		Example: "  fatkit image info disk.qcow2\n  fatkit image info --json disk.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := readImageInfo(cmd, &in, args[0])
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), info, info.text)
		},
	}
	cmd.Flags().SortFlags = false
	in.register(cmd.Flags())
	out.register(cmd.Flags())
	return cmd
}

// readImageInfo opens the image name alone and describes it.
func readImageInfo(cmd *cobra.Command, in *inputFlags, name string) (*imageInfo, error) {
	dev, format, err := in.openMedium(cmd.Context(), name, false)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	info := &imageInfo{Filename: name, Format: format, VirtualSize: dev.Size()}
	if n, ok := allocatedBytes(name); ok && !stack.IsURI(name) {
		info.ActualSize = &n
	}
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

// describe adds what a qcow2 image says.
func (i *imageInfo) describe(s *qcow2.Info) {
	i.VirtualSize, i.ClusterSize, i.DirtyFlag = s.Size, s.ClusterBytes, s.Dirty
	i.BackingName, i.BackingFormat = s.BackingName, s.BackingFormat
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

// text writes the description for people. Names inside an image come from
// anywhere.
func (i *imageInfo) text(w io.Writer) error {
	field(w, "image", "%s", printable(i.Filename))
	field(w, "file format", "%s", i.Format)
	field(w, "virtual size", "%s (%d bytes)", diskerr.FormatBytes(i.VirtualSize), i.VirtualSize)
	if i.ActualSize != nil {
		field(w, "disk size", "%s", diskerr.FormatBytes(*i.ActualSize))
	}
	if i.Specific == nil {
		return nil
	}
	field(w, "cluster size", "%d", i.ClusterSize)
	if i.BackingName != "" {
		format := i.BackingFormat
		if format == "" {
			format = "format not recorded"
		}
		field(w, "backing file", "%s (%s)", printable(i.BackingName), printable(format))
	}
	d := &i.Specific.Data
	field(w, "compat", "%s", d.Compat)
	field(w, "compression", "%s", d.CompressionType)
	field(w, "refcount bits", "%d", d.RefcountBits)
	if d.ExtendedL2 != nil {
		field(w, "extended L2", "%t", *d.ExtendedL2)
		field(w, "lazy refcounts", "%t", *d.LazyRefcounts)
		field(w, "corrupt", "%t", *d.Corrupt)
	}
	field(w, "dirty", "%t", i.DirtyFlag)
	for _, b := range d.Bitmaps {
		field(w, "bitmap", "%s, granularity %d, flags %v", printable(b.Name), b.Granularity, b.Flags)
	}
	for _, s := range i.Snapshots {
		when := time.Unix(int64(s.DateSec), int64(s.DateNsec)).Format(time.DateTime)
		field(w, "snapshot", "%s %s, %s, machine state %s", printable(s.ID), printable(s.Name), when, diskerr.FormatBytes(int64(min(s.VMStateSize, 1<<62))))
	}
	return nil
}
