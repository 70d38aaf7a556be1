package qcow2

import "github.com/fatkit/fatkit/block"

// AppendExtents tells data, zeroes and holes apart, through the backing chain.
func (img *Image) AppendExtents(dst []block.Extent, off, n int64) ([]block.Extent, error) {
	if err := img.gate.Enter(); err != nil {
		return dst, err
	}
	defer img.gate.Leave()
	if err := block.CheckRange(off, n, img.Size()); err != nil {
		return dst, err
	}
	keep := len(dst)
	for n > 0 {
		r, err := img.maps.find(off, n)
		if err != nil {
			return dst[:keep], err
		}
		if dst, err = img.appendExtent(dst, keep, r); err != nil {
			return dst[:keep], err
		}
		off, n = off+r.n, n-r.n
	}
	return dst, nil
}

func (img *Image) appendExtent(dst []block.Extent, keep int, r run) ([]block.Extent, error) {
	e := block.Extent{Off: r.off, Len: r.n}
	switch {
	case r.state == unallocated && img.backing != nil && r.off < img.backing.Size():
		below := min(r.n, img.backing.Size()-r.off)
		ext, err := block.AppendExtents(img.backing, nil, r.off, below)
		if err != nil {
			return dst, err
		}
		for _, x := range ext {
			dst = block.AppendExtent(dst, keep, x)
		}
		e.Off, e.Len, e.Flags = r.off+below, r.n-below, block.Hole|block.Zero
	case r.state == unallocated, r.state == zeroed && r.host == 0:
		e.Flags = block.Hole | block.Zero
	case r.state == zeroed:
		e.Flags = block.Zero
	}
	return block.AppendExtent(dst, keep, e), nil
}

// MapState says what an image itself holds of a piece of the disk.
type MapState uint8

// The states.
const (
	Absent     MapState = iota // nothing: the backing file shows through
	Zeroes                     // zeroes
	Data                       // a range of the file
	Compressed                 // a compressed cluster
)

// MapExtent is a piece of the disk in one state.
type MapExtent struct {
	Off, Len int64 // bytes of the disk
	State    MapState
	FileOff  int64 // offset of the bytes in the file; -1 if there is no such place
}

// AppendMap appends what the image itself, without its backing file, holds of
// [off, off+n): extents that cover the range exactly and in order.
func (img *Image) AppendMap(dst []MapExtent, off, n int64) ([]MapExtent, error) {
	if err := img.gate.Enter(); err != nil {
		return dst, err
	}
	defer img.gate.Leave()
	if err := block.CheckRange(off, n, img.Size()); err != nil {
		return dst, err
	}
	keep := len(dst)
	for n > 0 {
		r, err := img.maps.find(off, n)
		if err != nil {
			return dst[:keep], err
		}
		dst = appendMapExtent(dst, keep, r)
		off, n = off+r.n, n-r.n
	}
	return dst, nil
}

func appendMapExtent(dst []MapExtent, keep int, r run) []MapExtent {
	e := MapExtent{Off: r.off, Len: r.n, FileOff: -1}
	switch r.state {
	case zeroed:
		e.State = Zeroes
		if r.host != 0 {
			e.FileOff = r.host
		}
	case stored:
		e.State, e.FileOff = Data, r.host
	case compressed:
		e.State = Compressed
	}
	if k := len(dst) - 1; k >= keep && dst[k].continues(e) {
		dst[k].Len += e.Len
		return dst
	}
	return append(dst, e)
}
