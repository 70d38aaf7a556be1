package drivers

import (
	"context"

	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/vfs/host"
	"github.com/fatkit/fatkit/volume"
)

// hostDriver mounts a directory of the host.
type hostDriver struct{}

// Name implements volume.Driver.
func (hostDriver) Name() string { return "host" }

// Probe implements volume.Driver.
func (hostDriver) Probe(_ context.Context, src *volume.Source) (volume.Confidence, string) {
	if src.Dir == "" {
		return volume.Cannot, "no directory of the host"
	}
	return volume.Certain, "a directory of the host"
}

// Mount implements volume.Driver.
func (hostDriver) Mount(_ context.Context, src *volume.Source) (vfs.FS, error) {
	f, err := host.New(src.Dir)
	if err != nil {
		return nil, err
	}
	return hostVolume{f}, nil
}

// hostVolume is a mounted directory.
type hostVolume struct{ *host.FS }

// Describe implements volume.Describer.
func (hostVolume) Describe() (volume.Description, error) {
	return volume.Description{Type: "host"}, nil
}

// Close makes the names of what was changed durable.
func (v hostVolume) Close() error {
	err := v.Sync()
	if cerr := v.FS.Close(); err == nil {
		err = cerr
	}
	return err
}
