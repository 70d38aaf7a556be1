package apply

import (
	"errors"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// errNoPatch says that the contents come first.
var errNoPatch = errors.New("its contents could not be written yet")

// attr sets attributes through an open inode that was verified.
func (r *run) attr(a *Attr) Result {
	n, found, res := r.openAttr(a)
	if n == nil {
		return res
	}
	defer n.Close()
	want, ok := r.patched[a.Tag]
	switch {
	case r.patches[a.Tag] && !ok:
		return waiting(errNoPatch) // a new time on old contents would say that they are new
	case !ok:
		want = a.ID
	}
	if res = r.setTimes(a, n, want); res.Status != Done {
		return res
	}
	res.ID = want
	if a.Mtime != hostfs.NoTime {
		res.ID.Mtime = a.Mtime
	}
	err := setAttributes(a, n, found)
	r.nodes = append(r.nodes, a.At)
	id, lookErr := n.Identity()
	if err = errors.Join(err, lookErr); err != nil {
		res.Status, res.Reason = Waiting, err.Error() // the time is set, or the next look would find a change by the host
		return res
	}
	id = expected(id, want)
	if a.Mtime != hostfs.NoTime {
		id.Mtime = a.Mtime
	}
	res.ID = id
	return res
}

// openAttr opens the inode whose attributes change, if it is there.
func (r *run) openAttr(a *Attr) (hostfs.Node, hostfs.Identity, Result) {
	d, err := r.dirs.get(a.At.Dir)
	var found hostfs.Identity
	if err == nil {
		found, err = d.Lookup(a.At.Name)
	}
	if err == nil && !found.Same(a.ID) {
		return nil, found, Result{Status: Conflict, Kind: Replaced, At: a.At, ID: found}
	}
	var n hostfs.Node
	if err == nil {
		n, err = d.OpenNode(a.At.Name)
	}
	if err != nil {
		return nil, found, r.attrRefused(a, err)
	}
	found, err = n.Identity()
	if err == nil && found.Same(a.ID) {
		return n, found, Result{}
	}
	n.Close()
	if err != nil {
		return nil, found, waiting(err)
	}
	return nil, found, Result{Status: Conflict, Kind: Replaced, At: a.At, ID: found}
}

func (r *run) attrRefused(a *Attr, err error) Result {
	if isMissing(err) {
		return Result{Status: Conflict, Kind: Gone, At: a.At}
	}
	return waiting(err)
}

// setTimes sets times. That of a change must not hide a change by the host, so
// a file must be as it is known, and nobody may be writing to it.
func (r *run) setTimes(a *Attr, n hostfs.Node, want hostfs.Identity) Result {
	done := Result{Status: Done, At: a.At}
	if a.Atime == hostfs.NoTime && a.Mtime == hostfs.NoTime {
		return done
	}
	if want.Mode.IsRegular() && a.Mtime != hostfs.NoTime {
		err := n.Lease()
		if err == nil {
			defer n.Release()
		} else if !errors.Is(err, errors.ErrUnsupported) {
			return waiting(err)
		}
		found, err := n.Identity()
		if err != nil {
			return waiting(err)
		}
		set := want
		set.Mtime = a.Mtime // by a run before this one
		if !intact(found, want) && !intact(found, set) {
			return Result{Status: Conflict, Kind: Edited, At: a.At, ID: found}
		}
	}
	if err := n.SetTimes(a.Atime, a.Mtime); err != nil {
		return waiting(err)
	}
	return done
}

// setAttributes sets what is neither contents nor time.
func setAttributes(a *Attr, n hostfs.Node, found hostfs.Identity) error {
	mode := found.Mode&^(a.ClearMode&fs.ModePerm) | a.SetMode&fs.ModePerm
	if mode != found.Mode {
		if err := n.SetMode(mode); err != nil {
			return err
		}
	}
	for _, x := range a.Xattrs {
		err := error(nil)
		if x.Value == nil {
			err = n.RemoveXattr(x.Name)
		} else {
			err = n.SetXattr(x.Name, x.Value)
		}
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}
