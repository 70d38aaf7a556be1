package nbd

import "io"

var _ sender = (*streamSender)(nil)

// streamSender sends through an io.Writer. It always waits, so it leaves all
// work to the writer goroutine.
type streamSender struct {
	w       io.Writer
	scratch []byte
}

// coalesce is how many bytes of short pieces are sent in one Write.
const coalesce = 64 << 10

func (s *streamSender) send(pieces []piece, wait bool) (int, error) {
	if !wait {
		return 0, nil
	}
	s.scratch = s.scratch[:0]
	for i := range pieces {
		if err := s.add(&pieces[i]); err != nil {
			return i, err
		}
		if len(s.scratch) >= coalesce {
			return i + 1, s.flush()
		}
	}
	return len(pieces), s.flush()
}

// add sends p or, if it is short, keeps it for flush.
func (s *streamSender) add(p *piece) error {
	for {
		b := p.next()
		switch {
		case len(b) > 0:
			p.b = nil
			if err := s.put(b); err != nil {
				return err
			}
		case p.n > 0:
			if err := p.loadFile(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// put sends b or, if it is short, keeps a copy for flush.
func (s *streamSender) put(b []byte) error {
	if len(s.scratch)+len(b) <= coalesce {
		s.scratch = append(s.scratch, b...)
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	_, err := s.w.Write(b)
	return err
}

// flush sends what put has kept.
func (s *streamSender) flush() error {
	if len(s.scratch) == 0 {
		return nil
	}
	_, err := s.w.Write(s.scratch)
	s.scratch = s.scratch[:0]
	return err
}
