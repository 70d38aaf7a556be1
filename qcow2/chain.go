package qcow2

import (
	"context"
	"iter"

	"github.com/fatkit/fatkit/block"
)

// Backing returns the device of the backing file, or nil if none is open. It
// belongs to the image and may be read; that of a qcow2 image is an *Image.
func (img *Image) Backing() block.Device { return img.backing }

// BackingName returns the name of the backing file and its format, as the image
// records them; both can be empty.
func (img *Image) BackingName() (name, format string) {
	h := img.header()
	return h.BackingName, h.BackingFormat()
}

// Info returns what the image says about itself.
func (img *Image) Info() (*Info, error) {
	if err := img.gate.Enter(); err != nil {
		return nil, err
	}
	defer img.gate.Leave()
	return describe(img.file, img.header())
}

// ChainExtent is a piece of the disk with the level of the backing chain that
// decides about it.
type ChainExtent struct {
	MapExtent
	// Depth counts the levels: 0 is the image, 1 its backing file, and so on.
	// What no level holds has the depth of the last one that is long enough.
	Depth int
}

// chainWindow is how many bytes Chain asks each level for at once. It bounds
// the memory of a walk over a disk of any size.
const chainWindow = 1 << 30

// Chain walks [off, off+n) of the disk dev in order and says which level of its
// backing chain holds what, with neighbours merged that continue each other.
// Any device but an *Image is the last level of its chain; of it only holes are
// known. After an error, which covers nothing, the walk ends.
func Chain(dev block.Device, off, n int64) iter.Seq2[ChainExtent, error] {
	return func(yield func(ChainExtent, error) bool) {
		if err := block.CheckRange(off, n, dev.Size()); err != nil {
			yield(ChainExtent{}, err)
			return
		}
		var list []ChainExtent
		for end := off + n; off < end; {
			step := min(chainWindow, end-off)
			var err error
			if list, err = appendChain(list, dev, off, step, 0); err != nil {
				yield(ChainExtent{}, err)
				return
			}
			last := len(list) - 1 // may go on behind the window
			for _, e := range list[:last] {
				if !yield(e, nil) {
					return
				}
			}
			list = append(list[:0], list[last])
			off += step
		}
		if len(list) > 0 {
			yield(list[0], nil)
		}
	}
}

// appendChain appends the extents of one level, and those of lower levels where
// it holds nothing.
func appendChain(dst []ChainExtent, dev block.Device, off, n int64, depth int) ([]ChainExtent, error) {
	img, ok := dev.(*Image)
	if !ok {
		return appendRaw(dst, dev, off, n, depth)
	}
	own, err := img.AppendMap(nil, off, n)
	if err != nil {
		return dst, err
	}
	for _, e := range own {
		if e.State == Absent && img.backing != nil && e.Off < img.backing.Size() {
			below := min(e.Len, img.backing.Size()-e.Off)
			if dst, err = appendChain(dst, img.backing, e.Off, below, depth+1); err != nil {
				return dst, err
			}
			e.Off, e.Len = e.Off+below, e.Len-below
		}
		dst = appendLevel(dst, ChainExtent{e, depth})
	}
	return dst, nil
}

// appendRaw appends the extents of a level of which nothing but holes is known.
func appendRaw(dst []ChainExtent, dev block.Device, off, n int64, depth int) ([]ChainExtent, error) {
	list, err := block.AppendExtents(dev, nil, off, n)
	if err != nil {
		return dst, err
	}
	for _, x := range list {
		e := MapExtent{Off: x.Off, Len: x.Len, State: Data, FileOff: x.Off}
		if x.Flags&block.Zero != 0 {
			e.State = Zeroes
		}
		dst = appendLevel(dst, ChainExtent{e, depth})
	}
	return dst, nil
}

// appendLevel appends e, or lengthens the last extent of dst by it.
func appendLevel(dst []ChainExtent, e ChainExtent) []ChainExtent {
	if e.Len == 0 {
		return dst
	}
	if k := len(dst) - 1; k >= 0 && dst[k].Depth == e.Depth && dst[k].continues(e.MapExtent) {
		dst[k].Len += e.Len
		return dst
	}
	return append(dst, e)
}

// continues reports whether next, which lies behind e on the disk, is more of
// the same.
func (e *MapExtent) continues(next MapExtent) bool {
	switch {
	case e.State != next.State:
		return false
	case e.FileOff < 0 || next.FileOff < 0:
		return e.FileOff < 0 && next.FileOff < 0
	}
	return e.FileOff+e.Len == next.FileOff
}

// Commit writes what the levels of the chain of img above the depth hold to the
// same places of dst, the disk of the level at that depth, once that is as
// large as the disk of img. A depth of 1 means what img itself holds. What dst
// showed where they hold nothing stays, also behind what it had before it was
// made larger; where a level between ends before the disk of img does, there
// are zeroes. dst is not flushed.
func Commit(ctx context.Context, dst block.Device, img *Image, depth int, progress func(done, total int64)) error {
	buf := getScratch(copyBytes)
	defer buf.Release()
	for e, err := range Chain(img, 0, img.Size()) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// What the level above dst lacks as well lies behind what dst had.
		if e.Depth < depth && (e.State != Absent || e.Depth < depth-1) {
			if err := copyExtent(ctx, dst, img, e.MapExtent, buf.data); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(e.Off+e.Len, img.Size())
		}
	}
	return nil
}

// copyBytes is how much Commit reads at a time.
const copyBytes = 1 << 20

func copyExtent(ctx context.Context, dst block.Device, img *Image, e MapExtent, buf []byte) error {
	if e.State == Zeroes || e.State == Absent {
		return block.WriteZeroes(dst, e.Off, e.Len, 0)
	}
	for e.Len > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(e.Len, int64(len(buf)))]
		if err := block.ReadFull(img, p, e.Off); err != nil {
			return err
		}
		if _, err := dst.WriteAt(p, e.Off); err != nil {
			return err
		}
		e.Off, e.Len = e.Off+int64(len(p)), e.Len-int64(len(p))
	}
	return nil
}
