package wire

import "encoding/binary"

// Lengths of request headers, in bytes.
const (
	RequestLen         = 28
	ExtendedRequestLen = 32
)

// Request is the header of a request ("Request message").
//
// Length counts bytes of the export, except for a write and with
// FlagPayloadLen, where it counts the bytes of payload that follow.
type Request struct {
	Flags   CommandFlags
	Command Command
	Cookie  uint64
	Offset  uint64 // bytes from the start of the export
	Length  uint64 // bytes; at most 32 bits unless extended headers are in use
}

// RequestHeaderLen returns the length of a request header in mode m, in bytes.
func (m Mode) RequestHeaderLen() int {
	if m == Extended {
		return ExtendedRequestLen
	}
	return RequestLen
}

// Append appends the header to dst in the format of mode m. A length that
// does not fit a compact header is a broken invariant of the caller.
func (r *Request) Append(dst []byte, m Mode) []byte {
	be := binary.BigEndian
	magic := MagicRequest
	if m == Extended {
		magic = MagicExtendedRequest
	}
	dst = be.AppendUint32(dst, magic)
	dst = be.AppendUint16(dst, uint16(r.Flags))
	dst = be.AppendUint16(dst, uint16(r.Command))
	dst = be.AppendUint64(dst, r.Cookie)
	dst = be.AppendUint64(dst, r.Offset)
	if m == Extended {
		return be.AppendUint64(dst, r.Length)
	}
	if r.Length > 1<<32-1 {
		panic("wire: length of a compact request exceeds 32 bits")
	}
	return be.AppendUint32(dst, uint32(r.Length))
}

// DecodeRequest decodes a request header; p holds m.RequestHeaderLen() bytes.
func DecodeRequest(p []byte, m Mode) (Request, error) {
	be := binary.BigEndian
	if len(p) < m.RequestHeaderLen() {
		return Request{}, corrupt("request", "length", len(p), "the header is cut short")
	}
	want := MagicRequest
	if m == Extended {
		want = MagicExtendedRequest
	}
	if got := be.Uint32(p); got != want {
		return Request{}, corrupt("request", "magic", hex(got), "expected "+hex(want).String())
	}
	r := Request{
		Flags:   CommandFlags(be.Uint16(p[4:])),
		Command: Command(be.Uint16(p[6:])),
		Cookie:  be.Uint64(p[8:]),
		Offset:  be.Uint64(p[16:]),
	}
	if m == Extended {
		r.Length = be.Uint64(p[24:])
	} else {
		r.Length = uint64(be.Uint32(p[24:]))
	}
	return r, nil
}

// HasPayload reports whether Length bytes of payload follow the header in
// mode m ("Request message": a write in compact mode, the flag in extended mode).
func (r *Request) HasPayload(m Mode) bool {
	if m == Extended {
		return r.Flags&FlagPayloadLen != 0
	}
	return r.Command == CmdWrite
}

// StatusPayload is the payload of a block status request that names the
// contexts it asks for (BLOCK_STATUS_PAYLOAD).
//
//	effect length 64 | context id 32 ...
type StatusPayload struct {
	Length   uint64 // bytes of the export
	Contexts []uint32
}

// Append appends the payload to dst.
func (s *StatusPayload) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, s.Length)
	for _, id := range s.Contexts {
		dst = binary.BigEndian.AppendUint32(dst, id)
	}
	return dst
}

// DecodeStatusPayload decodes the payload of a block status request.
func DecodeStatusPayload(p []byte) (StatusPayload, error) {
	if len(p) < 8 || len(p)%4 != 0 {
		return StatusPayload{}, corrupt("block status payload", "length", len(p), "expected 8 and a multiple of 4")
	}
	s := StatusPayload{Length: binary.BigEndian.Uint64(p)}
	for p = p[8:]; len(p) > 0; p = p[4:] {
		s.Contexts = append(s.Contexts, binary.BigEndian.Uint32(p))
	}
	return s, nil
}
