package apply

import (
	"errors"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Drop removes a file that lies aside and that fatkit does not need any more. A
// program of the host that had it open may not have noticed that it lost its
// name: the file stays, and dropped is false, if it was written to since it
// is known, if anybody has it open for writing, or if the host cannot tell.
func (x *Executor) Drop(o Object) (dropped bool, err error) {
	d := x.aside[o.At.Dir]
	n, err := d.OpenNode(o.At.Name)
	if err != nil {
		return false, err
	}
	defer n.Close()
	if err := n.Lease(); err != nil {
		if errors.Is(err, hostfs.ErrInUse) || errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
		return false, err
	}
	id, err := n.Identity()
	if err != nil || !intact(id, o.ID) {
		return false, err
	}
	return true, d.Unlink(o.At.Name)
}

// Sweep removes what earlier runs made in the stage folder and no plan took. It
// must not be called between staging and Execute, nor while an intent is open.
func (x *Executor) Sweep() error {
	if x.open {
		return ErrOpen
	}
	d := x.aside[Stage]
	var l hostfs.Listing
	if err := d.List(&l); err != nil {
		return err
	}
	var errs []error
	for i := range l.Entries {
		e, name := &l.Entries[i], string(l.NameOf(&l.Entries[i]))
		if !isNew(name) {
			continue
		}
		if e.Mode.IsDir() {
			errs = append(errs, d.Rmdir(name))
		} else {
			errs = append(errs, d.Unlink(name))
		}
	}
	return errors.Join(errs...)
}
