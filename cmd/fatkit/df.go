package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/internal/fileops"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vfs"
	"github.com/fatkit/fatkit/volume"
)

const dfLong = `Print how full the volumes in images are, in KiB; with -h in larger units.

` + locationLong

// usageJSON is a line of df.
type usageJSON struct {
	stack.VolumeFacts
	Type       string `json:"type"` // such as FAT16
	Label      string `json:"label"`
	BlockBytes int64  `json:"block_bytes"`
	TotalBytes int64  `json:"total_bytes"`
	UsedBytes  int64  `json:"used_bytes"`
	FreeBytes  int64  `json:"free_bytes"`
}

func newDf() *cobra.Command {
	f := volumeFlags{}
	var human, json bool
	cmd := &cobra.Command{
		Use:     "df [flags] IMAGE...",
		Short:   "print how full the volume in an image is",
		Long:    dfLong,
		Example: "  fatkit df -h disk.img\n  fatkit df --json disk.img",
		Args:    wantArgs(1, -1, "one image at least"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, &f, func(s *session) error {
				lines, err := s.usage(args)
				if err != nil {
					return err
				}
				if json {
					return printJSON(s.out, lines)
				}
				return printUsage(s.out, lines, human)
			})
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	humanFlag(cmd, &human)
	fs.BoolVar(&json, "json", false, "print JSON")
	f.register(fs)
	return cmd
}

// usage looks at the volumes in images.
func (s *session) usage(images []string) ([]usageJSON, error) {
	var lines []usageJSON
	for _, text := range images {
		l, err := s.parseInside(text, true)
		if err != nil {
			return nil, err
		}
		tree, err := s.tree(l, false)
		if err != nil {
			return nil, err
		}
		u, err := vfs.UsageOf(tree)
		if errors.Is(err, errors.ErrUnsupported) {
			err = errors.New("does not say how full it is, as archives do not")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Image, fileops.Unwrap(err))
		}
		line := usageJSON{VolumeFacts: stack.VolumeFacts{Name: l.Image}, BlockBytes: u.BlockBytes, TotalBytes: u.TotalBytes, UsedBytes: u.TotalBytes - u.FreeBytes, FreeBytes: u.FreeBytes}
		if err := line.describe(tree); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Image, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// describe fills in what kind of volume it is.
func (l *usageJSON) describe(tree vfs.FS) error {
	switch v := tree.(type) {
	case *stack.FileSystem:
		info, err := v.Info()
		l.VolumeFacts, l.Type, l.Label = v.Facts, fmt.Sprintf("FAT%d", info.Type), info.Label
		return err
	case *volume.Volume:
		info, err := v.Info()
		l.Type, l.Label = info.Type, info.Label
		return err
	}
	l.Type = driverHost
	return nil
}

// printUsage prints the table for people.
func printUsage(w io.Writer, lines []usageJSON, human bool) error {
	amount := func(n int64) string {
		if human {
			return humanBytes(n)
		}
		return fmt.Sprint((n + 1023) / 1024)
	}
	unit := "1K-blocks"
	if human {
		unit = "Size"
	}
	_, err := fmt.Fprintf(w, "%-6s %-11s %10s %10s %10s %4s  %s\n", "Type", "Label", unit, "Used", "Free", "Use%", "Image")
	for _, l := range lines {
		name := printable(l.Name)
		if l.Partition > 0 {
			name += fmt.Sprintf(", partition %d", l.Partition)
		}
		share := int64(0)
		if l.TotalBytes > 0 {
			share = (l.UsedBytes*100 + l.TotalBytes - 1) / l.TotalBytes
		}
		_, err = fmt.Fprintf(w, "%-6s %-11s %10s %10s %10s %3d%%  %s\n", l.Type, printable(l.Label), amount(l.TotalBytes), amount(l.UsedBytes), amount(l.FreeBytes), share, name)
	}
	return err
}
