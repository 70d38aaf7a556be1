//go:build !linux

package nbd

import "net"

// newRawSender returns nil: replies are sent through net.Conn.
func newRawSender(net.Conn) sender { return nil }
