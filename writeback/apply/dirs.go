package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// maxOpenDirs is how many directories stay open between steps.
const maxOpenDirs = 256

// ErrDirMoved says that a directory is not where it is known to be.
var ErrDirMoved = errors.New("the host moved or removed its directory")

// dirTable opens the directories of a plan and verifies them.
type dirTable struct {
	x       *Executor
	dirs    []Dir
	open    map[DirID]hostfs.Dir
	opening map[DirID]bool // guards against a plan that goes in circles
}

func (x *Executor) newDirTable(dirs []Dir) *dirTable {
	return &dirTable{x: x, dirs: slices.Clone(dirs), open: map[DirID]hostfs.Dir{}, opening: map[DirID]bool{}}
}

// get returns the open directory. It stays open until the next trim.
func (t *dirTable) get(id DirID) (hostfs.Dir, error) {
	if id < 0 {
		if d := t.x.aside[id]; d != nil {
			return d, nil
		}
		return nil, fmt.Errorf("no such folder: %w", fs.ErrInvalid)
	}
	if d := t.open[id]; d != nil {
		return d, nil
	}
	if int(id) >= len(t.dirs) || t.opening[id] {
		return nil, fmt.Errorf("no such directory in the plan: %w", fs.ErrInvalid)
	}
	t.opening[id] = true
	defer delete(t.opening, id)
	d, err := t.find(id)
	if err != nil {
		return nil, err
	}
	t.open[id] = d
	return d, nil
}

// find opens a directory where it was or where it will be.
func (t *dirTable) find(id DirID) (hostfs.Dir, error) {
	if id == 0 {
		d, err := t.x.tree.OpenDir(".")
		return t.verified(d, err, id)
	}
	e := &t.dirs[id]
	d, err := t.at(e.Before, id)
	if err == nil || e.After == e.Before || !isMissing(err) {
		return d, err
	}
	return t.at(e.After, id)
}

// isMissing reports whether a directory may just be elsewhere.
func isMissing(err error) bool {
	return errors.Is(err, ErrDirMoved) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid)
}

// at opens what is at a place, if it is that directory.
func (t *dirTable) at(p Place, id DirID) (hostfs.Dir, error) {
	parent, err := t.get(p.Dir)
	if err != nil {
		return nil, err
	}
	// The look before tells a directory from whatever else an open would do
	// something to; the one after the open decides.
	found, err := parent.Lookup(p.Name)
	if err == nil && !found.Same(t.dirs[id].ID) {
		err = ErrDirMoved
	}
	if err != nil {
		return nil, err
	}
	d, err := parent.OpenDir(p.Name)
	return t.verified(d, err, id)
}

// verified returns d if it is the directory id.
func (t *dirTable) verified(d hostfs.Dir, err error, id DirID) (hostfs.Dir, error) {
	if err != nil {
		return nil, err
	}
	found, err := d.Identity()
	if err == nil && !found.Same(t.dirs[id].ID) {
		err = ErrDirMoved
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// look describes what is at a place. Nothing there is no error.
func (t *dirTable) look(p Place) (id hostfs.Identity, found bool, err error) {
	d, err := t.get(p.Dir)
	if err != nil {
		return hostfs.Identity{}, false, err
	}
	id, err = d.Lookup(p.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return hostfs.Identity{}, false, nil
	}
	return id, err == nil, err
}

// holds reports whether the inode is at a place. A directory that cannot be
// opened because it is not there holds nothing.
func (t *dirTable) holds(p Place, want hostfs.Identity) (bool, error) {
	id, found, err := t.look(p)
	if err != nil && isMissing(err) {
		return false, nil
	}
	return found && id.Same(want), err
}

// rename moves one name.
func (t *dirTable) rename(from, to Place, mode hostfs.RenameMode) error {
	src, err := t.get(from.Dir)
	if err != nil {
		return err
	}
	dst, err := t.get(to.Dir)
	if err != nil {
		return err
	}
	return src.Rename(from.Name, dst, to.Name, mode)
}

// trim closes directories when too many are open. It is called between steps.
func (t *dirTable) trim() {
	if len(t.open) > maxOpenDirs {
		t.close()
	}
}

// close closes all.
func (t *dirTable) close() {
	for id, d := range t.open {
		d.Close() // was open for reading only
		delete(t.open, id)
	}
}
