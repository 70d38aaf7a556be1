package crash

import "maps"

// pageBytes is the grain in which images share their bytes.
const pageBytes = 16 << 10

// image is the bytes of a disk, cheap to clone: clones share pages until one of
// them changes a page.
type image struct {
	pages map[int64]*page // by number; a missing one is zeroes
	owner *owner          // of the pages that this image may change
}

type page struct {
	owner *owner
	data  [pageBytes]byte
}

// owner marks the pages that belong to one image alone.
type owner struct{ _ byte }

func newImage() *image {
	return &image{pages: make(map[int64]*page), owner: new(owner)}
}

// clone returns an image that holds the same. Neither changes when the other
// does.
func (m *image) clone() *image {
	c := m.snapshot()
	m.owner = new(owner) // the pages belong to nobody from now on
	return c
}

// snapshot is clone for an image that never changes again. It may be called
// concurrently.
func (m *image) snapshot() *image {
	return &image{pages: maps.Clone(m.pages), owner: new(owner)}
}

// own returns page i for changing it.
func (m *image) own(i int64) *page {
	p := m.pages[i]
	if p != nil && p.owner == m.owner {
		return p
	}
	c := &page{owner: m.owner}
	if p != nil {
		c.data = p.data
	}
	m.pages[i] = c
	return c
}

// pieces calls f for the part of [off, off+n) in each page.
func pieces(off, n int64, f func(i, start, n int64)) {
	for n > 0 {
		start := off % pageBytes
		m := min(n, pageBytes-start)
		f(off/pageBytes, start, m)
		off, n = off+m, n-m
	}
}

func (m *image) read(p []byte, off int64) {
	pieces(off, int64(len(p)), func(i, start, n int64) {
		if pg := m.pages[i]; pg != nil {
			copy(p[:n], pg.data[start:])
		} else {
			clear(p[:n])
		}
		p = p[n:]
	})
}

func (m *image) write(p []byte, off int64) {
	pieces(off, int64(len(p)), func(i, start, n int64) {
		copy(m.own(i).data[start:], p[:n])
		p = p[n:]
	})
}

func (m *image) zero(off, n int64) {
	pieces(off, n, func(i, start, n int64) {
		switch {
		case n == pageBytes:
			delete(m.pages, i)
		case m.pages[i] != nil:
			clear(m.own(i).data[start : start+n])
		}
	})
}
