package nbd

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fatkit/fatkit/block"
)

// piece is a part of the stream to the client: bytes, a range of a host file,
// or zeroes, in this order if it has several. A piece that was sent or dropped gives back
// what it holds.
type piece struct {
	b    []byte
	file *os.File // n bytes at off follow
	off  int64
	n    int64
	pad  int64 // zeroes follow

	at    uint64    // offset of the file's bytes in the export
	reply *segReply // of a reply made of segments, else nil
	last  bool      // of reply: its trailer is made when its turn comes
	buf   *buffer   // behind b, or nil
	seg   block.Segment
	hold  hold
}

// bytes returns how many bytes are still to be sent.
func (p *piece) bytes() int64 { return int64(len(p.b)) + p.n + p.pad }

// release gives back what the piece holds.
func (p *piece) release(a *account) {
	if p.buf != nil {
		p.buf.put()
	}
	p.seg.Release()
	if p.last {
		p.reply.free()
	}
	a.release(p.hold)
	*p = piece{}
}

// sender sends pieces to a client.
type sender interface {
	// send sends pieces in order and changes them as it goes. It returns
	// how many it finished. Unless wait is set it stops where it would have
	// to wait for the client; otherwise it waits for the client until some bytes
	// were taken.
	send(pieces []piece, wait bool) (done int, err error)
}

// output is the queue of replies to a client.
//
// Whoever adds to it sends what the socket takes at once (flush). What is
// left goes to the writer goroutine, which alone waits for the client. busy is
// the right to send: it passes with the work and is no lock, so nobody waits for it.
type output struct {
	s     sender
	mem   *account
	stall time.Duration
	nc    net.Conn

	mu     sync.Mutex
	idle   sync.Cond // busy became false; L is &mu
	queue  []piece   // not yet being sent
	queued int64     // bytes of queue
	busy   bool
	err    error // the connection is broken; pieces are dropped

	// Of whoever is busy.
	sending []piece
	pos     int
	spare   []piece

	wake    chan struct{} // capacity 1: busy was passed to the writer
	stopped chan struct{} // closed by finish
}

// start prepares the queue for the replies of c and starts the writer.
func (o *output) start(c *conn) {
	o.nc, o.mem, o.stall = c.nc, &c.mem, c.srv.opts.StallTimeout
	o.idle.L = &o.mu
	o.wake, o.stopped = make(chan struct{}, 1), make(chan struct{})
	o.s = newSender(c)
	go o.writer()
}

// newSender returns the best sender that the connection allows.
func newSender(c *conn) sender {
	if c.tls == nil {
		if s := newRawSender(c.nc); s != nil {
			return s
		}
		return &streamSender{w: c.nc}
	}
	if s := newTLSSender(c.tls, c.sink); s != nil {
		return s
	}
	return &streamSender{w: c.tls}
}

// sendsFiles reports whether ranges of files can be sent without copying.
func (o *output) sendsFiles() bool {
	switch o.s.(type) {
	case *streamSender, *tlsSender:
		return false
	}
	return true
}

// push adds a piece to the queue and returns how many bytes wait there.
func (o *output) push(p piece) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		p.release(o.mem)
		return 0
	}
	o.queue = append(o.queue, p)
	o.queued += p.bytes()
	return o.queued
}

// pushAll adds pieces that must stay together.
func (o *output) pushAll(ps []piece) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range ps {
		if o.err != nil {
			ps[i].release(o.mem)
			continue
		}
		o.queue = append(o.queue, ps[i])
		o.queued += ps[i].bytes()
	}
	return o.queued
}

// flush sends what the socket takes without waiting, unless someone does
// already.
func (o *output) flush() {
	o.mu.Lock()
	if o.busy || len(o.queue) == 0 {
		o.mu.Unlock()
		return
	}
	o.busy = true
	o.mu.Unlock()
	if !o.drain(false) {
		o.wake <- struct{}{} // there is room: only the one who is busy sends here
	}
}

// drain sends until the queue is empty, and then gives up busy and returns
// true. Unless wait is set it returns false where it would have to wait, and stays busy.
func (o *output) drain(wait bool) bool {
	for {
		if o.pos == len(o.sending) && !o.next() {
			return true
		}
		if wait {
			o.nc.SetWriteDeadline(time.Now().Add(o.stall))
		}
		n, err := o.s.send(o.sending[o.pos:], wait)
		for end := o.pos + n; o.pos < end; o.pos++ {
			o.sending[o.pos].release(o.mem)
		}
		if err != nil {
			o.fail(err)
		} else if o.pos < len(o.sending) && !wait {
			return false
		}
	}
}

// next takes the queue as the next to send. If there is nothing it gives up
// busy and returns false. The caller is busy.
func (o *output) next() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.busy = false
		o.idle.Broadcast()
		return false
	}
	o.sending, o.queue, o.pos = o.queue, o.sending[:0], 0
	o.queued = 0
	return true
}

// fail drops everything and breaks the connection. The caller is busy.
func (o *output) fail(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("nbd: the client takes no replies")
	}
	o.mu.Lock()
	o.err = err
	queue := o.queue
	o.queue = nil
	o.mu.Unlock()
	for i := range queue {
		queue[i].release(o.mem)
	}
	for ; o.pos < len(o.sending); o.pos++ {
		o.sending[o.pos].release(o.mem)
	}
	o.nc.Close() // ends the reader
}

// writer sends what would have to wait for the client.
func (o *output) writer() {
	for {
		select {
		case <-o.wake:
			o.drain(true)
			// A deadline that passed would fail the next send, which waits for nobody.
			o.nc.SetWriteDeadline(time.Time{})
		case <-o.stopped:
			return
		}
	}
}

// finish sends the rest, stops the writer and returns the error that broke
// the connection, if any. Nobody may push any more.
func (o *output) finish() error {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.busy {
		o.idle.Wait()
	}
	close(o.stopped)
	return o.err
}
