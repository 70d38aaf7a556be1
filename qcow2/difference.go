package qcow2

import (
	"bytes"
	"context"
	"fmt"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
)

// Rebase makes the file name the backing file that the image records, like
// SetBacking, and keeps what the disk shows: where the image holds nothing and
// the old backing file differs from base, what was there is written to the image
// first. base is the disk of the new backing file; it may be nil for an empty
// name. The image must be opened anew to see the new backing file. No other call
// may be under way.
//
// Until the name changes nothing else does, so a Rebase that ends early, by a
// power cut as well, leaves a larger file and the same disk.
func (img *Image) Rebase(ctx context.Context, base block.Device, name, format string, progress func(done, total int64)) error {
	d := difference{img: img, want: img, base: base, progress: progress}
	if err := d.run(ctx); err != nil {
		return err
	}
	if err := img.Flush(); err != nil {
		return err
	}
	return img.SetBacking(name, format)
}

// FillDifference copies src, which is no larger than the disk, to an image that
// holds nothing yet over the backing file base, and leaves out what base shows
// already. base is not asked of the image, which may be open without it. Of the
// options Compress and Progress count. The image is not flushed at the end.
func FillDifference(ctx context.Context, img *Image, src, base block.Device, o FillOptions) error {
	if src.Size() > img.Size() {
		return fmt.Errorf("qcow2: %d bytes do not fit on a disk of %d: %w", src.Size(), img.Size(), diskerr.ErrOutOfRange)
	}
	d := difference{img: img, want: src, base: base, compress: o.Compress, progress: o.Progress}
	return d.run(ctx)
}

// difference is a walk over the disk that writes what want shows, where the
// image holds nothing and base shows something else.
type difference struct {
	img        *Image
	want, base block.Device // base may be nil
	compress   bool
	progress   func(done, total int64)
}

// differenceBytes is how much is compared at a time, or a cluster if that is
// more.
const differenceBytes = 1 << 20

// blankBytes is how far the disks are asked ahead for zeroes.
const blankBytes = 64 << 20

func (d *difference) run(ctx context.Context) error {
	total := d.img.Size()
	window := max(differenceBytes, d.img.geo.ClusterBytes())
	want, base := getScratch(int(window)), getScratch(int(window))
	defer want.Release()
	defer base.Release()
	var own []MapExtent
	for off := int64(0); off < total; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.blank(off, total-off)
		if err == nil && n == 0 {
			n = min(window, total-off)
			if own, err = d.img.AppendMap(own[:0], off, n); err == nil {
				err = d.window(own, want.data, base.data)
			}
		}
		if err != nil {
			return err
		}
		off += n
		if d.progress != nil {
			d.progress(off, total)
		}
	}
	return nil
}

// blank returns how many bytes from off on, whole clusters, both disks know to
// be zeroes.
func (d *difference) blank(off, n int64) (int64, error) {
	for _, dev := range []block.Device{d.want, d.base} {
		if dev == nil || off >= dev.Size() {
			continue
		}
		part := min(n, dev.Size()-off, blankBytes)
		for e, err := range block.Extents(dev, off, part) {
			if err != nil {
				return 0, err
			}
			if e.Flags&block.Zero == 0 {
				return 0, nil
			}
			if e.Len < dev.Size()-off {
				n = min(n, e.Len)
			}
			break
		}
	}
	if off+n < d.img.Size() {
		n &^= d.img.geo.ClusterBytes() - 1
	}
	return n, nil
}

// window writes what differs within the extents that the image does not hold.
// The buffers are large enough for all of them.
func (d *difference) window(own []MapExtent, want, base []byte) error {
	for _, e := range own {
		if e.State != Absent {
			continue
		}
		want, base := want[:e.Len], base[:e.Len]
		if err := readShown(d.want, want, e.Off); err != nil {
			return err
		}
		if err := readShown(d.base, base, e.Off); err != nil {
			return fmt.Errorf("backing file: %w", err)
		}
		if err := d.extent(e.Off, want, base); err != nil {
			return err
		}
	}
	return nil
}

// extent writes the units of an extent at off that differ, in runs of zeroes
// and runs of data.
func (d *difference) extent(off int64, want, base []byte) error {
	unit := int(d.img.geo.SubclusterBytes())
	if d.compress {
		unit = int(d.img.geo.ClusterBytes())
	}
	const same, zero, data = 0, 1, 2
	kind := func(at int) int {
		end := min(at+unit, len(want))
		switch {
		case bytes.Equal(want[at:end], base[at:end]):
			return same
		case isZero(want[at:end]):
			return zero
		}
		return data
	}
	for at := 0; at < len(want); {
		k, end := kind(at), at+unit
		for end < len(want) && kind(end) == k {
			end += unit
		}
		end = min(end, len(want))
		var err error
		switch {
		case k == zero:
			err = d.img.hide(off+int64(at), int64(end-at))
		case k == data && d.compress:
			err = d.img.WriteCompressed(want[at:end], off+int64(at))
		case k == data:
			_, err = d.img.WriteAt(want[at:end], off+int64(at))
		}
		if err != nil {
			return err
		}
		at = end
	}
	return nil
}

// hide makes a range read as zeroes whatever backing file the image is given.
func (img *Image) hide(off, n int64) error {
	if err := img.enterWrite(off, n); err != nil || n == 0 {
		return img.leaveEmpty(err)
	}
	defer img.gate.Leave()
	if !img.geo.ZeroFlag {
		_, err := img.store(payload{}, off, n)
		return err
	}
	return img.zeroRange(off, n, eraseFree)
}

// readShown fills p from dev, which may be nil, and with zeroes past its end.
func readShown(dev block.Device, p []byte, off int64) error {
	have := int64(0)
	if dev != nil {
		have = min(max(dev.Size()-off, 0), int64(len(p)))
	}
	clear(p[have:])
	if have == 0 {
		return nil
	}
	return block.ReadFull(dev, p[:have], off)
}
