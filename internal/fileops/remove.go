package fileops

import (
	"context"
	"errors"
	"io/fs"

	"github.com/fatkit/fatkit/vfs"
)

// RemoveOptions tune [Remove].
type RemoveOptions struct {
	Recursive bool // directories with what is in them
	Dirs      bool // empty directories
	Force     bool // what is read-only; and what is not there is no error
	Failed    func(error)
	// Removed, if not nil, sees each object after it was removed.
	Removed func(name string)
}

// Remove removes the places. A place that is read-only, or has something
// read-only in it, stays without Force. The root of a tree stays always.
func Remove(ctx context.Context, places []Place, o RemoveOptions) error {
	failed := failures{tell: o.Failed}
	for _, p := range places {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := failed.note(removeOne(ctx, p, &o)); err != nil {
			return err
		}
	}
	return failed.err()
}

func removeOne(ctx context.Context, p Place, o *RemoveOptions) error {
	fi, err := vfs.Lstat(p.FS, p.Path)
	refuse := func(reason string) error {
		return &fs.PathError{Op: "remove", Path: p.String(), Err: errors.New(reason)}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.Force:
		return nil
	case err != nil:
		return p.Wrap(err)
	case p.Path == ".":
		return refuse("is the root, which stays: write /* for all that is in it")
	case p.DirOnly && !fi.IsDir():
		return refuse("not a directory")
	case fi.IsDir() && !o.Recursive && !o.Dirs:
		return refuse("is a directory: say -r to remove it with what is in it")
	case fi.IsDir() && o.Recursive:
		return removeTree(ctx, p, o)
	}
	if !o.Force && !fi.IsDir() && fi.Mode().Perm()&0o200 == 0 {
		return refuse("is read-only: say -f to remove it nevertheless")
	}
	if err := p.FS.Remove(p.Path); err != nil {
		return p.Wrap(err)
	}
	if o.Removed != nil {
		o.Removed(p.String())
	}
	return nil
}

// removeTree removes a directory with what is in it.
func removeTree(ctx context.Context, p Place, o *RemoveOptions) error {
	var names []string
	if !o.Force || o.Removed != nil {
		err := vfs.Walk(ctx, p.FS, p.Path, func(name string, fi fs.FileInfo, err error) error {
			if err != nil {
				return err
			}
			if !o.Force && !fi.IsDir() && fi.Mode().Perm()&0o200 == 0 {
				return &fs.PathError{Op: "remove", Path: name, Err: errors.New("is read-only: say -f to remove it nevertheless")}
			}
			if o.Removed != nil {
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			return p.Wrap(err)
		}
	}
	if err := vfs.RemoveAll(p.FS, p.Path); err != nil {
		return p.Wrap(err)
	}
	for i := len(names) - 1; i >= 0; i-- {
		o.Removed(p.text(names[i]))
	}
	return nil
}
