package statedir

import (
	"errors"
	"io/fs"

	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/vvfat"
)

// Folders within the aside folder.
const (
	StageName     = "stage"     // new files and directories that have no place yet
	KeptName      = "kept"      // inodes that the base serves, displaced
	TrashName     = "trash"     // what the guest deleted
	ConflictsName = "conflicts" // what could not be put beside the host's version
)

// Aside is the folder from and to which files of the tree are moved.
type Aside struct {
	Tree   hostfs.Writable // the state folder or the tree
	Path   string          // of the folder within Tree
	InTree bool            // it is vvfat.AsideName of the tree
}

// noSuchName is a name that nothing has; it is never made.
const noSuchName = ".fatkit-no-such-name"

// Aside returns the aside folder for a tree, which it makes with its folders
// where they are missing: in the state folder if files can be moved from there to
// the root of the tree, else in the tree.
func (s *Store) Aside(tree hostfs.Writable) (Aside, error) {
	root, err := tree.OpenDir(".")
	if err != nil {
		return Aside{}, err
	}
	defer root.Close()
	a := Aside{Tree: s.w, Path: asideName}
	near, err := s.movable(root)
	if err != nil {
		return a, err
	}
	if !near {
		a = Aside{Tree: tree, Path: vvfat.AsideName, InTree: true}
	}
	top, err := a.Tree.OpenDir(".")
	if err != nil {
		return a, err
	}
	defer top.Close()
	d, err := openOrMake(top, a.Path)
	if err != nil {
		return a, err
	}
	defer d.Close()
	for _, name := range []string{StageName, KeptName, TrashName, ConflictsName} {
		sub, err := openOrMake(d, name)
		if err == nil {
			err = sub.Close()
		}
		if err != nil {
			return a, err
		}
	}
	return a, errors.Join(d.Sync(), top.Sync())
}

// movable reports whether files can be moved from the state folder to root. It
// asks for a move of what does not exist: whether two places are on one mount is
// looked at first.
func (s *Store) movable(root hostfs.Dir) (bool, error) {
	var err error
	open := s.inRoot(func(d hostfs.Dir) error {
		err = d.Rename(noSuchName, root, noSuchName, hostfs.NoReplace)
		return nil
	})
	switch {
	case open != nil:
		return false, open
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, hostfs.ErrCrossDevice):
		return false, nil
	}
	return false, err
}
