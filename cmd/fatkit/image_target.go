package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/qcow2"
)

// putNewFile lets write make a file beside path and puts it in place, so that
// path is either whole or untouched. write leaves it on stable storage.
func putNewFile(path string, force bool, write func(temp string) error) error {
	if err := checkTarget(path, force); err != nil {
		return err
	}
	if fi, err := os.Stat(path); err == nil && isBlockDevice(fi.Mode()) {
		return fmt.Errorf("%s: is a block device, and a file is meant here", path)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // replace what a link leads to, not the link
	}
	temp := tempName(path)
	defer os.Remove(temp) // nothing is there any more if all went well
	if err := write(temp); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := putInPlace(temp, path, force); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// writeRaw makes the raw image temp of sizeBytes; fill may be nil.
func (c *creation) writeRaw(temp string, sizeBytes int64, fill func(block.Device) error) error {
	dev, err := file.Create(temp, sizeBytes, file.Options{})
	if err != nil {
		return err
	}
	if c.prealloc == qcow2.PreallocateFalloc {
		err = block.WriteZeroes(dev, 0, sizeBytes, block.NoHole)
	}
	if err == nil && fill != nil {
		err = fill(dev)
	}
	if err == nil {
		err = dev.Flush()
	}
	return errors.Join(err, dev.Close())
}

// writeQcow2 makes the qcow2 image temp of a disk of sizeBytes; fill may be nil.
func (c *creation) writeQcow2(ctx context.Context, temp string, sizeBytes int64, fill func(*qcow2.Image) error) error {
	dev, err := file.Create(temp, 0, file.Options{})
	if err != nil {
		return err
	}
	if err := qcow2.Create(dev, sizeBytes, c.CreateOptions); err != nil {
		return errors.Join(err, dev.Close())
	}
	if fill == nil && c.prealloc == qcow2.PreallocateOff {
		return dev.Close()
	}
	img, err := qcow2.Open(dev, qcow2.Options{NoBacking: true})
	if err != nil {
		return errors.Join(err, dev.Close())
	}
	if fill != nil {
		err = fill(img)
	}
	if err == nil {
		err = img.Preallocate(ctx, 0, img.Size(), c.prealloc)
	}
	return errors.Join(err, img.Close())
}
