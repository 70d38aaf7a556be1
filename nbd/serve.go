package nbd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Serve accepts connections from l until ctx ends or Shutdown is called, and
// closes l. It returns nil when ctx ended, ErrServerClosed after Shutdown and
// the listener's error otherwise. Connections live on when Serve returns; use
// Shutdown to end them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer func() {
		stop()
		l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	const maxDelay = time.Second
	var delay time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			s.start(nc)
			continue
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case s.isClosing():
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of descriptors or memory, or a client that gave up in the
		// queue: the listener itself is sound, so try again a little later.
		delay = min(max(2*delay, 5*time.Millisecond), maxDelay)
		s.log.Warn("accepting a connection failed", "err", err, "retry", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}

// start serves nc in the background.
func (s *Server) start(nc net.Conn) {
	c, err := s.newConn(nc)
	if err != nil {
		nc.Close()
		s.log.Info("connection refused", "remote", nc.RemoteAddr(), "err", err)
		return
	}
	go c.run()
}

// ServeConn serves one connection until it ends, and closes it. It returns
// nil after an orderly end: the client disconnected as the protocol says, gave up
// before choosing an export, or was drained by Shutdown. The end of ctx breaks the connection.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	c, err := s.newConn(nc)
	if err != nil {
		nc.Close()
		return err
	}
	defer context.AfterFunc(ctx, c.abort)()
	return c.run()
}

// newConn registers a connection.
func (s *Server) newConn(nc net.Conn) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, ErrServerClosed
	case len(s.conns) >= s.opts.MaxConns:
		s.stats.refused.Add(1)
		return nil, fmt.Errorf("nbd: all %d connections are in use", s.opts.MaxConns)
	}
	s.nextID++
	c := newConn(s, s.nextID, nc)
	s.conns[c] = struct{}{}
	s.stats.conns.Add(1)
	s.stats.total.Add(1)
	return c, nil
}

// forget is the end of newConn.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.stats.conns.Add(-1)
	if s.closing && len(s.conns) == 0 {
		close(s.idle)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Shutdown stops accepting, lets every connection finish what it has in
// flight, closes it, and returns nil when all have ended. When ctx ends first, the
// remaining connections are broken and Shutdown returns its error as soon as
// the devices have returned from their calls. A second call waits like the first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		if len(s.conns) == 0 {
			close(s.idle)
		}
	}
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.drain()
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.abort()
	}
	s.mu.Unlock()
	<-s.idle
	return ctx.Err()
}
