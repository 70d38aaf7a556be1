package nbd

import (
	"io"
	"testing"

	"github.com/fatkit/fatkit/nbd/wire"
)

// benchClient prepares depth requests as one write and knows the bytes of
// their replies, so that it costs little itself.
func benchClient(b *testing.B, s *testServer, command wire.Command, size, depth int) {
	c := s.client(b)
	c.open("")
	var requests []byte
	payload := make([]byte, size)
	for i := range depth {
		r := wire.Request{Command: command, Offset: uint64(i * size), Length: uint64(size), Cookie: uint64(i)}
		requests = r.Append(requests, c.mode)
		if command == wire.CmdWrite {
			requests = append(requests, payload...)
		}
	}
	replies := depth * wire.SimpleReplyLen
	if command == wire.CmdRead {
		replies = depth * (c.mode.DataHeaderLen() + size)
	}
	buf := make([]byte, replies)
	b.ReportAllocs()
	for b.Loop() {
		for range max(1, 32/depth) {
			if _, err := c.nc.Write(requests); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(c.nc, buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*max(depth, 32)), "ns/request")
	c.disconnect()
}

// BenchmarkServer measures 32 requests an operation over a unix socket.
func BenchmarkServer(b *testing.B) {
	for _, x := range []struct {
		name        string
		command     wire.Command
		size, depth int
		cached      bool
	}{
		{"read/4k/depth1", wire.CmdRead, 4096, 1, true},
		{"read/4k/depth32", wire.CmdRead, 4096, 32, true},
		{"read/4k/depth32/workers", wire.CmdRead, 4096, 32, false},
		{"write/4k/depth1", wire.CmdWrite, 4096, 1, true},
		{"write/4k/depth32", wire.CmdWrite, 4096, 32, true},
	} {
		b.Run(x.name, func(b *testing.B) {
			m := newMemory(1<<20, 1)
			m.cached = x.cached
			s := serve(b, ServerOptions{}, Export{Device: m})
			benchClient(b, s, x.command, x.size, x.depth)
		})
	}
}

// TestReadAllocates checks that a request costs no allocation, on the
// reader and by way of a worker.
func TestReadAllocates(t *testing.T) {
	for _, cached := range []bool{true, false} {
		m := newMemory(1<<20, 1)
		m.cached = cached
		s := serve(t, ServerOptions{}, Export{Device: m})
		c := s.client(t)
		c.open("")
		r := wire.Request{Command: wire.CmdRead, Length: 4096}
		p := r.Append(nil, c.mode)
		buf := make([]byte, c.mode.DataHeaderLen()+4096)
		perRead := testing.AllocsPerRun(2000, func() {
			c.nc.Write(p)
			io.ReadFull(c.nc, buf)
		})
		if perRead >= 1 {
			t.Errorf("cached %v: %v allocations a read", cached, perRead)
		}
		c.disconnect()
	}
}
