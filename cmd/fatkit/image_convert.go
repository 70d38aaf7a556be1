package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/block"
	blockcopy "github.com/fatkit/fatkit/block/copy"
	"github.com/fatkit/fatkit/qcow2"
	"github.com/fatkit/fatkit/stack"
)

const imageConvertLong = `Copy the disk of the image IN to the image OUT, in another format or the same.
Either may be a raw or qcow2 image in a file, or the URI of an NBD export; IN and
OUT may be block devices. Backing files are read along; OUT has none.

A file OUT is written beside its place under another name, and renamed when it is
complete and on stable storage. One that exists is replaced only with --force. A
block device needs --force as well. With -n, and always for a URI, OUT is an
existing image of at least the size of IN, which is overwritten where it is.

Zeroes take no room in OUT. The same disk and options give the same file OUT,
however many workers there are.`

// convertFlags are the flags of image convert.
type convertFlags struct {
	in                    inputFlags
	outFormat, compress   string
	snapshot              string
	options               []string
	compressed, existing  bool
	zeroTarget, force     bool
	progress, quiet, anyW bool
	sparseBytes           int64
	workers               int
}

func newImageConvert() *cobra.Command {
	f := convertFlags{sparseBytes: 4096}
	cmd := &cobra.Command{
		Use:   "convert [flags] IN OUT",
		Short: "copy a disk into an image of another format or the same",
		Long:  imageConvertLong,
		Example: "  fatkit image convert disk.img disk.qcow2\n" +
			"  fatkit image convert --compress zstd disk.img small.qcow2\n" +
			"  fatkit image convert -O raw disk.qcow2 copy.img",
		Args: wantArgs(2, 2, "the image to copy and the image to make"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return convertImage(cmd, &f, args[0], args[1])
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *convertFlags) register(fs *pflag.FlagSet) {
	fs.SortFlags = false
	f.in.register(fs)
	fs.VarP(formatFlag(&f.outFormat), "output-format", "O", "format of OUT (default what its suffix says, else raw)")
	fs.StringArrayVarP(&f.options, "options", "o", nil, "options of the format of OUT, as for image create: `NAME=VALUE,...`")
	fs.BoolVarP(&f.compressed, "compressed", "c", false, "compress the clusters of OUT, which is qcow2")
	fs.Var(&choiceValue{word: &f.compress, choices: []string{"zlib", "zstd"}}, "compress", "compress the clusters of OUT like this")
	fs.StringVarP(&f.snapshot, "snapshot", "l", "", "copy the internal snapshot of IN with this ID or `NAME`")
	fs.BoolVarP(&f.existing, "no-create", "n", false, "overwrite the existing image OUT where it is")
	fs.BoolVar(&f.zeroTarget, "target-is-zero", false, "trust that an existing OUT reads as zeroes, and do not write zeroes")
	fs.VarP(&sizeValue{bytes: &f.sparseBytes, text: "4K"}, "sparse-size", "S", "leave out zeroes in a raw OUT that fill this many bytes, a power of two; 0 leaves out what IN knows to be zeroes alone")
	fs.IntVarP(&f.workers, "parallel", "m", 0, "copy this many pieces at a time (default what suits the machine)")
	fs.BoolVarP(&f.anyW, "out-of-order", "W", false, "accepted for qemu-img's sake: pieces are always copied in parallel")
	f.in.registerBacking(fs)
	fs.BoolVar(&f.force, "force", false, "replace OUT if it exists, or overwrite it if it is a block device")
	fs.BoolVarP(&f.progress, "progress", "p", false, "accepted for qemu-img's sake: a terminal shows progress unless -q is given")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
}

// convertImage is the verb.
func convertImage(cmd *cobra.Command, f *convertFlags, from, to string) error {
	inPlace := f.existing || stack.IsURI(to)
	format, c, err := f.target(to, inPlace)
	if err != nil {
		return err
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	o := f.in.options()
	o.Snapshot = f.snapshot
	src, _, err := stack.OpenDisk(ctx, from, o)
	if err != nil {
		return err
	}
	defer src.Close()
	if c.sizeBytes >= 0 && c.sizeBytes < src.Size() {
		return usageError("-o size=%d: %s has %d bytes", c.sizeBytes, from, src.Size())
	}
	bar := newProgressBar(cmd.ErrOrStderr(), filepath.Base(to), f.quiet)
	defer bar.finish()
	if inPlace {
		return f.overwrite(ctx, to, src, bar)
	}
	if fi, err := os.Stat(to); err == nil && isBlockDevice(fi.Mode()) {
		if err := checkTarget(to, f.force); err != nil {
			return err
		}
		if format != stack.FormatRaw {
			return fmt.Errorf("%s: only a raw image is written to a block device", to)
		}
		return overwriteDevice(ctx, to, src, bar)
	}
	return putNewFile(to, f.force, func(temp string) error { return f.write(ctx, temp, format, c, src, bar) })
}

// target decides what is made, and refuses flags that contradict it.
func (f *convertFlags) target(to string, inPlace bool) (string, *creation, error) {
	c, err := parseCreation(f.options)
	if err != nil {
		return "", nil, err
	}
	format, err := formatForNew(to, f.outFormat)
	if err != nil {
		return "", nil, err
	}
	if f.compress != "" {
		f.compressed = true
		if err := setCompression(c, f.compress); err != nil {
			return "", nil, err
		}
	}
	switch s := f.sparseBytes; {
	case inPlace && len(f.options) > 0:
		err = usageError("-o is about a new image, and %s exists already", to)
	case inPlace && f.compress != "":
		err = usageError("--compress is about a new image: -c compresses as the existing one says")
	case f.zeroTarget && !inPlace:
		err = usageError("--target-is-zero is about an existing image: give -n as well")
	case f.compressed && format != stack.FormatQcow2:
		err = usageError("%s: only a qcow2 image can be compressed", to)
	case c.BackingName != "" || c.BackingFormat != "":
		err = usageError("-o backing_file: the copy holds the whole disk and has no backing file")
	case s != 0 && (s < 512 || s > 1<<30 || s&(s-1) != 0):
		err = usageError("-S takes a power of two from 512 to 1G, or 0")
	case f.workers < 0:
		err = usageError("-m: %d is negative", f.workers)
	}
	if err == nil {
		err = c.check(format)
	}
	return format, c, err
}

// write makes the new image temp.
func (f *convertFlags) write(ctx context.Context, temp, format string, c *creation, src block.Device, bar *progressBar) error {
	size := max(src.Size(), c.sizeBytes)
	if format == stack.FormatRaw {
		return c.writeRaw(temp, size, func(dst block.Device) error {
			return f.copy(ctx, dst, src, true, bar)
		})
	}
	return c.writeQcow2(ctx, temp, size, func(img *qcow2.Image) error {
		return f.copy(ctx, img, src, true, bar)
	})
}

// overwrite copies src over the existing image to.
func (f *convertFlags) overwrite(ctx context.Context, to string, src block.Device, bar *progressBar) error {
	o := stack.DiskOptions{Format: f.outFormat, Writable: true, Backing: backingPolicy(f.in.backing)}
	dst, _, err := stack.OpenDisk(ctx, to, o)
	if err != nil {
		return err
	}
	err = f.copy(ctx, dst, src, f.zeroTarget, bar)
	if err == nil {
		err = dst.Flush()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	return nil
}

// copy copies src to the beginning of dst. A raw image that was preallocated
// keeps its space because zeroes are not written to it.
func (f *convertFlags) copy(ctx context.Context, dst, src block.Device, zero bool, bar *progressBar) error {
	if img, ok := dst.(*qcow2.Image); ok {
		return qcow2.Fill(ctx, img, src, qcow2.FillOptions{
			Compress: f.compressed, Workers: f.workers, TargetIsZero: zero, Progress: bar.update,
		})
	}
	return blockcopy.Copy(ctx, dst, src, blockcopy.Options{
		Workers: f.workers, TargetIsZero: zero, SparseBytes: int(f.sparseBytes), Progress: bar.update,
	})
}
