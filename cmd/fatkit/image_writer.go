package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fatkit/fatkit/block"
	blockcopy "github.com/fatkit/fatkit/block/copy"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

// imageWriter puts a disk into an image.
type imageWriter struct {
	format string
	c      *creation
	force  bool // replace what exists
	bar    *progressBar

	compress    bool         // the clusters of a qcow2 image
	allocate    bool         // zeroes take their room
	sparseBytes int64        // zeroes in data that fill this much of a raw image are left out; 0 for none
	workers     int          // 0 for what suits the machine
	base        block.Device // of the backing file of a new image, or nil
}

// put makes the new image to, in a file or on a block device.
func (w *imageWriter) put(ctx context.Context, to string, src block.Device) error {
	if fi, err := os.Stat(to); err == nil && isBlockDevice(fi.Mode()) {
		return w.putOnDevice(ctx, to, src)
	}
	return putNewFile(to, w.force, func(dev *file.Device) error { return w.write(ctx, dev, src) })
}

// putOnDevice overwrites the beginning of a block device.
func (w *imageWriter) putOnDevice(ctx context.Context, path string, src block.Device) error {
	if err := checkTarget(path, w.force); err != nil {
		return err
	}
	dev, err := claimDevice(path)
	if err != nil {
		return err
	}
	if w.format == stack.FormatRaw {
		err = w.copy(ctx, dev, src, false)
		if err == nil {
			err = dev.Flush()
		}
		err = errors.Join(err, dev.Close())
	} else {
		err = w.write(ctx, dev, src)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// write makes the new image in dev, which it closes.
func (w *imageWriter) write(ctx context.Context, dev *file.Device, src block.Device) error {
	size := max(src.Size(), w.c.sizeBytes)
	if w.format == stack.FormatRaw {
		return w.c.writeRaw(dev, size, func(dst block.Device) error { return w.copy(ctx, dst, src, true) })
	}
	return w.c.writeQcow2(ctx, dev, size, func(img *qcow2.Image) error {
		err := w.copy(ctx, img, src, true)
		if err == nil && w.allocate {
			err = img.Preallocate(ctx, 0, img.Size(), qcow2.PreallocateFalloc)
		}
		return err
	})
}

// overwrite copies src over the existing image to. zero says that it reads as
// zeroes.
func (w *imageWriter) overwrite(ctx context.Context, to string, src block.Device, o stack.DiskOptions, zero bool) error {
	dst, _, err := stack.OpenDisk(ctx, to, o)
	if err != nil {
		return err
	}
	if img, ok := dst.(*qcow2.Image); ok && zero && img.Backing() != nil {
		err = usageError("--target-is-zero: %s has a backing file, which shows where it holds nothing", to)
	}
	if err == nil {
		err = w.copy(ctx, dst, src, zero)
	}
	if err == nil {
		err = dst.Flush()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	return nil
}

// copy copies src to the beginning of dst. zero says that dst reads as zeroes.
// A raw image that was preallocated keeps its space because zeroes are not
// written to it.
func (w *imageWriter) copy(ctx context.Context, dst, src block.Device, zero bool) error {
	img, ok := dst.(*qcow2.Image)
	if !ok {
		return blockcopy.Copy(ctx, dst, src, blockcopy.Options{
			Workers: w.workers, TargetIsZero: zero, NoHole: w.allocate, SparseBytes: int(w.sparseBytes), Progress: w.bar.update,
		})
	}
	o := qcow2.FillOptions{Compress: w.compress, Workers: w.workers, TargetIsZero: zero, Progress: w.bar.update}
	if w.base != nil {
		return qcow2.FillDifference(ctx, img, src, w.base, o)
	}
	return qcow2.Fill(ctx, img, src, o)
}

// openBase opens the backing file that a new image at path is to have. Its name
// is the caller's word, not an image's.
func openBase(ctx context.Context, path string, c *creation, policy string) (block.Device, error) {
	if c.BackingFormat == "" {
		return nil, usageError("%s: say which format the backing file has with -F", c.BackingName)
	}
	name := stack.BackingPath(path, c.BackingName)
	if sameFile(name, path) {
		return nil, usageError("%s cannot be its own backing file", path)
	}
	o := stack.DiskOptions{Format: c.BackingFormat, Backing: backingPolicy(policy)}
	dev, _, err := stack.OpenDisk(ctx, name, o)
	return dev, err
}

// targetName is what the progress bar calls an image.
func targetName(to string) string { return filepath.Base(to) }
