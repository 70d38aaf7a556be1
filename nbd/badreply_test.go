package nbd

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// badReplies are answers with one wrong field each to r, which reads 4096
// bytes.
func badReplies(m wire.Mode, r *wire.Request) map[string][]byte {
	be := binary.BigEndian
	other := *r
	other.Cookie++
	chunk := func(kind wire.ChunkType, flags uint16, payload ...byte) []byte {
		c := wire.Chunk{Flags: flags, Type: kind, Cookie: r.Cookie, Offset: r.Offset, Length: uint64(len(payload))}
		return append(c.Append(nil, m), payload...)
	}
	data := func(off uint64, n int, done bool) []byte {
		p := make([]byte, m.DataHeaderLen()+n)
		wire.PutDataHeader(p, m, r, off, n, done)
		return p
	}
	if m == wire.Simple {
		return map[string][]byte{
			"magic":          make([]byte, 4),
			"unknown cookie": wire.AppendSimpleReply(nil, 0, other.Cookie),
			"a chunk":        (&wire.Chunk{Flags: wire.ReplyDone, Cookie: r.Cookie}).Append(nil, wire.Structured),
		}
	}
	huge := wire.Chunk{Type: wire.ChunkOffsetData, Cookie: r.Cookie, Offset: r.Offset, Length: 1<<32 - 1}
	all := map[string][]byte{
		"magic":                 make([]byte, 4),
		"unknown cookie":        wire.AppendNone(nil, m, &other),
		"unknown type":          chunk(77, wire.ReplyDone),
		"simple reply":          wire.AppendSimpleReply(nil, 0, r.Cookie),
		"nothing, unfinished":   chunk(wire.ChunkNone, 0),
		"nothing, with bytes":   chunk(wire.ChunkNone, wire.ReplyDone, 1, 2, 3),
		"nothing, no data":      wire.AppendNone(nil, m, r),
		"data of no bytes":      chunk(wire.ChunkOffsetData, wire.ReplyDone, make([]byte, 8)...),
		"data before the range": data(r.Offset-1, 100, false),
		"data past the range":   data(r.Offset+1, 4096, true),
		"data at 2^64-1":        data(1<<64-1, 4096, true),
		"data of 4 GiB":         be.AppendUint64(huge.Append(nil, m), r.Offset),
		"data twice":            append(data(r.Offset, 4096, false), data(r.Offset, 4096, true)...),
		"data missing":          data(r.Offset, 4095, true),
		"hole past the range":   wire.AppendHole(nil, m, r, r.Offset+4000, 97, true),
		"hole of 4 GiB":         wire.AppendHole(nil, m, r, r.Offset, 1<<32-1, true),
		"hole of no bytes":      wire.AppendHole(nil, m, r, r.Offset, 0, true),
		"hole, long":            chunk(wire.ChunkOffsetHole, wire.ReplyDone, make([]byte, 13)...),
		"a block status":        wire.AppendStatus(nil, m, r, 0, []wire.Descriptor{{Length: 4096}}, true),
		"an error of no bytes":  chunk(wire.ChunkError, wire.ReplyDone),
		"an error of success":   chunk(wire.ChunkError, wire.ReplyDone, make([]byte, 6)...),
		"an endless error":      (&wire.Chunk{Type: wire.ChunkError, Cookie: r.Cookie, Offset: r.Offset, Length: 1 << 31}).Append(nil, m),
	}
	if m == wire.Extended {
		moved := *r
		moved.Offset++
		all["offset of another request"] = wire.AppendNone(nil, m, &moved)
	}
	return all
}

// badStates are such answers to a block status request of 4096 bytes.
func badStates(m wire.Mode, r *wire.Request) map[string][]byte {
	one := []wire.Descriptor{{Length: 4096}}
	return map[string][]byte{
		"another context": wire.AppendStatus(nil, m, r, 5, one, true),
		"two chunks":      append(wire.AppendStatus(nil, m, r, 0, one, false), wire.AppendStatus(nil, m, r, 0, one, true)...),
		"no chunk":        wire.AppendNone(nil, m, r),
		"no length":       wire.AppendStatus(nil, m, r, 0, []wire.Descriptor{{Length: 0}}, true),
		"no descriptor":   wire.AppendStatus(nil, m, r, 0, nil, true),
		"data":            append(wire.AppendHole(nil, m, r, r.Offset, 4096, true), 0),
	}
}

// fakeServer answers the first request of a client with what f makes of it.
func fakeServer(t *testing.T, m wire.Mode, f func(r *wire.Request) []byte) *Client {
	server, client := net.Pipe()
	t.Cleanup(func() { server.Close() })
	go func() {
		server.SetDeadline(time.Now().Add(20 * time.Second))
		p := make([]byte, m.RequestHeaderLen())
		if _, err := io.ReadFull(server, p); err != nil {
			return
		}
		if r, err := wire.DecodeRequest(p, m); err == nil {
			server.Write(f(&r)) // fails when the client has enough
		}
		io.Copy(io.Discard, server)
	}()
	s := &session{raw: client, nc: client, mode: m, allocation: true}
	s.info.Size = 1 << 20
	s.sizes = wire.BlockSizes{Minimum: 1, Preferred: 4096, Maximum: 1 << 20}
	s.in.r = client
	c := &Client{info: s.info, sizes: s.sizes, mode: m, extent: true, closed: make(chan struct{})}
	c.links = []*link{newLink(c, s)}
	t.Cleanup(c.abandon)
	return c
}

// TestBadReplies checks that a client takes no answer that is wrong, and that
// it fails rather than waits.
func TestBadReplies(t *testing.T) {
	for _, m := range allModes {
		read := &wire.Request{Command: wire.CmdRead, Offset: 4096, Length: 4096}
		for name := range badReplies(m, read) {
			t.Run(fmt.Sprintf("%v/%s", m, name), func(t *testing.T) {
				c := fakeServer(t, m, func(r *wire.Request) []byte { return badReplies(m, r)[name] })
				if _, err := c.ReadAt(make([]byte, 4096), 4096); err == nil {
					t.Error("the answer was taken")
				}
			})
		}
		if m == wire.Simple {
			continue
		}
		for name := range badStates(m, read) {
			t.Run(fmt.Sprintf("%v/status/%s", m, name), func(t *testing.T) {
				c := fakeServer(t, m, func(r *wire.Request) []byte { return badStates(m, r)[name] })
				if e, err := c.AppendExtents(nil, 4096, 4096); err == nil {
					t.Errorf("the answer was taken: %v", e)
				}
			})
		}
	}
}
