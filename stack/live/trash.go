package live

import (
	"math"

	"github.com/fatkit/fatkit/stack"
)

// trashName is the file of the state folder that lists what the trash held when
// the last session ended.
const trashName = "trash.json"

// trashLimit is how many bytes the trash may hold; -1 says that it is to hold no
// files.
func (d *Directory) trashLimit() int64 {
	switch {
	case d.o.RemoveDeleted:
		return -1
	case d.o.TrashLimit == 0:
		return DefaultTrashLimit
	case d.o.TrashLimit < 0:
		return math.MaxInt64
	}
	return d.o.TrashLimit
}

// trim brings the trash within its limit. It does not wait for that: it is
// called while the session commits.
func (d *Directory) trim(report func(stack.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.session
	if s == nil || d.trimmed || d.noTrims {
		return
	}
	d.trimmed = true
	d.trims.Go(func() {
		_, _, err := s.TrimTrash(d.trashLimit())
		if err != nil {
			report(stack.Event{Kind: stack.Alarm, Text: "the trash cannot be kept within its limit: " + err.Error()})
		}
		d.mu.Lock()
		d.trimmed = false
		d.mu.Unlock()
	})
}

// endTrims waits until nobody trims the trash, and lets nobody begin. The
// session is about to end.
func (d *Directory) endTrims() {
	d.mu.Lock()
	d.noTrims = true
	d.mu.Unlock()
	d.trims.Wait()
}
