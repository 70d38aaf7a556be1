package block

import (
	"errors"
	"io"
	"os"

	"github.com/fatkit/fatkit/diskerr"
)

// Zeroer is a device that makes a range read as zeroes without being sent the
// zeroes.
type Zeroer interface {
	WriteZeroes(off, n int64, f ZeroFlags) error
}

// Discarder is a device that can free the space behind a range. What a
// discarded range reads afterwards is unspecified until it is written.
type Discarder interface {
	Discard(off, n int64) error
}

// FUAWriter is a device that makes a single write durable before it returns,
// cheaper than a Flush would.
type FUAWriter interface {
	WriteAtFUA(p []byte, off int64) (int, error)
}

// Extenter is a device that knows which of its ranges are data, holes or
// zeroes. It appends extents that cover [off, off+n) exactly, in order and
// without gaps; neighbours may have equal flags.
type Extenter interface {
	AppendExtents(dst []Extent, off, n int64) ([]Extent, error)
}

// Segmenter is a device that answers a read by naming the places of its
// bytes instead of copying them.
//
// The appended segments cover [off, off+n) exactly and in order. On an error
// they cover a prefix, and the error belongs to the first byte not covered.
// The caller releases every appended segment exactly once, also after an
// error. A range past the end of the device is diskerr.ErrOutOfRange.
type Segmenter interface {
	AppendSegments(dst []Segment, off, n int64) ([]Segment, error)
}

// CachedReader is a device that can tell, at no extra cost, whether a read
// would have to wait for a disk, a network or a lock held over I/O.
//
// ReadAtCached reads all of p, or returns ErrWouldBlock and p is undefined.
// Any other error is the error that ReadAt would give.
type CachedReader interface {
	ReadAtCached(p []byte, off int64) (int, error)
}

// FileWriter is a device that takes a range of an open host file into itself
// without passing the bytes through the caller's memory: by sharing blocks or
// by a copy inside the kernel.
//
// WriteFile writes the n bytes of f at srcOff to the device at off, and is a
// write in every other respect. It uses no file position. A source that turns
// out to be shorter is io.ErrUnexpectedEOF. On errors.ErrUnsupported nothing
// counts as written; bytes of the range may have changed to those of f.
type FileWriter interface {
	WriteFile(off int64, f *os.File, srcOff, n int64) error
}

// Resizer is a device whose size can change. Bytes that growth adds read as
// zeroes. No other call may be under way on bytes that shrinking cuts off.
type Resizer interface {
	Resize(sizeBytes int64) error
}

// Limiter is a device that describes itself.
type Limiter interface {
	Limits() Limits
}

// ErrWouldBlock says that a [CachedReader] cannot answer without waiting.
var ErrWouldBlock = errors.New("block: read would wait")

// zeroes is the source of the fallback of WriteZeroes; nobody writes to it.
var zeroes [64 << 10]byte

// CheckRange returns diskerr.ErrOutOfRange unless [off, off+n) lies within a
// device of size bytes. It is safe against overflow.
func CheckRange(off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return diskerr.ErrOutOfRange
	}
	return nil
}

// ClipRead returns the part of p that a read at off can fill on a device of
// size bytes, and the error to return once it is filled: nil, or io.EOF when
// p reaches past the end. A negative offset is diskerr.ErrOutOfRange.
func ClipRead(p []byte, off, size int64) ([]byte, error) {
	switch {
	case off < 0:
		return nil, diskerr.ErrOutOfRange
	case off > size, off == size && len(p) > 0:
		return nil, io.EOF
	case int64(len(p)) > size-off:
		return p[:size-off], io.EOF
	}
	return p, nil
}

// WriteZeroes makes [off, off+n) of d read as zeroes. Where d is no [Zeroer]
// it writes zeroes, or returns errors.ErrUnsupported for FastOnly.
func WriteZeroes(d Device, off, n int64, f ZeroFlags) error {
	if z, ok := d.(Zeroer); ok {
		if err := z.WriteZeroes(off, n, f); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if err := CheckRange(off, n, d.Size()); err != nil {
		return err
	}
	if f&FastOnly != 0 {
		return errors.ErrUnsupported
	}
	step := maxStep(d, int64(len(zeroes)))
	for n > 0 {
		m, err := d.WriteAt(zeroes[:min(n, step)], off)
		if err != nil {
			return err
		}
		off, n = off+int64(m), n-int64(m)
	}
	return nil
}

// Discard tells d that the bytes of [off, off+n) are no longer needed. Where
// d is no [Discarder] it only checks the range.
func Discard(d Device, off, n int64) error {
	if x, ok := d.(Discarder); ok {
		if err := x.Discard(off, n); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return CheckRange(off, n, d.Size())
}

// WriteAtFUA writes p at off and returns when it is durable.
func WriteAtFUA(d Device, p []byte, off int64) (int, error) {
	if x, ok := d.(FUAWriter); ok {
		if n, err := x.WriteAtFUA(p, off); !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
	}
	n, err := d.WriteAt(p, off)
	if err != nil {
		return n, err
	}
	return n, d.Flush()
}

// AppendExtents appends extents that cover [off, off+n) of d to dst. Where d
// is no [Extenter] that is one extent of data.
func AppendExtents(d Device, dst []Extent, off, n int64) ([]Extent, error) {
	if x, ok := d.(Extenter); ok {
		out, err := x.AppendExtents(dst, off, n)
		if !errors.Is(err, errors.ErrUnsupported) {
			return out, err
		}
	}
	if err := CheckRange(off, n, d.Size()); err != nil || n == 0 {
		return dst, err
	}
	return append(dst, Extent{Off: off, Len: n}), nil
}

// AppendSegments appends segments with the bytes of [off, off+n) of d to dst,
// as described at [Segmenter]. Where d is no Segmenter it reads into pooled
// memory.
func AppendSegments(d Device, dst []Segment, off, n int64) ([]Segment, error) {
	if x, ok := d.(Segmenter); ok {
		out, err := x.AppendSegments(dst, off, n)
		if !errors.Is(err, errors.ErrUnsupported) {
			return out, err
		}
	}
	if err := CheckRange(off, n, d.Size()); err != nil {
		return dst, err
	}
	step := maxStep(d, maxPooled)
	for n > 0 {
		buf := getBuffer(min(n, step))
		m, err := d.ReadAt(buf.bytes, off)
		if err == io.EOF && m == len(buf.bytes) {
			err = nil
		}
		if m > 0 {
			dst = append(dst, Segment{Len: int64(m), Data: buf.bytes[:m], pin: buf})
		} else {
			buf.Release()
		}
		if err != nil {
			return dst, noEOF(err)
		}
		off, n = off+int64(m), n-int64(m)
	}
	return dst, nil
}

// WriteFile writes n bytes of the open host file f, from srcOff, to d at off.
// Where d is no [FileWriter] it reads them into pooled memory and writes that.
// A file that turns out to be shorter is io.ErrUnexpectedEOF.
func WriteFile(d Device, off int64, f *os.File, srcOff, n int64) error {
	if x, ok := d.(FileWriter); ok {
		if err := x.WriteFile(off, f, srcOff, n); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if err := CheckRange(off, n, d.Size()); err != nil || n == 0 {
		return err
	}
	step := maxStep(d, maxPooled)
	buf := getBuffer(min(n, step))
	defer buf.Release()
	for n > 0 {
		p := buf.bytes[:min(n, step)]
		if m, err := f.ReadAt(p, srcOff); m < len(p) {
			return noEOF(err)
		}
		if _, err := d.WriteAt(p, off); err != nil {
			return err
		}
		m := int64(len(p))
		off, srcOff, n = off+m, srcOff+m, n-m
	}
	return nil
}

// maxStep returns the most bytes, at most limit, that one call to d should
// move.
func maxStep(d Device, limit int64) int64 {
	if m := int64(LimitsOf(d).MaxTransfer); m > 0 {
		return min(m, limit)
	}
	return limit
}

// ReadAtCached reads p from off if d can do so without waiting, and returns
// [ErrWouldBlock] if it cannot or does not know.
func ReadAtCached(d Device, p []byte, off int64) (int, error) {
	if x, ok := d.(CachedReader); ok {
		if n, err := x.ReadAtCached(p, off); !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
	}
	return 0, ErrWouldBlock
}

// ReadPart fills p from off with read, which is [Device.ReadAt] or
// [ReadAtCached], for a device that has d as a part: where d ends before p does,
// it is [io.ErrUnexpectedEOF].
func ReadPart(d Device, p []byte, off int64, read func(Device, []byte, int64) (int, error)) (int, error) {
	n, err := read(d, p, off)
	switch {
	case n == len(p):
		return n, nil
	case err == nil || err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// LimitsOf returns what d says of itself, or the zero Limits.
func LimitsOf(d Device) Limits {
	if x, ok := d.(Limiter); ok {
		return x.Limits()
	}
	return Limits{}
}

// ReadFull reads exactly len(p) bytes of d from off. A range that crosses the
// end of the device is diskerr.ErrOutOfRange.
func ReadFull(d Device, p []byte, off int64) error {
	if err := CheckRange(off, int64(len(p)), d.Size()); err != nil {
		return err
	}
	n, err := d.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return noEOF(err)
}

// noEOF turns the end of a device that promised more bytes into an error that
// does not look like a regular end.
func noEOF(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
