package blocktest

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/fatkit/fatkit/block"
)

// stopWithin is how long calls may go on after Close before they count as hung.
var stopWithin = time.Minute

// checkClosed calls everything after Close.
func checkClosed(e *env) error {
	size, u := e.dev.Size(), e.unit()
	if err := e.close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	calls := append(e.changes(),
		change{"ReadAt", func(off, n int64) error {
			_, err := e.dev.ReadAt(make([]byte, n), off)
			return err
		}},
		change{"ReadAtCached", func(off, n int64) error {
			_, err := block.ReadAtCached(e.dev, make([]byte, n), off)
			if errors.Is(err, block.ErrWouldBlock) {
				return fs.ErrClosed // the ReadAt that follows says so
			}
			return err
		}},
		change{"AppendSegments", func(off, n int64) error {
			segs, err := block.AppendSegments(e.dev, nil, off, n)
			block.ReleaseAll(segs)
			return err
		}},
		change{"Flush", func(int64, int64) error { return e.dev.Flush() }},
		change{"Close", func(int64, int64) error { return e.dev.Close() }},
	)
	_, discards := e.dev.(block.Discarder)
	for _, c := range calls {
		if c.name == "Discard" && !discards {
			continue // the fallback does not ask the device
		}
		if err := c.do(0, u); !errors.Is(err, fs.ErrClosed) {
			return fmt.Errorf("%s after Close: %v, want %v", c.name, err, fs.ErrClosed)
		}
	}
	if got := e.dev.Size(); got != size {
		return fmt.Errorf("Size was %d and is %d after Close", size, got)
	}
	return nil
}

// checkCloseWhileBusy closes the device under calls. Each either works or says
// that the device is closed.
func checkCloseWhileBusy(e *env) error {
	const callers = 4
	s := e.spans(0)[0]
	same, err := e.read(s)
	if err != nil {
		return err
	}
	errs := make([]error, callers)
	var wg, begun sync.WaitGroup
	for c := range callers {
		wg.Add(1)
		begun.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				err := e.busyCall(s, same, c, i)
				if i == 0 {
					begun.Done()
				}
				if errors.Is(err, fs.ErrClosed) {
					return
				}
				if err != nil {
					errs[c] = fmt.Errorf("caller %d: %w", c, err)
					return
				}
			}
		}()
	}
	begun.Wait()
	err = e.close()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(stopWithin):
		return errors.New("calls still succeed or hang long after Close")
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("Close: %w", err))
	}
	return errors.Join(errs...)
}

// busyCall does the i-th call of a caller. It writes only the bytes that are
// there, so that the others can compare what they read.
func (e *env) busyCall(s span, same []byte, caller, i int) error {
	switch {
	case caller == 1 && !e.o.ReadOnly:
		_, err := e.dev.WriteAt(same, s.off)
		return err
	case caller == 2:
		segs, err := block.AppendSegments(e.dev, nil, s.off, s.n)
		if err == nil {
			_, err = gather(segs, s)
		}
		block.ReleaseAll(segs)
		return err
	case caller == 3 && i%8 == 0:
		return e.dev.Flush()
	}
	_, err := e.dev.ReadAt(make([]byte, s.n), s.off)
	return err
}
