package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageResizeLong = `Change the size of the disk of an image to SIZE, or by +SIZE or -SIZE. What is
added reads as zeroes. To cut off the end needs --shrink, since what was there is
lost. Write -- in front of a size with a minus, as in the example.

Partitions and file systems on the disk are left as they are.`

// resizeFlags are the flags of image resize.
type resizeFlags struct {
	format, backing string
	prealloc        string
	shrink, quiet   bool
}

func newImageResize() *cobra.Command {
	f := resizeFlags{prealloc: "off"}
	cmd := &cobra.Command{
		Use:     "resize [flags] IMAGE [+|-]SIZE",
		Short:   "make the disk of an image larger or smaller",
		Long:    imageResizeLong,
		Example: "  fatkit image resize disk.qcow2 +1G\n  fatkit image resize --shrink disk.qcow2 -- -512M",
		Args:    wantArgs(2, 2, "an image and a size"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return resizeImage(cmd.Context(), &f, args[0], args[1])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.VarP(formatFlag(&f.format), "format", "f", "format of the image (default what its suffix says, else raw)")
	fs.Var(&choiceValue{word: &f.prealloc, choices: []string{"off", "metadata", "falloc", "full"}}, "preallocation", "take the room for what is added; metadata is for qcow2")
	fs.BoolVar(&f.shrink, "shrink", false, "cut off the end of the disk if SIZE is smaller")
	fs.StringVar(&f.backing, "backing", "", "open the backing files of a qcow2 image: allow, deny, or those beneath `DIR` (default beneath the image's folder)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "accepted for qemu-img's sake: nothing is printed anyway")
	return cmd
}

// resizeImage is the verb.
func resizeImage(ctx context.Context, f *resizeFlags, name, size string) error {
	number := strings.TrimLeft(size, "+-")
	if len(size)-len(number) > 1 {
		return usageError("%q is not a size", size)
	}
	n, err := parseSize(number)
	if err != nil {
		return usageError("%w", err)
	}
	o := stack.DiskOptions{Format: f.format, Writable: true, Backing: backingPolicy(f.backing)}
	dev, _, err := stack.OpenDisk(ctx, name, o)
	if err != nil {
		return err
	}
	err = f.resize(ctx, dev, size[0], n)
	if err == nil {
		err = dev.Flush()
	}
	if err = errors.Join(err, dev.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// resize gives dev the size n, or adds it to or takes it from the present one.
func (f *resizeFlags) resize(ctx context.Context, dev block.Device, sign byte, n int64) error {
	resizer, ok := dev.(block.Resizer)
	if !ok {
		return fmt.Errorf("the size of an export is its server's: %w", errors.ErrUnsupported)
	}
	old := dev.Size()
	switch sign {
	case '+':
		n += old // a sum that is too large is negative
	case '-':
		n = old - n
	}
	switch {
	case n <= 0:
		return usageError("the disk has %d bytes, and nothing would be left of it or it would be too large", old)
	case n < old && !f.shrink:
		return usageError("the disk has %d bytes: use --shrink to cut off its end", old)
	}
	kind, err := qcow2.ParsePreallocation(f.prealloc)
	_, isQcow2 := dev.(*qcow2.Image)
	switch {
	case err != nil:
		return err
	case kind == qcow2.PreallocateMetadata && !isQcow2:
		return usageError("--preallocation: a raw image takes off, falloc or full")
	case kind != qcow2.PreallocateOff && n < old:
		return usageError("--preallocation is about what is added, and the disk becomes smaller")
	}
	if err := resizer.Resize(n); err != nil {
		return err
	}
	return preallocate(ctx, dev, old, n-old, kind)
}

// preallocate takes the room for a range of an image that was added to it.
func preallocate(ctx context.Context, dev block.Device, off, n int64, kind qcow2.Preallocation) error {
	if n <= 0 {
		return nil
	}
	if img, ok := dev.(*qcow2.Image); ok {
		return img.Preallocate(ctx, off, n, kind)
	}
	return allocateRaw(dev, off, n, kind)
}
