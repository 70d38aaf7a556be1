package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fatkit/fatkit/nbd"
	"github.com/fatkit/fatkit/stack"
)

// DefaultDrainTimeout is how long a stopping server lets clients take the
// answers to what they have asked.
const DefaultDrainTimeout = 10 * time.Second

// Options tune a server.
type Options struct {
	Version string       // for Status
	Logger  *slog.Logger // nil discards
	Once    bool         // stop when the last client has gone

	MaxConns     int           // connections at a time; 0 means nbd.DefaultMaxConns
	IdleTimeout  time.Duration // for a client that sends no request; 0 means no limit
	DrainTimeout time.Duration // 0 means DefaultDrainTimeout

	TLSMode nbd.TLSMode
	TLS     *tls.Config // unless TLSMode is nbd.TLSOff; see LoadTLS
}

// ExportOptions describe a source to serve.
type ExportOptions struct {
	Name        string
	Aliases     []string // more names that it answers to; "" makes it the default
	Description string
	Source      stack.Source
	Refresh     RefreshPolicy // of no meaning for an image
	MaxConns    int           // connections at a time; 0 means no limit of its own
}

// Server serves sources as disks. AddExport and AddListener come first, then
// Serve or ServeConn, then Close; Status and Handle may be called at any time.
type Server struct {
	opts    Options
	log     *slog.Logger
	nbd     *nbd.Server
	started time.Time

	ctx    context.Context // of the scans that clients cause; ends with the server
	cancel context.CancelFunc
	spent  chan struct{} // closed when the last client has gone and Once is set
	once   sync.Once     // closes spent

	mu          sync.Mutex // guards what follows
	exports     []*export
	byName      map[string]*export
	listeners   []net.Listener
	controlPath string
	controlL    net.Listener
	clients     int
}

// New returns a server without exports.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opts: o, log: o.Logger, started: time.Now(),
		byName: map[string]*export{}, spent: make(chan struct{}),
	}
	if s.opts.DrainTimeout == 0 {
		s.opts.DrainTimeout = DefaultDrainTimeout
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.nbd = nbd.NewServer(nbd.ServerOptions{
		MaxConns: o.MaxConns, IdleTimeout: o.IdleTimeout, TLSMode: o.TLSMode, TLS: o.TLS,
		Logger: o.Logger, OnAttach: s.attached, OnDetach: s.detached,
	})
	return s
}

// clock returns the time since the server was made.
func (s *Server) clock() time.Duration { return time.Since(s.started) }

// AddExport makes the first generation of a source and exports it. After an
// error about an alias the export is there under its name.
func (s *Server) AddExport(ctx context.Context, o ExportOptions) error {
	e, err := newExport(ctx, o, s.log, s.clock)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.nbd.AddExport(nbd.Export{Name: e.name, Description: e.description, Device: e.disk, MaxConns: o.MaxConns}); err != nil {
		return errors.Join(err, e.close())
	}
	s.exports = append(s.exports, e)
	s.byName[e.name] = e
	for _, a := range o.Aliases {
		if err := s.nbd.AddAlias(a, e.name); err != nil {
			return err
		}
		e.aliases = append(e.aliases, a)
	}
	return nil
}

// AddListener makes the server accept clients from l, which it owns from now
// on.
func (s *Server) AddListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
}

// ListenControl makes the control socket at path.
func (s *Server) ListenControl(path string) error {
	l, err := listenControl(path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.controlL, s.controlPath = l, path
	return nil
}

// Serve serves until ctx ends, or until the last client has gone if Once is
// set. It stops accepting, lets clients take their answers for a while, and
// returns; the end of force breaks off that while.
func (s *Server) Serve(ctx, force context.Context) error {
	return s.serve(ctx, force, nil)
}

// ServeConn serves the client at the other end of conn, and those of the
// listeners, until that client has gone or ctx ends.
func (s *Server) ServeConn(ctx, force context.Context, conn net.Conn) error {
	return s.serve(ctx, force, conn)
}

func (s *Server) serve(ctx, force context.Context, conn net.Conn) error {
	ended := make(chan error, len(s.listeners)+1) // room for all: nobody waits to report
	var wg sync.WaitGroup
	s.mu.Lock()
	for _, l := range s.listeners {
		wg.Go(func() { ended <- s.nbd.Serve(s.ctx, l) })
	}
	answers := &control{handle: s.Handle}
	if l := s.controlL; l != nil {
		wg.Go(func() { answers.serve(s.ctx, l) })
	}
	s.mu.Unlock()
	if conn != nil {
		wg.Go(func() { ended <- s.nbd.ServeConn(s.ctx, conn) })
	}
	var err error
	select {
	case err = <-ended:
	case <-s.spent:
	case <-ctx.Done():
	}
	s.stop(force)
	wg.Wait()
	return err
}

// stop ends connections and listeners.
func (s *Server) stop(force context.Context) {
	Notify("STOPPING=1")
	drain, cancel := context.WithTimeout(force, s.opts.DrainTimeout)
	defer cancel()
	if err := s.nbd.Shutdown(drain); err != nil {
		s.log.Warn("clients were cut off before they had taken their answers", "error", err)
	}
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.controlL != nil {
		s.controlL.Close()
	}
}

// Addrs returns where clients reach the server.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		out[i] = l.Addr()
	}
	return out
}

// Close releases the disks and the listeners. Serve must have returned, or
// never been called.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.controlL != nil {
		s.controlL.Close()
	}
	for _, e := range s.exports {
		errs = append(errs, e.close())
	}
	return errors.Join(errs...)
}

// attached is called by package nbd before a client sees an export. An error
// refuses the client.
func (s *Server) attached(c nbd.ConnInfo) error {
	e := s.export(c.Export)
	if err := e.admit(c.Remote); err != nil {
		e.log.Warn("client refused", "client", c.ID, "remote", c.Remote.String(), "error", err)
		return err
	}
	s.mu.Lock()
	s.clients++
	s.mu.Unlock()
	e.attach(s.ctx)
	e.log.Info("client attached", "client", c.ID, "remote", c.Remote.String(), "clients", c.Remaining)
	return nil
}

// detached is called by package nbd when a client has gone.
func (s *Server) detached(c nbd.ConnInfo) {
	e := s.export(c.Export)
	e.detach(s.ctx, c.Orderly)
	attrs := []any{"client", c.ID, "orderly", c.Orderly, "clients", c.Remaining}
	if c.Err != nil {
		attrs = append(attrs, "error", c.Err)
	}
	e.log.Info("client left", attrs...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients--; s.clients == 0 && s.opts.Once {
		s.once.Do(func() { close(s.spent) })
	}
}

// export returns the export called name, which package nbd knows to exist.
func (s *Server) export(name string) *export {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}

// Handle answers a request of the control socket.
func (s *Server) Handle(ctx context.Context, r Request) Reply {
	switch r.Command {
	case CommandStatus:
		st := s.Status()
		return Reply{Status: &st}
	case CommandRefresh:
		return s.refresh(ctx, r)
	case CommandSync, CommandConfirm, CommandDiscard, CommandTrash, CommandRestore, CommandEmpty:
		return s.steer(ctx, r)
	default:
		return Reply{Error: fmt.Sprintf("the server (version %s) does not know the command %q", s.opts.Version, r.Command)}
	}
}

// refresh makes new generations of the exports that r names.
func (s *Server) refresh(ctx context.Context, r Request) Reply {
	s.mu.Lock()
	exports := append([]*export(nil), s.exports...)
	s.mu.Unlock()
	var reply Reply
	var errs []error
	for _, e := range exports {
		if !r.means(e) {
			continue
		}
		result, err := e.refresh(ctx, r)
		reply.Refresh = append(reply.Refresh, result)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(reply.Refresh) == 0 {
		errs = append(errs, errors.New("no export of the server is meant"))
	}
	if err := errors.Join(errs...); err != nil {
		reply.Error = err.Error()
	}
	return reply
}

// Status describes the server.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Version: s.opts.Version, PID: os.Getpid(), Started: s.started,
		Control: s.controlPath, Listen: []string{}, Exports: []ExportStatus{},
	}
	for _, l := range s.listeners {
		st.Listen = append(st.Listen, endpoint(l.Addr()))
	}
	traffic := map[string]nbd.ExportStats{}
	for _, t := range s.nbd.Stats().Exports {
		traffic[t.Name] = t
	}
	for _, e := range s.exports {
		x := e.status()
		x.URIs = []string{}
		for _, l := range s.listeners {
			x.URIs = append(x.URIs, nbd.URI(l.Addr(), e.name, s.opts.TLSMode == nbd.TLSRequire))
		}
		t := traffic[e.name]
		x.Traffic = Traffic{Connections: t.TotalConns, BytesRead: t.ReadBytes, BytesWritten: t.WrittenBytes, Errors: t.Errors}
		for _, n := range t.Requests {
			x.Traffic.Requests += n
		}
		st.Exports = append(st.Exports, x)
	}
	return st
}
