package server

import (
	"net"
	"os"
)

// Notify tells systemd about the state of the service, in the form of
// sd_notify(3): "READY=1", "STOPPING=1". Without a service manager that asked
// for it, it does nothing.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// Package net takes a leading @ for Linux's abstract name space, as
	// sd_notify does.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
