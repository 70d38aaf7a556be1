package nbd

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/fatkit/fatkit/nbd/wire"
)

// rawClient speaks the protocol message by message. A failure ends the test.
type rawClient struct {
	t      testing.TB
	nc     net.Conn
	mode   wire.Mode
	cookie uint64
	info   wire.ExportInfo
}

func (c *rawClient) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) send(p []byte) {
	c.t.Helper()
	_, err := c.nc.Write(p)
	c.must(err)
}

func (c *rawClient) recv(n int) []byte {
	c.t.Helper()
	p := make([]byte, n)
	_, err := io.ReadFull(c.nc, p)
	c.must(err)
	return p
}

// greet exchanges the flags.
func (c *rawClient) greet(flags uint32) {
	c.t.Helper()
	_, err := wire.DecodeGreeting(c.recv(wire.GreetingLen))
	c.must(err)
	c.send(binary.BigEndian.AppendUint32(nil, flags))
}

// optionReply is a reply to an option.
type optionReply struct {
	kind wire.OptionReply
	data []byte
}

// option sends an option and returns all replies up to the last.
func (c *rawClient) option(o wire.Option, data []byte) []optionReply {
	c.t.Helper()
	c.send(wire.AppendOption(nil, o, data))
	return c.replies(o)
}

func (c *rawClient) replies(o wire.Option) (rs []optionReply) {
	c.t.Helper()
	for {
		kind, n, err := wire.DecodeOptionReply(c.recv(wire.OptionReplyLen), o)
		c.must(err)
		rs = append(rs, optionReply{kind, c.recv(int(n))})
		if kind == wire.RepAck || kind.IsError() {
			return rs
		}
	}
}

// expect sends an option and checks the type of its last reply.
func (c *rawClient) expect(o wire.Option, data []byte, want wire.OptionReply) []optionReply {
	c.t.Helper()
	rs := c.option(o, data)
	if got := rs[len(rs)-1]; got.kind != want {
		c.t.Fatalf("%v: %v %q, expected %v", o, got.kind, got.data, want)
	}
	return rs
}

// start greets and negotiates the mode.
func (c *rawClient) start(m wire.Mode) {
	c.t.Helper()
	c.greet(wire.FlagFixedNewstyle | wire.FlagNoZeroes)
	switch m {
	case wire.Structured:
		c.expect(wire.OptStructuredReply, nil, wire.RepAck)
	case wire.Extended:
		c.expect(wire.OptExtendedHeaders, nil, wire.RepAck)
	}
	c.mode = m
}

// goTo enters transmission.
func (c *rawClient) goTo(name string) {
	c.t.Helper()
	q := wire.InfoRequest{Name: name}
	for _, r := range c.expect(wire.OptGo, q.Append(nil), wire.RepAck) {
		if r.kind != wire.RepInfo {
			continue
		}
		kind, p, err := wire.DecodeInfo(r.data)
		c.must(err)
		if kind == wire.InfoExport {
			c.info, err = wire.DecodeExportInfo(p)
			c.must(err)
		}
	}
}

// open is start and goTo in structured mode.
func (c *rawClient) open(name string) {
	c.t.Helper()
	c.start(wire.Structured)
	c.goTo(name)
}

// request sends a request with its payload and returns its cookie.
func (c *rawClient) request(r wire.Request, payload []byte) uint64 {
	c.t.Helper()
	c.cookie++
	r.Cookie = c.cookie
	c.send(append(r.Append(nil, c.mode), payload...))
	return c.cookie
}

// answer is a whole reply.
type answer struct {
	errno  wire.Errno
	errAt  int64 // of an error with an offset, else -1
	data   []byte
	chunks int // of content
	states map[uint32][]wire.Descriptor
}

// await reads the reply to the request r with cookie; replies must come in order.
func (c *rawClient) await(r wire.Request, cookie uint64) answer {
	c.t.Helper()
	a := answer{errAt: -1, states: map[uint32][]wire.Descriptor{}}
	covered := 0
	if r.Command == wire.CmdRead {
		a.data = bytes.Repeat([]byte{0xEE}, int(min(r.Length, wire.MaxPayload)))
	}
	for {
		h := c.header()
		if h.Cookie != cookie {
			c.t.Fatalf("cookie %d, expected %d", h.Cookie, cookie)
		}
		if h.Simple {
			a.errno = h.Errno
			if r.Command == wire.CmdRead && c.mode != wire.Simple {
				c.t.Fatal("a simple reply to a read in mode structured")
			}
			if r.Command == wire.CmdRead && h.Errno == 0 {
				copy(a.data, c.recv(int(r.Length)))
			}
			return a
		}
		if c.mode == wire.Extended && h.Offset != r.Offset {
			c.t.Fatalf("offset %d in the reply, expected %d", h.Offset, r.Offset)
		}
		p := c.recv(int(h.Length))
		covered += c.chunk(&a, &r, h.Type, p)
		if h.Flags&wire.ReplyDone != 0 {
			if r.Command == wire.CmdRead && a.errno == 0 && covered != len(a.data) {
				c.t.Fatalf("%d bytes of %d", covered, len(a.data))
			}
			return a
		}
	}
}

// header reads the header of a reply.
func (c *rawClient) header() wire.Reply {
	c.t.Helper()
	p := c.recv(4)
	n, err := c.mode.ReplyHeaderLen(binary.BigEndian.Uint32(p))
	c.must(err)
	h, err := wire.DecodeReply(append(p, c.recv(n-4)...), c.mode)
	c.must(err)
	return h
}

// chunk adds a chunk to a and returns how many bytes of a read it covers.
func (c *rawClient) chunk(a *answer, r *wire.Request, kind wire.ChunkType, p []byte) int {
	c.t.Helper()
	switch {
	case kind == wire.ChunkNone:
		return 0
	case kind.IsError():
		e, err := wire.DecodeError(kind, p)
		c.must(err)
		a.errno = e.Errno
		if e.HasOffset {
			a.errAt = int64(e.Offset)
		}
		return 0
	case kind == wire.ChunkOffsetData:
		a.chunks++
		return copy(a.data[binary.BigEndian.Uint64(p)-r.Offset:], p[8:])
	case kind == wire.ChunkOffsetHole:
		a.chunks++
		at, n := binary.BigEndian.Uint64(p)-r.Offset, uint64(binary.BigEndian.Uint32(p[8:]))
		clear(a.data[at : at+n])
		return int(n)
	case kind == wire.ChunkBlockStatus || kind == wire.ChunkBlockStatusExt:
		id, ds, err := wire.DecodeStatus(kind, p, nil)
		c.must(err)
		a.states[id] = ds
		return 0
	}
	c.t.Fatalf("unexpected chunk type %d", kind)
	return 0
}

// do sends a request and awaits its reply.
func (c *rawClient) do(r wire.Request, payload []byte) answer {
	c.t.Helper()
	return c.await(r, c.request(r, payload))
}

// checkRead reads and compares.
func (c *rawClient) checkRead(off uint64, want []byte) {
	c.t.Helper()
	a := c.do(wire.Request{Command: wire.CmdRead, Offset: off, Length: uint64(len(want))}, nil)
	if a.errno != 0 {
		c.t.Fatalf("read of %d bytes at %d: %v", len(want), off, a.errno)
	}
	if !bytes.Equal(a.data, want) {
		c.t.Fatalf("read of %d bytes at %d: other bytes", len(want), off)
	}
}

// checkErrno sends a request and checks the error it is answered with.
func (c *rawClient) checkErrno(r wire.Request, payload []byte, want wire.Errno) {
	c.t.Helper()
	if a := c.do(r, payload); a.errno != want {
		c.t.Errorf("%v flags %#x, %d bytes at %d: error %d, expected %d", r.Command, r.Flags, r.Length, r.Offset, a.errno, want)
	}
}

// disconnect ends the connection in order.
func (c *rawClient) disconnect() {
	c.t.Helper()
	c.request(wire.Request{Command: wire.CmdDisconnect}, nil)
	c.checkClosed()
}

// checkClosed checks that the server closes the connection and sends nothing
// before it does.
func (c *rawClient) checkClosed() {
	c.t.Helper()
	n, err := io.Copy(io.Discard, c.nc)
	if n > 0 {
		c.t.Errorf("%d bytes before the end", n)
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Error("the server did not close the connection")
	}
	c.nc.Close()
}
