package nbd

import (
	"errors"
	"net"
	"syscall"
	"unsafe"
)

var _ sender = (*rawSender)(nil)

// rawSender sends to a socket with writev and sendfile. It never waits in a
// system call: waiting is the poller's.
type rawSender struct {
	sock *socket
	once func(fd uintptr) bool // attempt, bound once so that calls cost no allocation

	// Of the send under way.
	pieces []piece
	pos    int
	wait   bool
	moved  bool // bytes were taken
	err    error
	iov    [maxVectors]syscall.Iovec
}

const (
	maxVectors = 64
	// sendBuffer is asked for on unix sockets, in bytes. It lets one sendfile
	// queue a whole reply: measured, that nearly doubles large reads.
	sendBuffer = 4 << 20
	// maxSendFile bounds a single sendfile, in bytes.
	maxSendFile = 1 << 30
)

// newRawSender returns a sender for a socket, or nil if nc is none.
func newRawSender(nc net.Conn) sender {
	sock, ok := nc.(*socket)
	if !ok {
		return nil
	}
	s := &rawSender{sock: sock}
	s.once = s.attempt
	if sock.stream == "unix" {
		sock.control(func(fd uintptr) {
			// The privileged form goes beyond the system's limit; without the
			// privilege the limit is as good as it gets.
			if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUFFORCE, sendBuffer) != nil {
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
			}
		})
	}
	return s
}

func (s *rawSender) send(pieces []piece, wait bool) (int, error) {
	s.pieces, s.pos, s.wait, s.moved, s.err = pieces, 0, wait, false, nil
	err := s.sock.do(s.once, syscall.RawConn.Write)
	s.pieces = nil
	if s.err != nil {
		err = s.err
	}
	return s.pos, err
}

// attempt sends until the socket takes no more. It returns false to be called
// again when it does.
func (s *rawSender) attempt(fd uintptr) bool {
	for s.pos < len(s.pieces) {
		p := &s.pieces[s.pos]
		b := p.next()
		var err error
		switch {
		case len(b) > 0:
			err = s.writeBytes(int(fd))
		case p.n > 0:
			err = s.sendFile(int(fd), p)
		default:
			s.pos++
		}
		switch {
		case err == nil || err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return !s.wait || s.moved
		default:
			s.err = err
			return true
		}
	}
	return true
}

// writeBytes sends the bytes of the first piece and of those after it that
// are wholly in memory.
func (s *rawSender) writeBytes(fd int) error {
	count := 0
	for i := s.pos; i < len(s.pieces) && count < maxVectors; i++ {
		p := &s.pieces[i]
		if b := p.next(); len(b) > 0 {
			s.iov[count].Base = &b[0]
			s.iov[count].SetLen(len(b))
			count++
		}
		if p.n > 0 || p.pad > 0 {
			break
		}
	}
	var n int
	var err error
	if count == 1 {
		n, err = syscall.Write(fd, s.pieces[s.pos].b)
	} else {
		r, _, e := syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&s.iov[0])), uintptr(count))
		n = int(r)
		if e != 0 {
			n, err = 0, e
		}
	}
	clear(s.iov[:count])
	if n > 0 {
		s.moved = true
		s.consume(n)
	}
	return err
}

// consume takes n sent bytes off the pieces.
func (s *rawSender) consume(n int) {
	for n > 0 {
		p := &s.pieces[s.pos]
		m := min(n, len(p.b))
		p.b = p.b[m:]
		n -= m
		if len(p.b) == 0 && p.n == 0 && p.pad == 0 {
			s.pos++
		}
	}
}

// sendFile sends from the range of a file of p. An error of the file is not
// one of the socket: the rest of the range is then sent as zeroes.
func (s *rawSender) sendFile(fd int, p *piece) error {
	off := p.off
	n, err := syscall.Sendfile(fd, int(p.file.Fd()), &off, int(min(p.n, maxSendFile)))
	switch {
	case n > 0:
		s.moved = true
		p.advanceFile(int64(n))
		return nil
	case err == nil:
		return p.failFile(nil)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return err
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ENOTCONN):
		return err
	}
	// The file does not take part in sendfile, or cannot be read: a plain
	// read tells which.
	return p.loadFile()
}
