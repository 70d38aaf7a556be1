package shell

import (
	"time"

	"github.com/fatkit/fatkit/vfs"
)

// meterDelay is how long a command runs before its progress is shown.
const meterDelay = 500 * time.Millisecond

// meter shows how far a command has come that copies. Where nobody sits at a
// terminal it does nothing.
type meter struct {
	call    *call
	what    string
	sources []string // paths of all that is to be copied
	begun   time.Time
	bar     Progress
	before  int64 // bytes of the copies that have ended
	total   int64 // bytes of the sources
}

// progress returns what a copy reports to, or nil.
func (m *meter) progress() func(vfs.Tally) {
	if m.call.editor == nil || m.call.options.Progress == nil {
		return nil
	}
	return func(now vfs.Tally) {
		if time.Since(m.begun) < meterDelay {
			return
		}
		if m.bar == nil {
			m.begin()
		}
		done := m.before + now.Bytes
		m.bar.Update(done, max(m.total, done))
	}
}

// begin looks how much there is to copy, which a short command does without.
func (m *meter) begin() {
	m.bar = m.call.options.Progress(m.what)
	for _, path := range m.sources {
		l, err := m.call.ns.Locate(path)
		if err != nil || l.Volume() == nil {
			continue // the copy will tell
		}
		t, err := vfs.Measure(m.call.ctx, l.Volume(), l.Name(), nil)
		if err == nil {
			m.total += t.Bytes
		}
	}
}

// add counts a copy that has ended.
func (m *meter) add(done vfs.Tally) { m.before += done.Bytes }

// pause takes the progress off the screen, on which something else is to appear.
func (m *meter) pause() {
	if m.bar != nil {
		m.bar.Finish()
	}
}
