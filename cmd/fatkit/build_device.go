package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/fatkit/fatkit/block/file"
)

func isBlockDevice(m fs.FileMode) bool { return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0 }

// claimDevice opens the block device at path for overwriting it.
func claimDevice(path string) (*file.Device, error) {
	// For a block device O_EXCL alone claims it for us: open(2), "O_EXCL". One
	// that is mounted, or in use by the kernel otherwise, is EBUSY.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_EXCL, 0)
	if err != nil {
		return nil, err
	}
	dev, err := file.New(f, file.Options{Lock: true})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return dev, nil
}
