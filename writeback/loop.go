package writeback

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/writeback/overlay"
)

// loop decides when commits are made: after a flush, after a time without
// writes, at the latest after the longest age, and when somebody asks.
type loop struct {
	s      *Session
	cancel context.CancelFunc
	done   chan struct{}

	looked atomic.Uint64 // Activity.Writes at the last commit
	retry  time.Duration // until a commit that failed is tried again
}

// retryFirst and retryMost bound the time between attempts.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 10 * time.Second
	// busyFactor lengthens the quiet time while a guest says by the FAT that it
	// is in the middle of a burst, as Windows does.
	busyFactor = 5
)

func (l *loop) start(s *Session) {
	if l.s = s; s.o.Settle < 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
}

func (l *loop) stop() {
	if l.cancel == nil {
		return
	}
	l.cancel()
	<-l.done
}

// uncommitted reports whether the guest wrote something since the last commit.
func (l *loop) uncommitted(a overlay.Activity) bool { return a.Writes != l.looked.Load() }

// run makes commits until ctx ends.
func (l *loop) run(ctx context.Context) {
	s := l.s
	timer := time.NewTimer(0) // what the last session left is looked at soon
	defer timer.Stop()
	var flushes uint64
	var since time.Time // of the oldest write that no commit has looked at, or of what waits
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.disk.Notify():
		case <-timer.C:
		}
		a := s.disk.Activity()
		now := time.Now()
		if since.IsZero() && (l.uncommitted(a) || s.waiting()) {
			since = now
		}
		old := !since.IsZero() && now.Sub(since) >= s.o.MaxAge
		due := a.Flushes != flushes && l.uncommitted(a) || old || l.retry > 0 ||
			l.uncommitted(a) && now.Sub(a.LastWrite) >= s.quiet()
		if due {
			flushes = a.Flushes
			l.attempt(ctx, old)
			since = time.Time{}
			if s.waiting() {
				since = now
			}
		}
		l.rearm(timer, a, since)
	}
}

// attempt makes one commit.
func (l *loop) attempt(ctx context.Context, settled bool) {
	s := l.s
	s.mu.Lock()
	a := s.disk.Activity()
	err := s.commit(ctx, settled)
	if err == nil && s.isClean() && !settled && s.waiting() {
		err = s.commit(ctx, true) // the guest has marked the volume clean: nothing more will come
	}
	s.mu.Unlock()
	if err == nil {
		l.retry = 0
		l.looked.Store(a.Writes)
		return
	}
	if ctx.Err() != nil {
		return
	}
	s.state.failed(err, s.o.Now())
	if l.retry == 0 {
		s.event(Event{Kind: EventFailed, Text: err.Error()})
		l.retry = retryFirst
	} else {
		l.retry = min(2*l.retry, retryMost)
	}
}

// rearm sets the timer to when something is due if nothing happens until then.
func (l *loop) rearm(t *time.Timer, a overlay.Activity, since time.Time) {
	wait := time.Hour
	if l.uncommitted(a) {
		wait = time.Until(a.LastWrite.Add(l.s.quiet()))
	}
	if !since.IsZero() {
		wait = min(wait, time.Until(since.Add(l.s.o.MaxAge)))
	}
	if l.retry > 0 {
		wait = l.retry
	}
	t.Reset(max(wait, time.Millisecond))
}

// quiet is how long the guest must rest until a commit is made.
func (s *Session) quiet() time.Duration {
	if s.busy.Load() {
		return busyFactor * s.o.Settle
	}
	return s.o.Settle
}

// waiting reports whether something is pending.
func (s *Session) waiting() bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return len(s.state.status.Pending) > 0 && len(s.state.status.Brake) == 0
}

// isClean reports whether the guest had marked the volume clean at the last
// comparison.
func (s *Session) isClean() bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.state.status.Clean
}

// Sync carries out everything that the guest has written until now. What is
// complete but for what may still come is taken as it is. An error that matches
// ErrPending says that something is not on the host; Status says what, and why.
func (s *Session) Sync(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the session is closed")
	}
	a := s.disk.Activity()
	err := s.commit(ctx, false)
	if err == nil && s.waiting() {
		err = s.commit(ctx, true)
	}
	if err != nil {
		return err
	}
	s.loop.looked.Store(a.Writes)
	return s.pendingError()
}

// pendingError is ErrPending if something is pending.
func (s *Session) pendingError() error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if len(s.state.status.Pending) > 0 || len(s.state.status.Brake) > 0 {
		return ErrPending
	}
	return nil
}

// Detached tells the session that the last client has gone, in order or not.
// After an orderly departure everything is carried out as Sync does.
func (s *Session) Detached(ctx context.Context, orderly bool) error {
	if !orderly {
		return nil
	}
	err := s.Sync(ctx)
	if errors.Is(err, ErrPending) {
		return nil
	}
	return err
}

// Settled reports whether a new generation may begin: the volume is marked
// clean, and nothing is pending. FAT12 has no mark in its FAT, and most of its
// guests keep none elsewhere, so its generation ends by request only.
func (s *Session) Settled() bool {
	st := s.Status()
	return st.Clean && st.Marks && !st.Uncommitted && len(st.Pending) == 0 && len(st.Brake) == 0 && st.Error == ""
}
