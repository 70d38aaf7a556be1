package interop

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
)

// client is the smallest NBD client, for what the tools cannot do: to stay
// connected while the host changes, and to leave in a manner of its choice
// (NBD protocol, "Newstyle negotiation", "Simple reply message").
type client struct {
	conn net.Conn
	size int64
}

var _ io.ReaderAt = (*client)(nil)

// Numbers of the protocol.
const (
	nbdOptMagic     = 0x49484156454F5054 // IHAVEOPT
	nbdRequestMagic = 0x25609513
	nbdReplyMagic   = 0x67446698
	nbdOptExport    = 1
	nbdRead         = 0
	nbdDisconnect   = 2
	nbdEIO          = 5
	nbdFixedNoZero  = 3 // fixed newstyle, no zeroes after the flags
)

// attach connects to the default export.
func attach(t testing.TB, socket string) *client {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) // it may be closed already
	be := binary.BigEndian
	hello := make([]byte, 18)
	if _, err := io.ReadFull(conn, hello); err != nil || be.Uint64(hello[8:]) != nbdOptMagic {
		t.Fatalf("greeting %x: %v", hello, err)
	}
	ask := be.AppendUint32(nil, nbdFixedNoZero)
	ask = be.AppendUint64(ask, nbdOptMagic)
	ask = be.AppendUint32(ask, nbdOptExport)
	ask = be.AppendUint32(ask, 0) // the name is empty
	if _, err := conn.Write(ask); err != nil {
		t.Fatal(err)
	}
	export := make([]byte, 10)
	if _, err := io.ReadFull(conn, export); err != nil {
		t.Fatal(err)
	}
	return &client{conn, int64(be.Uint64(export))}
}

// send sends a request without payload.
func (c *client) send(command uint16, off int64, n int) error {
	be := binary.BigEndian
	p := be.AppendUint32(nil, nbdRequestMagic)
	p = be.AppendUint16(p, 0)
	p = be.AppendUint16(p, command)
	p = be.AppendUint64(p, 42)
	p = be.AppendUint64(p, uint64(off))
	_, err := c.conn.Write(be.AppendUint32(p, uint32(n)))
	return err
}

// remoteError is an error that the server answered with.
type remoteError uint32

func (e remoteError) Error() string {
	return fmt.Sprintf("the server answered with error %d", uint32(e))
}

// ReadAt reads from the disk; an error of the server is a remoteError.
func (c *client) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > c.size-off {
		p, end = p[:c.size-off], io.EOF
	}
	if err := c.send(nbdRead, off, len(p)); err != nil {
		return 0, err
	}
	reply := make([]byte, 16)
	if _, err := io.ReadFull(c.conn, reply); err != nil {
		return 0, err
	}
	be := binary.BigEndian
	if be.Uint32(reply) != nbdReplyMagic || be.Uint64(reply[8:]) != 42 {
		return 0, fmt.Errorf("reply %x", reply)
	}
	if code := be.Uint32(reply[4:]); code != 0 {
		return 0, remoteError(code)
	}
	n, err := io.ReadFull(c.conn, p)
	if err == nil {
		err = end
	}
	return n, err
}

// leave disconnects in the orderly way and waits until the server has closed
// the connection.
func (c *client) leave(t testing.TB) {
	t.Helper()
	if err := c.send(nbdDisconnect, 0, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := c.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the disconnection: %d bytes, %v", n, err)
	}
	c.conn.Close()
}
