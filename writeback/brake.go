package writeback

import (
	"bytes"
	"encoding/gob"
	"fmt"

	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/plan"
)

// brake stops changes of the host when the guest seems to destroy its disk: a
// wiped FAT or root directory, another volume, or too many deletions since
// somebody last confirmed. The guest goes on, and its writes stay in the overlay.
type brake struct {
	brakeRecord
	reasons []string // why it is engaged; empty if it is not
	pending int      // deletions that wait for a confirmation
	lasting bool     // no confirmation helps: the disk is another one
}

// brakeRecord is what the brake remembers across restarts.
type brakeRecord struct {
	Deletes int      // deletions that reached the host since the last confirmation
	Allowed int      // deletions that were confirmed and have not reached the host yet
	Alarms  []string // alarms that were confirmed
}

func (b *brake) decode(p []byte) error {
	b.brakeRecord = brakeRecord{}
	return gob.NewDecoder(bytes.NewReader(p)).Decode(&b.brakeRecord)
}

// count adds the deletions that a commit carried out.
func (b *brake) count(d *plan.Delta) {
	for range d.Remove {
		if b.Allowed > 0 {
			b.Allowed--
			continue
		}
		b.Deletes++
	}
}

// engageBrake reports whether the changes of a result may not reach the host.
// The caller holds mu.
func (s *Session) engageBrake(res *diff.Result) bool {
	b := &s.brake
	deletes := 0
	for _, c := range res.Changes {
		if c.Kind == diff.Remove {
			deletes++
		}
	}
	var reasons []string
	b.lasting = false
	for _, a := range res.Alarms {
		if a.Foreign {
			b.lasting = true
		} else if b.confirmed(a.Text) {
			continue
		}
		reasons = append(reasons, a.Text)
	}
	limit := max(s.o.MaxDeletes, s.cat.Count()/10)
	if n := b.Deletes + deletes - b.Allowed; n > limit {
		reasons = append(reasons, fmt.Sprintf("%d deletions since the last confirmation; %d may be made without one", n, limit))
	}
	b.pending = deletes
	s.brakeLasts.Store(b.lasting)
	was := len(b.reasons) > 0
	b.reasons = reasons
	if len(reasons) == 0 {
		return false
	}
	s.state.braked(reasons, res, diff.NewPaths(s.cat, res.Changes), s.o.Now())
	if !was {
		s.event(Event{Kind: EventBrake, Text: fmt.Sprintf("changes of the host are suspended: %s; `fatkit confirm` lets them through", reasons[0])})
	}
	return true
}

func (b *brake) confirmed(alarm string) bool {
	for _, a := range b.Alarms {
		if a == alarm {
			return true
		}
	}
	return false
}
