package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/stack"
)

const imageDDLong = `Copy a part of the disk of the image IN into the new image OUT, in another format
or the same: count blocks of bs bytes (512 unless given), after skip of them. As
with dd(1), and unlike with some versions of qemu-img, blocks that are skipped do
not count. A disk that ends before is copied to its end.`

// ddOperands are what the arguments of image dd say. A number is -1 if it was
// not given.
type ddOperands struct {
	from, to         string
	blockBytes       int64
	count, skipCount int64
}

func newImageDD() *cobra.Command {
	f := convertFlags{sparseBytes: 4096}
	cmd := &cobra.Command{
		Use:     "dd [flags] if=IN of=OUT [bs=SIZE] [count=N] [skip=N]",
		Short:   "copy a part of a disk into a new image",
		Long:    imageDDLong,
		Example: "  fatkit image dd if=disk.qcow2 of=part.img bs=1M skip=1 count=2",
		Args:    wantArgs(2, 5, "if=IN, of=OUT and up to three numbers"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseDD(args)
			if err != nil {
				return err
			}
			return ddImage(cmd, &f, d)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.in.register(fs)
	fs.VarP(formatFlag(&f.outFormat), "output-format", "O", "format of OUT (default what its suffix says, else raw)")
	f.in.registerBacking(fs)
	fs.BoolVar(&f.force, "force", false, "replace OUT if it exists")
	return cmd
}

// parseDD reads the operands.
func parseDD(args []string) (ddOperands, error) {
	d := ddOperands{blockBytes: 512, count: -1}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch name {
		case "if":
			d.from = value
		case "of":
			d.to = value
		case "bs":
			d.blockBytes, err = parseSize(value)
		case "count":
			d.count, err = strconv.ParseInt(value, 10, 64)
		case "skip":
			d.skipCount, err = strconv.ParseInt(value, 10, 64)
		default:
			err = fmt.Errorf("there is no operand %q", name)
		}
		if err == nil && (name == "count" && d.count < 0 || d.skipCount < 0) {
			err = fmt.Errorf("%s is negative", value)
		}
		if err != nil {
			return d, usageError("dd: %s: %w", arg, err)
		}
	}
	switch {
	case d.from == "" || d.to == "":
		return d, usageError("dd needs if=IN and of=OUT")
	case d.blockBytes <= 0:
		return d, usageError("dd: a block has one byte at least")
	}
	return d, nil
}

// window returns which part of a disk of sizeBytes is meant.
func (d *ddOperands) window(sizeBytes int64) (off, n int64, err error) {
	if d.skipCount > sizeBytes/d.blockBytes {
		return 0, 0, usageError("skip=%d: the disk has only %d bytes", d.skipCount, sizeBytes)
	}
	off = d.skipCount * d.blockBytes
	n = sizeBytes - off
	if d.count >= 0 && d.count <= n/d.blockBytes {
		n = d.count * d.blockBytes
	}
	return off, n, nil
}

// ddImage is the verb.
func ddImage(cmd *cobra.Command, f *convertFlags, d ddOperands) error {
	w, err := f.writer(d.to, false)
	if err != nil {
		return err
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	src, _, err := stack.OpenDisk(ctx, d.from, f.in.options())
	if err != nil {
		return err
	}
	defer src.Close()
	off, n, err := d.window(src.Size())
	if err != nil {
		return err
	}
	part, err := block.NewSection(src, off, n, block.SectionOptions{})
	if err != nil {
		return err
	}
	w.bar = newProgressBar(cmd.ErrOrStderr(), targetName(d.to), false)
	defer w.bar.finish()
	return w.put(ctx, d.to, part)
}
