package nbd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"syscall"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/nbd/wire"
)

// call is a request of a client and its answer. Whoever made it waits for
// done, and reads the rest after that.
type call struct {
	req  wire.Request
	data []byte // of a read: where the bytes go; of a write: the payload

	done    chan struct{} // capacity 1
	err     error
	covered coverage          // of data, by chunks
	extents []wire.Descriptor // of a block status request
	replied bool              // a chunk of the answer has come
}

// RequestError is the error of a request that a server has answered.
type RequestError struct {
	Command wire.Command
	Offset  int64 // bytes; where the server says that the error is, else of the request
	Length  int64 // bytes of the request
	Errno   wire.Errno
	Message string // of the server; may be empty
}

func (e *RequestError) Error() string {
	s := fmt.Sprintf("nbd: %v of %d bytes at %d: %v", e.Command, e.Length, e.Offset, e.Errno)
	if e.Message != "" {
		s += fmt.Sprintf(" (%q)", e.Message)
	}
	return s
}

// Unwrap returns the error value of the protocol.
func (e *RequestError) Unwrap() error { return e.Errno }

// Is matches the sentinels of diskerr and io/fs.
func (e *RequestError) Is(target error) bool {
	switch e.Errno {
	case wire.ENOSPC:
		return target == diskerr.ErrNoSpace
	case wire.EPERM:
		return target == diskerr.ErrReadOnly || target == fs.ErrPermission
	case wire.EINVAL:
		return target == fs.ErrInvalid
	}
	return false
}

// link is one connection of a client, opened again when it is lost.
type link struct {
	c *Client

	mu      sync.Mutex // never held over I/O
	s       *session   // nil while there is no connection
	pending map[uint64]*call
	cookie  uint64
	failed  error         // why there is no connection and will be none
	changed chan struct{} // closed when s or failed changes

	// sending is held while a request is written, so that requests do not
	// mix. The receiver does not need it.
	sending sync.Mutex
	scratch []byte
	buffers net.Buffers
}

func newLink(c *Client, s *session) *link {
	l := &link{c: c, s: s, pending: make(map[uint64]*call), changed: make(chan struct{})}
	go l.receive(s)
	return l
}

// do sends q over one of the connections and waits for its answer.
func (c *Client) do(q *call) error {
	l := c.links[0]
	if len(c.links) > 1 {
		l = c.links[c.turn.Add(1)%uint32(len(c.links))]
	}
	q.done = make(chan struct{}, 1)
	for l.try(q) {
	}
	if q.err == nil && changesData(q.req.Command) && q.req.Flags&wire.FlagFUA == 0 {
		c.ledger.wrote()
	}
	return q.err
}

// changesData reports whether a flush has something to do after a command.
func changesData(c wire.Command) bool {
	return c == wire.CmdWrite || c == wire.CmdTrim || c == wire.CmdWriteZeroes
}

// errLinkLost is the error of a call whose connection was lost. It matches
// syscall.EIO, as a disk that has gone does.
var errLinkLost = fmt.Errorf("nbd: connection lost: %w", syscall.EIO)

// try sends q once and waits. It returns true if q should be sent again.
func (l *link) try(q *call) (again bool) {
	q.err, q.replied, q.covered, q.extents = nil, false, coverage{}, nil
	s, err := l.session()
	if err != nil {
		q.err = err
		return false
	}
	l.mu.Lock()
	if l.s != s {
		l.mu.Unlock()
		return true
	}
	l.cookie++
	q.req.Cookie = l.cookie
	l.pending[q.req.Cookie] = q
	l.mu.Unlock()
	if l.send(s, q) != nil {
		s.raw.Close() // the receiver finds out, and ends all calls
	}
	<-q.done
	return errors.Is(q.err, errLinkLost) && l.c.dialer.Reconnect > 0
}

// send writes a request.
func (l *link) send(s *session, q *call) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	r := q.req
	if s.mode == wire.Extended && r.Command == wire.CmdWrite {
		r.Flags |= wire.FlagPayloadLen
	}
	l.scratch = r.Append(l.scratch[:0], s.mode)
	if r.Command != wire.CmdWrite {
		_, err := s.nc.Write(l.scratch)
		return err
	}
	if len(q.data) <= 32<<10 {
		l.scratch = append(l.scratch, q.data...)
		_, err := s.nc.Write(l.scratch)
		return err
	}
	l.buffers = append(l.buffers[:0], l.scratch, q.data)
	b := l.buffers
	_, err := b.WriteTo(s.nc)
	clear(l.buffers)
	return err
}

// lose ends the session: its calls end with errLinkLost, and a new connection
// is opened if the client was told to. Only the receiver of the session calls
// it, so nobody writes to the buffers of the calls any more.
func (l *link) lose(s *session, cause error) {
	s.raw.Close()
	l.mu.Lock()
	l.s = nil
	calls := l.pending
	l.pending = make(map[uint64]*call)
	err := fmt.Errorf("%w: %w", errLinkLost, cause)
	if l.c.dialer.Reconnect <= 0 || l.c.isClosed() {
		l.failed = err
	} else {
		go l.reconnect(err)
	}
	l.announce()
	l.mu.Unlock()
	l.c.ledger.lost()
	for _, q := range calls {
		q.err = err
		q.done <- struct{}{}
	}
}

// announce wakes those who wait for a session. The caller holds mu.
func (l *link) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// close breaks the connection.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.s != nil {
		l.s.raw.Close()
	}
}

// disconnect ends the connection as the protocol asks. Nothing is in flight.
func (l *link) disconnect() {
	l.mu.Lock()
	s := l.s
	l.mu.Unlock()
	if s == nil {
		return
	}
	l.send(s, &call{req: wire.Request{Command: wire.CmdDisconnect}}) // a courtesy: the end comes either way
	if s.nc != s.raw {
		s.nc.Close() // tells the end over TLS too
	}
	s.raw.Close()
}
