package nbd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// authority is a certificate authority of the tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

var testAuthority = sync.OnceValue(func() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key, cert, pool}
})

// issue makes a certificate for localhost and returns it with its key.
func (a *authority) issue(t testing.TB, name string, usage x509.ExtKeyUsage) (cert tls.Certificate, keyDER []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if keyDER, err = x509.MarshalECPrivateKey(key); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, keyDER
}

// serverTLS is the configuration of a server; with clients set it asks for
// certificates that they have issued.
func serverTLS(t testing.TB, clients *x509.CertPool) *tls.Config {
	cert, _ := testAuthority().issue(t, "server", x509.ExtKeyUsageServerAuth)
	c := &tls.Config{Certificates: []tls.Certificate{cert}}
	if clients != nil {
		c.ClientCAs, c.ClientAuth = clients, tls.RequireAndVerifyClientCert
	}
	return c
}

// certificateFolder writes the files that QEMU and libnbd look for.
func certificateFolder(t testing.TB) string {
	dir := t.TempDir()
	write := func(name, kind string, der []byte) {
		p := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca-cert.pem", "CERTIFICATE", testAuthority().cert.Raw)
	cert, key := testAuthority().issue(t, "client", x509.ExtKeyUsageClientAuth)
	write("client-cert.pem", "CERTIFICATE", cert.Certificate[0])
	write("client-key.pem", "EC PRIVATE KEY", key)
	return dir
}

func TestTLS(t *testing.T) {
	certs := certificateFolder(t)
	m := newMemory(3<<20, 71)
	for _, mode := range []TLSMode{TLSOn, TLSRequire} {
		for _, clients := range []*x509.CertPool{nil, testAuthority().pool} {
			s := serve(t, ServerOptions{TLSMode: mode, TLS: serverTLS(t, clients)}, Export{Device: m})
			c := openClient(t, Dialer{Connections: 2}, "nbds+unix:///?tls-certificates="+certs+"&socket="+s.path)
			got := make([]byte, len(m.data))
			if _, err := c.ReadAt(got, 0); err != nil || string(got) != string(m.data) {
				t.Errorf("read over TLS: %v", err)
			}
			if _, err := c.WriteAt(got[:100_000], 0); err != nil {
				t.Errorf("write over TLS: %v", err)
			}
			if clients == nil {
				continue
			}
			var d Dialer
			d.TLS = &tls.Config{RootCAs: testAuthority().pool}
			if _, err := d.Dial(testContext(t), "nbds+unix:///?socket="+s.path); err == nil {
				t.Error("connected without a client certificate")
			}
		}
	}
}

func TestTLSWithLibnbd(t *testing.T) {
	certs := certificateFolder(t)
	m := newMemory(4<<20, 72)
	s := serve(t, ServerOptions{TLSMode: TLSRequire, TLS: serverTLS(t, testAuthority().pool)}, Export{Device: m})
	img := filepath.Join(t.TempDir(), "img")
	run(t, "nbdcopy", "nbds+unix:///?socket="+s.path+"&tls-certificates="+certs+"&tls-hostname=localhost", img)
	got, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(m.data) {
		t.Error("nbdcopy read other bytes over TLS")
	}
}

// TestTLSClientThatStopsReading checks that a stalled TLS client is ended and
// its memory given back.
func TestTLSClientThatStopsReading(t *testing.T) {
	m := newMemory(4<<20, 74)
	s := serve(t, ServerOptions{StallTimeout: 200 * time.Millisecond, TLSMode: TLSOn, TLS: serverTLS(t, nil)}, Export{Device: m})
	c := s.client(t)
	c.start(wire.Structured)
	c.expect(wire.OptStartTLS, nil, wire.RepAck)
	c.nc = tls.Client(c.nc, &tls.Config{RootCAs: testAuthority().pool, ServerName: "localhost"})
	c.expect(wire.OptStructuredReply, nil, wire.RepAck)
	c.goTo("")
	for _, n := range []int{1, 5000, 300_000, 4 << 20} {
		c.checkRead(0, m.data[:n])
	}
	go func() {
		r := wire.Request{Command: wire.CmdRead, Length: 1 << 20}
		for range 500 {
			if _, err := c.nc.Write(r.Append(nil, wire.Structured)); err != nil {
				return
			}
		}
	}()
	waitFor(t, func() bool { return s.Stats().Conns == 0 })
	if s.memory.free != s.memory.size {
		t.Errorf("%d bytes of the budget are lost", s.memory.size-s.memory.free)
	}
}

// TestTLSRequired checks that nothing but STARTTLS and ABORT is answered
// before TLS ("FORCEDTLS mode").
func TestTLSRequired(t *testing.T) {
	s := serve(t, ServerOptions{TLSMode: TLSRequire, TLS: serverTLS(t, nil)}, Export{Name: "disk", Device: newMemory(512, 1)})
	q := wire.InfoRequest{Name: "disk"}
	c := s.client(t)
	c.start(wire.Simple)
	for _, o := range []wire.Option{wire.OptList, wire.OptInfo, wire.OptGo, wire.OptStructuredReply, wire.OptExtendedHeaders, wire.OptSetMetaContext, 99} {
		var data []byte
		if o == wire.OptInfo || o == wire.OptGo {
			data = q.Append(nil)
		}
		c.expect(o, data, wire.RepErrTLSRequired)
	}
	c.expect(wire.OptAbort, nil, wire.RepAck)
	c = s.client(t)
	c.start(wire.Simple)
	c.send(wire.AppendOption(nil, wire.OptExportName, []byte("disk")))
	c.checkClosed()
}

// TestTLSForgets checks that what was negotiated in the open does not reach
// into the protected session (CVE-2021-3716).
func TestTLSForgets(t *testing.T) {
	m := newMemory(8192, 73)
	s := serve(t, ServerOptions{TLSMode: TLSOn, TLS: serverTLS(t, nil)}, Export{Name: "disk", Device: m})
	c := s.client(t)
	c.start(wire.Structured)
	c.selectContexts("disk", wire.ContextAllocation)
	c.expect(wire.OptStartTLS, nil, wire.RepAck)
	tc := tls.Client(c.nc, &tls.Config{RootCAs: testAuthority().pool, ServerName: "localhost"})
	c.nc = tc
	c.mode = wire.Simple
	c.expect(wire.OptStartTLS, nil, wire.RepErrInvalid)
	c.goTo("disk")
	c.checkRead(0, m.data)
	c.checkErrno(wire.Request{Command: wire.CmdBlockStatus, Length: 512}, nil, wire.EINVAL)
	c.disconnect()

	// Bytes that were sent along with the option end the connection.
	c = s.client(t)
	c.start(wire.Simple)
	c.send(append(wire.AppendOption(nil, wire.OptStartTLS, nil), wire.AppendOption(nil, wire.OptList, nil)...))
	c.checkClosed()

	// So does a handshake that is none.
	c = s.client(t)
	c.start(wire.Simple)
	c.expect(wire.OptStartTLS, nil, wire.RepAck)
	c.send(wire.AppendOption(nil, wire.OptList, nil))
	c.drainUntilClosed()
}

func TestTLSVersion(t *testing.T) {
	s := serve(t, ServerOptions{TLSMode: TLSOn, TLS: serverTLS(t, nil)}, Export{Device: newMemory(512, 1)})
	c := s.client(t)
	c.start(wire.Simple)
	c.expect(wire.OptStartTLS, nil, wire.RepAck)
	old := tls.Client(c.nc, &tls.Config{RootCAs: testAuthority().pool, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}
