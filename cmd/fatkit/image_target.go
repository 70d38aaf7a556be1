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

// putNewFile lets write fill a new file beside path and puts it in place, so that
// path is either whole or untouched. write leaves it on stable storage and
// closes it.
func putNewFile(path string, force bool, write func(dev *file.Device) error) error {
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
	dev, err := file.Create(temp, 0, file.Options{WriteBehind: true})
	if err == nil {
		err = write(dev)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := putInPlace(temp, path, force); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// writeRaw makes dev, an empty file, a raw image of sizeBytes, and closes it;
// fill may be nil.
func (c *creation) writeRaw(dev *file.Device, sizeBytes int64, fill func(block.Device) error) error {
	err := dev.Resize(sizeBytes)
	if err == nil {
		err = allocateRaw(dev, 0, sizeBytes, c.prealloc)
	}
	if err == nil && fill != nil {
		err = fill(dev)
	}
	if err == nil {
		err = dev.Flush()
	}
	return errors.Join(err, dev.Close())
}

// allocateRaw takes the room for a range of a raw image, which reads as zeroes.
func allocateRaw(dev block.Device, off, n int64, kind qcow2.Preallocation) error {
	switch kind {
	case qcow2.PreallocateFalloc:
		return block.WriteZeroes(dev, off, n, block.NoHole)
	case qcow2.PreallocateFull:
		p := make([]byte, min(n, 1<<20))
		for n > 0 {
			m, err := dev.WriteAt(p[:min(n, int64(len(p)))], off)
			if err != nil {
				return err
			}
			off, n = off+int64(m), n-int64(m)
		}
	}
	return nil
}

// writeQcow2 makes dev, an empty file or a block device, the qcow2 image of a
// disk of sizeBytes, and closes it; fill may be nil.
func (c *creation) writeQcow2(ctx context.Context, dev *file.Device, sizeBytes int64, fill func(*qcow2.Image) error) error {
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
