package server

import "net"

// endpoint writes the address of a listener as the command line has it.
func endpoint(a net.Addr) string {
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return "tcp:" + a.String()
}
