package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/fatkit/fatkit/nbd/wire"
)

// TLSMode says whether a server offers or requires TLS (specification, "TLS
// support").
type TLSMode uint8

// The modes.
const (
	TLSOff     TLSMode = iota // NOTLS
	TLSOn                     // offered; clients may go without
	TLSRequire                // FORCEDTLS
)

// Defaults of ServerOptions.
const (
	DefaultMaxConns         = 512
	DefaultHandshakeTimeout = 15 * time.Second
	DefaultStallTimeout     = 2 * time.Minute
	DefaultMaxMemory        = 256 << 20
)

// ServerOptions tune a server. The zero value serves without TLS.
type ServerOptions struct {
	MaxConns         int           // connections at a time; 0 means DefaultMaxConns
	HandshakeTimeout time.Duration // for the whole negotiation; 0 means DefaultHandshakeTimeout
	StallTimeout     time.Duration // for a client that takes no reply; 0 means DefaultStallTimeout
	IdleTimeout      time.Duration // for a client that sends no request; 0 means no limit
	MaxMemory        int64         // bytes of all requests in flight; 0 means DefaultMaxMemory

	TLSMode TLSMode
	TLS     *tls.Config // for TLSOn and TLSRequire; TLS 1.2 is the least whatever it says

	Logger *slog.Logger // nil discards

	// OnAttach is called when a client has chosen an export, before it is
	// told so; an error refuses the client, who is told the text. OnDetach is
	// called when nothing of a client that attached is in flight any more. The
	// hooks of one export never run at the same time, and no client attaches to
	// it while one runs. They must not call AddExport, RemoveExport or Shutdown.
	OnAttach func(ConnInfo) error
	OnDetach func(ConnInfo)
}

// ConnInfo describes a client of an export.
type ConnInfo struct {
	ID        uint64 // unique within the server
	Export    string // the export's name, not the alias that the client used
	Remote    net.Addr
	TLS       bool
	Remaining int   // clients that the export has now
	Orderly   bool  // OnDetach: the client said that it disconnects
	Err       error // OnDetach: why it did not, as far as known
}

// ErrServerClosed is returned by Serve and ServeConn after Shutdown.
var ErrServerClosed = errors.New("nbd: server closed")

// Server serves exports to clients. Its methods may be called concurrently.
type Server struct {
	opts   ServerOptions
	log    *slog.Logger
	memory *budget
	stats  serverStats

	processors int64 // that Go uses

	mu        sync.Mutex
	exports   []*export          // in the order they were added
	names     map[string]*export // names and aliases
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	nextID    uint64
	closing   bool
	idle      chan struct{} // closed when closing and no connection is left
}

// NewServer returns a server without exports.
func NewServer(o ServerOptions) *Server {
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TLS != nil {
		o.TLS = o.TLS.Clone()
		o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
		o.TLS.DynamicRecordSizingDisabled = true // replies are sent as a whole
	}
	return &Server{
		opts: o, log: o.Logger, memory: newBudget(o.MaxMemory),
		processors: int64(runtime.GOMAXPROCS(0)),
		names:      make(map[string]*export),
		listeners:  make(map[net.Listener]struct{}),
		conns:      make(map[*conn]struct{}),
		idle:       make(chan struct{}),
	}
}

// AddExport adds an export. Its name must be free.
func (s *Server) AddExport(e Export) error {
	x, err := newExport(e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[e.Name] != nil {
		return fmt.Errorf("nbd: export name %q is taken", e.Name)
	}
	s.names[e.Name] = x
	s.exports = append(s.exports, x)
	return nil
}

// AddAlias makes the export called name answer to alias too. The alias "" makes
// it the default export. Aliases are not listed and go with their export.
func (s *Server) AddAlias(alias, name string) error {
	if err := wire.CheckString("alias", alias); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.names[name]
	switch {
	case x == nil:
		return fmt.Errorf("nbd: no export %q", name)
	case s.names[alias] != nil:
		return fmt.Errorf("nbd: export name %q is taken", alias)
	}
	s.names[alias] = x
	return nil
}

// RemoveExport takes an export away: it can no longer be attached, its
// clients are disconnected after what they have in flight, and when it
// returns the device is no longer used. If ctx ends first the connections are
// broken and RemoveExport returns its error, after the requests in flight.
func (s *Server) RemoveExport(ctx context.Context, name string) error {
	s.mu.Lock()
	x := s.names[name]
	if x == nil || x.Name != name {
		s.mu.Unlock()
		return fmt.Errorf("nbd: no export %q", name)
	}
	for n, o := range s.names {
		if o == x {
			delete(s.names, n)
		}
	}
	s.exports = slices.DeleteFunc(s.exports, func(o *export) bool { return o == x })
	s.mu.Unlock()

	x.hook.Lock()
	x.removed = true
	clients := make([]*conn, 0, len(x.conns))
	for c := range x.conns {
		clients = append(clients, c)
	}
	x.hook.Unlock()
	for _, c := range clients {
		c.drain()
	}
	return awaitAll(ctx, clients)
}

// awaitAll waits for the connections to end and breaks them when ctx ends.
func awaitAll(ctx context.Context, clients []*conn) error {
	var err error
	for _, c := range clients {
		select {
		case <-c.done:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		c.abort()
		<-c.done
	}
	return err
}

// lookup returns the export that answers to name, or nil.
func (s *Server) lookup(name string) *export {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[name]
}

// list returns the exports in the order they were added.
func (s *Server) list() []*export {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.exports)
}
