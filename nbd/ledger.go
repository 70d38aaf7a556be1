package nbd

import (
	"errors"
	"sync"
)

// ErrLostWrites is the error of a Flush after a connection was lost, and
// opened again, while there were answered writes that no flush had covered:
// the server may have lost them with it.
var ErrLostWrites = errors.New("nbd: the connection was lost before a flush; writes may be lost")

// ledger keeps a client honest about durability. The server's answer to a
// flush speaks only for writes of the same life of the server; a connection that
// was lost in between may have been the end of one. After a failed flush the
// client refuses writes, as every block.Device does.
type ledger struct {
	mu        sync.Mutex
	unflushed bool  // writes were answered that no flush has covered
	flushing  int   // flushes under way that have such writes to cover
	losses    int   // connections lost
	err       error // of a failed flush
}

// wrote notes an answered write.
func (l *ledger) wrote() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unflushed = true
}

// lost notes the loss of a connection.
func (l *ledger) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses++
	if l.unflushed && l.err == nil {
		l.err = ErrLostWrites
	}
}

// check returns the error of a failed flush.
func (l *ledger) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// dirty reports whether a flush would have something to say.
func (l *ledger) dirty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unflushed || l.err != nil
}

// flush calls do, which flushes the server, and judges the outcome.
func (l *ledger) flush(do func() error) error {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	losses := l.losses
	covers := l.unflushed || l.flushing > 0
	l.unflushed = false
	if covers {
		l.flushing++
	}
	l.mu.Unlock()
	err := do()
	l.mu.Lock()
	defer l.mu.Unlock()
	if covers {
		l.flushing--
	}
	switch {
	case err == nil && covers && l.losses != losses:
		err = ErrLostWrites
	case err == nil || !covers:
		return err
	}
	if l.err == nil {
		l.err = err
	}
	return err
}
