package writeback

import (
	"fmt"

	"github.com/fatkit/fatkit/writeback/diff"
	"github.com/fatkit/fatkit/writeback/plan"
)

// EventKind tells events apart.
type EventKind uint8

// The kinds of events.
const (
	EventCommit   EventKind = iota + 1 // changes reached the host
	EventConflict                      // host and guest changed the same object
	EventBrake                         // changes of the host are suspended
	EventFailed                        // a commit failed, and will be tried again
	EventDryRun                        // a change that was not made
)

// Event is something that happened.
type Event struct {
	Kind EventKind
	Path string // on the guest's disk; "" if no single object is meant
	Text string
}

func (s *Session) event(e Event) { s.o.Event(e) }

// tell reports what a commit did.
func (s *Session) tell(d *plan.Delta) {
	s.event(Event{Kind: EventCommit, Text: fmt.Sprintf("%d changed, %d removed, %d to be tried again", len(d.Put), len(d.Remove), len(d.Failed))})
	for i := range d.Conflicts {
		item := conflictItem(&d.Conflicts[i])
		text := item.Text
		if item.Saved != "" {
			text += "; the guest's version is " + item.Saved
		}
		s.event(Event{Kind: EventConflict, Path: item.Path, Text: text})
	}
}

// tellDryRun reports what a commit would have done.
func (s *Session) tellDryRun(res *diff.Result) {
	paths := diff.NewPaths(s.cat, res.Changes)
	for _, c := range res.Changes {
		e := Event{Kind: EventDryRun, Path: paths.Of(c), Text: "not carried out: " + c.Kind.String()}
		if c.Moved() {
			e.Text = "not carried out: its name was " + s.cat.GuestPath(c.ID)
		}
		s.event(e)
	}
}
