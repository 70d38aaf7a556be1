package wire

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// Lengths of handshake messages, in bytes.
const (
	GreetingLen     = 18
	ClientFlagsLen  = 4
	OptionLen       = 16
	OptionReplyLen  = 20
	ExportReplyLen  = 10  // size and flags, in answer to NBD_OPT_EXPORT_NAME
	ExportZeroesLen = 124 // zeroes after it unless FlagNoZeroes
)

// AppendGreeting appends the server's opening ("Newstyle negotiation").
func AppendGreeting(dst []byte, flags uint16) []byte {
	dst = binary.BigEndian.AppendUint64(dst, MagicNBD)
	dst = binary.BigEndian.AppendUint64(dst, MagicOption)
	return binary.BigEndian.AppendUint16(dst, flags)
}

// DecodeGreeting returns the handshake flags of a server's opening.
func DecodeGreeting(p []byte) (flags uint16, err error) {
	if len(p) < GreetingLen {
		return 0, corrupt("greeting", "length", len(p), "cut short")
	}
	if m := binary.BigEndian.Uint64(p); m != MagicNBD {
		return 0, corrupt("greeting", "magic", hex(m), "the peer is not an NBD server")
	}
	if m := binary.BigEndian.Uint64(p[8:]); m != MagicOption {
		return 0, corrupt("greeting", "magic", hex(m), "the server speaks the old style of negotiation only")
	}
	return binary.BigEndian.Uint16(p[16:]), nil
}

// AppendOption appends an option with its data.
func AppendOption(dst []byte, o Option, data []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, MagicOption)
	dst = binary.BigEndian.AppendUint32(dst, uint32(o))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// DecodeOption decodes the header of an option; lenBytes of data follow it.
func DecodeOption(p []byte) (o Option, lenBytes uint32, err error) {
	if len(p) < OptionLen {
		return 0, 0, corrupt("option", "length", len(p), "the header is cut short")
	}
	if m := binary.BigEndian.Uint64(p); m != MagicOption {
		return 0, 0, corrupt("option", "magic", hex(m), "expected "+hex(MagicOption).String())
	}
	return Option(binary.BigEndian.Uint32(p[8:])), binary.BigEndian.Uint32(p[12:]), nil
}

// AppendOptionReply appends a reply to an option with its data.
func AppendOptionReply(dst []byte, o Option, r OptionReply, data []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, MagicOptionReply)
	dst = binary.BigEndian.AppendUint32(dst, uint32(o))
	dst = binary.BigEndian.AppendUint32(dst, uint32(r))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// DecodeOptionReply decodes the header of a reply to option o; lenBytes of
// data follow it.
func DecodeOptionReply(p []byte, o Option) (r OptionReply, lenBytes uint32, err error) {
	if len(p) < OptionReplyLen {
		return 0, 0, corrupt("option reply", "length", len(p), "the header is cut short")
	}
	if m := binary.BigEndian.Uint64(p); m != MagicOptionReply {
		return 0, 0, corrupt("option reply", "magic", hex(m), "expected "+hex(MagicOptionReply).String())
	}
	if got := Option(binary.BigEndian.Uint32(p[8:])); got != o {
		return 0, 0, corrupt("option reply", "option", got, "the reply is to another option than "+o.String())
	}
	return OptionReply(binary.BigEndian.Uint32(p[12:])), binary.BigEndian.Uint32(p[16:]), nil
}

// CheckString checks what the specification asks of every string
// ("Conventions"): UTF-8, no NUL, at most MaxString bytes.
func CheckString(field, s string) error {
	switch {
	case len(s) > MaxString:
		return corrupt("string", field, len(s), "longer than 4096 bytes")
	case strings.IndexByte(s, 0) >= 0:
		return corrupt("string", field, nil, "contains a NUL")
	case !utf8.ValidString(s):
		return corrupt("string", field, nil, "is not UTF-8")
	}
	return nil
}

// decodeString splits a 32-bit length and a string off p.
func decodeString(structure, field string, p []byte) (s string, rest []byte, err error) {
	if len(p) < 4 {
		return "", nil, corrupt(structure, field+" length", nil, "cut short")
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(p)-4) {
		return "", nil, corrupt(structure, field+" length", n, "reaches past the data")
	}
	s = string(p[4 : 4+n])
	if err := CheckString(field, s); err != nil {
		return "", nil, err
	}
	return s, p[4+n:], nil
}

// appendString appends a 32-bit length and s.
func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// InfoRequest is the data of NBD_OPT_INFO and NBD_OPT_GO.
type InfoRequest struct {
	Name  string
	Infos []Info
}

// Append appends the data to dst.
func (q *InfoRequest) Append(dst []byte) []byte {
	dst = appendString(dst, q.Name)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(q.Infos)))
	for _, i := range q.Infos {
		dst = binary.BigEndian.AppendUint16(dst, uint16(i))
	}
	return dst
}

// DecodeInfoRequest decodes the data of NBD_OPT_INFO and NBD_OPT_GO.
func DecodeInfoRequest(p []byte) (InfoRequest, error) {
	name, p, err := decodeString("information request", "export name", p)
	if err != nil {
		return InfoRequest{}, err
	}
	if len(p) < 2 {
		return InfoRequest{}, corrupt("information request", "count", nil, "cut short")
	}
	n := int(binary.BigEndian.Uint16(p))
	if p = p[2:]; len(p) != 2*n {
		return InfoRequest{}, corrupt("information request", "count", n, "does not match the length of the data")
	}
	q := InfoRequest{Name: name, Infos: make([]Info, n)}
	for i := range q.Infos {
		q.Infos[i] = Info(binary.BigEndian.Uint16(p[2*i:]))
	}
	return q, nil
}

// MetaRequest is the data of NBD_OPT_LIST_META_CONTEXT and
// NBD_OPT_SET_META_CONTEXT.
type MetaRequest struct {
	Name    string
	Queries []string
}

// Append appends the data to dst.
func (q *MetaRequest) Append(dst []byte) []byte {
	dst = appendString(dst, q.Name)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(q.Queries)))
	for _, s := range q.Queries {
		dst = appendString(dst, s)
	}
	return dst
}

// DecodeMetaRequest decodes the data of the options about contexts.
func DecodeMetaRequest(p []byte) (MetaRequest, error) {
	name, p, err := decodeString("meta context request", "export name", p)
	if err != nil {
		return MetaRequest{}, err
	}
	if len(p) < 4 {
		return MetaRequest{}, corrupt("meta context request", "count", nil, "cut short")
	}
	n := binary.BigEndian.Uint32(p)
	q := MetaRequest{Name: name}
	p = p[4:]
	if uint64(n) > uint64(len(p)/4) {
		return MetaRequest{}, corrupt("meta context request", "count", n, "does not match the length of the data")
	}
	for range n {
		var s string
		if s, p, err = decodeString("meta context request", "query", p); err != nil {
			return MetaRequest{}, err
		}
		q.Queries = append(q.Queries, s)
	}
	if len(p) != 0 {
		return MetaRequest{}, corrupt("meta context request", "length", len(p), "bytes follow the last query")
	}
	return q, nil
}
