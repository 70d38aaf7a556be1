package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/fatkit/fatkit/internal/server"
	"github.com/fatkit/fatkit/nbd"
)

// tlsFlags are the flags of serve that are about encryption.
type tlsFlags struct {
	mode   string
	certs  string
	verify bool
}

func (f *tlsFlags) register(fs *pflag.FlagSet) {
	f.mode = "off"
	fs.Var(&choiceValue{word: &f.mode, choices: []string{"off", "on", "require"}}, "tls", "encryption: not offered, offered, or required of every client")
	fs.StringVar(&f.certs, "tls-certificates", "", "take server-cert.pem, server-key.pem and ca-cert.pem from `DIR`")
	fs.BoolVar(&f.verify, "tls-verify-peer", false, "with encryption, turn away clients without a certificate that the authority in ca-cert.pem signed")
}

// apply sets the options of a server.
func (f *tlsFlags) apply(o *server.Options) error {
	switch {
	case f.mode == "off" && (f.certs != "" || f.verify):
		return usageError("--tls-certificates and --tls-verify-peer need --tls on or --tls require")
	case f.mode == "off":
		return nil
	case f.certs == "":
		return usageError("--tls %s needs --tls-certificates DIR with server-cert.pem and server-key.pem", f.mode)
	}
	config, err := server.LoadTLS(f.certs, f.verify)
	if err != nil {
		return fmt.Errorf("--tls-certificates: %w", err)
	}
	o.TLS, o.TLSMode = config, nbd.TLSOn
	if f.required() {
		o.TLSMode = nbd.TLSRequire
	}
	return nil
}

// required reports whether nobody can do without encryption.
func (f *tlsFlags) required() bool { return f.mode == "require" }
