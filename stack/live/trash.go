package live

import (
	"math"
	"slices"

	"github.com/fatkit/fatkit/stack"
	"github.com/fatkit/fatkit/writeback"
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

// listTrash saves the list of what the generation that is about to be archived
// has put into the trash: its server may have been killed before it could.
func (d *Directory) listTrash(report func(stack.Event)) error {
	g, err := d.state.Current()
	if g == nil || err != nil {
		return err
	}
	var list []writeback.TrashItem
	if err := d.state.LoadJSON(trashName, &list); err != nil {
		return err
	}
	folder, err := d.state.Folder().OpenDir(g.Folder())
	if err != nil {
		return err
	}
	defer folder.Close()
	more, err := writeback.JournalTrash(folder)
	if err != nil {
		// Its files are in the trash all the same, under the names that they have there.
		report(stack.Event{Kind: stack.Note, Text: "where files of the trash were is not known any more: " + err.Error()})
	}
	for _, t := range more {
		if !slices.ContainsFunc(list, func(o writeback.TrashItem) bool { return o.Name == t.Name }) {
			list = append(list, t)
		}
	}
	return d.state.SaveJSON(trashName, list)
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
