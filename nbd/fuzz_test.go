package nbd

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// fuzzDevice has a file in its middle, so that segments of every kind occur.
type fuzzDevice struct {
	*memory
	file *os.File // shorter than what the device says
}

var _ block.Segmenter = (*fuzzDevice)(nil)

const fuzzSize = 1 << 20

func (d *fuzzDevice) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := block.CheckRange(off, n, fuzzSize); err != nil {
		return dst, err
	}
	const third = fuzzSize / 4
	for n > 0 {
		k := min(n, third-off%third)
		switch off / third {
		case 0:
			dst = append(dst, block.DataSegment(d.snapshot()[off:off+k], nil))
		case 1:
			dst = append(dst, block.ZeroSegment(k))
		case 2:
			dst = append(dst, block.FileSegment(d.file, off-2*third, k, nil))
		default:
			return dst, io.ErrUnexpectedEOF
		}
		off, n = off+k, n-k
	}
	return dst, nil
}

// FuzzServer feeds bytes to a whole server over an in-memory connection.
// Whatever they are, the server must end the connection when they end, lose no
// memory of its budget, and leave the device's other bytes alone.
func FuzzServer(f *testing.F) {
	for _, p := range badStreams() {
		f.Add(p)
	}
	for _, b := range badOptions() {
		f.Add(wire.AppendOption([]byte{0, 0, 0, 3}, b.o, b.data))
	}
	for _, mode := range allModes {
		f.Add(fuzzSession(mode))
	}
	file, err := os.CreateTemp(f.TempDir(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { file.Close() })
	if _, err := file.Write(make([]byte, 100<<10)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		d := &fuzzDevice{newMemory(fuzzSize, 1), file}
		s := NewServer(ServerOptions{StallTimeout: 5 * time.Second})
		if err := s.AddExport(Export{Device: d}); err != nil {
			t.Fatal(err)
		}
		if err := s.AddExport(Export{Name: "ro", Device: d, ReadOnly: true}); err != nil {
			t.Fatal(err)
		}
		server, client := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ServeConn(context.Background(), server)
		}()
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(io.Discard, client)
		}()
		client.Write(p)
		client.SetWriteDeadline(time.Now())
		time.Sleep(time.Millisecond) // let answers come before the end
		client.Close()
		<-read
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("the server did not end the connection")
		}
		if s.memory.free != s.memory.size {
			t.Fatalf("%d bytes of the budget are lost", s.memory.size-s.memory.free)
		}
	})
}

// fuzzSession is a session with every command.
func fuzzSession(m wire.Mode) []byte {
	p := []byte{0, 0, 0, 3}
	switch m {
	case wire.Structured:
		p = wire.AppendOption(p, wire.OptStructuredReply, nil)
	case wire.Extended:
		p = wire.AppendOption(p, wire.OptExtendedHeaders, nil)
	}
	if m != wire.Simple {
		q := wire.MetaRequest{Queries: []string{wire.ContextAllocation, wire.ContextDepth}}
		p = wire.AppendOption(p, wire.OptListMetaContext, q.Append(nil))
		p = wire.AppendOption(p, wire.OptSetMetaContext, q.Append(nil))
	}
	p = wire.AppendOption(p, wire.OptList, nil)
	q := wire.InfoRequest{Infos: []wire.Info{wire.InfoName, wire.InfoBlockSize}}
	p = wire.AppendOption(p, wire.OptInfo, q.Append(nil))
	p = wire.AppendOption(p, wire.OptGo, q.Append(nil))
	add := func(c wire.Command, f wire.CommandFlags, off, n uint64, data int) {
		if m == wire.Extended && data > 0 {
			f |= wire.FlagPayloadLen
		}
		r := wire.Request{Flags: f, Command: c, Cookie: 7, Offset: off, Length: n}
		p = append(r.Append(p, m), make([]byte, data)...)
	}
	add(wire.CmdRead, 0, 0, 4096, 0)
	add(wire.CmdRead, 0, 0, 700<<10, 0)
	add(wire.CmdRead, wire.FlagDF, 500<<10, 100<<10, 0)
	add(wire.CmdRead, 0, 768<<10, 100<<10, 0)
	add(wire.CmdWrite, wire.FlagFUA, 100, 500, 500)
	add(wire.CmdTrim, 0, 0, 1<<20, 0)
	add(wire.CmdCache, 0, 0, 1<<19, 0)
	add(wire.CmdWriteZeroes, wire.FlagNoHole, 0, 4096, 0)
	add(wire.CmdBlockStatus, 0, 0, 1<<20, 0)
	add(wire.CmdBlockStatus, wire.FlagReqOne, 0, 1<<20, 0)
	add(wire.CmdFlush, 0, 0, 0, 0)
	add(wire.CmdDisconnect, 0, 0, 0, 0)
	return p
}
