package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fatkit/fatkit/block"
	blockcopy "github.com/fatkit/fatkit/block/copy"
	"github.com/fatkit/fatkit/block/file"
)

func isBlockDevice(m fs.FileMode) bool { return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0 }

// overwriteDevice copies src over the beginning of the block device at path,
// and returns when it is on stable storage.
func overwriteDevice(ctx context.Context, path string, src block.Device, bar *progressBar) error {
	// For a block device O_EXCL alone claims it for us: open(2), "O_EXCL". One
	// that is mounted, or in use by the kernel otherwise, is EBUSY.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_EXCL, 0)
	if err != nil {
		return err
	}
	dst, err := file.New(f, file.Options{Lock: true})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	err = blockcopy.Copy(ctx, dst, src, blockcopy.Options{Progress: bar.update})
	if err == nil {
		err = dst.Flush()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
