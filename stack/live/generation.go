package live

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/fatkit/fatkit/block/file"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/vvfat"
	"github.com/fatkit/fatkit/writeback"
	"github.com/fatkit/fatkit/writeback/overlay"
	"github.com/fatkit/fatkit/writeback/statedir"
)

// spaceReserve is how much of a file system stays free beside the metadata of
// the disk, for journals and directories.
const spaceReserve = 64 << 20

// scan looks at the directory and lays out its disk, with the identity of prev if
// there is one.
func (d *Directory) scan(ctx context.Context, prev *vvfat.Layout, report func(stack.Event)) (*vvfat.Layout, stack.Facts, error) {
	began := time.Now()
	warnings := 0
	warn := func(w vvfat.Warning) {
		warnings++
		report(stack.Event{Kind: stack.Note, Path: w.Path, Text: w.Text})
	}
	scan := d.dir.Scan
	scan.Warn, scan.DOSAttributes = warn, true // what clients have set
	tree, err := vvfat.ScanHost(ctx, d.tree, scan)
	if err != nil {
		return nil, stack.Facts{}, err
	}
	o := d.dir.Layout
	o.Warn = warn
	if prev != nil {
		keep := prev.Identity()
		o.Keep = &keep
	}
	l, err := vvfat.NewLayout(tree, o)
	if err != nil {
		return nil, stack.Facts{}, err
	}
	return l, stack.Facts{
		Info: l.Info(), ESP: d.dir.Layout.ESP, Floppy: d.dir.Layout.FloppyKiB != 0,
		Warnings: warnings, Scanned: time.Now(), ScanTime: time.Since(began),
	}, nil
}

// begin begins a generation of the directory as it is now.
func (d *Directory) begin(ctx context.Context, prev *vvfat.Layout, report func(stack.Event)) (*stack.Generation, error) {
	l, facts, err := d.scan(ctx, prev, report)
	if err != nil {
		return nil, err
	}
	d.facts = facts
	if err := d.beginWith(l); err != nil {
		return nil, err
	}
	return d.run(ctx, l, report)
}

// beginWith makes the generation of a layout count, and removes the one before.
func (d *Directory) beginWith(l *vvfat.Layout) error {
	m := &statedir.Manifest{Layout: l, Scan: statedir.SettingsOf(d.dir.Scan)}
	g, err := d.state.Begin(m, func(_ hostfs.Dir, folder string) error {
		f, err := file.Create(d.state.Join(path.Join(folder, statedir.OverlayName)), 0, file.Options{Overwrite: true})
		if err != nil {
			return err
		}
		return errors.Join(overlay.Create(f, l.Size()), f.Close())
	})
	if err != nil {
		return fmt.Errorf("begin a generation in %s: %w", d.state.Path(), err)
	}
	d.gen = g
	return d.state.RemoveOld()
}

// run opens the session of the current generation.
func (d *Directory) run(ctx context.Context, l *vvfat.Layout, report func(stack.Event)) (*stack.Generation, error) {
	if d.facts.Scanned.IsZero() {
		d.facts = stack.Facts{Info: l.Info(), ESP: d.dir.Layout.ESP, Floppy: d.dir.Layout.FloppyKiB != 0, Scanned: time.Now()}
	}
	if err := d.gen.SetSettled(false); err != nil {
		return nil, err
	}
	o, err := d.sessionOptions(l, report)
	if err != nil {
		return nil, err
	}
	folder, err := d.state.Folder().OpenDir(d.gen.Folder())
	if err != nil {
		return nil, err
	}
	probe, err := d.aside.OpenDir(".")
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	features, err := hostfs.Probe(probe)
	if err = errors.Join(err, probe.Close()); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	image, err := file.Open(d.state.Join(d.gen.Overlay()), file.Options{Lock: true, WriteBehind: true})
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	s, err := writeback.Open(ctx, writeback.Place{
		Tree: d.tree, Aside: d.aside, Features: features, Journal: folder, Overlay: image, Layout: l,
		Generation: d.gen.Number,
	}, o)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	d.mu.Lock()
	d.session, d.noTrims = s, false
	d.mu.Unlock()
	d.trim(report)
	end := func() error { return errors.Join(d.end(s), folder.Close()) }
	return stack.NewGeneration(s.Disk(), l, d.facts, end), nil
}

// sessionOptions completes the options of a session.
func (d *Directory) sessionOptions(l *vvfat.Layout, report func(stack.Event)) (writeback.Options, error) {
	o := d.o.Options
	o.Event = func(e writeback.Event) {
		if e.Kind == writeback.EventCommit {
			d.trim(report)
		}
		report(event(e))
	}
	if err := d.state.LoadJSON(trashName, &o.Trash); err != nil {
		return o, err
	}
	o.Disk = d.dir.Disk
	o.Disk.Event = func(e vvfat.Event) {
		report(stack.Event{Kind: stack.Changed, Path: e.Path, Text: "reads fail: " + e.Err.Error()})
	}
	folder := d.state.Folder()
	free := freeBytes(folder)
	now, err := free()
	if err != nil {
		return o, err
	}
	o.Overlay = overlay.Options{
		LimitBytes: d.o.OverlayLimit, ReserveBytes: min(spaceReserve+writeback.MetadataBytes(l), now/16), FreeBytes: free,
		TempDir: d.state.Path(), Unclean: d.last.Unclean,
	}
	if d.place.InTree { // on another file system than the state folder
		o.Overlay.CarryFree = freeBytes(d.tree)
	}
	if o.Overlay.LimitBytes == 0 {
		st, err := folder.Stat(d.gen.Overlay())
		if err != nil {
			return o, err
		}
		o.Overlay.LimitBytes = now/2 + st.Size
	}
	return o, nil
}

// freeBytes returns a function that says how much room a file system has.
func freeBytes(w hostfs.Writable) func() (int64, error) {
	return func() (int64, error) {
		u, err := w.Usage()
		return u.FreeBytes, err
	}
}

// event translates what a session tells.
func event(e writeback.Event) stack.Event {
	kind := stack.Progress
	switch e.Kind {
	case writeback.EventDryRun:
		kind = stack.Note // it is what the server was started for
	case writeback.EventConflict, writeback.EventBrake, writeback.EventFailed:
		kind = stack.Alarm
	}
	return stack.Event{Kind: kind, Path: e.Path, Text: e.Text}
}

// end ends a session when its device is no longer used. If nothing took its
// place meanwhile, the directory is no longer served.
func (d *Directory) end(s *writeback.Session) error {
	d.making.Lock()
	defer d.making.Unlock()
	if d.current() != s {
		return nil // renew has ended it
	}
	err := d.endSession()
	d.closed = true
	if err == nil {
		err = d.state.Leave(d.boot, time.Now())
	}
	return errors.Join(err, d.release())
}

// endSession closes the session and notes whether its generation is settled.
// The caller holds making.
func (d *Directory) endSession() error {
	s := d.current()
	err := s.Sync(context.Background())
	if errors.Is(err, writeback.ErrPending) {
		err = nil
	}
	d.endTrims()
	status, settled, trash := d.WriteStatus(), settled(s), s.Trash()
	err = errors.Join(err, s.Close(context.Background()))
	d.mu.Lock()
	d.session, d.final = nil, status
	d.mu.Unlock()
	if err == nil {
		err = d.state.SaveJSON(trashName, trash)
	}
	if err != nil || !settled {
		return err
	}
	return d.gen.SetSettled(true)
}

// settled reports whether a new generation may begin. A disk that nobody wrote
// to, in this run or an earlier one, is as clean as it was made. A dry run carries nothing out.
func settled(s *writeback.Session) bool {
	st := s.Status()
	return st.Overlay.UsedBytes == 0 || !st.DryRun && s.Settled()
}

// current returns the session, or nil.
func (d *Directory) current() *writeback.Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session
}

// Renewable implements stack.Writing.
func (d *Directory) Renewable(ctx context.Context) error {
	d.mu.Lock()
	s, archive := d.session, d.archive
	d.mu.Unlock()
	if s == nil || archive {
		return nil
	}
	if err := s.Sync(ctx); err != nil && !errors.Is(err, writeback.ErrPending) {
		return err
	}
	if settled(s) {
		return nil
	}
	if st := s.Status(); len(st.Pending) > 0 || len(st.Brake) > 0 {
		return errors.New("changes of the guest have not all arrived: `fatkit status` says which, and --archive puts them away")
	}
	return errors.New("the guest has not marked the volume clean: let it unmount the disk, or put its changes away with --archive")
}

// renew begins a new generation in place of prev, if it may.
func (d *Directory) renew(ctx context.Context, prev *stack.Generation, report func(stack.Event)) (*stack.Generation, error) {
	if err := d.Renewable(ctx); err != nil {
		return prev, nil
	}
	session := d.current()
	if session == nil {
		return nil, errEnded
	}
	old := session.Layout()
	l, facts, err := d.scan(ctx, old, report)
	if err != nil {
		return nil, err
	}
	if l.Equal(old) && session.Status().Overlay.Writes == 0 {
		return prev, nil
	}
	// From here on there is no way back to the old session: its last commit is
	// made, and nobody uses its disk.
	if err := d.endSession(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	archive := d.archive
	d.archive = false
	d.mu.Unlock()
	if archive {
		if _, err := d.state.Archive(time.Now()); err != nil {
			return nil, err
		}
	}
	d.admitAll()
	d.facts = facts
	if err := d.beginWith(l); err != nil {
		return nil, err
	}
	return d.run(ctx, l, report)
}
