package writeback

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"time"

	"github.com/fatkit/fatkit/internal/journal"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/plan"
)

// The records of a session's journal. An intent is followed by its completion
// before anything else is recorded, unless a crash came between.
const (
	recordIntent     journal.Type = iota + 1 // apply.Plan
	recordCompletion                         // apply.Results, with a plan.Delta as the payload
	recordCheckpoint                         // checkpoint: all that was recorded before
	recordDelta                              // plan.Delta, of changes that touched no host object
	recordConfirm                            // the brake was released
	recordClosed                             // diff.Memory, of a session that ended in order
	recordOpened                             // the next session has begun: the memory holds no more
	recordSeen                               // seenRecord, of a comparison
)

// checkpoint stands for all records before it.
type checkpoint struct {
	Delta plan.Delta // that makes a fresh catalog what it is
	Epoch uint64
	Brake brakeRecord
}

// replay reads the journal: the catalog and the state are then what the last
// session had committed. It returns the plan that has no completion.
func (s *Session) replay() (open *apply.Plan, err error) {
	s.journal, err = journal.Open(s.place.Journal, journalName, func(r journal.Record) error {
		if err := s.replayRecord(r, &open); err != nil {
			return fmt.Errorf("journal record %d: %w", r.Seq, err)
		}
		return nil
	})
	return open, err
}

func (s *Session) replayRecord(r journal.Record, open **apply.Plan) error {
	s.memory = nil
	switch r.Type {
	case recordOpened:
		return nil
	case recordClosed:
		m, err := decodeMemory(r.Payload)
		s.memory = m
		return err
	case recordSeen:
		var seen seenRecord
		if err := gob.NewDecoder(bytes.NewReader(r.Payload)).Decode(&seen); err != nil {
			return err
		}
		s.seen.take(&seen)
		return nil
	case recordIntent:
		p, err := apply.DecodePlan(r.Payload)
		if err != nil {
			return err
		}
		*open, s.epoch = p, p.Epoch
		return nil
	case recordCompletion:
		d, _, err := recordedDelta(r)
		if err != nil {
			return err
		}
		*open = nil
		s.brake.count(d)
		s.state.freed = d.Freed
		return s.takeDelta(d)
	case recordDelta: // given up, or of the root: no deletion that reached the host
		d, _, err := recordedDelta(r)
		if err != nil {
			return err
		}
		return s.takeDelta(d)
	case recordConfirm:
		return s.brake.decode(r.Payload)
	case recordCheckpoint:
		var c checkpoint
		if err := gob.NewDecoder(bytes.NewReader(r.Payload)).Decode(&c); err != nil {
			return err
		}
		s.epoch, s.brake.brakeRecord, s.state.freed = c.Epoch, c.Brake, c.Delta.Freed
		return s.takeDelta(&c.Delta)
	}
	return fmt.Errorf("its type %d is unknown: a newer fatkit wrote it", r.Type)
}

// recordedDelta returns the delta of a record, or nil if it is of a type that has
// none. whole says that it stands for all records before.
func recordedDelta(r journal.Record) (d *plan.Delta, whole bool, err error) {
	payload := r.Payload
	switch r.Type {
	case recordCheckpoint:
		var c checkpoint
		err := gob.NewDecoder(bytes.NewReader(payload)).Decode(&c)
		return &c.Delta, true, err
	case recordCompletion:
		if _, payload, err = apply.DecodeResults(payload); err != nil {
			return nil, false, err
		}
	case recordDelta:
	default:
		return nil, false, nil
	}
	d, err = plan.DecodeDelta(payload)
	return d, false, err
}

// takeDelta makes a recorded commit part of the catalog and of the state.
func (s *Session) takeDelta(d *plan.Delta) error {
	s.state.replayed(d)
	return applyDelta(s.cat, d)
}

// finishOpen completes the commit that a crash interrupted.
func (s *Session) finishOpen(ctx context.Context, p *apply.Plan) error {
	prospects, err := plan.DecodeNote(p.Note)
	if err != nil {
		return err
	}
	s.where.expect(prospects, p.Epoch)
	s.stuck = &stuck{plan: p, prospects: prospects, began: time.Now()}
	return s.finishStuck(ctx)
}

// source gives what a patched file holds on the guest's disk now.
func (s *Session) source(prospects []plan.Prospect) apply.Source {
	return func(tag uint64) io.ReaderAt {
		for i := range prospects {
			if p := &prospects[i]; p.Tag == tag {
				return plan.NewContent(s.disk, &s.popts, p.Object.Chain, p.Object.Size())
			}
		}
		return nil
	}
}

// compactBytes is the size from which on the journal is replaced by a
// checkpoint, if that is smaller by much.
const compactBytes = 8 << 20

// compact replaces the journal by a checkpoint once it has grown. The caller
// holds mu, and no commit is open.
func (s *Session) compact() error {
	if s.journal.Size() < compactBytes || s.journal.Size() < 4*s.state.checkpointBytes {
		return nil
	}
	return s.writeCheckpoint()
}

func (s *Session) writeCheckpoint() error {
	c := checkpoint{Epoch: s.epoch, Brake: s.brake.brakeRecord}
	s.cat.Held(
		func(o *catalog.Object) { c.Delta.Put = append(c.Delta.Put, *o) },
		func(id catalog.ID) { c.Delta.Remove = append(c.Delta.Remove, id) })
	s.state.checkpoint(&c.Delta)
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&c); err != nil {
		return err
	}
	seen, err := s.seen.records()
	if err != nil {
		return err
	}
	records := append([]journal.Record{{Type: recordCheckpoint, Payload: b.Bytes()}}, seen...)
	s.state.checkpointBytes = 0
	for _, r := range records {
		s.state.checkpointBytes += int64(len(r.Payload))
	}
	return s.journal.Compact(records)
}
