package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageMapLong = `Print which parts of the disk of an image hold data, and where that is: the offset
on the disk, the length, the offset in the file, and which file of the backing
chain it is. Data that is compressed has no place of its own.

With --json zeroes are listed as well, and depth counts the files of the chain
from 0, the image. present says that a file of the chain holds the part, data
that there are bytes for it, zero that it is known to read as zeroes.`

// mapFlags are the flags of image map.
type mapFlags struct {
	in            inputFlags
	out           outputFlags
	start, length int64
}

// mapExtent is an element of what "qemu-img map --output=json" prints.
type mapExtent struct {
	Start      int64  `json:"start"`
	Length     int64  `json:"length"`
	Depth      int    `json:"depth"`
	Present    bool   `json:"present"`
	Zero       bool   `json:"zero"`
	Data       bool   `json:"data"`
	Compressed bool   `json:"compressed"`
	Offset     *int64 `json:"offset,omitempty"`
}

func newImageMap() *cobra.Command {
	f := mapFlags{length: -1}
	cmd := &cobra.Command{
		Use:     "map [flags] IMAGE",
		Short:   "print where the data of a disk is",
		Long:    imageMapLong,
		Example: "  fatkit image map disk.qcow2\n  fatkit image map --json --start-offset 1M --max-length 64K disk.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, _, release := untilSignal(cmd.Context())
			defer release()
			return mapImage(ctx, &f, cmd.OutOrStdout(), args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.in.register(fs)
	fs.VarP(&sizeValue{bytes: &f.start}, "start-offset", "s", "begin at this offset of the disk")
	fs.VarP(&sizeValue{bytes: &f.length}, "max-length", "l", "print at most this many bytes of the disk")
	f.in.registerBacking(fs)
	f.out.register(fs)
	return cmd
}

// mapImage is the verb.
func mapImage(ctx context.Context, f *mapFlags, w io.Writer, name string) error {
	dev, _, err := f.in.openDisk(ctx, name)
	if err != nil {
		return err
	}
	defer dev.Close()
	start := min(f.start, dev.Size())
	n := dev.Size() - start
	if f.length >= 0 {
		n = min(n, f.length)
	}
	levels, list := stack.Levels(name, dev), []mapExtent{}
	print := func(e qcow2.ChainExtent) error { return printExtent(w, e, levels[e.Depth].Name) }
	if f.out.json || f.out.form == "json" {
		print = func(e qcow2.ChainExtent) error {
			list = append(list, newMapExtent(e))
			return nil
		}
	} else {
		fmt.Fprintf(w, mapRow, "Offset", "Length", "Mapped to", "File")
	}
	for e, err := range qcow2.Chain(dev, start, n) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = print(e)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return f.out.print(w, list, func(io.Writer) error { return nil })
}

// newMapExtent says of an extent what qemu-img does.
func newMapExtent(e qcow2.ChainExtent) mapExtent {
	m := mapExtent{
		Start: e.Off, Length: e.Len, Depth: e.Depth, Present: e.State != qcow2.Absent,
		Data: e.State == qcow2.Data || e.State == qcow2.Compressed, Compressed: e.State == qcow2.Compressed,
	}
	m.Zero = !m.Data
	if e.FileOff >= 0 {
		m.Offset = &e.FileOff
	}
	return m
}

// mapRow is the form of a line for people, which is that of qemu-img.
const mapRow = "%-16s%-16s%-16s%s\n"

// printExtent writes the line about an extent, if there is data.
func printExtent(w io.Writer, e qcow2.ChainExtent, file string) error {
	place := ""
	switch e.State {
	case qcow2.Data:
		place = hex(e.FileOff)
	case qcow2.Compressed:
		place = "compressed"
	default:
		return nil
	}
	_, err := fmt.Fprintf(w, mapRow, hex(e.Off), hex(e.Len), place, printable(file))
	return err
}

// hex writes a number as C does with %#x.
func hex(n int64) string {
	if n == 0 {
		return "0"
	}
	return "0x" + strconv.FormatInt(n, 16)
}
