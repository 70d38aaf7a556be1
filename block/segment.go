package block

import (
	"io"
	"os"
	"sync"
)

// Segment is a piece of the answer to a read: bytes in memory (Data), a range
// of an open host file (File and Off), or zeroes (neither).
//
// A segment with a file pins it: the file stays open until Release. Data must
// not be changed and is valid until Release.
type Segment struct {
	Len  int64    // bytes, more than 0
	Data []byte   // Len bytes, or nil
	File *os.File // or nil
	Off  int64    // offset of the bytes within File
	pin  Releaser
}

// Releaser takes back what a [Segment] pins.
type Releaser interface {
	Release()
}

// DataSegment returns a segment of bytes in memory. r, which may be nil, is
// told when the bytes are no longer needed.
func DataSegment(p []byte, r Releaser) Segment {
	return Segment{Len: int64(len(p)), Data: p, pin: r}
}

// FileSegment returns a segment of n bytes of f at off. r, which may be nil,
// is told when f is no longer needed.
func FileSegment(f *os.File, off, n int64, r Releaser) Segment {
	return Segment{Len: n, File: f, Off: off, pin: r}
}

// ZeroSegment returns a segment of n zeroes.
func ZeroSegment(n int64) Segment { return Segment{Len: n} }

// Release gives back what the segment pins. It is called exactly once for
// each segment that AppendSegments appended.
func (s *Segment) Release() {
	if s.pin != nil {
		s.pin.Release()
		s.pin = nil
	}
}

// ReleaseAll releases every segment of segs.
func ReleaseAll(segs []Segment) {
	for i := range segs {
		segs[i].Release()
	}
}

// ReadAt copies bytes of the segment, from off bytes into it, to p. A host
// file that turns out to be shorter gives io.ErrUnexpectedEOF.
func (s *Segment) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.Len {
		return 0, io.EOF
	}
	var eof error
	if int64(len(p)) > s.Len-off {
		p, eof = p[:s.Len-off], io.EOF
	}
	switch {
	case s.Data != nil:
		copy(p, s.Data[off:])
	case s.File != nil:
		if n, err := s.File.ReadAt(p, s.Off+off); n < len(p) {
			return n, noEOF(err)
		}
	default:
		clear(p)
	}
	return len(p), eof
}

// maxPooled is the size of the largest pooled buffer, in bytes.
const maxPooled = 1 << 20

// buffer is pooled memory of a segment.
type buffer struct {
	bytes []byte
	full  []byte
}

var buffers = sync.Pool{New: func() any {
	return &buffer{full: make([]byte, maxPooled)}
}}

// getBuffer returns n bytes, at most maxPooled; small ones are not pooled.
func getBuffer(n int64) *buffer {
	if n < maxPooled/8 {
		return &buffer{bytes: make([]byte, n)}
	}
	b := buffers.Get().(*buffer)
	b.bytes = b.full[:n]
	return b
}

func (b *buffer) Release() {
	if b.full != nil {
		buffers.Put(b)
	}
}
