package drivers

import (
	"context"
	"io/fs"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/iofs"
	"github.com/fatkit/fatkit/volume"
)

// iofsDriver mounts any fs.FS, and archives on a device.
type iofsDriver struct{}

// Name implements volume.Driver.
func (iofsDriver) Name() string { return "iofs" }

// Marks of archives: those of a zip file's first member, or of its end if there
// is none (APPNOTE 6.3.10, sections 4.3.7 and 4.3.16), and that of a tar
// header since POSIX.1-1988 (pax, "ustar Interchange Format", magic).
const (
	zipMember    = "PK\x03\x04"
	zipEnd       = "PK\x05\x06"
	tarMagic     = "ustar"
	tarMagicAt   = 257
	archiveStart = 512 // bytes that are looked at
)

// archiveKind returns "zip", "tar", or "" if a device begins as neither.
func archiveKind(dev block.Device) (string, error) {
	p := make([]byte, min(archiveStart, dev.Size()))
	if err := block.ReadFull(dev, p, 0); err != nil {
		return "", err
	}
	has := func(mark string, at int) bool { return len(p) >= at+len(mark) && string(p[at:at+len(mark)]) == mark }
	switch {
	case has(zipMember, 0) || has(zipEnd, 0):
		return "zip", nil
	case has(tarMagic, tarMagicAt):
		return "tar", nil
	}
	return "", nil
}

// Probe implements volume.Driver. A FAT volume can contain such marks, but not
// the other way round: so fat is surer.
func (iofsDriver) Probe(_ context.Context, src *volume.Source) (volume.Confidence, string) {
	if src.FS != nil {
		return volume.Certain, "a tree"
	}
	if src.Device == nil {
		return volume.Cannot, "no tree"
	}
	kind, err := archiveKind(src.Device)
	switch {
	case err != nil:
		return volume.Cannot, err.Error()
	case kind == "":
		return volume.Cannot, "neither a zip nor a tar archive"
	}
	return volume.Likely, "a " + kind + " archive"
}

// Mount implements volume.Driver.
func (iofsDriver) Mount(ctx context.Context, src *volume.Source) (vfs.FS, error) {
	if fsys, ok := src.FS.(vfs.FS); ok {
		return fsys, nil
	}
	if src.FS != nil {
		return &treeVolume{iofs.New(src.FS), "fs.FS"}, nil
	}
	kind, err := archiveKind(src.Device)
	if err != nil {
		return nil, err
	}
	var inner fs.FS
	if kind == "zip" {
		inner, err = openZip(src.Device)
	} else {
		inner, err = openTar(ctx, src.Device)
	}
	if err != nil {
		return nil, err
	}
	return &treeVolume{iofs.New(inner), kind}, nil
}

// treeVolume is a mounted tree that cannot be changed.
type treeVolume struct {
	*iofs.FS
	kind string
}

var (
	_ volume.Describer  = (*treeVolume)(nil)
	_ volume.ReadOnlyer = (*treeVolume)(nil)
)

// ReadOnly implements volume.ReadOnlyer.
func (v *treeVolume) ReadOnly() bool { return true }

// Describe implements volume.Describer.
func (v *treeVolume) Describe() (volume.Description, error) {
	return volume.Description{Type: v.kind}, nil
}
