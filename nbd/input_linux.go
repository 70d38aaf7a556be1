package nbd

import (
	"io"
	"net"
	"syscall"
)

var _ soonReader = (*rawReader)(nil)

// rawReader reads from a socket like net.Conn, and can try for a moment before
// it parks.
type rawReader struct {
	rc   syscall.RawConn
	once func(fd uintptr) bool // attempt, bound once so that calls cost no allocation

	// Of the Read under way.
	buf   []byte
	n     int
	err   error
	tries int // reads of an empty socket that are left before parking
}

// soonTries is how often ReadSoon tries an empty socket: some microseconds,
// less than it costs to park and to be woken.
const soonTries = 12

// newRawReader returns a reader for a socket, or nil if nc is none.
func newRawReader(nc net.Conn) io.Reader {
	switch nc.(type) {
	case *net.UnixConn, *net.TCPConn:
	default:
		return nil
	}
	rc, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawReader{rc: rc}
	r.once = r.attempt
	return r
}

// Read implements io.Reader.
func (r *rawReader) Read(p []byte) (int, error) { return r.read(p, 0) }

// ReadSoon implements soonReader.
func (r *rawReader) ReadSoon(p []byte) (int, error) { return r.read(p, soonTries) }

func (r *rawReader) read(p []byte, tries int) (int, error) {
	r.buf, r.n, r.err, r.tries = p, 0, nil, tries
	err := r.rc.Read(r.once)
	r.buf = nil
	switch {
	case r.err != nil:
		return 0, r.err
	case err != nil:
		return 0, err
	case r.n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// attempt reads what there is. It returns false to be called again when there
// is something.
func (r *rawReader) attempt(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), r.buf)
		switch {
		case err == nil:
			r.n = n
			return true
		case err == syscall.EINTR:
		case err != syscall.EAGAIN:
			r.err = err
			return true
		case r.tries == 0:
			return false
		default:
			r.tries--
		}
	}
}
