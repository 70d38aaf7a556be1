package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/fat"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const mkfsLong = `Make an empty FAT12, FAT16 or FAT32 volume in an image. What was there is lost.

With --size or --floppy the image is made, in the format that its suffix says,
and nothing that exists is replaced without --force. Otherwise the image or block
device must exist, and the volume takes all of it, or its partition --partition,
or what --volume-size says from --offset on. --table also writes a partition
table, with one partition that holds the volume.

With SOURCE_DATE_EPOCH set and --timezone utc the same command gives the same
image anywhere.`

const mkfsExample = `  fatkit mkfs --size 64M --label DATA data.img
  fatkit mkfs --floppy 1440 floppy.img
  fatkit mkfs --size 1G --type 32 --table gpt-system esp.qcow2`

func newMkfs() *cobra.Command {
	f := mkfsFlags{}
	cmd := &cobra.Command{
		Use:     "mkfs [flags] IMAGE",
		Short:   "make an empty FAT volume in an image",
		Long:    mkfsLong,
		Example: mkfsExample,
		Args:    wantArgs(1, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.finish(); err != nil {
				return err
			}
			info, err := f.run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), mkfsResult(args[0], &info))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: FAT%d, %d clusters of %s, serial %04X-%04X\n", printable(args[0]),
				info.Type, info.Clusters, diskerr.FormatBytes(int64(info.ClusterBytes)), info.Serial>>16, info.Serial&0xFFFF)
			return err
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// mkfsJSON is what mkfs tells programs.
type mkfsJSON struct {
	Image        string `json:"image"`
	Type         int    `json:"type"` // 12, 16 or 32
	SectorBytes  int    `json:"sector_bytes"`
	ClusterBytes int    `json:"cluster_bytes"`
	Clusters     uint32 `json:"clusters"`
	Serial       string `json:"serial"` // eight hexadecimal digits
	Label        string `json:"label"`
}

func mkfsResult(name string, i *fat.Info) mkfsJSON {
	return mkfsJSON{name, i.Type, i.SectorBytes, i.ClusterBytes, i.Clusters, fmt.Sprintf("%08X", i.Serial), i.Label}
}

// run makes the volume.
func (f *mkfsFlags) run(ctx context.Context, name string) (fat.Info, error) {
	if f.sizeBytes > 0 || f.format.FloppyKiB != 0 {
		return f.create(ctx, name)
	}
	dev, facts, err := stack.OpenImage(ctx, name, stack.ImageOptions{Writable: true, Format: f.imageFormat, Partition: f.partition})
	if err != nil {
		return fat.Info{}, err
	}
	o := f.format
	if f.partition > 0 && o.HiddenSectors == 0 {
		sector := int64(max(o.SectorBytes, block.LimitsOf(dev).MinBlock, 512))
		o.HiddenSectors = facts.OffsetBytes / sector
	}
	info, err := fat.Format(dev, o)
	if err == nil {
		err = dev.Flush()
	}
	if err = errors.Join(err, dev.Close()); err != nil {
		return info, fmt.Errorf("%s: %w", name, err)
	}
	return info, nil
}

// create makes the image with the volume in it.
func (f *mkfsFlags) create(ctx context.Context, name string) (info fat.Info, err error) {
	if stack.IsURI(name) {
		return info, usageError("%s: --size and --floppy make a file, and this is a server", name)
	}
	format, err := formatForNew(name, f.imageFormat)
	if err != nil {
		return info, err
	}
	sizeBytes := f.sizeBytes
	if sizeBytes == 0 {
		sizeBytes = int64(f.format.FloppyKiB) << 10
	}
	err = putNewFile(name, f.force, func(target *file.Device) error {
		c := creation{}
		if format == stack.FormatQcow2 {
			return c.writeQcow2(ctx, target, sizeBytes, func(dev *qcow2.Image) error {
				info, err = fat.Format(dev, f.format)
				return err
			})
		}
		return c.writeRaw(target, sizeBytes, func(dev block.Device) error {
			info, err = fat.Format(dev, f.format)
			return err
		})
	})
	return info, err
}

// clock returns the clock for stamps and serial numbers.
func clock() (func() time.Time, error) {
	fixed, err := unixSeconds(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil || fixed.IsZero() {
		return time.Now, err
	}
	return func() time.Time { return fixed }, nil
}
