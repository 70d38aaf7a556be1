package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/block/concat"
	"github.com/fatkit/fatkit/block/throttle"
	"github.com/fatkit/fatkit/stack"
)

const imageConvertLong = `Copy the disk of the image IN to the image OUT, in another format or the same.
Either may be a raw or qcow2 image in a file, or the URI of an NBD export; IN and
OUT may be block devices. Backing files are read along. Several images IN become
one disk, one behind the other in units of 512 bytes.

A file OUT is written beside its place under another name, and renamed when it is
complete and on stable storage. One that exists is replaced only with --force. A
block device needs --force as well. With -n, and always for a URI, OUT is an
existing image of at least the size of IN, which is overwritten where it is.

With -B the new image OUT, which is qcow2, has a backing file and holds only what
differs from it. A relative name is meant from the folder of OUT.

Zeroes take no room in OUT, but with -S 0. The same disk and options give the same
file OUT, however many workers there are.`

// convertFlags are the flags of image convert.
type convertFlags struct {
	in                    inputFlags
	outFormat, compress   string
	snapshot              string
	base, baseFormat      string
	options               []string
	compressed, existing  bool
	zeroTarget, force     bool
	progress, quiet, anyW bool
	offload               bool
	sparseBytes           int64
	rateBytes             int64
	workers               int
	cache                 cacheFlags
}

func newImageConvert() *cobra.Command {
	f := convertFlags{sparseBytes: 4096}
	cmd := &cobra.Command{
		Use:   "convert [flags] IN... OUT",
		Short: "copy a disk into an image of another format or the same",
		Long:  imageConvertLong,
		Example: "  fatkit image convert disk.img disk.qcow2\n" +
			"  fatkit image convert --compress zstd disk.img small.qcow2\n" +
			"  fatkit image convert -O raw disk.qcow2 copy.img\n" +
			"  fatkit image convert -B disk.qcow2 -F qcow2 copy.img thin.qcow2",
		Args: orOptionHelp(&f.options, wantArgs(2, -1, "the image to copy and the image to make")),
		RunE: func(cmd *cobra.Command, args []string) error {
			return convertImage(cmd, &f, args[:len(args)-1], args[len(args)-1])
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *convertFlags) register(fs *pflag.FlagSet) {
	fs.SortFlags = false
	f.in.register(fs)
	f.registerTarget(fs)
	fs.BoolVarP(&f.compressed, "compressed", "c", false, "compress the clusters of OUT, which is qcow2")
	fs.StringVarP(&f.snapshot, "snapshot", "l", "", "copy the internal snapshot of IN with this ID or `NAME`, or snapshot.id=ID,snapshot.name=NAME")
	fs.StringVarP(&f.base, "backing-file", "B", "", "give OUT the backing file `FILE`, and leave out what that shows already")
	fs.VarP(formatFlag(&f.baseFormat), "backing-format", "F", "format of the backing file")
	fs.BoolVarP(&f.existing, "no-create", "n", false, "overwrite the existing image OUT where it is")
	fs.BoolVar(&f.zeroTarget, "target-is-zero", false, "trust that an existing OUT reads as zeroes, and do not write zeroes")
	fs.VarP(&sizeValue{bytes: &f.sparseBytes, text: "4K"}, "sparse-size", "S", "leave out zeroes in a raw OUT that fill this many bytes, a multiple of 512; with 0 OUT takes the room for all of the disk")
	fs.VarP(&sizeValue{bytes: &f.rateBytes}, "rate-limit", "r", "read at most this many bytes in a second")
	fs.IntVarP(&f.workers, "parallel", "m", 0, "copy this many pieces at a time (default what suits the machine)")
	fs.BoolVarP(&f.anyW, "out-of-order", "W", false, "accepted for qemu-img's sake: pieces are always copied in parallel")
	fs.BoolVarP(&f.offload, "copy-offload", "C", false, "accepted for qemu-img's sake: the host copies where it can")
	f.in.registerBacking(fs)
	fs.BoolVar(&f.force, "force", false, "replace OUT if it exists, or overwrite it if it is a block device")
	fs.BoolVarP(&f.progress, "progress", "p", false, "accepted for qemu-img's sake: a terminal shows progress unless -q is given")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	f.cache.register(fs)
}

// registerTarget declares the flags about a new image OUT.
func (f *convertFlags) registerTarget(fs *pflag.FlagSet) {
	fs.VarP(formatFlag(&f.outFormat), "output-format", "O", "format of OUT (default what its suffix says, else raw)")
	fs.StringArrayVarP(&f.options, "options", "o", nil, "options of the format of OUT, as for image create: `NAME=VALUE,...`")
	fs.Var(&choiceValue{word: &f.compress, choices: []string{"zlib", "zstd"}}, "compress", "compress the clusters of OUT, which is qcow2, like this")
}

// convertImage is the verb.
func convertImage(cmd *cobra.Command, f *convertFlags, from []string, to string) error {
	if isOptionHelp(f.options) {
		return printOptionHelp(cmd.OutOrStdout(), f.outFormat)
	}
	inPlace := f.existing || stack.IsURI(to)
	w, err := f.writer(to, inPlace)
	if err != nil {
		return err
	}
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	src, err := f.source(ctx, from)
	if err != nil {
		return err
	}
	defer src.Close()
	if n := w.c.sizeBytes; n >= 0 && n < src.Size() {
		return usageError("-o size=%d: %s has %d bytes", n, strings.Join(from, " and "), src.Size())
	}
	if w.c.BackingName != "" {
		base, err := openBase(ctx, to, w.c, f.in.backing)
		if err != nil {
			return err
		}
		defer base.Close()
		w.base = base
	}
	w.bar = newProgressBar(cmd.ErrOrStderr(), targetName(to), f.quiet)
	defer w.bar.finish()
	if inPlace {
		o := stack.DiskOptions{Format: f.outFormat, Writable: true, Backing: backingPolicy(f.in.backing)}
		return w.overwrite(ctx, to, src, o, f.zeroTarget)
	}
	return w.put(ctx, to, src)
}

// source opens the disk that is copied.
func (f *convertFlags) source(ctx context.Context, names []string) (block.Device, error) {
	o := f.in.options()
	o.Snapshot = snapshotKey(f.snapshot)
	if o.Snapshot != "" && len(names) > 1 {
		return nil, usageError("-l is about one image, and there are %d", len(names))
	}
	var devs []block.Device
	for _, name := range names {
		dev, _, err := stack.OpenDisk(ctx, name, o)
		if err != nil {
			for _, d := range devs {
				err = errors.Join(err, d.Close())
			}
			return nil, err
		}
		devs = append(devs, dev)
	}
	src := devs[0]
	if len(devs) > 1 {
		src = concat.New(devs, 512)
	}
	if f.rateBytes > 0 {
		src = throttle.New(ctx, src, f.rateBytes)
	}
	return src, nil
}

// snapshotKey returns the ID or the name of a snapshot, which qemu-img takes in
// the form snapshot.id=ID,snapshot.name=NAME as well.
func snapshotKey(s string) string {
	for _, part := range strings.Split(s, ",") {
		for _, field := range []string{"snapshot.id=", "snapshot.name="} {
			if key, ok := strings.CutPrefix(part, field); ok && key != "" {
				return key
			}
		}
	}
	return s
}

// writer decides what is made, and refuses flags that contradict it.
func (f *convertFlags) writer(to string, inPlace bool) (*imageWriter, error) {
	c, err := parseCreation(f.options)
	if err != nil {
		return nil, err
	}
	format, err := formatForNew(to, f.outFormat)
	if err != nil {
		return nil, err
	}
	c.setBacking(f.base, f.baseFormat)
	if f.compress != "" {
		f.compressed = true
		if err := setCompression(c, f.compress); err != nil {
			return nil, err
		}
	}
	if err := f.check(to, format, c, inPlace); err != nil {
		return nil, err
	}
	return &imageWriter{
		format: format, c: c, force: f.force, compress: f.compressed, allocate: f.allocates(),
		sparseBytes: f.sparseBytes, workers: f.workers,
	}, nil
}

// allocates tells whether zeroes get room.
func (f *convertFlags) allocates() bool { return f.sparseBytes == 0 }

// check refuses flags that contradict each other.
func (f *convertFlags) check(to, format string, c *creation, inPlace bool) error {
	switch s := f.sparseBytes; {
	case inPlace && len(f.options) > 0:
		return usageError("-o is about a new image, and %s exists already", to)
	case inPlace && c.BackingName != "":
		return usageError("-B is about a new image, and %s exists already", to)
	case inPlace && f.compress != "":
		return usageError("--compress is about a new image: -c compresses as the existing one says")
	case f.zeroTarget && !inPlace:
		return usageError("--target-is-zero is about an existing image: give -n as well")
	case f.compressed && format != stack.FormatQcow2:
		return usageError("%s: only a qcow2 image can be compressed", to)
	case s%512 != 0 || s > 1<<30:
		return usageError("-S takes a multiple of 512 up to 1G, or 0")
	case s == 0 && (f.compressed || c.BackingName != ""):
		return usageError("-S 0 takes the room for all of the disk, which goes neither with compression nor with a backing file")
	case f.workers < 0:
		return usageError("-m: %d is negative", f.workers)
	}
	if err := c.checkBacking(); err != nil {
		return err
	}
	return c.check(format)
}
