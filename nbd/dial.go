package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// Dialer opens devices of other servers. The zero Dialer is ready to use.
type Dialer struct {
	// TLS is used for nbds URIs. The server's name is the URI's unless it is
	// set here, and certificates come from the URI's tls-certificates, if any.
	TLS *tls.Config

	// Connections is how many connections to use where the server allows
	// several, or fewer if it does not take as many; 0 means 1.
	Connections int

	// Reconnect is how long a lost connection is opened again for before
	// requests fail; 0 fails them at once. Requests without an answer are then
	// sent again. Because writes that were answered but not flushed may be lost with
	// the server, after a loss with such writes Flush and every write are
	// ErrLostWrites; reads go on.
	Reconnect time.Duration

	// OldProtocol leaves out extended headers, and at 2 structured replies
	// too, for servers that get them wrong and for tests.
	OldProtocol int
}

// Dial opens the export that an NBD URI names. ctx bounds the opening, not
// the use.
func Dial(ctx context.Context, uri string) (*Client, error) {
	return new(Dialer).Dial(ctx, uri)
}

// Dial is like the function Dial with the options of d.
func (d *Dialer) Dial(ctx context.Context, uri string) (*Client, error) {
	t, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	return d.open(ctx, t, uri)
}

// session is an open connection of a client with what was negotiated.
type session struct {
	raw        net.Conn // of the network
	nc         net.Conn // the same, or TLS over it
	in         input
	noZeroes   bool
	mode       wire.Mode
	info       wire.ExportInfo
	sizes      wire.BlockSizes
	allocation bool   // base:allocation was selected
	contextID  uint32 // of base:allocation
	text       string // the server's description of the export
}

// Limits of what a server may send in a negotiation.
const (
	maxReplies    = 10_000
	maxReplyBytes = 64 << 10
)

// connect opens a connection and negotiates up to the transmission phase.
func (d *Dialer) connect(ctx context.Context, t *target) (*session, error) {
	s, err := d.haggle(ctx, t, func(h *haggling) error { return h.enter(t.export) })
	if err != nil {
		return nil, err
	}
	return s, s.nc.SetDeadline(time.Time{})
}

// haggle opens a connection, negotiates modes, and leaves the rest to f.
func (d *Dialer) haggle(ctx context.Context, t *target, f func(*haggling) error) (*session, error) {
	var nd net.Dialer
	nc, err := nd.DialContext(ctx, t.network, t.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	h := &haggling{session: &session{raw: nc, nc: nc}, d: d, t: t, ctx: ctx}
	h.in.r = nc
	h.sizes = wire.BlockSizes{Minimum: 1, Preferred: 4096, Maximum: wire.PortablePayload}
	err = h.begin()
	if err == nil {
		err = f(h)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("nbd: %s: %w", t.addr, err)
	}
	return h.session, nil
}

// ExportName is an entry of a server's list of exports.
type ExportName struct {
	Name        string
	Description string
}

// List returns the exports that the server of a URI lists.
func (d *Dialer) List(ctx context.Context, uri string) ([]ExportName, error) {
	t, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	var list []ExportName
	s, err := d.haggle(ctx, &t, func(h *haggling) error {
		return h.option(wire.OptList, nil, func(r wire.OptionReply, p []byte) error {
			name, text, err := wire.DecodeServer(p)
			list = append(list, ExportName{name, text})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	s.nc.Write(wire.AppendOption(nil, wire.OptAbort, nil)) // a courtesy; the server may be gone
	s.nc.Close()
	return list, nil
}

// optionError is the refusal of an option.
type optionError struct {
	option  wire.Option
	reply   wire.OptionReply
	message string
}

func (e *optionError) Error() string {
	what := map[wire.OptionReply]string{
		wire.RepErrUnknown:     "the server has no such export",
		wire.RepErrTLSRequired: "the server requires TLS: use nbds",
		wire.RepErrPolicy:      "the server's policy forbids it",
		wire.RepErrShutdown:    "the server is shutting down",
	}[e.reply]
	if what == "" {
		what = fmt.Sprintf("%v was answered with %v", e.option, e.reply)
	}
	if e.message != "" {
		what += fmt.Sprintf(" (%q)", e.message)
	}
	return what
}

// refused reports whether err is the refusal of an option with one of rs, or
// with any if there are none.
func refused(err error, rs ...wire.OptionReply) bool {
	var e *optionError
	if !errors.As(err, &e) {
		return false
	}
	for _, r := range rs {
		if e.reply == r {
			return true
		}
	}
	return len(rs) == 0
}
