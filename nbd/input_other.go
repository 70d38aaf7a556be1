//go:build !linux

package nbd

import (
	"io"
	"net"
)

// newRawReader returns nil: requests are read through net.Conn.
func newRawReader(net.Conn, func() bool) io.Reader { return nil }

// newSocket returns nc: the poller has no rival here.
func newSocket(nc net.Conn) net.Conn { return nc }
