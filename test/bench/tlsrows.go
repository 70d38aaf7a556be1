package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/fatkit/fatkit/test/product"
	"github.com/fatkit/fatkit/test/tools"
)

// tlsServers are those that are compared with encryption.
func tlsServers() []diskServer {
	return []diskServer{
		{"fatkit", nil, func(b *bench, _ medium, img, socket string) []string {
			return []string{b.bin, "serve", "--quiet", "--rw", "--tls", "require", "--tls-certificates", b.certificates(), "--listen", "unix:" + socket, img}
		}},
		{"nbdkit", []string{"nbdkit"}, func(b *bench, _ medium, img, socket string) []string {
			return []string{tools.Lookup("nbdkit"), "-f", "-U", socket, "--tls=require", "--tls-certificates=" + b.certificates(), "file", img}
		}},
	}
}

// tlsRows read an image over encrypted connections, with nbdcopy: neither
// fio's engine nor qemu-img bench takes a folder of certificates.
func tlsRows() []row {
	return []row{
		tlsRow("TLS: nbdcopy read", func(b *bench, s *product.Server) (sample, error) {
			return diskCopy(b, s, s.URI, "null:")
		}),
		tlsRow("TLS: nbdcopy read 4k depth 32", func(b *bench, s *product.Server) (sample, error) {
			return diskCopy(b, s, s.URI, "null:", "--request-size=4096", "--requests=32", "--connections=1")
		}),
	}
}

func tlsRow(name string, f func(b *bench, s *product.Server) (sample, error)) row {
	r := row{name: name, unit: "MB/s", target: "≥ 1.0 of nbdkit"}
	for _, d := range tlsServers() {
		r.contenders = append(r.contenders, contender{d.name, append([]string{"nbdcopy"}, d.needs...), func(b *bench) (sample, error) {
			if err := b.makeCertificates(); err != nil {
				return sample{}, err
			}
			return d.with(b, imageFile, func(s *product.Server) (sample, error) {
				s.URI = "nbds+unix:///?socket=" + s.Socket + "&tls-certificates=" + b.certificates() + "&tls-hostname=localhost"
				return f(b, s)
			})
		}})
	}
	return r
}

// certificates returns the folder of the certificates.
func (b *bench) certificates() string { return filepath.Join(b.dir, "pki") }

// makeCertificates writes a certificate for localhost that vouches for itself,
// under the names that servers and clients look for.
func (b *bench) makeCertificates() error {
	if _, err := os.Stat(b.certificates()); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.Mkdir(b.certificates(), 0o700); err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER})
	for name, p := range map[string][]byte{
		"ca-cert.pem": cert, "server-cert.pem": cert,
		"server-key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(b.certificates(), name), p, 0o600); err != nil {
			return err
		}
	}
	return nil
}
