// Package drivers joins file systems to the volume manager, package volume, one
// file for each driver, and opens what a person names as a volume's source.
//
//	fat   FAT12, FAT16 and FAT32 on any device
//	host  a directory of the host
//	iofs  any fs.FS; a zip or tar archive on a device; read-only unless it is a vfs.FS
//	raw   any device, as one file
//
// docs/HACKING.md, "Add a driver", says how another is added.
package drivers

import (
	"time"

	"github.com/fatkit/fatkit/volume"
)

// Options tune the drivers.
type Options struct {
	CodePage int            // of FAT's short names and labels; 0 means 437
	Location *time.Location // of the times on FAT volumes; nil means local time
}

// New returns a registry with all drivers.
func New(o Options) *volume.Registry {
	r := &volume.Registry{}
	for _, d := range []volume.Driver{
		newFAT(o),
		hostDriver{},
		iofsDriver{},
		rawDriver{},
	} {
		if err := r.Register(d); err != nil {
			panic(err) // two drivers of one name
		}
	}
	return r
}
