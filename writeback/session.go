package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/journal"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/overlay"
	"github.com/fatkit/fatkit/writeback/plan"
)

// Options say when and how a session writes back. The zero value stands for
// the defaults.
type Options struct {
	// Settle is the quiet after which a commit is made; 0 means DefaultSettle.
	// With a negative one commits are made only when somebody asks.
	Settle     time.Duration
	MaxAge     time.Duration // longest time until a commit; 0 means DefaultMaxAge
	MaxDeletes int           // deletions that engage the brake; 0 means DefaultMaxDeletes
	ShortNames plan.ShortNames
	// DryRun plans and reports, and changes nothing on the host.
	DryRun bool
	// Overlay is for the guest's disk. IsMetadata, MetadataBytes, Charge and
	// OnWrite are the session's.
	Overlay overlay.Options
	// Disk is for the base. Locate is the session's.
	Disk vvfat.DiskOptions
	// Event is told what happens. It must not block, and is called from one
	// goroutine at a time.
	Event func(Event)
	// Trash is what the trash held when the generation before this one ended.
	// What is not there any more is left out.
	Trash []TrashItem
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// The defaults.
const (
	DefaultSettle     = time.Second
	DefaultMaxAge     = 30 * time.Second
	DefaultMaxDeletes = 100
)

func (o *Options) complete() {
	if o.Settle == 0 {
		o.Settle = DefaultSettle
	}
	if o.MaxAge <= 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxDeletes <= 0 {
		o.MaxDeletes = DefaultMaxDeletes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
}

// Place is where a session keeps its things. The overlay belongs to the session
// once Open has returned without an error; the others must stay open until
// Close.
type Place struct {
	Tree     hostfs.Writable // the shared directory
	Aside    hostfs.Writable // the folder for what lies aside of it, on the same file system
	Features hostfs.Features // of the file system that both are on
	Journal  hostfs.Dir      // the folder of the journal
	Overlay  block.Device    // the image of what the guest wrote, from overlay.Create
	Layout   *vvfat.Layout   // the base, as the manifest has it
	// FSID is that of the file system of Tree when the generation began
	// (hostfs.Usage); 0 if that is not known.
	FSID uint64
	// Generation is the number of the generation. Names in the aside folder
	// hold it, so that they are never used twice.
	Generation uint64
}

// journalName is the name of the journal in its folder.
const journalName = "journal"

// Session carries what a guest writes to the disk of one generation into the
// host's tree. Disk is the guest's side; the other methods are for who runs it.
// All may be called concurrently.
type Session struct {
	o     Options
	place Place

	base    *vvfat.Disk
	disk    *overlay.Disk
	where   whereabouts
	space   space
	journal *journal.Journal

	// mu is held by a commit and by what changes the same things.
	mu      sync.Mutex
	cat     *catalog.Catalog
	differ  *diff.Differ
	exec    *apply.Executor
	builder *plan.Builder
	popts   plan.Options
	epoch   uint64
	stuck   *stuck       // a commit that was begun and must be completed first
	memory  *diff.Memory // of the session before, if it ended in order; until resume
	seen    seen
	recheck bool // the next comparison looks at what was not seen before a crash
	brake   brake
	closed  bool

	busy       atomic.Bool // the guest says by the FAT that it is writing
	brakeLasts atomic.Bool

	state state // what Status tells
	loop  loop
}

// stuck is a commit whose intent is on record, and its completion is not.
type stuck struct {
	plan      *apply.Plan
	prospects []plan.Prospect
	result    *diff.Result // nil after a restart
	epoch     *overlay.Epoch
	began     time.Time
}

// Open begins or resumes the session of a generation. A commit that a crash
// interrupted is completed first.
func Open(ctx context.Context, p Place, o Options) (*Session, error) {
	o.complete()
	s := &Session{o: o, place: p, cat: catalog.New(catalog.FromLayout(p.Layout, p.FSID))}
	s.state.init()
	s.seen.pieces = piecesOf(p.Layout)
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.closeAll())
	}
	s.loop.start(s)
	return s, nil
}

// begin opens what the session stands on, in the state in which the last one left
// it, and completes what that had begun.
func (s *Session) begin(ctx context.Context) error {
	open, err := s.replay()
	if err != nil {
		return err
	}
	s.where.init(&s.place, s.place.Layout)
	s.where.set(s.cat, &s.state)
	disk := s.o.Disk
	disk.Locate = s.where.locate
	s.base = vvfat.NewDisk(s.place.Layout, disk)
	if err := s.openOverlay(ctx); err != nil {
		return err
	}
	if err := s.openEngines(open != nil); err != nil {
		return err
	}
	if open != nil {
		if err := s.finishOpen(ctx, open); err != nil {
			return fmt.Errorf("complete the commit that was interrupted: %w", err)
		}
	}
	if err := s.resume(ctx); err != nil {
		return err
	}
	if err := s.exec.Sweep(); err != nil {
		return err
	}
	return s.inheritTrash()
}

// openOverlay opens the guest's disk.
func (s *Session) openOverlay(ctx context.Context) error {
	o := s.o.Overlay
	s.space.init(s.place.Layout, s.place.Features.Reflink)
	o.IsMetadata, o.MetadataBytes = s.space.isMetadata, s.space.metadataBytes()
	if !s.o.DryRun {
		o.Charge = s.space.charge
	}
	disk, err := overlay.Open(ctx, s.place.Overlay, s.base, o)
	s.disk = disk
	return err
}

// openEngines makes what compares, plans and applies. interrupted says that an
// intent has no completion.
func (s *Session) openEngines(interrupted bool) error {
	exec, err := apply.New(apply.Config{
		Tree: s.place.Tree, Aside: s.place.Aside, Features: s.place.Features,
		Generation: s.place.Generation,
		Journal:    s.journal, Intent: recordIntent, Completion: recordCompletion, Open: interrupted,
	})
	if err != nil {
		return err
	}
	s.exec = exec
	l := s.place.Layout
	s.popts = plan.Options{
		Tree: s.place.Tree, Geometry: l.Geometry(), Volume: l.VolumeOffset(), Location: l.Location(), CodePage: l.CodePage(), Generation: s.place.Generation,
		BaseNodes: catalog.ID(l.Nodes()), ShortNames: s.o.ShortNames, Xattrs: s.place.Features.UserXattr, Now: s.o.Now,
	}
	s.builder = plan.NewBuilder(s.cat, exec, s.popts)
	s.builder.SetFreed(s.state.freed)
	d, err := s.diffOptions()
	if err != nil {
		return err
	}
	s.differ = diff.New(s.cat, d)
	return nil
}

// diffOptions describes the disk as the generation began.
func (s *Session) diffOptions() (diff.Options, error) {
	l := s.place.Layout
	o := diff.Options{Geometry: l.Geometry(), Volume: l.VolumeOffset(), CodePage: l.CodePage(), Serial: l.Identity().Serial}
	if o.Volume > 0 {
		sector := make([]byte, fatfmt.BootSectorBytes)
		if _, err := s.base.ReadAt(sector, 0); err != nil {
			return o, err
		}
		o.Partitions = sector[diff.PartitionsOff:diff.PartitionsEnd]
	}
	return o, nil
}

// Disk returns the disk that the guest reads and writes. It must not be closed
// but by Close.
func (s *Session) Disk() block.Device { return s.disk }

// Layout returns the layout of the base.
func (s *Session) Layout() *vvfat.Layout { return s.place.Layout }

// Close commits what can be, ends the session and closes journal and overlay.
// What the guest wrote and is not on the host yet stays in the overlay for the
// next Open. No call on Disk may be under way.
func (s *Session) Close(ctx context.Context) error {
	s.loop.stop()
	err := s.Sync(ctx)
	if errors.Is(err, ErrPending) {
		err = nil // Status has told; the caller asks before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err == nil {
		err = s.recordClose()
	}
	return errors.Join(err, s.closeAll())
}

// closeAll closes what is open.
func (s *Session) closeAll() error {
	var errs []error
	if s.stuck != nil && s.stuck.epoch != nil {
		errs = append(errs, s.stuck.epoch.Abort())
	}
	var closers []io.Closer
	switch {
	case s.disk != nil:
		closers = append(closers, s.disk) // and with it the base
	case s.base != nil:
		closers = append(closers, s.base)
	}
	if s.exec != nil {
		closers = append(closers, s.exec)
	}
	if s.journal != nil {
		closers = append(closers, s.journal)
	}
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// ErrPending says that something the guest wrote is not on the host.
var ErrPending = errors.New("changes of the guest are pending")

// Abandon ends the session as a crash of the process does: nothing is committed,
// flushed or marked. It is for tests.
func (s *Session) Abandon() {
	s.loop.stop()
}
