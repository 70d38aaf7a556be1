// Package fileops is what the commands on files do, such as cp and rm, on
// places in any trees: volumes in images and directories of the host.
//
// It follows the coreutils of those names. A [Place] is a name in a tree; where it
// came from, and who closes the tree, is the caller's business, as are flags,
// output and questions to a person. What happens to one object does not stop the
// others, unless no other could succeed either: each failure is told, and the
// commands return [ErrFailed] when there were any.
//
// The package opens no images and prints nothing.
package fileops

import (
	"errors"
	"io/fs"
	"path"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// ErrFailed says that some objects could not be dealt with, each of which was
// told.
var ErrFailed = errors.New("not everything could be done")

// Place is a name in a tree. The object need not exist.
type Place struct {
	FS   vfs.FS
	Path string // as in io/fs; "." is the root
	// Tree is how a person writes the root of the tree, such as disk.img:/; with
	// a path behind it that is the object's name.
	Tree string
	// Base is the name that a copy gets in another directory; "." stands for
	// what is in a directory.
	Base string
	// DirOnly says that only a directory can be meant.
	DirOnly bool
}

// Join returns the place of what is called name, slash-separated, within the
// directory p.
func (p Place) Join(name string) Place {
	p.DirOnly = false
	if name != "." {
		p.Path, p.Base = path.Join(p.Path, name), path.Base(name)
	}
	return p
}

// String returns the name as a person writes it.
func (p Place) String() string { return p.text(p.Path) }

// text returns how a person writes the object called name in the tree of p.
func (p Place) text(name string) string {
	switch {
	case name != ".":
		return p.Tree + name
	case p.Tree == "":
		return "."
	}
	return p.Tree
}

// Stat describes the object, following a link.
func (p Place) Stat() (fs.FileInfo, error) {
	fi, err := fs.Stat(p.FS, p.Path)
	if err != nil {
		return nil, p.Wrap(err)
	}
	if p.DirOnly && !fi.IsDir() {
		return nil, &fs.PathError{Op: "stat", Path: p.String(), Err: errors.New("not a directory")}
	}
	return fi, nil
}

// Wrap returns an error about an object in the tree of p with the name that a
// person knows it by.
func (p Place) Wrap(err error) error {
	var of *fs.PathError
	if err == nil || !errors.As(err, &of) {
		return err
	}
	return &fs.PathError{Op: of.Op, Path: p.text(of.Path), Err: of.Err}
}

// hopeless reports whether an error is one that every further object would
// meet as well.
func hopeless(err error) bool {
	return errors.Is(err, diskerr.ErrNoSpace) || errors.Is(err, diskerr.ErrReadOnly) || errors.Is(err, diskerr.ErrCorrupt) || errors.Is(err, fs.ErrClosed)
}

// failures counts what went wrong and goes on.
type failures struct {
	tell  func(error)
	count int
}

// note tells an error. It returns it if there is no use in going on.
func (f *failures) note(err error) error {
	if err == nil {
		return nil
	}
	if hopeless(err) {
		return err
	}
	f.count++
	f.tell(err)
	return nil
}

// err returns what a command returns in the end.
func (f *failures) err() error {
	if f.count > 0 {
		return ErrFailed
	}
	return nil
}
