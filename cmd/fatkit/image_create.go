package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/stack"
)

const imageCreateLong = `Make a new image of an empty disk of SIZE bytes, such as 512M or 20G, in units of
1024. The format is that of -f, else what the suffix says, else raw.

-b records a backing file, whose contents show where the new image holds nothing
of its own, and -F its format. A relative name is meant from the folder of the
new image. Without SIZE the disk is as large as that of the backing file.

The options of -o are, for both formats, size and preallocation (off, falloc,
full); for qcow2 cluster_size, refcount_bits, extended_l2, compat, compression_type,
lazy_refcounts, backing_file, backing_fmt, and preallocation also metadata. With
-o help they are listed.`

// createFlags are the flags of image create.
type createFlags struct {
	format, backing, backingFormat, policy string
	options                                []string
	unsafe, force, quiet                   bool
}

func newImageCreate() *cobra.Command {
	f := createFlags{}
	cmd := &cobra.Command{
		Use:     "create [flags] IMAGE [SIZE]",
		Short:   "make a new image of an empty disk",
		Long:    imageCreateLong,
		Example: "  fatkit image create disk.qcow2 20G\n  fatkit image create -b disk.qcow2 -F qcow2 over.qcow2",
		Args:    orOptionHelp(&f.options, wantArgs(1, 2, "an image and a size")),
		RunE: func(cmd *cobra.Command, args []string) error {
			return createImage(cmd.Context(), cmd.OutOrStdout(), &f, args)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.VarP(formatFlag(&f.format), "format", "f", "format of the image (default what its suffix says, else raw)")
	fs.StringArrayVarP(&f.options, "options", "o", nil, "options of the format: `NAME=VALUE,...`")
	fs.StringVarP(&f.backing, "backing-file", "b", "", "record the backing file `FILE`")
	fs.VarP(formatFlag(&f.backingFormat), "backing-format", "F", "format of the backing file")
	fs.BoolVarP(&f.unsafe, "unsafe", "u", false, "do not look at the backing file")
	fs.StringVar(&f.policy, "backing", "", "open the backing files that the backing file names itself: allow, deny, or those beneath `DIR` (default beneath its folder)")
	fs.BoolVar(&f.force, "force", false, "replace IMAGE if it exists")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "accepted for qemu-img's sake: nothing is printed anyway")
	return cmd
}

// createImage is the verb.
func createImage(ctx context.Context, out io.Writer, f *createFlags, args []string) error {
	if isOptionHelp(f.options) {
		return printOptionHelp(out, f.format)
	}
	path := args[0]
	format, err := formatForNew(path, f.format)
	if err != nil {
		return err
	}
	c, err := f.creation(format, args[1:])
	if err != nil {
		return err
	}
	if c.BackingName != "" && !f.unsafe {
		if err := f.lookAtBacking(ctx, path, c); err != nil {
			return err
		}
	}
	if c.sizeBytes < 0 {
		return usageError("%s: say how large the disk is, such as 20G", path)
	}
	return putNewFile(path, f.force, func(dev *file.Device) error {
		if format == stack.FormatRaw {
			return c.writeRaw(dev, c.sizeBytes, nil)
		}
		return c.writeQcow2(ctx, dev, c.sizeBytes, nil)
	})
}

// creation joins -o with the other flags and the argument for the size.
func (f *createFlags) creation(format string, size []string) (*creation, error) {
	c, err := parseCreation(f.options)
	if err != nil {
		return nil, err
	}
	c.setBacking(f.backing, f.backingFormat)
	if len(size) > 0 {
		if c.sizeBytes, err = parseSize(size[0]); err != nil {
			return nil, usageError("%w", err)
		}
	}
	if err := c.checkBacking(); err != nil {
		return nil, err
	}
	return c, c.check(format)
}

// lookAtBacking makes sure that the backing file opens, and takes the size of
// its disk if none was given.
func (f *createFlags) lookAtBacking(ctx context.Context, path string, c *creation) error {
	dev, err := openBase(ctx, path, c, f.policy)
	if err != nil {
		return err
	}
	if c.sizeBytes < 0 {
		c.sizeBytes = dev.Size()
	}
	return dev.Close()
}
