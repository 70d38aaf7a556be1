package diff

import (
	"fmt"
	"io"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
)

// pageBytes is how much of the FAT is read at once. FAT12 has less than that.
const pageBytes = 64 << 10

// maxPages bounds the pages that are kept, to 16 MiB.
const maxPages = 256

// table reads the active FAT of a disk.
type table struct {
	r     io.ReaderAt
	geo   *fatfmt.Geometry
	off   int64 // of the FAT on the disk
	pages map[int64][]byte
}

func newTable(r io.ReaderAt, o *Options) *table {
	return &table{
		r: r, geo: &o.Geometry, pages: map[int64][]byte{},
		off: o.Volume + o.Geometry.FATOffset(o.Geometry.ActiveFAT),
	}
}

// entry returns what the FAT has for a cluster, which may be 0 or 1.
func (t *table) entry(c uint32) (uint32, error) {
	at := t.geo.Type.EntryOffset(c)
	p, err := t.page(at / pageBytes)
	if err != nil {
		return 0, err
	}
	in := at % pageBytes
	if in+int64(t.geo.Type.EntryBytes()) > int64(len(p)) {
		return 0, fmt.Errorf("the FAT has no entry %d", c)
	}
	return t.geo.Type.DecodeEntry(p[in:], c), nil
}

// page returns a page of the FAT. An entry never lies on two: FAT12 fits in
// the first, the others divide it.
func (t *table) page(i int64) ([]byte, error) {
	if p, ok := t.pages[i]; ok {
		return p, nil
	}
	if len(t.pages) >= maxPages {
		clear(t.pages)
	}
	p := make([]byte, min(pageBytes, t.geo.FATBytes()-i*pageBytes))
	if _, err := t.r.ReadAt(p, t.off+i*pageBytes); err != nil {
		return nil, fmt.Errorf("read the FAT: %w", err)
	}
	t.pages[i] = p
	return p, nil
}

// problem is why an object is not complete; "" if it is.
type problem string

// chain follows the chain that begins at first, for at most limit clusters,
// and returns them. A chain that ends in anything but an end mark is a
// problem, as is one of more than limit clusters. An error means that the disk
// could not be read.
func (t *table) chain(first, limit uint32) ([]catalog.Extent, problem, error) {
	var out []catalog.Extent
	max := t.geo.MaxCluster()
	for c, n := first, uint32(0); ; n++ {
		if !t.geo.Valid(c) {
			return out, problem(fmt.Sprintf("its chain leads to %d, which is no cluster", c)), nil
		}
		if n >= limit {
			return out, "its chain is a loop, or longer than can be", nil
		}
		if k := len(out) - 1; k >= 0 && out[k].First+out[k].Count == c {
			out[k].Count++
		} else {
			out = append(out, catalog.Extent{First: c, Count: 1})
		}
		v, err := t.entry(c)
		if err != nil {
			return out, "", err
		}
		switch t.geo.Type.Classify(v, max) {
		case fatfmt.End:
			return out, "", nil
		case fatfmt.Data:
			c = v
		case fatfmt.Free:
			return out, "its chain leads to a free cluster", nil
		default:
			return out, problem(fmt.Sprintf("its chain has the entry %#x", v)), nil
		}
	}
}

// free reports whether the FAT has a cluster free.
func (t *table) free(c uint32) (bool, error) {
	v, err := t.entry(c)
	return v == 0, err
}

// clusters returns the number of clusters of a chain.
func clusters(chain []catalog.Extent) int64 {
	n := int64(0)
	for _, e := range chain {
		n += int64(e.Count)
	}
	return n
}
