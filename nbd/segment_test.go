package nbd

import (
	"bytes"
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/nbd/wire"
)

// fileDevice is a device made of one file that may be shorter than promised,
// and zeroes after it.
type fileDevice struct {
	*memory
	file     *os.File
	fileSize int64 // promised
	pins     atomic.Int64
}

type pin struct{ d *fileDevice }

func (p pin) Release() { p.d.pins.Add(-1) }

func (d *fileDevice) AppendSegments(dst []block.Segment, off, n int64) ([]block.Segment, error) {
	if err := block.CheckRange(off, n, d.Size()); err != nil {
		return dst, err
	}
	if off < d.fileSize {
		k := min(n, d.fileSize-off)
		d.pins.Add(1)
		dst = append(dst, block.FileSegment(d.file, off, k, pin{d}))
		off, n = off+k, n-k
	}
	if n > 0 {
		dst = append(dst, block.ZeroSegment(n))
	}
	return dst, nil
}

func newFileDevice(t testing.TB, size, fileSize, realSize int) *fileDevice {
	m := newMemory(size, 41)
	m.cached = false
	clear(m.data[fileSize:])
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(m.data[:realSize]); err != nil {
		t.Fatal(err)
	}
	return &fileDevice{memory: m, file: f, fileSize: int64(fileSize)}
}

func TestSegments(t *testing.T) {
	d := newFileDevice(t, 8<<20, 5<<20+100, 5<<20+100)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: d})
	inAllModes(t, s, "disk", func(c *rawClient) {
		for _, x := range [][2]int{{0, 8 << 20}, {0, 70000}, {5 << 20, 70000}, {5<<20 - 100000, 200000}, {6 << 20, 1 << 20}, {5<<20 + 99, 2 << 20}} {
			c.checkRead(uint64(x[0]), d.data[x[0]:x[0]+x[1]])
		}
		if c.mode == wire.Simple {
			return
		}
		r := wire.Request{Command: wire.CmdRead, Offset: 5 << 20, Length: 1 << 20}
		if a := c.do(r, nil); a.chunks != 2 {
			c.t.Errorf("%d chunks, expected data and a hole", a.chunks)
		}
		r.Flags = wire.FlagDF
		if a := c.do(r, nil); a.chunks != 1 || !bytes.Equal(a.data, d.data[5<<20:6<<20]) {
			c.t.Errorf("%d chunks with DF", a.chunks)
		}
	})
	if n := d.pins.Load(); n != 0 {
		t.Errorf("%d pins are left", n)
	}
}

// TestFileBecameShorter serves a file that lacks its end: with chunks the
// reply is padded and the error reported at its offset, a simple reply ends the connection.
func TestFileBecameShorter(t *testing.T) {
	const real = 1<<20 + 5000
	d := newFileDevice(t, 8<<20, 4<<20, real)
	s := serve(t, ServerOptions{}, Export{Name: "disk", Device: d})
	for _, mode := range allModes {
		c := s.client(t)
		c.start(mode)
		c.goTo("disk")
		c.checkRead(0, d.data[:1<<20])
		r := wire.Request{Command: wire.CmdRead, Offset: 1 << 20, Length: 2 << 20}
		if mode == wire.Simple {
			c.request(r, nil)
			c.drainUntilClosed()
			continue
		}
		a := c.do(r, nil)
		if a.errno != wire.EIO || a.errAt != real {
			t.Errorf("%v: error %d at %d, expected %d at %d", mode, a.errno, a.errAt, wire.EIO, real)
		}
		if !bytes.Equal(a.data[:real-1<<20], d.data[1<<20:real]) || !allZero(a.data[real-1<<20:]) {
			t.Errorf("%v: other bytes", mode)
		}
		c.checkRead(4096, d.data[4096:8192]) // the connection goes on
		c.disconnect()
	}
	waitFor(t, func() bool { return s.Stats().Conns == 0 })
	if n := d.pins.Load(); n != 0 {
		t.Errorf("%d pins are left", n)
	}
}

// TestSegmentsOverStream does the same where files cannot be sent.
func TestSegmentsOverStream(t *testing.T) {
	const real = 2<<20 + 17
	d := newFileDevice(t, 8<<20, 4<<20, real)
	for _, mode := range allModes {
		srv := NewServer(ServerOptions{})
		if err := srv.AddExport(Export{Device: d}); err != nil {
			t.Fatal(err)
		}
		server, client := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- srv.ServeConn(context.Background(), server) }()
		c := rawClient{t: t, nc: client}
		c.start(mode)
		c.goTo("")
		c.checkRead(5, d.data[5:2<<20])
		c.checkRead(4<<20, d.data[4<<20:])
		a := c.do(wire.Request{Command: wire.CmdRead, Offset: 1 << 20, Length: 2 << 20}, nil)
		if a.errno != wire.EIO || mode != wire.Simple && a.errAt != real {
			t.Errorf("%v: error %d at %d", mode, a.errno, a.errAt)
		}
		c.disconnect()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := d.pins.Load(); n != 0 {
		t.Errorf("%d pins are left", n)
	}
}
