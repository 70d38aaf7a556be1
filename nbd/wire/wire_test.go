package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/diskerr"
	"pgregory.net/rapid"
)

var modes = []Mode{Simple, Structured, Extended}

// dirty returns n bytes that are not zero, with room for an append.
func dirty(n int) []byte { return bytes.Repeat([]byte{0xA5}, n)[:0] }

func TestRequestIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(modes).Draw(t, "mode")
		r := Request{
			Flags:   CommandFlags(rapid.Uint16().Draw(t, "flags")),
			Command: Command(rapid.Uint16().Draw(t, "command")),
			Cookie:  rapid.Uint64().Draw(t, "cookie"),
			Offset:  rapid.Uint64().Draw(t, "offset"),
			Length:  uint64(rapid.Uint32().Draw(t, "length")),
		}
		if m == Extended {
			r.Length = rapid.Uint64().Draw(t, "length")
		}
		p := r.Append(dirty(64), m)
		if len(p) != m.RequestHeaderLen() {
			t.Fatalf("%d bytes", len(p))
		}
		got, err := DecodeRequest(p, m)
		if err != nil || got != r {
			t.Fatalf("%+v, %v; want %+v", got, err, r)
		}
	})
}

func TestReplyIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(modes[1:]).Draw(t, "mode")
		c := Chunk{
			Flags:  rapid.Uint16().Draw(t, "flags"),
			Type:   ChunkType(rapid.Uint16().Draw(t, "type")),
			Cookie: rapid.Uint64().Draw(t, "cookie"),
			Length: uint64(rapid.Uint32().Draw(t, "length")),
		}
		if m == Extended {
			c.Offset = rapid.Uint64().Draw(t, "offset")
		}
		got, err := DecodeReply(c.Append(dirty(64), m), m)
		if err != nil || got.Simple || got.Chunk != c {
			t.Fatalf("%+v, %v; want %+v", got, err, c)
		}
		e := Errno(rapid.Uint32().Draw(t, "error"))
		if m == Structured {
			got, err = DecodeReply(AppendSimpleReply(dirty(64), e, c.Cookie), m)
			if err != nil || !got.Simple || got.Errno != e || got.Cookie != c.Cookie {
				t.Fatalf("%+v, %v", got, err)
			}
		}
	})
}

// The bytes of the specification, written out once by hand.
func TestKnownBytes(t *testing.T) {
	r := Request{Flags: FlagFUA, Command: CmdWrite, Cookie: 0x0102030405060708, Offset: 0x1000, Length: 0x200}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"request":         {r.Append(nil, Simple), "\x25\x60\x95\x13\x00\x01\x00\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x02\x00"},
		"extended":        {r.Append(nil, Extended), "\x21\xe4\x1c\x71\x00\x01\x00\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x02\x00"},
		"simple reply":    {AppendSimpleReply(nil, EIO, r.Cookie), "\x67\x44\x66\x98\x00\x00\x00\x05\x01\x02\x03\x04\x05\x06\x07\x08"},
		"none":            {AppendNone(nil, Structured, &r), "\x66\x8e\x33\xef\x00\x01\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00"},
		"none, extended":  {AppendNone(nil, Extended, &r), "\x6e\x8a\x27\x8c\x00\x01\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		"hole":            {AppendHole(nil, Structured, &r, 0x1100, 0x80, true)[16:], "\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x80"},
		"error at offset": {AppendErrorOffset(nil, Structured, &r, EIO, "ab", 7)[4:], "\x00\x01\x80\x02\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x10\x00\x00\x00\x05\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x07"},
		"status":          {AppendStatus(nil, Structured, &r, 9, []Descriptor{{5, 3}}, true)[16:], "\x00\x00\x00\x0c\x00\x00\x00\x09\x00\x00\x00\x05\x00\x00\x00\x03"},
		"status, ext":     {AppendStatus(nil, Extended, &r, 9, []Descriptor{{5, 3}}, false)[24:], "\x00\x00\x00\x00\x00\x00\x00\x18\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x03"},
		"greeting":        {AppendGreeting(nil, 3), "NBDMAGICIHAVEOPT\x00\x03"},
		"option":          {AppendOption(nil, OptGo, []byte("d")), "IHAVEOPT\x00\x00\x00\x07\x00\x00\x00\x01d"},
		"option reply":    {AppendOptionReply(nil, OptGo, RepErrUnknown, nil), "\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x07\x80\x00\x00\x06\x00\x00\x00\x00"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %x, expected %x", name, c.got, c.want)
		}
	}
}

func TestDataHeader(t *testing.T) {
	r := Request{Cookie: 7, Offset: 1000}
	for _, m := range modes {
		p := dirty(64)[:m.DataHeaderLen()]
		PutDataHeader(p, m, &r, 1024, 512, true)
		h, err := DecodeReply(p, m)
		if err != nil || h.Cookie != 7 {
			t.Fatalf("%v: %+v, %v", m, h, err)
		}
		if m == Simple {
			continue
		}
		if h.Type != ChunkOffsetData || h.Flags != ReplyDone || h.Length != 520 || binary.BigEndian.Uint64(p[len(p)-8:]) != 1024 {
			t.Errorf("%v: %+v", m, h)
		}
	}
}

// text draws a string that the protocol allows.
func text(t *rapid.T, label string) string {
	return strings.ReplaceAll(rapid.StringN(0, 40, 200).Draw(t, label), "\x00", "")
}

func TestOptionIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := InfoRequest{Name: text(t, "name"), Infos: make([]Info, rapid.IntRange(0, 5).Draw(t, "infos"))}
		for k := range i.Infos {
			i.Infos[k] = Info(rapid.Uint16().Draw(t, "info"))
		}
		gotI, err := DecodeInfoRequest(i.Append(dirty(64)))
		if err != nil || !reflect.DeepEqual(gotI, i) {
			t.Fatalf("%+v, %v; want %+v", gotI, err, i)
		}
		m := MetaRequest{Name: i.Name}
		for range rapid.IntRange(0, 4).Draw(t, "queries") {
			m.Queries = append(m.Queries, text(t, "query"))
		}
		gotM, err := DecodeMetaRequest(m.Append(dirty(64)))
		if err != nil || !reflect.DeepEqual(gotM, m) {
			t.Fatalf("%+v, %v; want %+v", gotM, err, m)
		}
		name, desc, err := DecodeServer(AppendServer(dirty(64), i.Name, "text"))
		if err != nil || name != i.Name || desc != "text" {
			t.Fatalf("%q %q %v", name, desc, err)
		}
	})
}

// reject checks that each of bad is refused as damaged.
func reject[T any](t *testing.T, decode func([]byte) (T, error), bad map[string][]byte) {
	t.Helper()
	for name, p := range bad {
		var fe *diskerr.FormatError
		if _, err := decode(p); !errors.As(err, &fe) || !errors.Is(err, diskerr.ErrCorrupt) || fe.Structure == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRejected(t *testing.T) {
	be := binary.BigEndian
	for _, m := range modes {
		good := (&Request{Command: CmdRead, Length: 1}).Append(nil, m)
		other := (&Request{Command: CmdRead, Length: 1}).Append(nil, Extended-m/2*2)
		reject(t, func(p []byte) (Request, error) { return DecodeRequest(p, m) },
			map[string][]byte{"short": good[:len(good)-1], "empty": nil, "magic": append([]byte{0}, good[1:]...), "other mode": append(other, 0, 0, 0, 0)})
		c := Chunk{}
		wrong := Structured
		if m == Structured {
			wrong = Extended
		}
		reject(t, func(p []byte) (Reply, error) { return DecodeReply(p, m) },
			map[string][]byte{"empty": nil, "magic": make([]byte, 32), "other mode": c.Append(nil, wrong), "short": c.Append(nil, max(m, Structured))[:ChunkLen-1]})
	}
	reject(t, DecodeGreeting, map[string][]byte{
		"short": []byte("NBDMAGIC"), "HTTP": []byte("HTTP/1.1 400 Bad R"),
		"oldstyle": append([]byte("NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53"), 0, 0),
	})
	reject(t, func(p []byte) (Option, error) { o, _, err := DecodeOption(p); return o, err }, map[string][]byte{
		"short": make([]byte, 15), "magic": make([]byte, 16),
	})
	reject(t, func(p []byte) (OptionReply, error) { r, _, err := DecodeOptionReply(p, OptGo); return r, err }, map[string][]byte{
		"short": make([]byte, 19), "magic": make([]byte, 20), "other option": AppendOptionReply(nil, OptInfo, RepAck, nil),
	})
	size := func(min, pref, most uint32) []byte { return BlockSizes{min, pref, most}.AppendInfo(nil)[2:] }
	reject(t, DecodeBlockSizes, map[string][]byte{
		"short": nil, "min 0": size(0, 512, 512), "min 3": size(3, 512, 512), "min 128K": size(128<<10, 1<<20, 1<<20),
		"preferred below min": size(512, 256, 512), "preferred 3": size(1, 3, 512), "max 0": size(1, 512, 0), "max odd": size(512, 512, 1000),
	})
	for _, b := range []BlockSizes{{1, 4096, 1<<32 - 1}, {512, 4096, 64 << 20}, {65536, 65536, 65536}} {
		if got, err := DecodeBlockSizes(b.AppendInfo(nil)[2:]); err != nil || got != b {
			t.Errorf("%v: %v, %v", b, got, err)
		}
	}
	reject(t, DecodeExportInfo, map[string][]byte{
		"short": nil, "long": make([]byte, 11), "2^63": ExportInfo{Size: 1 << 63}.Append(nil),
	})
	reject(t, func(p []byte) (Info, error) { i, _, err := DecodeInfo(p); return i, err }, map[string][]byte{"short": {1}})
	reject(t, func(p []byte) (uint32, error) { i, _, err := DecodeMetaContext(p); return i, err }, map[string][]byte{
		"short": {1, 2, 3}, "NUL": {0, 0, 0, 0, 'a', 0},
	})
	reject(t, func(p []byte) (string, error) { s, _, err := DecodeServer(p); return s, err }, map[string][]byte{
		"short": {0}, "length": {0, 0, 0, 2, 'a'}, "description": {0, 0, 0, 0, 0xff},
	})
	reject(t, DecodeStatusPayload, map[string][]byte{"short": make([]byte, 7), "odd": make([]byte, 10)})
	code := func(e uint32, n uint16, rest string) []byte {
		return append(be.AppendUint16(be.AppendUint32(nil, e), n), rest...)
	}
	reject(t, func(p []byte) (ErrorPayload, error) { return DecodeError(ChunkErrorOffset, p) }, map[string][]byte{
		"short": make([]byte, 5), "success": code(0, 0, "12345678"), "message too long": code(5, 9, "12345678"),
		"no offset": code(5, 0, ""), "long": code(5, 0, "123456789"), "over 4096": code(5, 5000, strings.Repeat("x", 5008)),
	})
	status := func(t ChunkType) func(p []byte) ([]Descriptor, error) {
		return func(p []byte) ([]Descriptor, error) { _, ds, err := DecodeStatus(t, p, nil); return ds, err }
	}
	reject(t, status(ChunkBlockStatus), map[string][]byte{
		"no descriptor": make([]byte, 4), "half": make([]byte, 16), "length 0": make([]byte, 12), "too many": make([]byte, 4+8*(MaxDescriptors+1)),
	})
	reject(t, status(ChunkBlockStatusExt), map[string][]byte{
		"no descriptor": make([]byte, 8), "half": make([]byte, 20), "length 0": make([]byte, 24),
		"count": append(be.AppendUint32(make([]byte, 4), 2), bytes.Repeat([]byte{1}, 16)...),
	})
}

func TestStatusIdentity(t *testing.T) {
	ds := []Descriptor{{1, 0}, {math.MaxUint32, 3}, {512, 7}}
	for _, m := range modes[1:] {
		p := AppendStatus(dirty(256), m, &Request{}, 42, ds, true)
		h, err := DecodeReply(p, m)
		if err != nil {
			t.Fatal(err)
		}
		id, got, err := DecodeStatus(h.Type, p[m.ChunkHeaderLen():], nil)
		if err != nil || id != 42 || !reflect.DeepEqual(got, ds) || h.Length != uint64(len(p)-m.ChunkHeaderLen()) {
			t.Errorf("%v: %d %v %v", m, id, got, err)
		}
	}
}

func TestErrorIdentity(t *testing.T) {
	long := strings.Repeat("m", MaxString+100)
	for _, m := range modes[1:] {
		for _, message := range []string{"", "head crash", long} {
			for _, withOffset := range []bool{false, true} {
				p := AppendError(nil, m, &Request{}, EIO, message)
				if withOffset {
					p = AppendErrorOffset(nil, m, &Request{}, EIO, message, 12345)
				}
				h, err := DecodeReply(p, m)
				if err != nil || h.Length != uint64(len(p)-m.ChunkHeaderLen()) {
					t.Fatalf("%+v, %v", h, err)
				}
				e, err := DecodeError(h.Type, p[m.ChunkHeaderLen():])
				if err != nil || e.Errno != EIO || e.Message != message[:min(len(message), MaxString)] || e.HasOffset != withOffset || withOffset && e.Offset != 12345 {
					t.Errorf("%v: %+v, %v", m, e, err)
				}
			}
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		CmdWriteZeroes.String(): "write-zeroes", Command(99).String(): "command 99", OptGo.String(): "NBD_OPT_GO",
		Option(4).String(): "option 4", RepErrTooBig.String(): "NBD_REP_ERR_TOO_BIG", OptionReply(5).String(): "option reply 0x5",
		Extended.String(): "extended", EIO.Error(): "input/output error", Errno(3).Error(): "error 3",
	} {
		if got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}

// FuzzDecode feeds every decoder. What decodes must encode to the same bytes
// where the encoding is unique.
func FuzzDecode(f *testing.F) {
	r := Request{Command: CmdRead, Cookie: 1, Offset: 2, Length: 3}
	for _, m := range modes {
		f.Add(r.Append(nil, m))
	}
	f.Add(AppendError(nil, Structured, &r, EIO, "x")[ChunkLen:])
	f.Add(AppendErrorOffset(nil, Structured, &r, EIO, "x", 9)[ChunkLen:])
	f.Add(AppendStatus(nil, Structured, &r, 1, []Descriptor{{1, 1}}, true)[ChunkLen:])
	f.Add(AppendStatus(nil, Extended, &r, 1, []Descriptor{{1, 1}}, true)[ExtendedChunkLen:])
	f.Add((&InfoRequest{Name: "x", Infos: []Info{1}}).Append(nil))
	f.Add((&MetaRequest{Name: "x", Queries: []string{"a:b"}}).Append(nil))
	f.Add(AppendServer(nil, "x", "y"))
	f.Add(BlockSizes{1, 512, 1024}.AppendInfo(nil)[2:])
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, m := range modes {
			if r, err := DecodeRequest(p, m); err == nil && !bytes.Equal(r.Append(nil, m), p[:m.RequestHeaderLen()]) {
				t.Errorf("%v request: %+v", m, r)
			}
			if h, err := DecodeReply(p, m); err == nil && !h.Simple && !bytes.Equal(h.Append(nil, m), p[:m.ChunkHeaderLen()]) {
				t.Errorf("%v reply: %+v", m, h)
			}
		}
		if q, err := DecodeInfoRequest(p); err == nil && !bytes.Equal(q.Append(nil), p) {
			t.Errorf("information request: %+v", q)
		}
		if q, err := DecodeMetaRequest(p); err == nil && !bytes.Equal(q.Append(nil), p) {
			t.Errorf("meta context request: %+v", q)
		}
		if s, err := DecodeStatusPayload(p); err == nil && !bytes.Equal(s.Append(nil), p) {
			t.Errorf("status payload: %+v", s)
		}
		if name, text, err := DecodeServer(p); err == nil && !bytes.Equal(AppendServer(nil, name, text), p) {
			t.Errorf("server: %q %q", name, text)
		}
		if e, err := DecodeExportInfo(p); err == nil && !bytes.Equal(e.Append(nil), p) {
			t.Errorf("export: %+v", e)
		}
		for _, kind := range []ChunkType{ChunkBlockStatus, ChunkBlockStatusExt} {
			if _, ds, err := DecodeStatus(kind, p, nil); err == nil && len(ds) == 0 {
				t.Error("no descriptors")
			}
		}
		DecodeError(ChunkError, p)
		DecodeError(ChunkErrorOffset, p)
		DecodeBlockSizes(p)
		DecodeGreeting(p)
		DecodeOption(p)
		DecodeOptionReply(p, OptGo)
		DecodeMetaContext(p)
	})
}
