package nbd

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var _ net.Conn = (*socket)(nil)

// socket is a connection of a server over a unix or TCP socket. It is attached
// to Go's poller, as any net.Conn, or detached from it.
//
// The poller has a thread that the kernel wakes for whatever arrives on any
// attached socket, and whenever one takes bytes again, even if nobody waits for
// that. For a client that sends one request at a time these wake-ups cost as
// much as the request. While a socket is detached its reader waits in a system call
// of its own, which is for connections that are alone in their server and busy.
type socket struct {
	remote net.Addr
	local  net.Addr
	stream string // "unix" or "tcp"

	mu     sync.RWMutex // held for reading while fd is in use
	nc     net.Conn     // while attached, else nil
	rc     syscall.RawConn
	fd     int // while detached
	closed bool
	reads  time.Time // deadlines
	writes time.Time

	limit atomic.Int64 // reads in nanoseconds since 1970, 0 for none
}

// newSocket returns a socket that takes over nc, or nc if it is none.
func newSocket(nc net.Conn) net.Conn {
	s := &socket{nc: nc, remote: nc.RemoteAddr(), local: nc.LocalAddr()}
	switch nc.(type) {
	case *net.UnixConn:
		s.stream = "unix"
	case *net.TCPConn:
		s.stream = "tcp"
	default:
		return nc
	}
	var err error
	if s.rc, err = nc.(syscall.Conn).SyscallConn(); err != nil {
		return nc
	}
	return s
}

// attached returns the socket for use with the poller, or nil while it is
// detached.
func (s *socket) attached() syscall.RawConn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rc
}

// isClosed reports whether Close was called.
func (s *socket) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

// use calls f with the descriptor of a detached socket, which is not closed
// before f returns. It reports whether the socket is detached.
func (s *socket) use(f func(fd uintptr) bool) (done, detached bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.rc != nil || s.closed {
		return false, false
	}
	return f(uintptr(s.fd)), true
}

// do calls f with the descriptor until it returns true. In between the poller
// waits, to which the socket is attached for that; wait is RawConn.Read or
// RawConn.Write.
func (s *socket) do(f func(fd uintptr) bool, wait func(syscall.RawConn, func(fd uintptr) bool) error) error {
	for {
		if rc := s.attached(); rc != nil {
			err := wait(rc, f)
			if errors.Is(err, net.ErrClosed) && !s.isClosed() {
				continue // it was detached in between
			}
			return err
		}
		switch done, detached := s.use(f); {
		case done:
			return nil
		case detached && s.attach() != nil && !s.isClosed():
			time.Sleep(attachRetry) // out of descriptors
		case s.isClosed():
			return net.ErrClosed
		}
	}
}

// attachRetry is the pause before another attempt to attach a socket.
const attachRetry = 10 * time.Millisecond

// control calls f with the descriptor if the socket is attached.
func (s *socket) control(f func(fd uintptr)) {
	if rc := s.attached(); rc != nil {
		_ = rc.Control(f) // it is closed, which whoever uses it will learn
	}
}

// detach takes the socket off the poller. Where it cannot, nothing changes.
func (s *socket) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.rc == nil {
		return
	}
	fd := -1
	err := s.rc.Control(func(old uintptr) {
		if n, _, e := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0); e == 0 {
			fd = int(n)
		}
	})
	if err != nil || fd < 0 {
		return
	}
	_ = s.nc.Close() // the duplicate lives on
	s.fd, s.nc, s.rc = fd, nil, nil
}

// attach gives the socket to the poller.
func (s *socket) attach() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if s.rc != nil {
		return nil
	}
	fd, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s.fd), syscall.F_DUPFD_CLOEXEC, 0)
	if e != 0 {
		return e
	}
	f := os.NewFile(fd, s.stream)
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return err
	}
	rc, err := nc.(syscall.Conn).SyscallConn()
	if err == nil {
		err = errors.Join(nc.SetReadDeadline(s.reads), nc.SetWriteDeadline(s.writes))
	}
	if err != nil {
		return errors.Join(err, nc.Close())
	}
	_ = syscall.Close(s.fd)
	s.fd, s.nc, s.rc = -1, nc, rc
	return nil
}

// conn returns the socket attached.
func (s *socket) conn() (net.Conn, error) {
	if err := s.attach(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.nc == nil {
		return nil, net.ErrClosed
	}
	return s.nc, nil
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (int, error) {
	nc, err := s.conn()
	if err != nil {
		return 0, err
	}
	return nc.Read(p)
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (int, error) {
	nc, err := s.conn()
	if err != nil {
		return 0, err
	}
	return nc.Write(p)
}

// CloseWrite tells the other side that nothing more comes.
func (s *socket) CloseWrite() error {
	nc, err := s.conn()
	if err != nil {
		return err
	}
	return nc.(interface{ CloseWrite() error }).CloseWrite()
}

// Close implements net.Conn. Whoever reads or writes is woken.
func (s *socket) Close() error {
	s.use(func(fd uintptr) bool {
		_ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) // ends waits
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.nc != nil {
		return s.nc.Close()
	}
	return syscall.Close(s.fd)
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. A reader of a detached socket heeds it
// when its wait ends, which is soon.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = t
	if t.IsZero() {
		s.limit.Store(0)
	} else {
		s.limit.Store(t.UnixNano())
	}
	if s.nc == nil {
		return nil
	}
	return s.nc.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = t
	if s.nc == nil {
		return nil
	}
	return s.nc.SetWriteDeadline(t)
}

// expired reports whether the deadline of reads has passed.
func (s *socket) expired() bool {
	limit := s.limit.Load()
	return limit != 0 && time.Now().UnixNano() >= limit
}
