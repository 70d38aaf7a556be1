package nbd

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/fatkit/fatkit/nbd/wire"
)

// Limits of what a server may send in answer to one request.
const (
	maxErrorChunk  = 14 + wire.MaxString
	maxStatusChunk = 8 + 16*wire.MaxDescriptors
)

// receive takes replies until the connection ends.
func (l *link) receive(s *session) {
	for {
		if err := l.reply(s); err != nil {
			l.lose(s, err)
			return
		}
	}
}

// reply takes one reply or one chunk of a reply.
func (l *link) reply(s *session) error {
	p, err := s.in.peek(4)
	if err != nil {
		return err
	}
	n, err := s.mode.ReplyHeaderLen(binary.BigEndian.Uint32(p))
	if err != nil {
		return err
	}
	if p, err = s.in.peek(n); err != nil {
		return err
	}
	h, err := wire.DecodeReply(p, s.mode)
	if err != nil {
		return err
	}
	s.in.discard(n)
	l.mu.Lock()
	q := l.pending[h.Cookie]
	l.mu.Unlock()
	if q == nil {
		return fmt.Errorf("nbd: a reply to no request (cookie %#x)", h.Cookie)
	}
	done := true
	if h.Simple {
		err = q.simple(s, h.Errno)
	} else {
		done = h.Flags&wire.ReplyDone != 0
		err = q.chunk(s, &h.Chunk, done)
	}
	if err != nil {
		return err
	}
	if done {
		l.mu.Lock()
		delete(l.pending, h.Cookie)
		l.mu.Unlock()
		q.done <- struct{}{}
	}
	return nil
}

// simple takes a simple reply.
func (q *call) simple(s *session, e wire.Errno) error {
	switch {
	case q.replied:
		return fmt.Errorf("nbd: a simple reply after a chunk")
	case e != 0:
		q.fail(wire.ErrorPayload{Errno: e})
		return nil
	case q.req.Command == wire.CmdBlockStatus,
		q.req.Command == wire.CmdRead && s.mode != wire.Simple:
		return fmt.Errorf("nbd: a simple reply to %v", q.req.Command)
	case q.req.Command == wire.CmdRead:
		return s.in.readFull(q.data)
	}
	return nil
}

// fail notes the first error of an answer.
func (q *call) fail(e wire.ErrorPayload) {
	if q.err != nil {
		return
	}
	r := &RequestError{Command: q.req.Command, Offset: int64(q.req.Offset), Length: int64(q.req.Length), Errno: e.Errno, Message: e.Message}
	if e.HasOffset && e.Offset >= q.req.Offset && e.Offset-q.req.Offset < q.req.Length {
		r.Offset = int64(e.Offset)
	}
	q.err = r
}

// chunk takes a chunk of an answer ("Structured reply types").
func (q *call) chunk(s *session, h *wire.Chunk, done bool) error {
	q.replied = true
	if s.mode == wire.Extended && h.Offset != q.req.Offset {
		return fmt.Errorf("nbd: a reply for offset %d, not %d", h.Offset, q.req.Offset)
	}
	var err error
	switch {
	case h.Type == wire.ChunkNone:
		if h.Length != 0 || !done {
			return fmt.Errorf("nbd: an empty chunk of %d bytes", h.Length)
		}
	case h.Type.IsError():
		err = q.errorChunk(s, h)
	case h.Type == wire.ChunkOffsetData && q.req.Command == wire.CmdRead:
		err = q.dataChunk(s, h)
	case h.Type == wire.ChunkOffsetHole && q.req.Command == wire.CmdRead:
		err = q.holeChunk(s, h)
	case (h.Type == wire.ChunkBlockStatus || h.Type == wire.ChunkBlockStatusExt && s.mode == wire.Extended) &&
		q.req.Command == wire.CmdBlockStatus:
		err = q.statusChunk(s, h)
	default:
		return fmt.Errorf("nbd: chunk type %d in answer to %v", h.Type, q.req.Command)
	}
	if err != nil || !done || q.err != nil {
		return err
	}
	if q.req.Command == wire.CmdRead && !q.covered.whole(len(q.data)) {
		return fmt.Errorf("nbd: the answer to a read lacks bytes")
	}
	if q.req.Command == wire.CmdBlockStatus && len(q.extents) == 0 {
		return fmt.Errorf("nbd: the answer to a block status request lacks its context")
	}
	return nil
}

// payload reads the payload of a chunk of at most most bytes. Memory grows
// with what arrives, not with what the server has announced.
func payload(s *session, h *wire.Chunk, most uint64) ([]byte, error) {
	if h.Length > most {
		return nil, fmt.Errorf("nbd: chunk type %d with %d bytes", h.Type, h.Length)
	}
	const step = 64 << 10
	var p []byte
	for left := int(h.Length); left > 0; {
		n := min(left, step)
		p = slices.Grow(p, n)[:len(p)+n]
		if err := s.in.readFull(p[len(p)-n:]); err != nil {
			return nil, err
		}
		left -= n
	}
	return p, nil
}

func (q *call) errorChunk(s *session, h *wire.Chunk) error {
	p, err := payload(s, h, maxErrorChunk)
	if err != nil {
		return err
	}
	e, err := wire.DecodeError(h.Type, p)
	if err != nil {
		return err
	}
	q.fail(e)
	return nil
}

// place returns the part of a read that a chunk has bytes for.
func (q *call) place(off, n uint64) ([]byte, error) {
	at := off - q.req.Offset
	if off < q.req.Offset || n == 0 || at > q.req.Length || n > q.req.Length-at {
		return nil, fmt.Errorf("nbd: a chunk of %d bytes at %d in answer to a read of %d bytes at %d", n, off, q.req.Length, q.req.Offset)
	}
	if !q.covered.add(int(at), int(at+n)) {
		return nil, fmt.Errorf("nbd: chunks of a read overlap, or are too many")
	}
	return q.data[at : at+n], nil
}

func (q *call) dataChunk(s *session, h *wire.Chunk) error {
	if h.Length < 9 {
		return fmt.Errorf("nbd: a data chunk of %d bytes", h.Length)
	}
	p, err := s.in.peek(8)
	if err != nil {
		return err
	}
	dst, err := q.place(binary.BigEndian.Uint64(p), h.Length-8)
	if err != nil {
		return err
	}
	s.in.discard(8)
	return s.in.readFull(dst)
}

func (q *call) holeChunk(s *session, h *wire.Chunk) error {
	if h.Length != 12 {
		return fmt.Errorf("nbd: a hole chunk of %d bytes", h.Length)
	}
	p, err := s.in.peek(12)
	if err != nil {
		return err
	}
	dst, err := q.place(binary.BigEndian.Uint64(p), uint64(binary.BigEndian.Uint32(p[8:])))
	if err != nil {
		return err
	}
	clear(dst)
	s.in.discard(12)
	return nil
}

func (q *call) statusChunk(s *session, h *wire.Chunk) error {
	if q.extents != nil {
		return fmt.Errorf("nbd: two chunks for one context")
	}
	p, err := payload(s, h, maxStatusChunk)
	if err != nil {
		return err
	}
	id, ds, err := wire.DecodeStatus(h.Type, p, nil)
	if err != nil {
		return err
	}
	if id != s.contextID {
		return fmt.Errorf("nbd: a chunk for context %d, which was not selected", id)
	}
	q.extents = ds
	return nil
}
