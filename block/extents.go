package block

import "iter"

// extentWindow is how many bytes [Extents] asks for at once. It bounds the
// memory of a walk over a device of any size.
const extentWindow = 1 << 30

// Extents walks the extents of [off, off+n) of d in order, with equal
// neighbours merged. After an error, which covers nothing, the walk ends.
func Extents(d Device, off, n int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		if err := CheckRange(off, n, d.Size()); err != nil {
			yield(Extent{}, err)
			return
		}
		var pending Extent
		var buf []Extent
		for end := off + n; off < end; {
			step := min(extentWindow, end-off)
			var err error
			buf, err = AppendExtents(d, buf[:0], off, step)
			if err != nil {
				if pending.Len == 0 || yield(pending, nil) {
					yield(Extent{}, err)
				}
				return
			}
			for _, e := range buf {
				if pending.Len > 0 && pending.Flags == e.Flags {
					pending.Len += e.Len
					continue
				}
				if pending.Len > 0 && !yield(pending, nil) {
					return
				}
				pending = e
			}
			off += step
		}
		if pending.Len > 0 {
			yield(pending, nil)
		}
	}
}

// AppendExtent appends e to dst, or lengthens the last extent of dst if e
// continues it with equal flags. It never touches the first keep extents, which
// a caller of AppendExtents had in dst before. An empty e changes nothing.
func AppendExtent(dst []Extent, keep int, e Extent) []Extent {
	if e.Len == 0 {
		return dst
	}
	if k := len(dst) - 1; k >= keep && dst[k].Flags == e.Flags && dst[k].Off+dst[k].Len == e.Off {
		dst[k].Len += e.Len
		return dst
	}
	return append(dst, e)
}
