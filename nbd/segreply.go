package nbd

import (
	"errors"
	"io"
	"sync"

	"github.com/fatkit/fatkit/nbd/wire"
)

// segReply is what the pieces of a reply made of segments share.
type segReply struct {
	req     wire.Request
	mode    wire.Mode
	fault   *fault // found while sending, or before
	failAt  uint64 // offset in the export
	headers []*buffer
	counted *exportStats
	done    bool // the trailer was made
	scratch [64]byte
}

var segReplies = sync.Pool{New: func() any { return new(segReply) }}

// errShortReply ends a connection whose client was promised bytes that
// cannot be had ("NBD_CMD_READ", simple replies).
var errShortReply = errors.New("nbd: a read failed after its reply had begun")

// fail notes an error at offset at of the export. The caller goes on with
// zeroes. In mode Simple there is no way to tell the client but to end.
func (r *segReply) fail(at uint64, f *fault) error {
	if r.fault == nil {
		r.fault, r.failAt = f, at
		r.counted.errors.Add(1)
	}
	if r.mode == wire.Simple {
		return errShortReply
	}
	return nil
}

// trailer returns the chunk that ends the reply. An error is reported at its
// offset, after the chunk with the padding ("NBD_CMD_READ").
func (r *segReply) trailer(dst []byte) []byte {
	switch {
	case r.mode == wire.Simple:
		return nil
	case r.fault != nil:
		return wire.AppendErrorOffset(dst, r.mode, &r.req, r.fault.errno, r.fault.message, r.failAt)
	}
	return wire.AppendNone(dst, r.mode, &r.req)
}

// free gives the reply back.
func (r *segReply) free() {
	for i, b := range r.headers {
		b.put()
		r.headers[i] = nil
	}
	*r = segReply{headers: r.headers[:0]}
	segReplies.Put(r)
}

// next returns the bytes of p that are to be sent next and are in memory. It
// returns nil at a range of a file and at the end.
func (p *piece) next() []byte {
	if p.last && !p.reply.done {
		p.b, p.reply.done = p.reply.trailer(p.reply.scratch[:0]), true
	}
	if len(p.b) == 0 && p.n == 0 && p.pad > 0 {
		m := min(p.pad, int64(len(zeroes)))
		p.b, p.pad = zeroes[:m], p.pad-m
	}
	return p.b
}

// loadFile reads the next bytes of the file into memory, where they cannot be
// sent from the file. A file that has become shorter gives zeroes and an
// error for the client.
func (p *piece) loadFile() error {
	if p.buf == nil {
		p.buf = getBuffer(maxBuffer)
	}
	b := p.buf.b[:min(p.n, maxBuffer)]
	n, err := p.file.ReadAt(b, p.off)
	p.b = b[:n]
	p.advanceFile(int64(n))
	if n < len(b) {
		return p.failFile(err)
	}
	return nil
}

// advanceFile notes that n bytes of the file were sent or loaded.
func (p *piece) advanceFile(n int64) {
	p.off, p.n, p.at = p.off+n, p.n-n, p.at+uint64(n)
}

// failFile replaces the rest of the file by zeroes.
func (p *piece) failFile(err error) error {
	f := &fault{wire.EIO, "a file became shorter while it was read"}
	if err != nil && !errors.Is(err, io.EOF) {
		f = faultOf(err)
	}
	p.pad, p.n = p.pad+p.n, 0
	return p.reply.fail(p.at, f)
}
