package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/throttle"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageCommitLong = `Write what the qcow2 image IMAGE holds to its backing file, and empty IMAGE, which
shows the same as before. A backing file that is smaller is made as large; one
that is larger keeps its size.

-b names another image of the backing chain to write to: then that one shows what
IMAGE shows, IMAGE is not emptied, and the images between the two show something
else and are of no use any more.

IMAGE is emptied after everything is on stable storage, so whatever ends the
command early, IMAGE still shows what it did.`

// commitFlags are the flags of image commit.
type commitFlags struct {
	in              inputFlags
	base            string
	rateBytes       int64
	keep            bool
	progress, quiet bool
	cache           cacheFlags
}

func newImageCommit() *cobra.Command {
	f := commitFlags{}
	cmd := &cobra.Command{
		Use:     "commit [flags] IMAGE",
		Short:   "write what an image holds to its backing file",
		Long:    imageCommitLong,
		Example: "  fatkit image commit over.qcow2\n  fatkit image commit -b disk.qcow2 over.qcow2",
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return commitImage(cmd, &f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.VarP(formatFlag(&f.in.format), "format", "f", "format of the image, which is qcow2 (default what its suffix says)")
	fs.StringVarP(&f.base, "base", "b", "", "write to the image `FILE` of the backing chain (default the backing file)")
	fs.BoolVarP(&f.keep, "keep", "d", false, "do not empty the image afterwards")
	f.in.registerBacking(fs)
	fs.VarP(&sizeValue{bytes: &f.rateBytes}, "rate-limit", "r", "write at most this many bytes in a second")
	fs.BoolVarP(&f.progress, "progress", "p", false, "accepted for qemu-img's sake: a terminal shows progress unless -q is given")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing")
	f.cache.register(fs)
	return cmd
}

// commitImage is the verb.
func commitImage(cmd *cobra.Command, f *commitFlags, name string) error {
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	o := f.in.options()
	o.Writable = true
	dev, format, err := stack.OpenDisk(ctx, name, o)
	if err != nil {
		return err
	}
	img, ok := dev.(*qcow2.Image)
	if !ok {
		return errors.Join(fmt.Errorf("%s: a %s image has no backing file", name, format), dev.Close())
	}
	bar := newProgressBar(cmd.ErrOrStderr(), filepath.Base(name), f.quiet)
	err = f.commit(ctx, name, img, bar)
	bar.finish()
	if err = errors.Join(err, img.Close()); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.quiet {
		out = io.Discard
	}
	_, err = fmt.Fprintln(out, "Image committed.")
	return err
}

// commit writes to the level that is meant, and empties the image if it is to
// be.
func (f *commitFlags) commit(ctx context.Context, name string, img *qcow2.Image, bar *progressBar) error {
	levels := stack.Levels(name, img)
	depth, err := f.depth(levels)
	if err != nil {
		return err
	}
	base := levels[depth]
	if stack.IsURI(base.Name) {
		return fmt.Errorf("%s: a backing file that is written to has to be a file: %w", base.Name, errors.ErrUnsupported)
	}
	o := stack.DiskOptions{Format: base.Format, Writable: true, Backing: backingPolicy(f.in.backing)}
	dst, _, err := stack.OpenDisk(ctx, base.Name, o)
	if err != nil {
		return err
	}
	if err = errors.Join(f.write(ctx, dst, img, depth, bar), dst.Close()); err != nil {
		return fmt.Errorf("%s: %w", base.Name, err)
	}
	if f.keep || f.base != "" {
		return nil
	}
	if err := img.Empty(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// depth returns which level of the chain is written to.
func (f *commitFlags) depth(levels []stack.Level) (int, error) {
	switch {
	case len(levels) == 1:
		return 0, fmt.Errorf("%s: has no backing file", levels[0].Name)
	case f.base == "":
		return 1, nil
	}
	for i, level := range levels[1:] {
		if level.Name == f.base || sameFile(level.Name, f.base) {
			return i + 1, nil
		}
	}
	return 0, usageError("-b %s: is not in the backing chain of %s", f.base, levels[0].Name)
}

// write writes what is above the depth to dst, on stable storage.
func (f *commitFlags) write(ctx context.Context, dst block.Device, img *qcow2.Image, depth int, bar *progressBar) error {
	if dst.Size() < img.Size() {
		if err := dst.(block.Resizer).Resize(img.Size()); err != nil {
			return err
		}
	}
	to := dst
	if f.rateBytes > 0 {
		to = throttle.New(ctx, dst, f.rateBytes)
	}
	if err := qcow2.Commit(ctx, to, img, depth, bar.update); err != nil {
		return err
	}
	return dst.Flush()
}
