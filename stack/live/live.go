package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/writeback"
	"github.com/fatkit/fatkit/writeback/statedir"
)

// Options say how a directory takes writes. The zero value stands for the
// defaults of package writeback.
type Options struct {
	State             string // the state folder; "" is the usual one
	Fresh             bool   // archive what an earlier server left, and begin anew
	ResumeUnflushed   bool   // admit clients of other hosts after a reboot
	KeepGeneration    bool   // begin no new generation by itself
	OverlayLimit      int64  // bytes; 0 means half of the free space
	TrashLimit        int64  // bytes; 0 means DefaultTrashLimit
	RemoveDeleted     bool   // deleted files are removed, not moved to the trash
	writeback.Options        // Overlay, Disk and Event are this package's
}

// DefaultTrashLimit is how much the trash may hold.
const DefaultTrashLimit = 10 << 30

// Directory is a directory that takes writes.
type Directory struct {
	dir *stack.Directory
	o   Options

	// making is held while a generation begins or ends, and guards what
	// follows. It is taken before mu.
	making sync.Mutex
	state  *statedir.Dir
	tree   *hostfs.Root
	aside  *hostfs.Root
	place  statedir.Aside
	boot   string
	last   statedir.Last
	gen    *statedir.Generation
	facts  stack.Facts
	closed bool

	// mu guards what follows. It is never held for long.
	mu      sync.Mutex
	session *writeback.Session // nil before the first generation and after the last
	path    string             // of the state folder
	refuse  bool               // clients of other hosts
	archive bool               // the next generation begins whatever waits
	final   stack.WriteStatus  // when there is no session any more
	trims   sync.WaitGroup     // of the trash that are under way
	trimmed bool               // one is
	noTrims bool               // the session is about to end
}

var (
	_ stack.Source  = (*Directory)(nil)
	_ stack.Writing = (*Directory)(nil)
)

// New returns the directory dir, which takes writes.
func New(dir *stack.Directory, o Options) *Directory { return &Directory{dir: dir, o: o} }

// Path implements stack.Source.
func (d *Directory) Path() string { return d.dir.Path() }

// BaseName implements stack.Source.
func (d *Directory) BaseName() string { return d.dir.BaseName() }

// Generate implements stack.Source. With prev it begins a new generation if
// Renewable says that it may, and else returns prev.
func (d *Directory) Generate(ctx context.Context, prev *stack.Generation, report func(stack.Event)) (*stack.Generation, error) {
	d.making.Lock()
	defer d.making.Unlock()
	if d.closed {
		return nil, errors.New("the directory is no longer served")
	}
	if prev != nil {
		return d.renew(ctx, prev, report)
	}
	if err := d.open(report); err != nil {
		return nil, errors.Join(err, d.release())
	}
	g, err := d.first(ctx, report)
	if err != nil {
		return nil, errors.Join(err, d.release())
	}
	return g, nil
}

// open opens the state folder and what is to be had of the directory.
func (d *Directory) open(report func(stack.Event)) (err error) {
	if d.state, err = statedir.Open(d.dir.Dir, statedir.Options{Path: d.o.State, Elsewhere: d.o.Fresh}); err != nil {
		return err
	}
	if d.tree, err = hostfs.OpenRoot(d.dir.Dir); err != nil {
		return err
	}
	d.boot = statedir.BootID()
	if d.o.Fresh {
		err := d.listTrash(report)
		if err == nil {
			_, err = d.state.Archive(time.Now())
		}
		if err != nil {
			return fmt.Errorf("archive the state in %s: %w", d.state.Path(), err)
		}
	}
	if d.last, err = d.state.Enter(d.boot, time.Now()); err != nil {
		return err
	}
	d.mu.Lock()
	d.path, d.refuse = d.state.Path(), d.last.Rebooted && !d.o.ResumeUnflushed
	d.mu.Unlock()
	if d.place, err = d.state.Aside(d.tree); err != nil {
		return err
	}
	path := d.state.Join(d.place.Path)
	if d.place.InTree {
		path = d.dir.Dir + string(os.PathSeparator) + d.place.Path
	}
	d.aside, err = hostfs.OpenRoot(path)
	return err
}

// first resumes the generation that an earlier server left, or begins one.
func (d *Directory) first(ctx context.Context, report func(stack.Event)) (*stack.Generation, error) {
	g, err := d.state.Current()
	if err != nil {
		return nil, err
	}
	if g == nil {
		d.admitAll()
		return d.begin(ctx, nil, report)
	}
	m, err := g.Manifest(d.tree)
	if err != nil {
		return nil, d.explain(err)
	}
	settled, err := g.Settled()
	if err != nil {
		return nil, err
	}
	flag := m.Differs(d.dir.Layout, d.dir.Scan)
	if settled && !d.o.KeepGeneration {
		d.admitAll()
		if flag != "" {
			return d.begin(ctx, nil, report) // another disk, as was asked for
		}
		return d.begin(ctx, m.Layout, report)
	}
	if flag != "" {
		return nil, fmt.Errorf("%s: guests have written to its disk, and %s would make that another disk: start with the options as they were, or with --fresh, which archives what they wrote (%s)",
			d.dir.Dir, flag, d.state.Path())
	}
	d.gen = g
	report(stack.Event{Kind: stack.Progress, Text: "the disk is the one that the server before presented"})
	return d.run(ctx, m.Layout, report)
}

// admitAll notes that nothing that any client has seen can be missing.
func (d *Directory) admitAll() {
	d.last = statedir.Last{}
	d.mu.Lock()
	d.refuse = false
	d.mu.Unlock()
}

// explain adds the way out to an error of a manifest.
func (d *Directory) explain(err error) error {
	return fmt.Errorf("%s: the disk cannot be presented as it was: %w: use the program that made it, or --fresh, which archives what guests wrote (%s)",
		d.dir.Dir, err, d.state.Path())
}

// release closes what is open. The caller holds making.
func (d *Directory) release() error {
	var errs []error
	if d.aside != nil {
		errs = append(errs, d.aside.Close())
	}
	if d.tree != nil {
		errs = append(errs, d.tree.Close())
	}
	if d.state != nil {
		errs = append(errs, d.state.Close())
	}
	d.aside, d.tree, d.state = nil, nil, nil
	return errors.Join(errs...)
}
