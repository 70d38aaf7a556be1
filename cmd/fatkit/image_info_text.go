package main

import (
	"fmt"
	"io"
	"time"
)

// The text is that of qemu-img info, line by line. Names inside an image come
// from anywhere, so they are quoted where they would steer a terminal.

// printChain writes the descriptions of a backing chain for people.
func printChain(w io.Writer, list []*imageInfo) error {
	for i, info := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := info.text(w); err != nil {
			return err
		}
	}
	return nil
}

// text writes the description for people.
func (i *imageInfo) text(w io.Writer) error {
	fmt.Fprintf(w, "image: %s\n", printable(i.Filename))
	fmt.Fprintf(w, "file format: %s\n", i.Format)
	fmt.Fprintf(w, "virtual size: %s (%d bytes)\n", shortSize(uint64(i.VirtualSize)), i.VirtualSize)
	disk := "unavailable"
	if i.ActualSize != nil {
		disk = shortSize(uint64(*i.ActualSize))
	}
	fmt.Fprintf(w, "disk size: %s\n", disk)
	if i.Specific == nil {
		return nil
	}
	if i.DirtyFlag {
		fmt.Fprintln(w, "cleanly shut down: no")
	}
	fmt.Fprintf(w, "cluster_size: %d\n", i.ClusterSize)
	i.backingText(w)
	i.snapshotText(w)
	return i.Specific.Data.text(w)
}

func (i *imageInfo) backingText(w io.Writer) {
	if i.BackingName == "" {
		return
	}
	fmt.Fprintf(w, "backing file: %s", printable(i.BackingName))
	if i.FullBacking != i.BackingName {
		fmt.Fprintf(w, " (actual path: %s)", printable(i.FullBacking))
	}
	fmt.Fprintln(w)
	if i.BackingFormat != "" {
		fmt.Fprintf(w, "backing file format: %s\n", printable(i.BackingFormat))
	}
}

func (i *imageInfo) snapshotText(w io.Writer) {
	if len(i.Snapshots) == 0 {
		return
	}
	const row = "%-9s %-16s %8s %19s %12s %10s\n"
	fmt.Fprintln(w, "Snapshot list:")
	fmt.Fprintf(w, row, "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT")
	for _, s := range i.Snapshots {
		icount := ""
		if s.Icount != nil {
			icount = fmt.Sprint(*s.Icount)
		}
		when := time.Unix(int64(s.DateSec), 0).Format(time.DateTime)
		clock := fmt.Sprintf("%02d:%02d:%02d.%03d", s.VMClockSec/3600, s.VMClockSec/60%60, s.VMClockSec%60, s.VMClockNsec/1e6)
		fmt.Fprintf(w, row, printable(s.ID), printable(s.Name), shortSize(s.VMStateSize), when, clock, icount)
	}
}

func (d *qcow2Info) text(w io.Writer) error {
	fmt.Fprintln(w, "Format specific information:")
	fmt.Fprintf(w, "    compat: %s\n", d.Compat)
	fmt.Fprintf(w, "    compression type: %s\n", d.CompressionType)
	if d.LazyRefcounts != nil {
		fmt.Fprintf(w, "    lazy refcounts: %t\n", *d.LazyRefcounts)
	}
	if len(d.Bitmaps) > 0 {
		fmt.Fprintln(w, "    bitmaps:")
	}
	for n, b := range d.Bitmaps {
		fmt.Fprintf(w, "        [%d]:\n            flags:\n", n)
		for k, flag := range b.Flags {
			fmt.Fprintf(w, "                [%d]: %s\n", k, flag)
		}
		fmt.Fprintf(w, "            name: %s\n            granularity: %d\n", printable(b.Name), b.Granularity)
	}
	_, err := fmt.Fprintf(w, "    refcount bits: %d\n", d.RefcountBits)
	if d.Corrupt != nil {
		fmt.Fprintf(w, "    corrupt: %t\n", *d.Corrupt)
		_, err = fmt.Fprintf(w, "    extended l2: %t\n", *d.ExtendedL2)
	}
	return err
}

// shortSize writes a number of bytes with three digits, as qemu-img does: in the
// unit of which there are less than 1000.
func shortSize(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.3g %s", v, units[i])
}
