package apply

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// maxTries bounds how often a host program that changes a name again and again
// is followed.
const maxTries = 16

// displace carries out move i, whose object is at From, onto a name that
// another inode has.
func (r *run) displace(i int) Result {
	m := &r.plan.Moves[i]
	found, ok, err := r.dirs.look(m.To)
	switch {
	case err != nil:
		return waiting(err)
	case !ok:
		return r.fill(i)
	case !intact(found, *m.Displaces):
		return r.beside(m, Replaced)
	case !r.x.cfg.Features.Exchange:
		return r.clear(i)
	}
	err = r.dirs.rename(m.From, m.To, hostfs.Exchange)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.fill(i) // the host removed one of the two
	case errors.Is(err, errors.ErrUnsupported):
		return r.clear(i)
	case err != nil:
		return waiting(err)
	}
	r.touch(m.From, m.To)
	return r.displaced(i)
}

// displaced completes a move that exchanged: what was displaced is at From, if
// it has not been moved on.
func (r *run) displaced(i int) Result {
	m := &r.plan.Moves[i]
	found, ok, err := r.dirs.look(m.From)
	switch {
	case err != nil && !isMissing(err):
		return r.stop(err)
	case err != nil || !ok:
		return r.passOn(i, r.waitingRoom(i))
	case m.DisplacedTo == m.From && found.Same(*m.Displaces):
		return r.withDisplaced(i, m.From, found)
	case m.DisplacedTo == m.From:
		// Both names are visible, and whatever had one has the other.
		return Result{Status: Conflict, Kind: Replaced, At: m.To, ID: m.Object, Displaced: m.From, DisplacedID: found}
	case intact(found, *m.Displaces):
		return r.passOn(i, m.From)
	case !m.From.aside() && r.isAt(m.DisplacedTo, *m.Displaces):
		return r.withDisplaced(i, m.DisplacedTo, *m.Displaces) // the host has made a new file at From
	}
	return r.exchangeBack(m)
}

// isAt is holds for a place that only fatkit changes.
func (r *run) isAt(p Place, id hostfs.Identity) bool {
	here, err := r.dirs.holds(p, id)
	return err == nil && here
}

// withDisplaced is the result of a move that is complete.
func (r *run) withDisplaced(i int, at Place, id hostfs.Identity) Result {
	m := &r.plan.Moves[i]
	res := r.placed(m)
	if res.Status == Done {
		res.Displaced, res.DisplacedID = at, expected(id, *m.Displaces)
	}
	return res
}

// waitingRoom is where what move i displaces lies before its place is free.
func (r *run) waitingRoom(i int) Place {
	m := &r.plan.Moves[i]
	if m.DisplacedTo != m.From {
		return m.DisplacedTo
	}
	return Place{Stage, fmt.Sprintf("swap-%d-%d", r.plan.Epoch, i)}
}

// passOn moves what was displaced from at to DisplacedTo. The object is at To.
func (r *run) passOn(i int, at Place) Result {
	m := &r.plan.Moves[i]
	found, ok, err := r.dirs.look(at)
	if err != nil && !isMissing(err) {
		return r.stop(err)
	}
	if err != nil || !ok || !found.Same(*m.Displaces) {
		if ok && err == nil && r.mayBeTheirs(m, at) {
			return r.returnToFrom(m, at)
		}
		if r.isAt(m.To, *m.Displaces) {
			return Result{Status: Conflict, Kind: Gone} // nothing was displaced: the object was lost before
		}
		// It is gone: somebody emptied the trash, or a later move took it on.
		return r.placed(m)
	}
	to := m.DisplacedTo
	if at != to {
		if to, err = r.settle(at, to); err != nil {
			return r.stop(err)
		}
	}
	found, ok, err = r.dirs.look(to)
	switch {
	case err != nil:
		return r.stop(err)
	case ok && !intact(found, *m.Displaces) && r.mayBeTheirs(m, to):
		return r.returnToFrom(m, to)
	case !ok:
		found = *m.Displaces // taken from there since
	}
	return r.withDisplaced(i, to, found)
}

// mayBeTheirs reports whether what is at a place aside may have been written
// to, or put there, under the name From, which other programs see.
func (r *run) mayBeTheirs(m *Move, at Place) bool {
	return !m.From.aside() && at.aside() && at == m.DisplacedTo
}

// returnToFrom returns what was taken for the displaced inode, or was the
// displaced inode before a program of the host wrote to it under the name From.
func (r *run) returnToFrom(m *Move, at Place) Result {
	return r.putBack(at, m.From, Result{Status: Conflict, Kind: Replaced, At: m.To, ID: m.Object}, false)
}

// fill completes a move that found nothing at To: the host has removed it, or,
// where it cannot exchange, the move itself had set it aside.
func (r *run) fill(i int) Result {
	m := &r.plan.Moves[i]
	room := r.waitingRoom(i)
	found, ok, err := r.dirs.look(room)
	if err != nil && !isMissing(err) {
		return waiting(err)
	}
	switch {
	case err != nil || !ok || room == m.From:
		res := r.place(m)
		res.HostRemoved = res.Status == Done
		return res
	case !intact(found, *m.Displaces) && room.aside():
		return r.giveBack(i, room)
	}
	res := r.place(m)
	if res.Status != Done {
		return r.keepDisplaced(res, i, room)
	}
	return r.passOn(i, room)
}

// clear is displace for a host that cannot exchange: the name is cleared first.
func (r *run) clear(i int) Result {
	m := &r.plan.Moves[i]
	room := r.waitingRoom(i)
	if err := r.dirs.rename(m.To, room, hostfs.NoReplace); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return r.fill(i)
		}
		return waiting(err)
	}
	r.touch(m.To, room)
	found, ok, err := r.dirs.look(room)
	switch {
	case err != nil:
		return r.stop(err)
	case ok && !intact(found, *m.Displaces):
		return r.giveBack(i, room)
	}
	res := r.place(m)
	if res.Status != Done {
		return r.keepDisplaced(res, i, room)
	}
	return r.passOn(i, room)
}

// giveBack returns what was set aside and should not have been to the name To,
// and puts the object beside it.
func (r *run) giveBack(i int, room Place) Result {
	m := &r.plan.Moves[i]
	if _, err := r.settle(room, m.To); err != nil {
		return r.stop(err)
	}
	return r.beside(m, Replaced)
}

// keepDisplaced completes the result of a move that set something aside and
// then could not take its place. What was set aside goes back if the name is
// free still; if it is not, the host has put a new file there.
func (r *run) keepDisplaced(res Result, i int, room Place) Result {
	m := &r.plan.Moves[i]
	if r.unfinished != nil {
		return res
	}
	err := r.dirs.rename(room, m.To, hostfs.NoReplace)
	switch {
	case err == nil:
		r.touch(room, m.To)
		return res
	case room.Dir == Stage:
		return r.putBack(room, m.To, res, false)
	case errors.Is(err, fs.ErrExist) || isMissing(err):
		res.Displaced = room
		res.DisplacedID, _, _ = r.dirs.look(room)
		return res
	}
	return r.stop(err)
}

// exchangeBack undoes an exchange that took something from To that it should
// not have taken, and puts the object beside.
func (r *run) exchangeBack(m *Move) Result {
	for range maxTries {
		at, ok, err := r.dirs.look(m.From)
		if err != nil {
			return r.stop(err)
		}
		if !ok {
			return r.placed(m)
		}
		if at.Same(m.Object) {
			return r.beside(m, Replaced)
		}
		here, err := r.dirs.holds(m.To, m.Object)
		if err != nil {
			return r.stop(err)
		}
		if !here {
			// The host has taken the object away, or its directory: its own
			// version must not stay aside.
			return r.putBack(m.From, m.To, Result{Status: Conflict, Kind: Gone}, false)
		}
		if err := r.dirs.rename(m.From, m.To, hostfs.Exchange); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r.stop(err)
		}
		r.touch(m.From, m.To)
	}
	return r.stop(fmt.Errorf("%s changes all the time", m.To.Name))
}
