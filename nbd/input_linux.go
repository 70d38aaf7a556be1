package nbd

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

var _ soonReader = (*rawReader)(nil)

// rawReader reads from a socket, and can try for a moment before it parks, or
// not park at all.
//
// When it is alone it does not park at once: while a client sends one request
// at a time, the answers leave without a detour through the poller and the
// scheduler. It looks for the next bytes for some microseconds, if they
// usually come that soon, since to sleep and to be woken takes two processors
// longer than that; then it waits in a system call. If that goes on, it takes the
// socket off the poller.
type rawReader struct {
	sock *socket
	once func(fd uintptr) bool // attempt, bound once so that calls cost no allocation
	// alone reports whether nothing else needs the processor that the reader
	// occupies.
	alone func() bool
	vain  int // waits in a system call that nothing came of, in a row
	apt   int // and of those that something came of
	score int // says whether to look; see looks
	poll  pollFD
	limit syscall.Timespec

	// Of the Read under way.
	buf   []byte
	n     int
	err   error
	tries int           // reads of an empty socket that are left before parking
	stay  bool          // never park
	until time.Duration // end of the look for bytes, since the beginning of time; 0 before it
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
	// detachAfter waits that were worth it the socket leaves the poller.
	detachAfter = 32
)

const (
	// lookTime is how long the reader looks for bytes before it waits.
	lookTime = 50 * time.Microsecond
	// lookHope is the longest wait, with the time that it takes to be woken,
	// which a look might have saved.
	lookHope = 4 * lookTime
	// The reader looks while the score is lookScore or more: it rises with
	// each look that finds something and each short wait, and falls by lookCost
	// with one that does not.
	lookScore, lookCost, maxLook = 16, 24, 64
)

// newRawReader returns a reader for a socket, or nil if nc is none.
func newRawReader(nc net.Conn, alone func() bool) io.Reader {
	sock, ok := nc.(*socket)
	if !ok {
		return nil
	}
	r := &rawReader{sock: sock, alone: alone}
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
	err := r.sock.do(r.once, syscall.RawConn.Read)
	r.buf = nil
	if r.apt >= detachAfter {
		r.apt = 0
		r.sock.detach()
	}
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
	looking := false
	for {
		n, err := syscall.Read(int(fd), r.buf)
		switch {
		case err == nil:
			r.n = n
			if looking {
				r.found()
			}
			return true
		case err == syscall.EINTR:
		case err != syscall.EAGAIN:
			r.err = err
			return true
		case r.stay:
			return true
		case r.tries > 0:
			r.tries--
		case r.looks(&looking):
		case !r.await(fd):
			return r.err != nil
		}
	}
}

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd              int32
	events, revents int16
}

const pollIn = 1 // POLLIN

// looks reports whether the reader should try again at once.
func (r *rawReader) looks(looking *bool) bool {
	switch {
	case !*looking:
		if r.score < lookScore || !r.alone() {
			return false
		}
		*looking, r.until = true, time.Since(began)+lookTime
		return true
	case time.Since(began) < r.until:
		return true
	case r.until > 0: // once in an attempt
		r.score -= lookCost
		r.until = 0
	}
	return false
}

// found notes that a look found something.
func (r *rawReader) found() {
	if r.until > 0 {
		r.score = min(r.score+1, maxLook)
		r.apt, r.vain = r.apt+1, 0
	}
}

// began is when the program did. Times since then are what the clock gives
// for the least effort.
var began = time.Now()

// await waits for the socket for a moment, in a system call, and reports
// whether there is something to read. If the deadline has passed it sets err.
func (r *rawReader) await(fd uintptr) bool {
	if r.sock.expired() {
		r.err = os.ErrDeadlineExceeded
		return false
	}
	if r.vain >= maxVain && r.vain%retryVain != 0 || !r.alone() {
		r.vain++
		r.apt = 0
		return false
	}
	r.poll = pollFD{fd: int32(fd), events: pollIn}
	r.limit = syscall.NsecToTimespec(int64(soonWait))
	// The scheduler is not told that this call waits. It keeps the processor, of
	// which there are others, for less than the scheduler would notice, and a
	// signal ends the wait, which is how the collector asks for a stop.
	n, _, _ := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&r.poll)), 1, uintptr(unsafe.Pointer(&r.limit)), 0, 0, 0)
	if int(n) != 1 {
		r.vain++
		r.apt = 0
		return false
	}
	r.apt, r.vain = r.apt+1, 0
	if left := r.limit.Nano(); left > int64(soonWait-lookHope) { // the kernel says how much
		r.score = min(r.score+1, maxLook)
	}
	return true
}
