package nbd

import (
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"
)

var _ soonReader = (*rawReader)(nil)

// rawReader reads from a socket like net.Conn, and can try for a moment before
// it parks, or not park at all.
//
// When it is alone it waits for the next bytes in a system call first: while a
// client sends one request at a time, the answers leave without a detour
// through the poller and the scheduler.
type rawReader struct {
	rc   syscall.RawConn
	once func(fd uintptr) bool // attempt, bound once so that calls cost no allocation
	// alone reports whether nothing else needs the processor that a system
	// call which waits would occupy.
	alone func() bool
	vain  int // waits in a system call that nothing came of
	poll  pollFD

	// Of the Read under way.
	buf   []byte
	n     int
	err   error
	tries int  // reads of an empty socket that are left before parking
	stay  bool // never park
}

// soonTries is how often ReadSoon tries an empty socket: some microseconds,
// less than it costs to park and to be woken.
const soonTries = 12

const (
	// soonWait is the longest wait in a system call.
	soonWait = 500 * time.Microsecond
	// maxVain waits in vain end them; one in retryVain is tried after that.
	maxVain   = 4
	retryVain = 32
)

// newRawReader returns a reader for a socket, or nil if nc is none.
func newRawReader(nc net.Conn, alone func() bool) io.Reader {
	switch nc.(type) {
	case *net.UnixConn, *net.TCPConn:
	default:
		return nil
	}
	rc, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawReader{rc: rc, alone: alone}
	r.once = r.attempt
	return r
}

// Read implements io.Reader.
func (r *rawReader) Read(p []byte) (int, error) { return r.read(p, 0) }

// ReadSoon implements soonReader.
func (r *rawReader) ReadSoon(p []byte) (int, error) { return r.read(p, soonTries) }

// ReadNow implements soonReader.
func (r *rawReader) ReadNow(p []byte) int {
	r.stay = true
	n, _ := r.read(p, 0)
	r.stay = false
	return n
}

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
		case r.stay:
			return true
		case r.tries == 0:
			if !r.await(fd) {
				return false
			}
		default:
			r.tries--
		}
	}
}

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd              int32
	events, revents int16
}

const pollIn = 1 // POLLIN

// await waits for the socket for a moment, in a system call, and reports
// whether there is something to read.
func (r *rawReader) await(fd uintptr) bool {
	if r.vain >= maxVain && r.vain%retryVain != 0 || !r.alone() {
		r.vain++
		return false
	}
	r.poll = pollFD{fd: int32(fd), events: pollIn}
	limit := syscall.NsecToTimespec(int64(soonWait))
	n, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&r.poll)), 1, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if int(n) == 1 {
		r.vain = 0
		return true
	}
	r.vain++
	return false
}
