package nbd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fatkit/fatkit/nbd/wire"
)

// target is what a URI names (doc/uri.md).
type target struct {
	network string // "tcp" or "unix"
	addr    string
	export  string
	tls     bool
	host    string // to verify the server's certificate against
	verify  bool
	certs   string // folder with ca-cert.pem, client-cert.pem, client-key.pem; may be empty
}

// parseURI decodes an NBD URI ("NBD URI components").
func parseURI(s string) (target, error) {
	fail := func(format string, args ...any) (target, error) {
		return target{}, fmt.Errorf("NBD URI %q: %s", s, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(s)
	if err != nil {
		return fail("%v", errors.Unwrap(err))
	}
	t := target{verify: true}
	scheme, unix := strings.CutSuffix(u.Scheme, "+unix")
	switch scheme {
	case "nbd":
	case "nbds":
		t.tls = true
	default:
		return fail("the scheme is not nbd, nbds, nbd+unix or nbds+unix")
	}
	if u.Opaque != "" || u.Fragment != "" {
		return fail("it is not of the form scheme://host/export")
	}
	t.export = strings.TrimPrefix(u.Path, "/")
	if err := wire.CheckString("export name", t.export); err != nil {
		return fail("%v", err)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("%v", err)
	}
	if unix {
		t.network, t.addr, t.host = "unix", q.Get("socket"), "localhost"
		if t.addr == "" {
			return fail("the socket is missing: ?socket=PATH")
		}
		if u.Host != "" {
			return fail("a host and a unix socket")
		}
	} else {
		t.network, t.host = "tcp", u.Hostname()
		port := u.Port()
		if port == "" {
			port = DefaultPort
		}
		if t.host == "" {
			t.host = "localhost"
		}
		t.addr = net.JoinHostPort(t.host, port)
	}
	if err := t.query(q, unix); err != nil {
		return fail("%v", err)
	}
	return t, nil
}

// query takes over the parameters of a URI.
func (t *target) query(q url.Values, unix bool) error {
	for key, values := range q {
		if len(values) != 1 {
			return fmt.Errorf("%s is given twice", key)
		}
		v := values[0]
		switch {
		case key == "socket" && unix:
		case key == "tls-hostname":
			t.host = v
		case key == "tls-verify-peer" && (v == "0" || v == "1"):
			t.verify = v == "1"
		case key == "tls-certificates":
			t.certs = v
		case key == "tls-type" && v == "x509":
		case key == "tls-type":
			return fmt.Errorf("tls-type %q is not supported, only x509 is", v)
		case strings.HasPrefix(key, "x-"):
		default:
			return fmt.Errorf("parameter %s=%s is not understood", key, v)
		}
	}
	return nil
}

// tlsConfig returns the configuration for a session with t.
func (t *target) tlsConfig(base *tls.Config) (*tls.Config, error) {
	c := &tls.Config{}
	if base != nil {
		c = base.Clone()
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.DynamicRecordSizingDisabled = true // requests are sent as a whole
	if c.ServerName == "" {
		c.ServerName = t.host
	}
	if !t.verify {
		c.InsecureSkipVerify = true // the URI asks for it
	}
	if t.certs == "" {
		return c, nil
	}
	return c, loadCertificates(c, t.certs)
}

// loadCertificates adds what lies in a folder of the layout that QEMU and
// libnbd use. The client's certificate may be missing.
func loadCertificates(c *tls.Config, dir string) error {
	ca := filepath.Join(dir, "ca-cert.pem")
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate", ca)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client-cert.pem"), filepath.Join(dir, "client-key.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}
