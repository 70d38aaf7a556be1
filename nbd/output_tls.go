package nbd

import (
	"crypto/tls"
	"net"
	"sync"
)

var _ sender = (*tlsSender)(nil)

// tlsSink is the connection under a TLS session. During the handshake it is
// the network's; then it keeps what the session writes, so that encrypting
// never waits for the client and many records go out in one system call.
type tlsSink struct {
	net.Conn

	mu      sync.Mutex
	keeping bool
	kept    []byte
}

// Write implements net.Conn.
func (s *tlsSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keeping {
		return s.Conn.Write(p)
	}
	s.kept = append(s.kept, p...)
	return len(p), nil
}

// keep makes the sink keep what is written, or not any more.
func (s *tlsSink) keep(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeping = on
}

// take returns what was kept and goes on in the memory of empty.
func (s *tlsSink) take(empty []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.kept
	s.kept = empty[:0]
	return p
}

// tlsBatch is how many bytes are encrypted before they are sent.
const tlsBatch = 256 << 10

// tlsSender encrypts pieces into a sink and sends what that kept.
type tlsSender struct {
	stream streamSender // to the session; coalesces short pieces into records
	sink   *tlsSink
	raw    sender

	batch int      // bytes given to the session since the last push
	out   [1]piece // encrypted and not yet sent
	spare []byte   // memory for the sink
	whole []byte   // memory of out
}

// newTLSSender returns a sender for a session over a socket, or nil if the
// sink's connection is none.
func newTLSSender(t *tls.Conn, sink *tlsSink) sender {
	raw := newRawSender(sink.Conn)
	if raw == nil {
		return nil
	}
	sink.keep(true)
	return &tlsSender{stream: streamSender{w: t}, sink: sink, raw: raw}
}

func (s *tlsSender) send(pieces []piece, wait bool) (int, error) {
	for i := range pieces {
		p := &pieces[i]
		for {
			if s.batch >= tlsBatch {
				if sent, err := s.push(wait); err != nil || !sent {
					return i, err
				}
			}
			b := p.next()
			if len(b) == 0 && p.n == 0 {
				break
			}
			if len(b) == 0 {
				if err := p.loadFile(); err != nil {
					return i, err
				}
				continue
			}
			b = b[:min(len(b), tlsBatch)]
			if err := s.stream.put(b); err != nil {
				return i, err
			}
			p.b = p.b[len(b):]
			s.batch += len(b)
		}
	}
	sent, err := s.push(wait)
	if !sent {
		return max(len(pieces)-1, 0), err // the last piece stands for the rest
	}
	return len(pieces), err
}

// push sends what was encrypted and reports whether nothing is left.
func (s *tlsSender) push(wait bool) (sent bool, err error) {
	for {
		if len(s.out[0].b) == 0 {
			if err := s.stream.flush(); err != nil {
				return false, err
			}
			s.spare, s.whole = s.whole, s.sink.take(s.spare)
			s.out[0].b = s.whole
			s.batch = 0
		}
		if len(s.out[0].b) == 0 {
			return true, nil
		}
		if _, err := s.raw.send(s.out[:], wait); err != nil || len(s.out[0].b) > 0 {
			return false, err
		}
	}
}
