package writeback_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/test/fatguest"
)

// stalled is a client of NBD that asks for a range and takes the answer when it
// likes (NBD protocol, "Newstyle negotiation", "Simple reply message").
type stalled struct {
	t    *testing.T
	conn net.Conn
}

func stall(t *testing.T, socket string, off int64, n uint32) *stalled {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	c := &stalled{t, conn}
	c.take(18) // the greeting
	be := binary.BigEndian
	c.send(be.AppendUint32(nil, 3))                                                     // fixed newstyle, no zeroes
	c.send(be.AppendUint32(append([]byte("IHAVEOPT"), 0, 0, 0, 1), 0))                  // the export without a name
	c.take(10)                                                                          // its size and flags
	ask := append(be.AppendUint32(nil, 0x25609513), 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8) // READ
	c.send(be.AppendUint32(be.AppendUint64(ask, uint64(off)), n))
	return c
}

func (c *stalled) send(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *stalled) take(n int) []byte {
	c.t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(c.conn, p); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// caseStalledReader has a client ask for files and take a little of the answers.
// Meanwhile the guest overwrites the files, and again, and deletes one. The rest of
// the answers is what the disk held when they were asked for, and nobody waits for
// that client.
func caseStalledReader(t *testing.T) {
	const size = 10 << 20 // more than sockets hold
	old := pattern("old", size)
	r := newRig(t, 16, map[string]string{"a": string(old), "b": string(old), "small": "small"})
	s := nbd.NewServer(nbd.ServerOptions{})
	r.must(s.AddExport(nbd.Export{Device: r.s.Disk()}))
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	r.must(err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(t.Context(), l) }()
	ask := func(name string) *stalled {
		extents, err := r.guest.Extents(name)
		r.must(err)
		c := stall(t, socket, r.lay.VolumeOffset()+extents[0].Offset, size)
		if head := c.take(16); !bytes.Equal(head[:8], []byte{0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0}) {
			t.Fatalf("reply %x", head)
		}
		if !bytes.Equal(c.take(1000), old[:1000]) {
			t.Fatal("the first bytes are wrong")
		}
		return c
	}
	clients := []*stalled{ask("a"), ask("b")}
	for _, text := range []string{"new", "newer"} {
		r.must(errors.Join(fatguest.Patch(r.guest, "a", pattern(text, size), 0), fatguest.Patch(r.guest, "b", []byte(text), size/2)))
		r.sync()
		r.same()
	}
	r.must(r.guest.Remove("b"))
	r.sync()
	r.same()
	for i, c := range clients {
		if got := c.take(size - 1000); !bytes.Equal(got, old[1000:]) {
			at := 0
			for got[at] == old[1000+at] {
				at++
			}
			t.Errorf("client %d: the answer is another from byte %d on: %q", i, 1000+at, strings.TrimSpace(string(got[at:at+20])))
		}
		r.must(c.conn.Close())
	}
	r.must(s.Shutdown(t.Context()))
	if err := <-served; !errors.Is(err, nbd.ErrServerClosed) {
		t.Error(err)
	}
}
