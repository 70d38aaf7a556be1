package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/fat"
)

// FileSystemOptions say how a file system is opened.
type FileSystemOptions struct {
	// Image says how an image is opened. Its Partition and OffsetBytes are 0:
	// Volume chooses.
	Image ImageOptions
	// Share reads an image without a lock, while another program may be
	// writing it.
	Share bool
	// Volume says which volume of the disk is meant.
	Volume VolumeChoice
	// Fat tunes the mount. Its ReadOnly is what Image.Writable says.
	Fat fat.Options
}

// VolumeFacts describe the disk and the place of an open volume.
type VolumeFacts struct {
	Name        string `json:"image"`               // as it was given
	Format      string `json:"format"`              // FormatRaw, FormatQcow2, or "directory" for one shown as a disk
	Table       string `json:"table,omitempty"`     // "mbr" or "gpt"; "" if the volume is in no partition
	Partition   int    `json:"partition,omitempty"` // 0 if it is in none
	OffsetBytes int64  `json:"offset_bytes"`        // where the volume begins on the disk
	SizeBytes   int64  `json:"size_bytes"`          // of the partition, or of the rest of the disk
	DiskBytes   int64  `json:"disk_bytes"`
}

// formatDirectory is the Format of a directory that is shown as a disk.
const formatDirectory = "directory"

// FileSystem is a mounted volume with all that it stands on.
type FileSystem struct {
	*fat.Volume
	Facts   VolumeFacts
	Tables  []TableRegion // where the partition table lies, if the volume is in a partition
	release func() error
}

// Close makes all changes durable, unmounts the volume and closes what it
// stands on.
func (f *FileSystem) Close() error {
	return errors.Join(f.Volume.Close(), f.release())
}

// OpenFileSystem mounts the volume that name means: an image, a block device
// or the URI of an NBD server; or for reading alone a directory, by its path or
// a fat: name, as the disk it would be shown as. An image is locked as OpenImage
// does it.
//
// ctx bounds the opening, not the use.
func OpenFileSystem(ctx context.Context, name string, o FileSystemOptions) (*FileSystem, error) {
	v, err := OpenVolume(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return mount(v.Device, v.Disk, v.Facts, o, v.Close)
}

// mount mounts the volume on dev, a part of disk. release gives back what it
// stands on, also when there is an error.
func mount(dev, disk block.Device, facts VolumeFacts, o FileSystemOptions, release func() error) (*FileSystem, error) {
	o.Fat.ReadOnly = o.Fat.ReadOnly || !o.Image.Writable
	f := &FileSystem{Facts: facts, release: release}
	var err error
	if facts.Partition > 0 {
		f.Tables, err = TableRegions(disk)
	}
	if err == nil {
		f.Volume, err = fat.Open(dev, o.Fat)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", facts.Name, err), release())
	}
	return f, nil
}

// Volume is a volume that is not mounted: the part of a disk that it is on.
type Volume struct {
	Device block.Device // begins with the boot sector
	Disk   block.Device // the disk as a whole
	Facts  VolumeFacts
	disk   *wholeDisk
}

// Close closes the devices.
func (v *Volume) Close() error {
	var err error
	if v.Device != nil {
		err = v.Device.Close()
	}
	return errors.Join(err, v.disk.Close())
}

// OpenVolume opens what OpenFileSystem mounts.
func OpenVolume(ctx context.Context, name string, o FileSystemOptions) (*Volume, error) {
	v, notFound, err := OpenDiskOfVolume(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if notFound != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, notFound), v.Close())
	}
	return v, nil
}

// OpenDiskOfVolume is OpenVolume for a look at a disk that may hold no volume:
// notFound says why, and Device is nil then.
func OpenDiskOfVolume(ctx context.Context, name string, o FileSystemOptions) (v *Volume, notFound, err error) {
	disk, err := openWholeDisk(ctx, name, &o)
	if err != nil {
		return nil, nil, err
	}
	dev, facts, notFound := disk.volume(&o)
	v = &Volume{Disk: disk.dev, Facts: facts, disk: disk}
	if notFound == nil {
		v.Device = dev
	}
	return v, notFound, nil
}
