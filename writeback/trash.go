package writeback

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/internal/journal"
	"github.com/fatkit/fatkit/writeback/apply"
	"github.com/fatkit/fatkit/writeback/catalog"
	"github.com/fatkit/fatkit/writeback/plan"
)

// TrashItem is a file that the guest deleted.
type TrashItem struct {
	Name string    `json:"name"` // by which it is restored
	Path string    `json:"path"` // where it was
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
	// Served says that the guest's disk still stands on it: it is destroyed
	// after the generation has ended at the earliest.
	Served bool `json:"served"`
}

// Trash lists what is in the trash, the oldest first.
func (s *Session) Trash() []TrashItem {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	out := make([]TrashItem, len(s.state.trashed))
	for i, t := range s.state.trashed {
		out[i] = TrashItem{t.Name, t.Path, t.Size, t.Time, t.Base}
	}
	return out
}

// Restore puts a file from the trash back into the host's tree, where it was
// or, if that name is taken, beside it, and returns where. The guest sees it
// with the next generation.
func (s *Session) Restore(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.state.trashed, func(t plan.Trashed) bool { return t.Name == name })
	if i < 0 {
		return "", fmt.Errorf("%s: %w in the trash", name, fs.ErrNotExist)
	}
	t := s.state.trashed[i]
	to, err := s.putBack(&t)
	if err != nil {
		return "", err
	}
	if t.Base {
		l := plan.Left{ID: t.ID, Parent: catalog.Root, Name: to, Mtime: t.Mtime}
		s.where.putBack(l)
		s.state.leave(l)
	}
	return to, s.forgetTrash([]string{name})
}

// putBack moves a file out of the trash.
func (s *Session) putBack(t *plan.Trashed) (string, error) {
	dir, base := hostfs.SplitPath(t.Path)
	if err := s.makeDirs(dir); err != nil {
		return "", err
	}
	d, err := s.place.Tree.OpenDir(dir)
	if err != nil {
		return "", err
	}
	defer d.Close()
	for n := range maxBeside {
		name := base
		if n > 0 {
			name = fmt.Sprintf("%s (restored %d)", base, n)
		}
		err := s.exec.Aside(apply.Trash).Rename(t.Name, d, name, hostfs.NoReplace)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if dir != "." {
			name = dir + "/" + name
		}
		return name, errors.Join(d.Sync(), s.exec.Aside(apply.Trash).Sync())
	}
	return "", fmt.Errorf("%s: all names beside it are taken: %w", t.Path, fs.ErrExist)
}

// maxBeside is how many names are tried.
const maxBeside = 100

// makeDirs makes the directories of a path that are missing.
func (s *Session) makeDirs(path string) error {
	if path == "." {
		return nil
	}
	up, name := hostfs.SplitPath(path)
	if err := s.makeDirs(up); err != nil {
		return err
	}
	d, err := s.place.Tree.OpenDir(up)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Mkdir(name, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return errors.Join(err, d.Sync())
}

// inheritTrash adds what earlier generations left in the trash. What nobody has
// a list of has the name by which it lies there.
func (s *Session) inheritTrash() error {
	var l hostfs.Listing
	if err := s.exec.Aside(apply.Trash).List(&l); err != nil {
		return err
	}
	there := map[string]*hostfs.Entry{}
	for i := range l.Entries {
		there[string(l.NameOf(&l.Entries[i]))] = &l.Entries[i]
	}
	for _, t := range s.state.trashed {
		delete(there, t.Name)
	}
	var old []plan.Trashed
	add := func(t plan.Trashed) {
		old = append(old, t)
		delete(there, t.Name)
		s.state.status.TrashFiles++
		s.state.status.TrashBytes += t.Size
	}
	for _, t := range s.o.Trash {
		if there[t.Name] != nil { // else it was restored or destroyed
			add(plan.Trashed{Name: t.Name, Path: t.Path, Size: t.Size, Time: t.Time})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		e := there[name]
		add(plan.Trashed{Name: name, Path: name, Size: e.Size, Time: time.Unix(0, e.Mtime)})
	}
	s.state.trashed = append(old, s.state.trashed...)
	return nil
}

// JournalTrash returns what the sessions of the journal in a folder have put into
// the trash, as far as it was not taken out again. No session may be open.
func JournalTrash(folder hostfs.Dir) ([]TrashItem, error) {
	var all []TrashItem
	take := func(d *plan.Delta) {
		for _, t := range d.Trashed {
			all = append(all, TrashItem{Name: t.Name, Path: t.Path, Size: t.Size, Time: t.Time})
		}
	}
	j, err := journal.Open(folder, journalName, func(r journal.Record) error {
		d, whole, err := recordedDelta(r)
		if whole {
			all = nil
		}
		if d != nil {
			take(d)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, j.Close()
}

// EmptyTrash destroys what is in the trash, but for what the guest's disk still
// stands on, and returns how many files and bytes are gone.
func (s *Session) EmptyTrash() (files int, bytes int64, err error) { return s.TrimTrash(-1) }

// TrimTrash destroys the oldest files of the trash until it has at most limit
// bytes, but for what the guest's disk still stands on. A limit below 0 destroys
// files without contents as well.
func (s *Session) TrimTrash(limit int64) (files int, bytes int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, t := range s.state.trashed {
		if s.state.trashBytes()-bytes <= limit {
			break
		}
		if t.Base {
			continue
		}
		if err = s.exec.Aside(apply.Trash).Unlink(t.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		names = append(names, t.Name)
		files, bytes, err = files+1, bytes+t.Size, nil
	}
	if len(names) == 0 {
		return 0, 0, err
	}
	return files, bytes, errors.Join(err, s.forgetTrash(names))
}

func (s *state) trashBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.TrashBytes
}

// forgetTrash takes files off the list of the trash. The caller holds mu.
func (s *Session) forgetTrash(names []string) error {
	s.state.mu.Lock()
	kept := s.state.trashed[:0]
	for _, t := range s.state.trashed {
		if slices.Contains(names, t.Name) {
			s.state.status.TrashFiles--
			s.state.status.TrashBytes -= t.Size
			continue
		}
		kept = append(kept, t)
	}
	s.state.trashed = kept
	s.state.mu.Unlock()
	return s.writeCheckpoint()
}
