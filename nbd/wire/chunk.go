package wire

import "encoding/binary"

// AppendNone appends the chunk that ends a reply without adding to it.
func AppendNone(dst []byte, m Mode, r *Request) []byte {
	c := Chunk{Flags: ReplyDone, Type: ChunkNone, Cookie: r.Cookie, Offset: r.Offset}
	return c.Append(dst, m)
}

// AppendHole appends a chunk that says that lenBytes at off read as zeroes.
func AppendHole(dst []byte, m Mode, r *Request, off uint64, lenBytes uint32, done bool) []byte {
	c := Chunk{Type: ChunkOffsetHole, Cookie: r.Cookie, Offset: r.Offset, Length: 12}
	if done {
		c.Flags = ReplyDone
	}
	dst = binary.BigEndian.AppendUint64(c.Append(dst, m), off)
	return binary.BigEndian.AppendUint32(dst, lenBytes)
}

// AppendError appends the chunk that ends a reply with an error. The message
// is cut at MaxString bytes.
func AppendError(dst []byte, m Mode, r *Request, e Errno, message string) []byte {
	message = message[:min(len(message), MaxString)]
	c := Chunk{Flags: ReplyDone, Type: ChunkError, Cookie: r.Cookie, Offset: r.Offset, Length: uint64(6 + len(message))}
	dst = binary.BigEndian.AppendUint32(c.Append(dst, m), uint32(e))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(message)))
	return append(dst, message...)
}

// AppendErrorOffset appends the chunk that ends a reply with an error at off.
func AppendErrorOffset(dst []byte, m Mode, r *Request, e Errno, message string, off uint64) []byte {
	message = message[:min(len(message), MaxString)]
	c := Chunk{Flags: ReplyDone, Type: ChunkErrorOffset, Cookie: r.Cookie, Offset: r.Offset, Length: uint64(14 + len(message))}
	dst = binary.BigEndian.AppendUint32(c.Append(dst, m), uint32(e))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(message)))
	dst = append(dst, message...)
	return binary.BigEndian.AppendUint64(dst, off)
}

// ErrorPayload is the payload of an error chunk.
type ErrorPayload struct {
	Errno     Errno
	Message   string
	Offset    uint64 // of ChunkErrorOffset
	HasOffset bool
}

// DecodeError decodes the payload of an error chunk of type t. Error types
// that are not known carry at least the error and the message
// ("Structured reply types").
func DecodeError(t ChunkType, p []byte) (ErrorPayload, error) {
	be := binary.BigEndian
	if len(p) < 6 {
		return ErrorPayload{}, corrupt("error chunk", "length", len(p), "shorter than 6 bytes")
	}
	e := ErrorPayload{Errno: Errno(be.Uint32(p))}
	n := int(be.Uint16(p[4:]))
	if e.Errno == 0 {
		return ErrorPayload{}, corrupt("error chunk", "error", 0, "an error chunk must not carry success")
	}
	if n > len(p)-6 || n > MaxString {
		return ErrorPayload{}, corrupt("error chunk", "message length", n, "reaches past the chunk")
	}
	e.Message = string(p[6 : 6+n])
	if t == ChunkErrorOffset {
		if len(p) != 14+n {
			return ErrorPayload{}, corrupt("error chunk", "length", len(p), "expected 14 bytes and the message")
		}
		e.Offset, e.HasOffset = be.Uint64(p[6+n:]), true
	}
	return e, nil
}

// Descriptor is a run of bytes with one status.
type Descriptor struct {
	Length uint64 // bytes, more than 0
	Status uint64
}

// AppendStatus appends the chunk with the descriptors of one context. In
// mode Structured lengths and states must fit 32 bits.
func AppendStatus(dst []byte, m Mode, r *Request, context uint32, ds []Descriptor, done bool) []byte {
	be := binary.BigEndian
	c := Chunk{Type: ChunkBlockStatus, Cookie: r.Cookie, Offset: r.Offset, Length: uint64(4 + 8*len(ds))}
	if done {
		c.Flags = ReplyDone
	}
	if m == Extended {
		c.Type, c.Length = ChunkBlockStatusExt, uint64(8+16*len(ds))
		dst = be.AppendUint32(c.Append(dst, m), context)
		dst = be.AppendUint32(dst, uint32(len(ds)))
		for _, d := range ds {
			dst = be.AppendUint64(be.AppendUint64(dst, d.Length), d.Status)
		}
		return dst
	}
	dst = be.AppendUint32(c.Append(dst, m), context)
	for _, d := range ds {
		dst = be.AppendUint32(be.AppendUint32(dst, uint32(d.Length)), uint32(d.Status))
	}
	return dst
}

// DecodeStatus decodes the payload of a block status chunk of type t and
// appends its descriptors to dst.
func DecodeStatus(t ChunkType, p []byte, dst []Descriptor) (context uint32, ds []Descriptor, err error) {
	be := binary.BigEndian
	head, each := 4, 8
	if t == ChunkBlockStatusExt {
		head, each = 8, 16
	}
	if len(p) < head+each || (len(p)-head)%each != 0 {
		return 0, dst, corrupt("block status chunk", "length", len(p), "not a header and whole descriptors")
	}
	count := (len(p) - head) / each
	if count > MaxDescriptors {
		return 0, dst, corrupt("block status chunk", "descriptors", count, "too many")
	}
	if t == ChunkBlockStatusExt {
		if n := be.Uint32(p[4:]); n != 0 && int(n) != count {
			return 0, dst, corrupt("block status chunk", "descriptor count", n, "does not match the length")
		}
	}
	context = be.Uint32(p)
	for p = p[head:]; len(p) > 0; p = p[each:] {
		d := Descriptor{Length: uint64(be.Uint32(p)), Status: uint64(be.Uint32(p[4:]))}
		if t == ChunkBlockStatusExt {
			d = Descriptor{Length: be.Uint64(p), Status: be.Uint64(p[8:])}
		}
		if d.Length == 0 {
			return 0, dst, corrupt("block status chunk", "extent length", 0, "must not be 0")
		}
		dst = append(dst, d)
	}
	return context, dst, nil
}
