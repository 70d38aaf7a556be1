package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/overlay"
	"github.com/fatkit/fatkit/writeback/plan"
)

// commit brings the host's tree to what the guest has now, as far as that is
// complete. settled says that no more is to be expected of the guest. The
// caller holds mu.
//
//	freeze   one moment of the overlay, durable
//	diff     what the guest meant
//	brake    too much of it?
//	plan     staged files, durable
//	execute  intent, operations, completion
//	settle   catalog, whereabouts, status
func (s *Session) commit(ctx context.Context, settled bool) error {
	if err := s.finishStuck(ctx); err != nil {
		return err
	}
	if _, err := s.journal.Reopen(); err != nil {
		return err
	}
	began := time.Now()
	e, err := s.disk.Freeze(ctx)
	if err != nil {
		return err
	}
	res, err := s.compare(e, settled)
	if err != nil {
		return errors.Join(err, e.Abort())
	}
	s.state.seen(res, s.popts.Label(res.Label))
	s.busy.Store(res.Busy)
	if s.engageBrake(res) || s.o.DryRun {
		err := s.leave(res)
		if s.o.DryRun {
			s.tellDryRun(res)
		}
		return errors.Join(err, s.endEpoch(e))
	}
	if len(res.Changes) == 0 {
		return errors.Join(s.leave(res), s.endEpoch(e))
	}
	return s.carryOut(ctx, began, e, res)
}

// compare finds out what the guest did up to an epoch.
func (s *Session) compare(e *overlay.Epoch, settled bool) (*diff.Result, error) {
	ranges, err := e.Written(nil), error(nil)
	if s.recheck {
		ranges, err = s.seen.unseen(e)
	}
	if err != nil {
		return nil, err
	}
	var written []diff.Range
	for _, r := range ranges {
		written = append(written, diff.Range(r))
	}
	res, err := s.differ.Diff(diff.View{ReaderAt: e, Written: written, Settled: settled})
	s.recheck = s.recheck && err != nil
	if err == nil && res.RootChain != nil {
		err = s.growRoot(res.RootChain)
	}
	return res, err
}

// growRoot gives the root directory other clusters in the catalog. It has no entry
// whose change would be carried out, and there is nothing to do on the host.
func (s *Session) growRoot(chain []catalog.Extent) error {
	root, err := s.cat.Get(catalog.Root)
	if err != nil {
		return err
	}
	o := *root
	o.Chain = chain
	d := plan.Delta{Put: []catalog.Object{o}}
	if err := s.append(recordDelta, d.Encode()); err != nil {
		return err
	}
	return applyDelta(s.cat, &d)
}

// leave tells the Differ that nothing of a result was done.
func (s *Session) leave(res *diff.Result) error {
	s.owe(res, nil)
	return s.differ.Commit(res, func(*diff.Change) diff.Outcome { return diff.Outcome{} })
}

// carryOut plans and executes the changes of a result.
func (s *Session) carryOut(ctx context.Context, began time.Time, e *overlay.Epoch, res *diff.Result) error {
	s.epoch++
	p, err := s.builder.Build(ctx, s.epoch, e, res.Changes)
	if err != nil {
		s.state.failed(err, s.o.Now())
		return errors.Join(fmt.Errorf("prepare the changes of the host: %w", err), s.leave(res), s.endEpoch(e))
	}
	s.state.refused(p.Refused)
	if len(p.Prospects) == 0 {
		return errors.Join(s.leave(res), s.endEpoch(e))
	}
	s.where.expect(p.Prospects, p.Epoch)
	s.stuck = &stuck{plan: &p.Plan, prospects: p.Prospects, result: res, epoch: e, began: began}
	var delta *plan.Delta
	_, err = s.exec.Execute(ctx, &p.Plan, func(r apply.Results) []byte {
		delta = s.delta(&p.Plan, p.Prospects, r)
		return delta.Encode()
	})
	if err != nil && !errors.Is(err, apply.ErrOpen) {
		s.stuck = nil
		s.where.settle(&plan.Delta{})
		s.state.failed(err, s.o.Now())
		return errors.Join(err, s.leave(res), s.endEpoch(e))
	}
	if err != nil {
		s.state.failed(err, s.o.Now())
		return err
	}
	return s.settle(delta)
}

// delta returns what results make of the catalog.
func (s *Session) delta(p *apply.Plan, prospects []plan.Prospect, r apply.Results) *plan.Delta {
	return plan.NewDelta(p, prospects, r, int(s.place.Layout.Nodes()), s.o.Now())
}

// finishStuck completes the commit that was begun, if there is one.
func (s *Session) finishStuck(ctx context.Context) error {
	if s.stuck == nil {
		return nil
	}
	k := s.stuck
	var delta *plan.Delta
	_, err := s.exec.Recover(ctx, k.plan, s.source(k.prospects), func(r apply.Results) []byte {
		delta = s.delta(k.plan, k.prospects, r)
		return delta.Encode()
	})
	if err != nil {
		s.state.failed(err, s.o.Now())
		return fmt.Errorf("complete a commit: %w", err)
	}
	return s.settle(delta)
}

// settle takes over what a commit has done: the catalog, and what stands on it.
func (s *Session) settle(d *plan.Delta) error {
	k := s.stuck
	s.stuck = nil
	s.where.settle(d)
	err := s.record(d, k.result)
	if k.epoch != nil {
		err = errors.Join(err, s.endEpoch(k.epoch))
	}
	s.builder.SetFreed(d.Freed)
	s.state.committed(d, k.prospects, s.o.Now(), time.Since(k.began))
	s.brake.count(d)
	s.dropKept(d)
	s.tell(d)
	return errors.Join(err, s.compact())
}

// record brings the catalog up to date. Without a result, after a restart, the
// next comparison finds by itself what remains to be done.
func (s *Session) record(d *plan.Delta, res *diff.Result) error {
	if res == nil {
		return applyDelta(s.cat, d)
	}
	put := map[catalog.ID]*catalog.Object{}
	for i := range d.Put {
		put[d.Put[i].ID] = &d.Put[i]
	}
	removed := map[catalog.ID]bool{}
	for _, id := range d.Remove {
		removed[id] = true
	}
	done := func(c *diff.Change) bool {
		_, failed := d.Failed[c.ID]
		return !failed && (put[c.ID] != nil || removed[c.ID])
	}
	s.owe(res, done)
	return s.differ.Commit(res, func(c *diff.Change) diff.Outcome { return diff.Outcome{Done: done(c), Object: put[c.ID]} })
}

// applyDelta brings a catalog up to date with a recorded commit.
func applyDelta(c *catalog.Catalog, d *plan.Delta) error {
	for i := range d.Put {
		o := d.Put[i]
		if err := c.Put(&o); err != nil {
			return err
		}
	}
	for _, id := range d.Remove {
		if err := c.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

// dropKept removes displaced inodes that nobody needs: a commit had made them,
// so the base does not serve them. One that a host program may still write to
// stays until the generation ends.
func (s *Session) dropKept(d *plan.Delta) {
	for _, k := range d.Kept {
		if k.ID == catalog.Root && !k.Stays {
			// What cannot be removed now goes with the generation.
			_, _ = s.exec.Drop(apply.Object{At: apply.Place{Dir: apply.Kept, Name: k.Name}, ID: k.Inode})
		}
	}
}
