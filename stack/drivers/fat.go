package drivers

import (
	"context"
	"fmt"
	"strings"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

// fatDriver mounts FAT12, FAT16 and FAT32.
type fatDriver struct{ options fat.Options }

var (
	_ volume.Formatter = (*fatDriver)(nil)
	_ volume.Checker   = (*fatDriver)(nil)
)

func newFAT(o Options) *fatDriver {
	return &fatDriver{fat.Options{CodePage: o.CodePage, Location: o.Location}}
}

// Name implements volume.Driver.
func (*fatDriver) Name() string { return "fat" }

// Probe implements volume.Driver.
func (*fatDriver) Probe(_ context.Context, src *volume.Source) (volume.Confidence, string) {
	if src.Device == nil {
		return volume.Cannot, "no device"
	}
	if err := fat.Probe(src.Device); err != nil {
		return volume.Cannot, err.Error()
	}
	return volume.Certain, "a FAT volume"
}

// Mount implements volume.Driver.
func (d *fatDriver) Mount(_ context.Context, src *volume.Source) (vfs.FS, error) {
	o := d.options
	o.ReadOnly = src.ReadOnly
	v, err := fat.Open(src.Device, o)
	if err != nil {
		return nil, err
	}
	return &fatVolume{v}, nil
}

// Format implements volume.Formatter. A device of the size of a floppy becomes
// one.
func (d *fatDriver) Format(_ context.Context, src *volume.Source, o volume.FormatOptions) error {
	f := fat.FormatOptions{
		ClusterBytes: o.ClusterBytes, Label: o.Label,
		CodePage: d.options.CodePage, Location: d.options.Location,
	}
	switch strings.ToUpper(o.Type) {
	case "":
	case "FAT", "FAT12":
		f.Type = 12
	case "FAT16":
		f.Type = 16
	case "FAT32":
		f.Type = 32
	default:
		return fmt.Errorf("%q is no file system that can be made: write FAT12, FAT16 or FAT32", o.Type)
	}
	if strings.EqualFold(o.Type, "FAT") {
		f.Type = 0
	}
	if kib := src.Device.Size() >> 10; floppies[kib] && src.Start == 0 && o == (volume.FormatOptions{Label: o.Label}) {
		f.FloppyKiB = int(kib)
	}
	f.HiddenSectors = src.Start / 512
	_, err := fat.Format(src.Device, f)
	return err
}

// floppies are the sizes of standard floppies, in KiB.
var floppies = map[int64]bool{160: true, 180: true, 320: true, 360: true, 720: true, 1200: true, 1440: true, 2880: true}

// Check implements volume.Checker.
func (d *fatDriver) Check(ctx context.Context, src *volume.Source, repair bool, found func(diskerr.Finding)) error {
	_, err := fat.Check(ctx, src.Device, fat.CheckOptions{Repair: repair, CodePage: d.options.CodePage, Found: found})
	return err
}

// fatVolume is a mounted FAT volume.
type fatVolume struct{ *fat.Volume }

var (
	_ volume.Describer  = (*fatVolume)(nil)
	_ volume.Labeler    = (*fatVolume)(nil)
	_ volume.ReadOnlyer = (*fatVolume)(nil)
)

// Describe implements volume.Describer.
func (v *fatVolume) Describe() (volume.Description, error) {
	i, err := v.Info()
	if err != nil {
		return volume.Description{}, err
	}
	return volume.Description{
		Type: fmt.Sprintf("FAT%d", i.Type), Label: i.Label,
		Serial: fmt.Sprintf("%04X-%04X", i.Serial>>16, i.Serial&0xFFFF),
	}, nil
}
