package apply

import (
	"errors"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// A move is judged by where its object is:
//
//	at From                 to be done
//	at To                   done; what it displaced may be at From still
//	at a later move's To    done, and so is that one
//	displaced by a later    done, and so is that one, as far as it came
//	beside To               a conflict that was settled
//	nowhere, From aside     done: only a move takes something out of a folder
//	                        aside, so a host program changed To afterwards
//	nowhere, From in tree   a host program moved or removed it
//
// The same judgement carries out a move, repeats one, and recovers one.

// aside reports whether a place is in a folder that only fatkit changes.
func (p Place) aside() bool { return p.Dir < 0 }

// intact reports whether found is the inode want, with the contents that the
// plan knows.
func intact(found, want hostfs.Identity) bool {
	return found.Same(want) && (!found.Mode.IsRegular() || found.SameContent(want))
}

// move carries out move i.
func (r *run) move(i int) Result {
	m := &r.plan.Moves[i]
	if r.missing[m.To.Dir] {
		return waiting(errNoDir)
	}
	found, ok, err := r.dirs.look(m.From)
	switch {
	case err != nil && !isMissing(err):
		return waiting(err)
	case err != nil || !ok || !found.Same(m.Object):
		return r.elsewhere(i)
	case m.Strict && !intact(found, m.Object):
		return Result{Status: Conflict, Kind: Edited, At: m.From, ID: found}
	case m.Displaces != nil:
		return r.displace(i)
	}
	return r.place(m)
}

// errNoDir says that a directory is not in the tree yet.
var errNoDir = errors.New("its directory could not be made")

// note notes where the object of move i is after it.
func (r *run) note(i int, res Result) Result {
	m := &r.plan.Moves[i]
	if res.Status == Conflict && res.Kind != Gone && res.At.Name != "" && res.At != m.To && !res.At.aside() {
		r.besides[keyOf(m.Object)] = res.At
	}
	r.held[keyOf(m.Object)] = res.Status == Waiting
	return r.noteDir(m, res)
}

// follow makes at the place of an inode that a move brought elsewhere: the steps
// after it mean that inode, not what has its name.
func (r *run) follow(at *Place, id hostfs.Identity) {
	if p, ok := r.besides[keyOf(id)]; ok {
		*at = p
	}
}

// errHeld says that an object could not be moved, so that its contents wait as well.
var errHeld = errors.New("it could not be moved to its name yet")

// noteDir notes where a directory of the plan is after a move. One that is still
// aside takes in nothing: what is moved there would vanish from the tree.
func (r *run) noteDir(m *Move, res Result) Result {
	id, ok := r.dirIDs[keyOf(m.Object)]
	if !ok || !m.Object.Mode.IsDir() {
		return res
	}
	d := &r.dirs.dirs[id]
	switch {
	case res.At != Place{} && !res.At.aside():
		d.After = res.At
	case d.Before.aside():
		r.missing[id] = true
	}
	return res
}

// place moves the object to a name that is to be free.
func (r *run) place(m *Move) Result {
	err := r.dirs.rename(m.From, m.To, hostfs.NoReplace)
	if errors.Is(err, fs.ErrExist) && r.sameEntry(m) {
		err = r.dirs.rename(m.From, m.To, hostfs.Replace)
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !m.takesFromStage() && r.ours(m.To):
		return Result{Status: Waiting, Reason: "its name is still that of an object that waits"}
	case errors.Is(err, fs.ErrExist):
		return r.beside(m, Occupied)
	case err != nil:
		return r.refused(m, err)
	}
	r.touch(m.From, m.To)
	return r.placed(m)
}

// sameEntry reports whether From and To are one entry of a directory that
// ignores case. Then a rename replaces nothing.
func (r *run) sameEntry(m *Move) bool {
	if m.From.Dir != m.To.Dir {
		return false
	}
	at, ok, err := r.dirs.look(m.To)
	return err == nil && ok && at.Same(m.Object) && at.Nlink == 1
}

// ours reports whether an object is at a place that the plan would have moved
// away from it, and could not.
func (r *run) ours(p Place) bool {
	at, ok, err := r.dirs.look(p)
	return err == nil && ok && len(r.later[keyOf(at)]) > 0
}

// refused is the result of a rename that the host did not carry out.
func (r *run) refused(m *Move, err error) Result {
	if errors.Is(err, fs.ErrNotExist) {
		if here, lookErr := r.dirs.holds(m.From, m.Object); lookErr == nil && !here {
			return Result{Status: Conflict, Kind: Gone}
		}
	}
	switch {
	case !m.takesFromStage():
		return waiting(err)
	case isMissing(err):
		return r.saveConflict(m, Result{Status: Conflict, Kind: Occupied, At: m.From, ID: m.Object})
	}
	return r.stop(err)
}

// takesFromStage reports whether the object is one that a cycle of names has
// put into the stage folder. It must not stay there.
func (m *Move) takesFromStage() bool { return m.From.Dir == Stage && !isNew(m.From.Name) }

// placed verifies what a move has brought to To.
func (r *run) placed(m *Move) Result {
	found, ok, err := r.dirs.look(m.To)
	if err != nil && !isMissing(err) {
		return r.stop(err)
	}
	mine := err == nil && ok && found.Same(m.Object)
	switch {
	case mine && (!m.Strict || intact(found, m.Object)):
		return Result{Status: Done, At: m.To, ID: expected(found, m.Object)}
	case mine:
		return r.putBack(m.To, m.From, Result{Status: Conflict, Kind: Edited, ID: found}, true)
	case ok && m.To.aside():
		// A host program exchanged the file between the look and the rename.
		return r.putBack(m.To, m.From, Result{Status: Conflict, Kind: Gone}, false)
	case m.From.aside():
		// The host changed the name after it was given: an edit like any later.
		return Result{Status: Done, At: m.To, ID: m.Object}
	case ok:
		// Whatever had the old name has the new one. It is the host's, and there.
		return Result{Status: Conflict, Kind: Replaced, At: m.To, ID: found}
	}
	return Result{Status: Conflict, Kind: Gone}
}

// putBack returns to the tree what should not have left it, and completes res:
// with the place, if that is the place of the object.
func (r *run) putBack(from, to Place, res Result, object bool) Result {
	at, err := r.settle(from, to)
	if err != nil {
		return r.stop(err)
	}
	if object {
		res.At = at
	} else {
		res.Displaced = at
		res.DisplacedID, _, _ = r.dirs.look(at)
	}
	return res
}

// elsewhere judges a move whose object is not at From.
func (r *run) elsewhere(i int) Result {
	m := &r.plan.Moves[i]
	for _, j := range r.later[keyOf(m.Object)] {
		if j < i {
			continue
		}
		later := &r.plan.Moves[j]
		here, err := r.dirs.holds(later.To, m.Object)
		if err != nil {
			return waiting(err)
		}
		switch {
		case here && j == i:
			return r.arrived(i)
		case here:
			return Result{Status: Done, At: m.To, ID: m.Object}
		}
		if at, id, ok := r.findBeside(later); ok && j == i {
			return Result{Status: Conflict, Kind: Occupied, At: at, ID: id}
		} else if ok {
			return Result{Status: Done, At: m.To, ID: m.Object}
		}
	}
	if r.displacedLater(i) {
		r.touch(m.From, m.To)
		return Result{Status: Done, At: m.To, ID: m.Object}
	}
	if m.From.aside() {
		return r.arrived(i)
	}
	if id, ok, err := r.dirs.look(m.To); m.To.aside() && err == nil && ok {
		// Not the object, and in a folder where only moves put something: it was
		// taken for the object.
		return r.putBack(m.To, m.From, Result{Status: Conflict, Kind: Gone, DisplacedID: id}, false)
	}
	return Result{Status: Conflict, Kind: Gone}
}

// displacedLater reports whether the object of move i was at To, and lost that
// name to a later move: it got new contents besides its new place.
func (r *run) displacedLater(i int) bool {
	m := &r.plan.Moves[i]
	j, ok := r.displacers[keyOf(m.Object)]
	if !ok || j <= i {
		return false
	}
	later := &r.plan.Moves[j]
	return r.isAt(later.DisplacedTo, m.Object) || r.isAt(later.From, m.Object) || r.isAt(r.waitingRoom(j), m.Object)
}

// arrived judges a move that was made before, perhaps not to its end.
func (r *run) arrived(i int) Result {
	m := &r.plan.Moves[i]
	r.touch(m.From, m.To)
	if m.Displaces != nil {
		return r.displaced(i)
	}
	return r.placed(m)
}

// rmdir removes a directory that is empty.
func (r *run) rmdir(d *Rmdir) Result {
	found, ok, err := r.dirs.look(d.At)
	switch {
	case err != nil && !isMissing(err):
		return waiting(err)
	case err != nil || !ok:
		r.touch(d.At)
		return Result{Status: Done}
	case !found.Same(d.ID):
		return Result{Status: Conflict, Kind: Replaced, At: d.At, ID: found}
	}
	parent, err := r.dirs.get(d.At.Dir)
	if err == nil {
		err = parent.Rmdir(d.At.Name)
	}
	switch {
	case errors.Is(err, hostfs.ErrNotEmpty):
		return Result{Status: NotEmpty, At: d.At, ID: found}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return waiting(err)
	}
	r.touch(d.At)
	return Result{Status: Done}
}
