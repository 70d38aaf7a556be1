package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageRebaseLong = `Give the qcow2 image IMAGE another backing file, or with -b '' none. The disk shows
the same as before: what differs between the old backing file and the new one is
written to IMAGE first. A relative name is meant from the folder of IMAGE.

With -u neither file is looked at, and the name and the format are replaced alone:
for a backing file that was renamed or moved, or whose contents are known to be
the same. What the disk shows changes with the backing file.`

// rebaseFlags are the flags of image rebase.
type rebaseFlags struct {
	in               inputFlags
	base, baseFormat string
	unsafe           bool
	progress, quiet  bool
	cache            cacheFlags
}

func newImageRebase() *cobra.Command {
	f := rebaseFlags{}
	cmd := &cobra.Command{
		Use:     "rebase [flags] -b FILE IMAGE",
		Short:   "give an image another backing file",
		Long:    imageRebaseLong,
		Example: "  fatkit image rebase -b new-base.qcow2 -F qcow2 over.qcow2\n  fatkit image rebase -b '' over.qcow2\n  fatkit image rebase -u -b moved.qcow2 -F qcow2 over.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("backing-file") {
				return usageError("rebase needs -b and the backing file; -b '' is for none")
			}
			return rebaseImage(cmd, &f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.VarP(formatFlag(&f.in.format), "format", "f", "format of the image, which is qcow2 (default what its suffix says)")
	fs.StringVarP(&f.base, "backing-file", "b", "", "the new backing file `FILE`")
	fs.VarP(formatFlag(&f.baseFormat), "backing-format", "F", "format of the new backing file")
	fs.BoolVarP(&f.unsafe, "unsafe", "u", false, "change the name alone")
	f.in.registerBacking(fs)
	fs.BoolVarP(&f.progress, "progress", "p", false, "accepted for qemu-img's sake: a terminal shows progress unless -q is given")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	f.cache.register(fs)
	return cmd
}

// rebaseImage is the verb.
func rebaseImage(cmd *cobra.Command, f *rebaseFlags, name string) error {
	switch {
	case f.base == "" && f.baseFormat != "":
		return usageError("-F says what format the backing file has: name it with -b")
	case f.base != "" && f.baseFormat == "":
		return usageError("-b %s: say which format the backing file has with -F", f.base)
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	img, err := f.open(ctx, name)
	if err != nil {
		return err
	}
	bar := newProgressBar(cmd.ErrOrStderr(), filepath.Base(name), f.quiet)
	if f.unsafe {
		err = img.SetBacking(f.base, f.baseFormat)
	} else {
		err = f.rebase(ctx, name, img, bar)
	}
	bar.finish()
	return errors.Join(err, img.Close())
}

// open opens the image for writing; with -u without its backing file.
func (f *rebaseFlags) open(ctx context.Context, name string) (*qcow2.Image, error) {
	o := f.in.options()
	o.Writable, o.NoBacking = true, f.unsafe
	dev, format, err := stack.OpenDisk(ctx, name, o)
	if err != nil {
		return nil, err
	}
	img, ok := dev.(*qcow2.Image)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: a %s image has no backing file", name, format), dev.Close())
	}
	return img, nil
}

// rebase changes the backing file and keeps what the disk shows.
func (f *rebaseFlags) rebase(ctx context.Context, name string, img *qcow2.Image, bar *progressBar) error {
	var base block.Device
	if f.base != "" {
		path := stack.BackingPath(name, f.base)
		if sameFile(path, name) {
			return usageError("%s cannot be its own backing file", name)
		}
		o := stack.DiskOptions{Format: f.baseFormat, Backing: backingPolicy(f.in.backing)}
		dev, _, err := stack.OpenDisk(ctx, path, o)
		if err != nil {
			return err
		}
		defer dev.Close()
		for _, level := range stack.Levels(path, dev) {
			if sameFile(level.Name, name) {
				return usageError("%s is a backing file of %s, and would be its own", name, path)
			}
		}
		base = dev
	}
	if err := img.Rebase(ctx, base, f.base, f.baseFormat, bar.update); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// sameFile reports whether two names stand for one file of the host.
func sameFile(a, b string) bool {
	if stack.IsURI(a) || stack.IsURI(b) {
		return a == b
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
