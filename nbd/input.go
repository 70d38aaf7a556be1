package nbd

import "io"

// inputSize is what one read of a socket can take, in bytes.
const inputSize = 64 << 10

// input is a buffer before a connection. Unlike bufio.Reader it shows what
// has arrived and passes large payloads by.
type input struct {
	r     io.Reader
	buf   []byte // allocated by the first read
	start int    // of the bytes that arrived and were not consumed
	end   int
}

// soonReader is a reader that can be told that bytes are about to arrive, so
// that it looks for them for a moment rather than to wait for a wake-up, and
// that can be asked not to wait at all.
type soonReader interface {
	ReadSoon(p []byte) (int, error)
	// ReadNow reads what has arrived and returns 0 if nothing has, or if
	// something is wrong, which Read will tell.
	ReadNow(p []byte) int
}

// buffered returns how many bytes can be had without reading.
func (b *input) buffered() int { return b.end - b.start }

// peek returns the next n bytes without consuming them; n is at most
// inputSize. They are valid until the next call.
func (b *input) peek(n int) ([]byte, error) {
	b.makeRoom(n)
	for b.buffered() < n {
		m, err := b.read()
		b.end += m
		if b.buffered() >= n {
			break
		}
		if err != nil {
			if err == io.EOF && b.buffered() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b.buf[b.start : b.start+n], nil
}

// makeRoom makes room for n bytes to be buffered.
func (b *input) makeRoom(n int) {
	if b.buf == nil {
		b.buf = make([]byte, inputSize)
	}
	if b.start+n > len(b.buf) || b.start == b.end {
		b.end = copy(b.buf, b.buf[b.start:b.end])
		b.start = 0
	}
}

// read reads into the buffer. What follows the beginning of a message comes
// soon.
func (b *input) read() (int, error) {
	if soon, ok := b.r.(soonReader); ok && b.buffered() > 0 {
		return soon.ReadSoon(b.buf[b.end:])
	}
	return b.r.Read(b.buf[b.end:])
}

// lookAhead takes what has arrived into the buffer, without waiting, until n
// bytes are there, and reports whether they are.
func (b *input) lookAhead(n int) bool {
	soon, ok := b.r.(soonReader)
	if !ok || b.buffered() >= n {
		return b.buffered() >= n
	}
	b.makeRoom(n)
	b.end += soon.ReadNow(b.buf[b.end:])
	return b.buffered() >= n
}

// discard consumes n bytes that peek has returned.
func (b *input) discard(n int) { b.start += n }

// readFull fills p, which is the rest of a message: clients send it right
// after the beginning.
func (b *input) readFull(p []byte) error {
	n := copy(p, b.buf[b.start:b.end])
	b.start += n
	soon, _ := b.r.(soonReader)
	for n < len(p) {
		var m int
		var err error
		if soon != nil {
			m, err = soon.ReadSoon(p[n:])
		} else {
			m, err = b.r.Read(p[n:])
		}
		n += m
		if err != nil && n < len(p) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// skip consumes n bytes.
func (b *input) skip(n int64) error {
	m := min(n, int64(b.buffered()))
	b.start += int(m)
	if n == m {
		return nil
	}
	if _, err := io.CopyN(io.Discard, b.r, n-m); err != nil {
		return io.ErrUnexpectedEOF
	}
	return nil
}
