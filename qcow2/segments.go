package qcow2

import "github.com/fatkit/fatkit/block"

// AppendSegments answers a read with the places of its bytes: ranges of the
// file and of the backing file, decompressed clusters, zeroes.
func (img *Image) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := img.gate.Enter(); err != nil {
		return dst, err
	}
	defer img.gate.Leave()
	if err := block.CheckRange(off, n, img.Size()); err != nil {
		return dst, err
	}
	e := img.maps.enter()
	defer e.Release()
	whole := n
	for n > 0 {
		r, err := img.maps.find(off, n)
		if err != nil {
			return dst, err
		}
		if dst, err = img.appendRun(dst, r, whole, e); err != nil {
			return dst, err
		}
		off, n = off+r.n, n-r.n
	}
	return dst, nil
}

// appendRun appends the segments of r, a part of a read of n bytes. Segments of
// the file keep the epoch from ending, so that their clusters get no new owner.
func (img *Image) appendRun(dst []block.Segment, r run, n int64, e *epoch) ([]block.Segment, error) {
	switch r.state {
	case stored:
		return appendClipped(dst, img.file.dev, r.host, r.n, e)
	case compressed:
		return img.appendCompressed(dst, r, n)
	case unallocated:
		return appendClipped(dst, img.backing, r.off, r.n, nil)
	}
	return append(dst, block.ZeroSegment(r.n)), nil
}

// appendCompressed appends a piece of a compressed cluster, for a read of n
// bytes. The cache keeps it, or it lies in pooled memory until it is released.
func (img *Image) appendCompressed(dst []block.Segment, r run, n int64) ([]block.Segment, error) {
	in := r.off & (img.geo.ClusterBytes() - 1)
	if !img.passesBy(r, n) {
		data, err := img.decompressed(r.entry)
		if err != nil {
			return dst, err
		}
		return append(dst, block.DataSegment(data[in:in+r.n:in+r.n], nil)), nil
	}
	buf := getScratch(int(img.geo.ClusterBytes()))
	if err := img.decompress(buf.data, r.entry); err != nil {
		buf.Release()
		return dst, err
	}
	return append(dst, block.DataSegment(buf.data[in:in+r.n:in+r.n], buf)), nil
}

// appendClipped appends segments of [off, off+n) of dev, which may be nil, and
// zeroes past its end. They hold e, if it is not nil, until they are released.
func appendClipped(dst []block.Segment, dev block.Device, off, n int64, e *epoch) ([]block.Segment, error) {
	have := int64(0)
	if dev != nil {
		have = min(max(dev.Size()-off, 0), n)
	}
	if have > 0 {
		first := len(dst)
		var err error
		dst, err = block.AppendSegments(dev, dst, off, have)
		if e != nil {
			for i := range dst[first:] {
				pinEpoch(&dst[first+i], e)
			}
		}
		if err != nil {
			return dst, err
		}
	}
	if n > have {
		dst = append(dst, block.ZeroSegment(n-have))
	}
	return dst, nil
}

// pinned releases a segment of the file, and then the epoch.
type pinned struct {
	inner block.Segment
	epoch *epoch
}

func (p *pinned) Release() {
	p.inner.Release()
	p.epoch.Release()
}

// pinEpoch makes s hold the epoch until it is released.
func pinEpoch(s *block.Segment, e *epoch) {
	if s.File == nil {
		return // bytes in memory and zeroes need no cluster
	}
	e.active.Add(1)
	*s = block.FileSegment(s.File, s.Off, s.Len, &pinned{*s, e})
}
