package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/stack"
)

const imageCompareLong = `Compare the disks of two images, whatever their formats. Where one is longer, the
rest of it has to be zeroes; with -s the sizes have to be equal, and so has what
is allocated: bytes that one image holds and the other does not are a difference.`

const imageCompareExit = `.TP
0
The images are identical.
.TP
1
They differ.
.TP
2
An image cannot be opened; or the command line makes no sense.
.TP
3
An image cannot be asked what it holds.
.TP
4
An image cannot be read.
`

// Exit codes of image compare, which are qemu-img's.
const (
	exitCompareOpen   = 2
	exitCompareExtent = 3
	exitCompareRead   = 4
)

// compareBytes is how much is read of each image at a time.
const compareBytes = 1 << 20

// extentBytes is how far the images are asked ahead for what they hold: a step
// over zeroes is at most this long, and an answer about data is asked for again
// after compareBytes.
const extentBytes = 16 << 20

// compareFlags are the flags of image compare.
type compareFlags struct {
	in            inputFlags
	second        string
	strict, quiet bool
	progress      bool
}

func newImageCompare() *cobra.Command {
	f := compareFlags{}
	cmd := &cobra.Command{
		Use:         "compare [flags] IMAGE1 IMAGE2",
		Short:       "compare the disks of two images",
		Long:        imageCompareLong,
		Example:     "  fatkit image compare disk.img disk.qcow2",
		Annotations: map[string]string{exitAnnotation: imageCompareExit},
		Args:        wantArgs(2, 2, "two images"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return compareImages(cmd, &f, args[0], args[1])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.in.register(fs)
	fs.VarP(formatFlag(&f.second), "second-format", "F", "format of the second image")
	fs.BoolVarP(&f.strict, "strict", "s", false, "sizes and allocation have to be equal as well")
	f.in.registerBacking(fs)
	fs.BoolVarP(&f.progress, "progress", "p", false, "accepted for qemu-img's sake: a terminal shows progress unless -q is given")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing; the exit code tells")
	return cmd
}

// compareImages is the verb.
func compareImages(cmd *cobra.Command, f *compareFlags, first, second string) error {
	ctx, _, release := untilSignal(cmd.Context())
	defer release()
	var disks [2]block.Device
	for i, name := range []string{first, second} {
		o := f.in.options()
		if i == 1 {
			o.Format = f.second
		}
		dev, _, err := stack.OpenDisk(ctx, name, o)
		if err != nil {
			return &exitError{exitCompareOpen, err}
		}
		defer dev.Close()
		disks[i] = dev
	}
	bar := newProgressBar(cmd.ErrOrStderr(), "compare", f.quiet)
	c := comparison{a: disks[0], b: disks[1], nameA: first, nameB: second, strict: f.strict, bar: bar}
	verdict, err := c.run(ctx)
	bar.finish()
	out := cmd.OutOrStdout()
	if f.quiet {
		out = io.Discard
	}
	switch {
	case err != nil:
		return err
	case verdict != "":
		fmt.Fprintln(out, verdict)
		return exitWith(exitFindings)
	}
	if disks[0].Size() != disks[1].Size() {
		fmt.Fprintln(out, "Warning: Image size mismatch!")
	}
	_, err = fmt.Fprintln(out, "Images are identical.")
	return err
}

// comparison is one of two disks. The names are for errors.
type comparison struct {
	a, b         block.Device
	nameA, nameB string
	strict       bool
	bar          *progressBar
	bufA, bufB   []byte
}

// run returns the first difference in words, or "".
func (c *comparison) run(ctx context.Context) (string, error) {
	if c.strict && c.a.Size() != c.b.Size() {
		return "Strict mode: Image size mismatch!", nil
	}
	c.bufA, c.bufB = make([]byte, compareBytes), make([]byte, compareBytes)
	total := max(c.a.Size(), c.b.Size())
	for off := int64(0); off < total; {
		if err := ctx.Err(); err != nil {
			return "", &exitError{exitCompareRead, err}
		}
		zeroA, lenA, err := c.piece(c.a, c.nameA, off, total)
		if err != nil {
			return "", err
		}
		zeroB, lenB, err := c.piece(c.b, c.nameB, off, total)
		if err != nil {
			return "", err
		}
		n := min(lenA, lenB)
		if c.strict && zeroA.Flags&block.Hole != zeroB.Flags&block.Hole {
			return fmt.Sprintf("Strict mode: Offset %d block status mismatch!", off), nil
		}
		if zeroA.Flags&block.Zero == 0 || zeroB.Flags&block.Zero == 0 {
			n = min(n, compareBytes)
			at, err := c.compare(off, int(n))
			if err != nil || at >= 0 {
				return fmt.Sprintf("Content mismatch at offset %d!", off+int64(at)), err
			}
		}
		off += n
		c.bar.update(off, total)
	}
	return "", nil
}

// piece returns what dev knows of the bytes from off on, and of how many. Behind
// its end there are zeroes.
func (c *comparison) piece(dev block.Device, name string, off, total int64) (block.Extent, int64, error) {
	if off >= dev.Size() {
		return block.Extent{Flags: block.Hole | block.Zero}, total - off, nil
	}
	for e, err := range block.Extents(dev, off, min(dev.Size()-off, extentBytes)) {
		if err != nil {
			return e, 0, &exitError{exitCompareExtent, fmt.Errorf("%s: %w", name, err)}
		}
		return e, e.Len, nil
	}
	return block.Extent{}, 0, &exitError{exitCompareExtent, fmt.Errorf("%s: nothing is known of offset %d", name, off)}
}

// compare returns the place of the first difference within n bytes, or -1.
func (c *comparison) compare(off int64, n int) (int, error) {
	p, q := c.bufA[:n], c.bufB[:n]
	err := errors.Join(readPadded(c.a, c.nameA, p, off), readPadded(c.b, c.nameB, q, off))
	if err != nil {
		return -1, &exitError{exitCompareRead, err}
	}
	if bytes.Equal(p, q) {
		return -1, nil
	}
	for i := range p {
		if p[i] != q[i] {
			return i, nil
		}
	}
	return -1, nil
}

// readPadded fills p from dev, with zeroes behind its end.
func readPadded(dev block.Device, name string, p []byte, off int64) error {
	have := min(max(dev.Size()-off, 0), int64(len(p)))
	clear(p[have:])
	if have == 0 {
		return nil
	}
	if err := block.ReadFull(dev, p[:have], off); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
