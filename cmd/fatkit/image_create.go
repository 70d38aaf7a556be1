package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/stack"
)

const imageCreateLong = `Make a new image of an empty disk of SIZE bytes, such as 512M or 20G, in units of
1024. The format is that of -f, else what the suffix says, else raw.

-b records a backing file, whose contents show where the new image holds nothing
of its own, and -F its format. A relative name is meant from the folder of the
new image. Without SIZE the disk is as large as that of the backing file.

The options of -o are, for both formats, size and preallocation (off, falloc);
for qcow2 cluster_size, refcount_bits, extended_l2, compat, compression_type,
backing_file, backing_fmt, and preallocation also metadata and full.`

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
		Args:    wantArgs(1, 2, "an image and a size"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return createImage(cmd.Context(), &f, args)
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
func createImage(ctx context.Context, f *createFlags, args []string) error {
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
	return putNewFile(path, f.force, func(temp string) error {
		if format == stack.FormatRaw {
			return c.writeRaw(temp, c.sizeBytes, nil)
		}
		return c.writeQcow2(ctx, temp, c.sizeBytes, nil)
	})
}

// creation joins -o with the other flags and the argument for the size.
func (f *createFlags) creation(format string, size []string) (*creation, error) {
	c, err := parseCreation(f.options)
	if err != nil {
		return nil, err
	}
	if f.backing != "" {
		c.BackingName = f.backing
		c.given = append(c.given, "backing_file")
	}
	if f.backingFormat != "" {
		c.BackingFormat = f.backingFormat
	}
	if len(size) > 0 {
		if c.sizeBytes, err = parseSize(size[0]); err != nil {
			return nil, usageError("%w", err)
		}
	}
	switch {
	case c.BackingName == "" && c.BackingFormat != "":
		return nil, usageError("-F says what format the backing file has: name it with -b")
	case c.BackingName != "" && c.BackingFormat == "":
		return nil, usageError("-b %s: say which format the backing file has with -F", c.BackingName)
	case c.BackingFormat != "" && c.BackingFormat != stack.FormatRaw && c.BackingFormat != stack.FormatQcow2:
		return nil, usageError("-F %s: a backing file is raw or qcow2", c.BackingFormat)
	}
	return c, c.check(format)
}

// lookAtBacking makes sure that the backing file opens, and takes the size of
// its disk if none was given. Its name is the caller's word, not an image's.
func (f *createFlags) lookAtBacking(ctx context.Context, path string, c *creation) error {
	name := c.BackingName
	if !stack.IsURI(name) && !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(path), name)
	}
	o := stack.DiskOptions{Format: c.BackingFormat, Backing: backingPolicy(f.policy)}
	dev, _, err := stack.OpenDisk(ctx, name, o)
	if err != nil {
		return err
	}
	if c.sizeBytes < 0 {
		c.sizeBytes = dev.Size()
	}
	return dev.Close()
}
