package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/fatkit/fatkit/internal/hostfs"
)

const (
	// maxBeside is how many names beside a name are tried.
	maxBeside = 100
	// maxNameBytes is what every host's names may have.
	maxNameBytes = 255
)

// numbered returns the n-th variant of a name: "a.txt", "a 2.txt", …
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return insert(name, fmt.Sprintf(" %d", n+1))
}

// insert puts text before the suffix of a name, and shortens what is before it
// to keep the name as long as names may be.
func insert(name, text string) string {
	ext := path.Ext(name)
	if ext == name || len(ext) > 32 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for len(stem)+len(text)+len(ext) > maxNameBytes && stem != "" {
		_, n := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-n]
	}
	return stem + text + ext
}

// conflictPlace is the object's place in the folder of conflicts.
func (r *run) conflictPlace(m *Move) Place {
	return Place{Conflicts, insert(fmt.Sprintf("%d-%d-%d-%s", r.x.cfg.Generation, r.plan.Epoch, m.Tag, m.To.Name), "")}
}

// besideName is the name for the object when it cannot have To's.
func (m *Move) besideName() string {
	if m.Beside == "" && m.takesFromStage() {
		return insert(m.To.Name, " (moved)")
	}
	return m.Beside
}

// beside gives the object, which is at From, a name beside To.
func (r *run) beside(m *Move, kind Kind) Result {
	res := Result{Status: Conflict, Kind: kind, At: m.From, ID: m.Object}
	name := m.besideName()
	if name == "" {
		return res
	}
	for n := range maxBeside + 1 {
		to := Place{m.To.Dir, numbered(name, n)}
		if n == maxBeside {
			to = r.conflictPlace(m)
		}
		err := r.dirs.rename(m.From, to, hostfs.NoReplace)
		if err == nil {
			r.touch(m.From, to)
			res.At = to
			return res
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return r.saveConflict(m, res)
	}
	return res
}

// saveConflict puts the object, for which there is no place in the tree, into
// the folder of conflicts. If even that fails it stays where it is.
func (r *run) saveConflict(m *Move, res Result) Result {
	here, err := r.dirs.holds(m.From, m.Object)
	if err == nil && !here {
		return Result{Status: Conflict, Kind: Gone}
	}
	to := r.conflictPlace(m)
	if err := r.dirs.rename(m.From, to, hostfs.NoReplace); err != nil {
		res.Reason = err.Error()
		return res
	}
	r.touch(m.From, to)
	res.At = to
	return res
}

// findBeside looks for the object at the names that beside may have given it.
func (r *run) findBeside(m *Move) (Place, hostfs.Identity, bool) {
	name := m.besideName()
	if name == "" {
		return Place{}, hostfs.Identity{}, false
	}
	for n := range maxBeside + 1 {
		at := Place{m.To.Dir, numbered(name, n)}
		if n == maxBeside {
			at = r.conflictPlace(m)
		}
		if id, ok, err := r.dirs.look(at); err == nil && ok && id.Same(m.Object) {
			r.touch(m.From, at)
			return at, expected(id, m.Object), true
		}
	}
	return Place{}, hostfs.Identity{}, false
}

// settle moves something of the host's from a place where it should not be to
// its name, or to one beside it, and returns which. If its directory is gone it goes
// to the folder of conflicts.
func (r *run) settle(from, to Place) (Place, error) {
	for n := range maxBeside {
		at := to
		if n > 0 {
			at.Name = numbered(insert(to.Name, " (kept)"), n-1)
		}
		err := r.dirs.rename(from, at, hostfs.NoReplace)
		if err == nil {
			r.touch(from, at)
			return at, nil
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if !isMissing(err) {
			return from, err
		}
		break
	}
	if from.Dir == Conflicts || from.Dir == Kept || from.Dir == Trash {
		return from, nil // safe there
	}
	at := Place{Conflicts, insert(fmt.Sprintf("%d-%d-%s", r.x.cfg.Generation, r.plan.Epoch, to.Name), "")}
	if err := r.dirs.rename(from, at, hostfs.NoReplace); err != nil {
		return from, err
	}
	r.touch(from, at)
	return at, nil
}
