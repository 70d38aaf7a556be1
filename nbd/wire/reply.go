package wire

import "encoding/binary"

// Lengths of reply headers, in bytes.
const (
	SimpleReplyLen   = 16
	ChunkLen         = 20
	ExtendedChunkLen = 32
)

// MaxDataHeaderLen is the longest that PutDataHeader writes, in bytes.
const MaxDataHeaderLen = ExtendedChunkLen + 8

// AppendSimpleReply appends a simple reply ("Simple reply message").
func AppendSimpleReply(dst []byte, e Errno, cookie uint64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, MagicSimpleReply)
	dst = binary.BigEndian.AppendUint32(dst, uint32(e))
	return binary.BigEndian.AppendUint64(dst, cookie)
}

// Chunk is the header of a chunk of a reply ("Structured reply chunk
// message", "Extended reply chunk message").
type Chunk struct {
	Flags  uint16
	Type   ChunkType
	Cookie uint64
	Offset uint64 // offset of the request; only in extended mode
	Length uint64 // bytes of payload that follow
}

// ChunkHeaderLen returns the length of a chunk header in mode m, in bytes.
func (m Mode) ChunkHeaderLen() int {
	if m == Extended {
		return ExtendedChunkLen
	}
	return ChunkLen
}

// Append appends the header to dst in the format of mode m, which is
// Structured or Extended.
func (c *Chunk) Append(dst []byte, m Mode) []byte {
	be := binary.BigEndian
	magic := MagicStructured
	if m == Extended {
		magic = MagicExtendedReply
	}
	dst = be.AppendUint32(dst, magic)
	dst = be.AppendUint16(dst, c.Flags)
	dst = be.AppendUint16(dst, uint16(c.Type))
	dst = be.AppendUint64(dst, c.Cookie)
	if m == Extended {
		dst = be.AppendUint64(dst, c.Offset)
		return be.AppendUint64(dst, c.Length)
	}
	return be.AppendUint32(dst, uint32(c.Length))
}

// DataHeaderLen returns the bytes that precede the data of a read's reply in
// mode m: a simple reply, or a chunk header and the offset.
func (m Mode) DataHeaderLen() int {
	if m == Simple {
		return SimpleReplyLen
	}
	return m.ChunkHeaderLen() + 8
}

// PutDataHeader writes to p[:m.DataHeaderLen()] what precedes lenBytes of data
// at offset off. r is the request; done says that this is the whole reply,
// as it always is in mode Simple.
func PutDataHeader(p []byte, m Mode, r *Request, off uint64, lenBytes int, done bool) {
	if m == Simple {
		AppendSimpleReply(p[:0], 0, r.Cookie)
		return
	}
	c := Chunk{Type: ChunkOffsetData, Cookie: r.Cookie, Offset: r.Offset, Length: uint64(lenBytes) + 8}
	if done {
		c.Flags = ReplyDone
	}
	binary.BigEndian.AppendUint64(c.Append(p[:0], m), off)
}

// Reply is a decoded header of either kind: a simple reply has Simple set and
// only Cookie and Errno besides.
type Reply struct {
	Simple bool
	Errno  Errno
	Chunk
}

// ReplyHeaderLen returns how many bytes the header with this magic has in
// mode m, or an error if the mode does not allow it.
func (m Mode) ReplyHeaderLen(magic uint32) (int, error) {
	switch {
	case magic == MagicSimpleReply && m != Extended:
		return SimpleReplyLen, nil
	case magic == MagicStructured && m == Structured:
		return ChunkLen, nil
	case magic == MagicExtendedReply && m == Extended:
		return ExtendedChunkLen, nil
	}
	return 0, corrupt("reply", "magic", hex(magic), "not one of mode "+m.String())
}

// DecodeReply decodes the header of a reply in mode m.
func DecodeReply(p []byte, m Mode) (Reply, error) {
	be := binary.BigEndian
	if len(p) < 4 {
		return Reply{}, corrupt("reply", "length", len(p), "the header is cut short")
	}
	n, err := m.ReplyHeaderLen(be.Uint32(p))
	if err != nil {
		return Reply{}, err
	}
	if len(p) < n {
		return Reply{}, corrupt("reply", "length", len(p), "the header is cut short")
	}
	if n == SimpleReplyLen {
		return Reply{Simple: true, Errno: Errno(be.Uint32(p[4:])), Chunk: Chunk{Cookie: be.Uint64(p[8:])}}, nil
	}
	c := Chunk{Flags: be.Uint16(p[4:]), Type: ChunkType(be.Uint16(p[6:])), Cookie: be.Uint64(p[8:])}
	if m == Extended {
		c.Offset, c.Length = be.Uint64(p[16:]), be.Uint64(p[24:])
	} else {
		c.Length = uint64(be.Uint32(p[16:]))
	}
	return Reply{Chunk: c}, nil
}
