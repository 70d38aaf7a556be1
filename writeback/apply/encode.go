package apply

import (
	"encoding/binary"
	"io/fs"
	"math"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// Records are sequences of numbers, each a varint, signed where it can be
// negative, and of strings, each its length and its bytes. Lists are their length
// and their elements. The first number is the version. The journal sees to
// checksums.
const recordVersion = 1

// writer appends to a record.
type writer struct{ p []byte }

func (w *writer) uint(v uint64) { w.p = binary.AppendUvarint(w.p, v) }
func (w *writer) int(v int64)   { w.p = binary.AppendVarint(w.p, v) }
func (w *writer) len(n int)     { w.uint(uint64(n)) }
func (w *writer) bool(b bool) {
	if b {
		w.uint(1)
	} else {
		w.uint(0)
	}
}
func (w *writer) bytes(p []byte) {
	w.len(len(p))
	w.p = append(w.p, p...)
}
func (w *writer) string(s string) {
	w.len(len(s))
	w.p = append(w.p, s...)
}
func (w *writer) place(p Place) {
	w.int(int64(p.Dir))
	w.string(p.Name)
}
func (w *writer) identity(id hostfs.Identity) {
	for _, v := range []uint64{id.Ino, id.Dev, id.FSID, uint64(id.Mode), uint64(id.Nlink), uint64(id.UID), uint64(id.GID)} {
		w.uint(v)
	}
	for _, v := range []int64{id.Size, id.Mtime, id.Atime, id.Btime, id.Ctime} {
		w.int(v)
	}
}

// reader takes a record apart. After the first mistake it returns zeroes.
type reader struct {
	p   []byte
	all int
	err error
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = &diskerr.FormatError{Format: "journal", Structure: "record", Offset: int64(r.all - len(r.p)), Reason: reason}
	}
	r.p = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.p)
	if n <= 0 {
		r.fail("a number ends early or is too large")
		return 0
	}
	r.p = r.p[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.p)
	if n <= 0 {
		r.fail("a number ends early or is too large")
		return 0
	}
	r.p = r.p[n:]
	return v
}

// small reads a number that fits n bits.
func (r *reader) small(bits int) uint64 {
	v := r.uint()
	if v>>bits != 0 {
		r.fail("a number is too large")
		return 0
	}
	return v
}

// len reads the length of a list whose elements take at least that many bytes.
func (r *reader) len(elementBytes int) int {
	v := r.uint()
	if v > uint64(len(r.p)/elementBytes) {
		r.fail("a list is longer than its record")
		return 0
	}
	return int(v)
}

func (r *reader) bool() bool { return r.small(1) == 1 }

func (r *reader) bytes() []byte {
	n := r.len(1)
	p := r.p[:n:n]
	r.p = r.p[n:]
	return p
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) place() Place {
	dir := r.int()
	if dir < math.MinInt32 || dir > math.MaxInt32 {
		r.fail("a directory number is out of range")
	}
	return Place{DirID(dir), r.string()}
}

// identityBytes is the least that an identity takes.
const identityBytes = 12

func (r *reader) identity() (id hostfs.Identity) {
	id.Ino, id.Dev, id.FSID = r.uint(), r.uint(), r.uint()
	id.Mode = fs.FileMode(r.small(32))
	id.Nlink, id.UID, id.GID = uint32(r.small(32)), uint32(r.small(32)), uint32(r.small(32))
	id.Size, id.Mtime, id.Atime, id.Btime, id.Ctime = r.int(), r.int(), r.int(), r.int(), r.int()
	return id
}

// start checks the version.
func (r *reader) start() {
	if v := r.uint(); r.err == nil && v != recordVersion {
		r.fail("the record is of another version")
	}
}

// end checks that nothing follows.
func (r *reader) end() error {
	if r.err == nil && len(r.p) > 0 {
		r.fail("bytes follow the end")
	}
	return r.err
}

// list reads a list.
func list[T any](r *reader, elementBytes int, read func() T) []T {
	n := r.len(elementBytes)
	if n == 0 {
		return nil
	}
	out := make([]T, 0, n)
	for range n {
		out = append(out, read())
		if r.err != nil {
			return nil
		}
	}
	return out
}
