package fileops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/fatkit/fatkit/vfs"
)

// CopyOptions tune [Copy] and [Move].
type CopyOptions struct {
	Recursive bool           // copy directories with what is in them
	Whole     bool           // the target is the name of the copy, never a directory to put it in
	NoReplace bool           // leave files alone that exist
	Force     bool           // replace also files that are read-only
	Preserve  bool           // keep times and attributes
	Links     vfs.LinkPolicy // of the host
	// Replace, if not nil, is asked before a file is replaced, by the name that
	// a person writes.
	Replace func(name string) bool
	// Failed is told what could not be copied.
	Failed func(error)
	// Started, if not nil, sees each object before it is copied or moved.
	Started func(from, to string)
	// Progress, if not nil, sees what has been copied so far.
	Progress func(vfs.Tally)
}

// Copy copies the sources to the target: into it if it is a directory, else to
// that name. It returns what was copied, also with an error.
func Copy(ctx context.Context, target Place, sources []Place, o CopyOptions) (vfs.Tally, error) {
	var total vfs.Tally
	failed := failures{tell: o.Failed}
	err := eachTarget(target, sources, o.Whole, func(from, to Place) error {
		done, err := copyOne(ctx, to, from, &o, total, &failed)
		total = sum(total, done)
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		return failed.note(err)
	})
	if err == nil {
		err = failed.err()
	}
	return total, err
}

func sum(a, b vfs.Tally) vfs.Tally {
	return vfs.Tally{Files: a.Files + b.Files, Dirs: a.Dirs + b.Dirs, Other: a.Other + b.Other, Bytes: a.Bytes + b.Bytes, Kept: a.Kept + b.Kept}
}

// eachTarget calls do for each source with the place that it goes to.
func eachTarget(target Place, sources []Place, whole bool, do func(from, to Place) error) error {
	fi, err := fs.Stat(target.FS, target.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return target.Wrap(err)
	}
	isDir := err == nil && fi.IsDir()
	switch {
	case isDir && !whole:
		for _, from := range sources {
			if err := do(from, target.Join(from.Base)); err != nil {
				return err
			}
		}
		return nil
	case len(sources) > 1:
		return &fs.PathError{Op: "copy", Path: target.String(), Err: errors.New("must be a directory, since there are several sources")}
	case err == nil && target.DirOnly && !isDir:
		return &fs.PathError{Op: "copy", Path: target.String(), Err: errors.New("not a directory")}
	case err != nil && target.DirOnly: // only a directory can be made with that name
		from, serr := sources[0].Stat()
		if serr != nil {
			return serr
		}
		if !from.IsDir() {
			return target.Wrap(err)
		}
	}
	target.DirOnly = false
	return do(sources[0], target)
}

// copyOne copies one source to the name that it gets.
func copyOne(ctx context.Context, to, from Place, o *CopyOptions, before vfs.Tally, failed *failures) (vfs.Tally, error) {
	fi, err := from.Stat()
	if err != nil {
		return vfs.Tally{}, err
	}
	if fi.IsDir() && !o.Recursive {
		return vfs.Tally{}, &fs.PathError{Op: "copy", Path: from.String(), Err: errors.New("is a directory: say -r to copy it with what is in it")}
	}
	if err := apart(to, from, fi.IsDir()); err != nil {
		return vfs.Tally{}, err
	}
	options := vfs.CopyOptions{NoReplace: o.NoReplace, Force: o.Force, Preserve: o.Preserve, Links: o.Links}
	var stopped error // as it is told, unlike what comes back from the copy
	options.Failed = func(name string, err error) error {
		stopped = failed.note(sideOf(to, from, name, err))
		return stopped
	}
	if o.Started != nil {
		options.Started = func(name, toName string, _ fs.FileInfo) { o.Started(from.text(name), to.text(toName)) }
	}
	if o.Replace != nil {
		options.Replace = func(name string, _, _ fs.FileInfo) bool { return o.Replace(to.text(name)) }
	}
	if o.Progress != nil {
		options.Progress = func(now vfs.Tally) { o.Progress(sum(before, now)) }
	}
	done, err := vfs.Copy(ctx, to.FS, to.Path, from.FS, from.Path, options)
	if stopped != nil {
		return done, stopped
	}
	return done, sideOf(to, from, from.Path, err)
}

// sideOf gives an error of a copy the name of the object that it is about.
func sideOf(to, from Place, name string, err error) error {
	var target *vfs.TargetError
	var partial *vfs.PartialError
	var of *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &partial):
		return &vfs.PartialError{Name: to.text(partial.Name), Err: sideOf(to, from, name, partial.Err)}
	case errors.As(err, &target):
		return to.Wrap(target.Err)
	case errors.As(err, &of):
		if fi, lerr := vfs.Lstat(from.FS, name); lerr == nil && fi.Mode()&fs.ModeSymlink != 0 {
			return &fs.PathError{Op: "follow the link", Path: from.text(name), Err: of.Err}
		}
		return from.Wrap(err)
	}
	return fmt.Errorf("%s: %w", from.text(name), err)
}

// canonical returns the spelling of a name that all names of one object share:
// a volume finds an object by its long and by its short name, in any case.
func canonical(fsys fs.FS, name string) string {
	if name == "." {
		return name
	}
	var elements []string
	for i, c := range name + "/" {
		if c != '/' {
			continue
		}
		element := path.Base(name[:i])
		if fi, err := fs.Stat(fsys, name[:i]); err == nil {
			element = fi.Name()
		}
		elements = append(elements, fold(element))
	}
	return strings.Join(elements, "/")
}

// apart refuses to copy an object onto itself, or a directory into itself.
func apart(to, from Place, isDir bool) error {
	if to.FS != from.FS {
		return nil
	}
	a, b := canonical(from.FS, from.Path), canonical(to.FS, to.Path)
	switch {
	case a == b:
		return &fs.PathError{Op: "copy", Path: from.String(), Err: fmt.Errorf("and %s are the same", to)}
	case isDir && (a == "." || strings.HasPrefix(b, a+"/")):
		return &fs.PathError{Op: "copy", Path: from.String(), Err: fmt.Errorf("cannot go into itself, to %s", to)}
	}
	return nil
}

// Move moves the sources to the target as [Copy] copies them. Within a tree that
// is a rename; between trees a copy, after which the source is removed if all of
// it was copied.
func Move(ctx context.Context, target Place, sources []Place, o CopyOptions) (vfs.Tally, error) {
	var total vfs.Tally
	failed := failures{tell: o.Failed}
	o.Recursive, o.Preserve = true, true
	err := eachTarget(target, sources, o.Whole, func(from, to Place) error {
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if from.Path == "." || from.Base == "." {
			return failed.note(&fs.PathError{Op: "move", Path: from.String(), Err: errors.New("the root of a tree stays where it is: name what is in it")})
		}
		if to.FS == from.FS {
			return failed.note(rename(to, from, &o))
		}
		before := failed.count
		done, err := copyOne(ctx, to, from, &o, total, &failed)
		total = sum(total, done)
		if err == nil && failed.count == before && done.Kept == 0 {
			err = from.Wrap(vfs.RemoveAll(from.FS, from.Path))
		}
		return failed.note(err)
	})
	if err == nil {
		err = failed.err()
	}
	return total, err
}

// rename moves within one tree.
func rename(to, from Place, o *CopyOptions) error {
	fi, err := vfs.Lstat(from.FS, from.Path)
	if err != nil {
		return from.Wrap(err)
	}
	if from.DirOnly && !fi.IsDir() {
		return &fs.PathError{Op: "move", Path: from.String(), Err: errors.New("not a directory")}
	}
	sameName := canonical(to.FS, to.Path) == canonical(from.FS, from.Path)
	if sameName && path.Base(to.Path) == path.Base(from.Path) {
		return &fs.PathError{Op: "move", Path: from.String(), Err: fmt.Errorf("and %s are the same", to)}
	}
	if _, err := fs.Stat(to.FS, to.Path); err == nil && !sameName {
		if o.NoReplace || o.Replace != nil && !o.Replace(to.String()) {
			return nil
		}
	}
	if o.Started != nil {
		o.Started(from.String(), to.String())
	}
	return from.Wrap(from.FS.Rename(from.Path, to.Path))
}
