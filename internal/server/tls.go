package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// LoadTLS reads a server's certificates from a folder of the layout that
// qemu-nbd, nbdkit and libnbd share (QEMU, "TLS setup for network services"):
//
//	server-cert.pem   the server's certificate
//	server-key.pem    its key
//	ca-cert.pem       the authority that signed those of the clients
//
// With verifyPeer a client must show a certificate that the authority in
// ca-cert.pem signed; without, that file is not looked at.
func LoadTLS(dir string, verifyPeer bool) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if !verifyPeer {
		return c, nil
	}
	name := filepath.Join(dir, "ca-cert.pem")
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", name)
	}
	return c, nil
}
