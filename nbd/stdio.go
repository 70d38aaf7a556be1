package nbd

import (
	"net"
	"os"
	"time"
)

// StdioConn makes a connection of an input and an output, as a server has
// them that a client starts with a pair of pipes or one socket as its standard input
// and output. It takes over both files.
func StdioConn(in, out *os.File) (net.Conn, error) {
	if nc, err := net.FileConn(in); err == nil {
		in.Close()
		out.Close()
		return nc, nil
	}
	return &stdioConn{pollable(in), pollable(out)}, nil
}

// stdioConn is a pair of files as a connection.
type stdioConn struct{ in, out *os.File }

var _ net.Conn = (*stdioConn)(nil)

// stdioAddr is the address of either end.
type stdioAddr struct{}

func (stdioAddr) Network() string { return "stdio" }
func (stdioAddr) String() string  { return "-" }

func (c *stdioConn) Read(p []byte) (int, error)         { return c.in.Read(p) }
func (c *stdioConn) Write(p []byte) (int, error)        { return c.out.Write(p) }
func (c *stdioConn) LocalAddr() net.Addr                { return stdioAddr{} }
func (c *stdioConn) RemoteAddr() net.Addr               { return stdioAddr{} }
func (c *stdioConn) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c *stdioConn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

func (c *stdioConn) SetDeadline(t time.Time) error {
	err := c.in.SetReadDeadline(t)
	if err2 := c.out.SetWriteDeadline(t); err == nil {
		err = err2
	}
	return err
}

func (c *stdioConn) Close() error {
	err := c.in.Close()
	if err2 := c.out.Close(); err == nil {
		err = err2
	}
	return err
}
