package server

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/fatkit/fatkit/stack"
)

// RefreshPolicy says when a disk may begin a new generation by itself.
type RefreshPolicy struct {
	// OnDisconnect lets a client that comes after all others have left in
	// order see the source as it is then.
	OnDisconnect bool
	// OnBootRead lets a guest see the source anew when its firmware reads the
	// first sector again after a reset, without a disconnect.
	OnBootRead bool
}

// export is a source that is being served, and the rules by which its disk
// begins new generations.
//
// A generation may be seen by whoever attaches, and must then stay until that
// client is done with it. A client is done when it disconnects in order. One
// whose connection merely broke may come back and go on, so its generation
// stays: every lost connection is remembered until a client has attached in
// its place.
type export struct {
	name        string
	aliases     []string // guarded by the server's mu while it is set up
	description string
	source      stack.Source
	policy      RefreshPolicy
	disk        *disk
	log         *slog.Logger
	clock       func() time.Duration
	fixed       bool // an image: there is one generation only

	// making is held while a generation is decided on and made, so that a
	// client that attaches meanwhile waits and sees the result. It is taken
	// before mu.
	making sync.Mutex

	mu       sync.Mutex // guards what follows
	current  *stack.Generation
	number   int           // of the current generation, from 1
	began    time.Duration // on clock, when the current generation's scan had ended
	attached int           // clients now
	lost     int           // connections that broke and have not come back
	shown    bool          // a client has seen the current generation
	pending  bool          // asked for, and due at the guest's next reset
	failure  *Failure      // why the last new generation did not come about
	changed  changedFiles
	noted    map[uint64]struct{} // hashes of the notes that were logged
}

// Failure is an error and when it happened.
type Failure struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

// newExport makes the first generation of source.
func newExport(ctx context.Context, o ExportOptions, log *slog.Logger, clock func() time.Duration) (*export, error) {
	e := &export{
		name: o.Name, description: o.Description, source: o.Source, policy: o.Refresh,
		log: log.With("export", o.Name), clock: clock, noted: map[uint64]struct{}{},
	}
	first, err := o.Source.Generate(ctx, nil, e.report)
	if err != nil {
		return nil, err
	}
	e.current, e.number, e.began = first, 1, clock()
	if e.fixed = first.Facts.Image != nil; e.fixed {
		e.policy = RefreshPolicy{}
	}
	e.disk = newDisk(first, func(err error) {
		if err != nil {
			e.log.Warn("an old generation did not close cleanly", "error", err)
		}
	})
	e.setWatch()
	return e, nil
}

// maxNoted is how many notes an export remembers, so as not to repeat them with
// each generation.
const maxNoted = 1 << 16

var noteSeed = maphash.MakeSeed()

// report is told by the source what its disk shows otherwise.
func (e *export) report(v stack.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch v.Kind {
	case stack.Changed:
		e.changed.add(v.Path)
		e.log.Warn(v.Text, "path", v.Path)
		return
	case stack.Progress:
		e.log.Info(v.Text, pathAttr(v.Path)...)
		return
	case stack.Alarm:
		e.log.Error(v.Text, pathAttr(v.Path)...)
		return
	}
	hash := maphash.String(noteSeed, v.Path+"\x00"+v.Text)
	if _, known := e.noted[hash]; known {
		return
	}
	if len(e.noted) < maxNoted {
		e.noted[hash] = struct{}{}
	}
	e.log.Warn(v.Text, "path", v.Path)
}

// pathAttr names the path of an event, if it has one.
func pathAttr(path string) []any {
	if path == "" {
		return nil
	}
	return []any{"path", path}
}

// attach is called before a client sees anything of the disk.
func (e *export) attach(ctx context.Context) {
	e.making.Lock()
	defer e.making.Unlock()
	if e.mayRenew() && e.renewable(ctx) == nil {
		e.renew(ctx, "a client attached") // on failure the old generation stays, and says so
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setWatch()
	e.attached++
	e.lost = max(0, e.lost-1)
	e.shown = true
}

// mayRenew reports whether the client that is about to attach should find a
// new generation. The caller holds making.
func (e *export) mayRenew() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.attached > 0 || e.lost > 0 || !e.policy.OnDisconnect && !e.pending {
		return false
	}
	// A picture nobody has seen is fresh for as long as it took to take: it
	// is no more blurred by that than by the scan itself.
	return e.shown || e.pending || e.clock()-e.began > e.current.Facts.ScanTime
}

// renewable returns why a directory that takes writes cannot begin a new
// generation now, or nil.
func (e *export) renewable(ctx context.Context) error {
	if w, ok := e.source.(stack.Writing); ok {
		return w.Renewable(ctx)
	}
	return nil
}

// detach is called when a client is gone; orderly says that it took its leave.
func (e *export) detach(ctx context.Context, orderly bool) {
	e.left(orderly)
	w, ok := e.source.(stack.Writing)
	if !ok {
		return
	}
	e.mu.Lock()
	remaining := e.attached
	e.mu.Unlock()
	if err := w.Left(ctx, orderly, remaining); err != nil {
		e.log.Error("what the client wrote has not all arrived", "error", err)
	}
}

// left counts a client that is gone.
func (e *export) left(orderly bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attached--
	if orderly {
		return
	}
	e.lost++
	if e.attached == 0 && e.policy.OnDisconnect {
		e.log.Info("a connection was lost: its generation stays for the client to come back to; `fatkit refresh` begins a new one")
	}
}

// RefreshResult says what became of a request for a new generation.
type RefreshResult struct {
	Export     string `json:"export"`
	Generation int    `json:"generation"` // the number of the current generation
	Changed    bool   `json:"changed"`    // it is a new one
	Pending    bool   `json:"pending"`    // it will be, when the guest is reset
	Failed     bool   `json:"failed"`     // the new one could not be made
}

// refresh makes a new generation on request. While a client is attached it
// only checks that the source can be shown and arranges for the new generation
// to begin when the guest is reset, unless force says to begin it at once.
//
// A directory that takes writes waits for no reset: a guest whose writes have
// not arrived would lose them. archive puts these away.
func (e *export) refresh(ctx context.Context, r Request) (RefreshResult, error) {
	if e.fixed {
		return RefreshResult{Export: e.name, Generation: 1}, nil
	}
	e.making.Lock()
	defer e.making.Unlock()
	e.mu.Lock()
	wait, before := e.attached > 0 && !r.Force, e.number
	e.mu.Unlock()
	w, writes := e.source.(stack.Writing)
	var err error
	switch {
	case r.Archive && !writes:
		err = fmt.Errorf("%s: there is nothing to archive: it is not served with --rw", e.source.Path())
	case writes && wait:
		err = fmt.Errorf("%s: a client is attached: detach it, or say with --force that its guest was reset", e.source.Path())
	case writes:
		if r.Archive {
			w.Archive()
		}
		if err = w.Renewable(ctx); err != nil {
			err = fmt.Errorf("%s: %w", e.source.Path(), err)
			break
		}
		fallthrough
	case !wait:
		err = e.renew(ctx, "a refresh was asked for")
	default:
		err = e.rehearse(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && wait {
		e.pending = true
	}
	e.setWatch()
	return RefreshResult{e.name, e.number, e.number != before, e.pending, err != nil}, err
}

// rehearse finds out whether a new generation could be made now. The caller
// holds making.
func (e *export) rehearse(ctx context.Context) error {
	next, err := e.source.Generate(ctx, e.current, e.report)
	if err != nil {
		return fmt.Errorf("%s: the generation being served stays: %w", e.source.Path(), err)
	}
	if next != e.current {
		return next.Close()
	}
	return nil
}

// guestReset is called by the read that shows a reset guest. With several
// clients it does nothing: the read may be that of a tool which looks at the disk
// while a guest uses it.
func (e *export) guestReset() {
	e.making.Lock()
	defer e.making.Unlock()
	e.mu.Lock()
	due := (e.pending || e.policy.OnBootRead) && e.attached == 1
	e.mu.Unlock()
	if !due {
		return // or another read of the same reset was here first
	}
	e.renew(context.Background(), "the guest was reset")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setWatch()
}

// renew replaces the current generation by one of the source as it is now. If
// that fails the current one stays. The caller holds making.
func (e *export) renew(ctx context.Context, why string) error {
	next, err := e.source.Generate(ctx, e.current, e.report)
	if err == nil && next != e.current && next.Device.Size() != e.disk.Size() {
		err = errors.Join(errors.New("the new generation has another size"), next.Close())
	}
	// Not under mu: to close the old generation is to wait for its readers,
	// and they may have something to report.
	if err == nil && next != e.current && !e.disk.exchange(next) {
		err = errors.Join(fs.ErrClosed, next.Close())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.failure = &Failure{time.Now(), err.Error()}
		e.log.Error("no new generation: the old one stays", "reason", why, "error", err)
		return fmt.Errorf("%s: the generation being served stays: %w", e.source.Path(), err)
	}
	e.failure, e.pending, e.began = nil, false, e.clock()
	if next == e.current {
		return nil
	}
	e.current, e.shown = next, e.attached > 0
	e.number++
	e.changed = changedFiles{}
	e.log.Info("new generation", "number", e.number, "reason", why, "files", next.Facts.Files)
	return nil
}

// setWatch arranges for the reads that tell of a reset guest. The caller
// holds mu, or nobody else knows e.
func (e *export) setWatch() {
	if !e.pending && !e.policy.OnBootRead {
		e.disk.watch.Store(nil)
		return
	}
	if w := e.disk.watch.Load(); w != nil && w.always == !e.pending {
		return
	}
	w := &bootRead{always: !e.pending, clock: e.clock, reset: e.guestReset}
	w.lastRead.Store(int64(e.clock()))
	e.disk.watch.Store(w)
}

func (e *export) close() error { return e.disk.Close() }
