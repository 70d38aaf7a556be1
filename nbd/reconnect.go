package nbd

import (
	"context"
	"fmt"
	"io/fs"
	"time"
)

// Times of opening a lost connection again.
const (
	firstRetry = 20 * time.Millisecond
	lastRetry  = time.Second
)

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// session returns the connection to send on, waiting while it is being opened
// again.
func (l *link) session() (*session, error) {
	for {
		l.mu.Lock()
		s, failed, changed := l.s, l.failed, l.changed
		l.mu.Unlock()
		switch {
		case s != nil:
			return s, nil
		case failed != nil:
			return nil, failed
		}
		<-changed
	}
}

// reconnect opens the connection again, for as long as the client was told.
func (l *link) reconnect(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.c.dialer.Reconnect)
	defer cancel()
	go func() {
		select {
		case <-l.c.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	delay := firstRetry
	for {
		s, err := l.c.dialer.connect(ctx, &l.c.target)
		if err == nil {
			if err = l.c.same(s); err == nil {
				l.resume(s)
				return
			}
			l.give(err) // another export under the name: going on would destroy it
			return
		}
		select {
		case <-time.After(delay):
			delay = min(2*delay, lastRetry)
		case <-ctx.Done():
			if l.c.isClosed() {
				err = fs.ErrClosed
			}
			l.give(fmt.Errorf("%w; opening it again: %w", cause, err))
			return
		}
	}
}

// resume goes on with a new connection.
func (l *link) resume(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c.isClosed() {
		s.raw.Close()
		l.failed = fs.ErrClosed
	} else {
		l.s = s
		go l.receive(s)
	}
	l.announce()
}

// give up with an error for all calls to come.
func (l *link) give(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = err
	l.announce()
}
