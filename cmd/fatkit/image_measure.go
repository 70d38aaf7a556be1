package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageMeasureLong = `Print how large the file of a new image would be: required, with the contents of
IMAGE and without compression, and fully allocated, once every byte of the disk
has been written. Without IMAGE, --size says how large the disk is.`

// measureFlags are the flags of image measure.
type measureFlags struct {
	in        inputFlags
	out       outputFlags
	outFormat string
	snapshot  string
	options   []string
	sizeBytes int64
}

func newImageMeasure() *cobra.Command {
	f := measureFlags{sizeBytes: -1, outFormat: stack.FormatRaw}
	cmd := &cobra.Command{
		Use:     "measure [flags] [IMAGE]",
		Short:   "print how large the file of a new image would be",
		Long:    imageMeasureLong,
		Example: "  fatkit image measure -O qcow2 disk.img\n  fatkit image measure -O qcow2 --size 20G",
		Args:    wantArgs(0, 1, "one image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.measure(cmd.Context(), args)
			if err != nil {
				return err
			}
			return f.out.print(cmd.OutOrStdout(), m, func(w io.Writer) error {
				field(w, "required size", "%d", m.Required)
				field(w, "fully allocated size", "%d", m.FullyAllocated)
				return nil
			})
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.in.register(fs)
	fs.VarP(formatFlag(&f.outFormat), "output-format", "O", "format of the new image")
	fs.StringArrayVarP(&f.options, "options", "o", nil, "options of the new image, as for image create: `NAME=VALUE,...`")
	fs.StringVarP(&f.snapshot, "snapshot", "l", "", "take the internal snapshot of IMAGE with this ID or `NAME`")
	fs.Var(&sizeValue{bytes: &f.sizeBytes}, "size", "size of the disk, without IMAGE")
	f.in.registerBacking(fs)
	f.out.register(fs)
	return cmd
}

// measure is the verb.
func (f *measureFlags) measure(ctx context.Context, args []string) (qcow2.Measurement, error) {
	none := qcow2.Measurement{}
	c, err := parseCreation(f.options)
	if err == nil {
		err = c.check(f.outFormat)
	}
	switch {
	case err != nil:
		return none, err
	case (len(args) == 1) == (f.sizeBytes >= 0):
		return none, usageError("measure takes either an image or --size")
	case f.sizeBytes >= 0 && f.outFormat == stack.FormatQcow2:
		return f.preallocated(c)(qcow2.MeasureSize(f.sizeBytes, c.CreateOptions))
	case f.sizeBytes >= 0:
		return qcow2.Measurement{Required: f.sizeBytes, FullyAllocated: f.sizeBytes}, nil
	}
	o := f.in.options()
	o.Snapshot = f.snapshot
	src, _, err := stack.OpenDisk(ctx, args[0], o)
	if err != nil {
		return none, err
	}
	defer src.Close()
	if f.outFormat == stack.FormatRaw {
		return qcow2.Measurement{Required: src.Size(), FullyAllocated: src.Size()}, nil
	}
	return f.preallocated(c)(qcow2.Measure(src, c.CreateOptions))
}

// preallocated corrects a measurement for an image that takes its space at
// once.
func (f *measureFlags) preallocated(c *creation) func(qcow2.Measurement, error) (qcow2.Measurement, error) {
	return func(m qcow2.Measurement, err error) (qcow2.Measurement, error) {
		if c.prealloc == qcow2.PreallocateFalloc || c.prealloc == qcow2.PreallocateFull {
			m.Required = m.FullyAllocated
		}
		return m, err
	}
}
