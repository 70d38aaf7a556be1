package plan

import (
	"bytes"
	"errors"
	"io"
	"sort"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
)

// content is a file on the guest's disk, read through its clusters.
type content struct {
	disk  io.ReaderAt
	geo   *fatfmt.Geometry
	off   int64 // of the volume on the disk
	size  int64
	chain []catalog.Extent
	ends  []int64 // where each extent ends within the file, in bytes
}

// NewContent returns the contents of a file of size bytes with the given
// clusters, which hold it.
func NewContent(disk io.ReaderAt, o *Options, chain []catalog.Extent, size int64) io.ReaderAt {
	return newContent(disk, o, chain, size)
}

func newContent(disk io.ReaderAt, o *Options, chain []catalog.Extent, size int64) *content {
	c := &content{disk: disk, geo: &o.Geometry, off: o.Volume, size: size, chain: chain, ends: make([]int64, len(chain))}
	at := int64(0)
	for i, e := range chain {
		at += int64(e.Count) * int64(c.geo.ClusterBytes())
		c.ends[i] = at
	}
	return c
}

// ReadAt implements io.ReaderAt.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	var eof error
	if off >= c.size {
		return 0, io.EOF
	}
	if int64(len(p)) > c.size-off {
		p, eof = p[:c.size-off], io.EOF
	}
	done := 0
	for i := sort.Search(len(c.ends), func(i int) bool { return c.ends[i] > off }); done < len(p); i++ {
		if i == len(c.ends) {
			return done, io.ErrUnexpectedEOF
		}
		start := c.ends[i] - int64(c.chain[i].Count)*int64(c.geo.ClusterBytes())
		n := int(min(int64(len(p)-done), c.ends[i]-off))
		at := c.off + c.geo.ClusterOffset(c.chain[i].First) + off - start
		if m, err := c.disk.ReadAt(p[done:done+n], at); m < n {
			return done + m, &unreadableError{noEOF(err)}
		}
		done, off = done+n, off+int64(n)
	}
	return done, eof
}

// unreadableError says that the guest's disk could not be read, as opposed to a
// host file that could not be written.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

func noEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// compareBytes is how much is compared at once.
const compareBytes = 256 << 10

// differing returns those of the ranges in which now and then, which has
// thenSize bytes, are not the same, in pieces of compareBytes.
func differing(now, then io.ReaderAt, thenSize int64, ranges []diff.Range) ([]diff.Range, error) {
	var out []diff.Range
	a, b := make([]byte, compareBytes), make([]byte, compareBytes)
	for _, r := range ranges {
		for r.Len > 0 {
			n := min(r.Len, compareBytes-r.Off%compareBytes)
			same := false
			if r.Off+n <= thenSize {
				if err := readBoth(now, then, a[:n], b[:n], r.Off); err != nil {
					return nil, err
				}
				same = bytes.Equal(a[:n], b[:n])
			}
			if !same {
				out = appendRange(out, diff.Range{Off: r.Off, Len: n})
			}
			r.Off, r.Len = r.Off+n, r.Len-n
		}
	}
	return out, nil
}

func readBoth(now, then io.ReaderAt, a, b []byte, off int64) error {
	if n, err := now.ReadAt(a, off); n < len(a) {
		return noEOF(err)
	}
	if n, err := then.ReadAt(b, off); n < len(b) {
		return noEOF(err)
	}
	return nil
}

func appendRange(dst []diff.Range, r diff.Range) []diff.Range {
	if k := len(dst) - 1; k >= 0 && dst[k].Off+dst[k].Len == r.Off {
		dst[k].Len += r.Len
		return dst
	}
	return append(dst, r)
}
