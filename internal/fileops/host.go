package fileops

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fatkit/fatkit/vfs/host"
)

// Host returns the place of a path of the host, and what closes its tree. A
// directory is the root of a tree of its own, out of which no link leads; a
// file, or what does not exist, lies in the tree of its directory.
func Host(text string) (Place, func() error, error) {
	p := Place{Path: ".", Tree: strings.TrimRight(text, "/") + "/", Base: hostBase(text), DirOnly: endsInSlash(text)}
	real, err := filepath.EvalSymlinks(text)
	switch {
	case err == nil:
		fi, err := os.Stat(real)
		if err != nil {
			return p, nil, err
		}
		if fi.IsDir() {
			return p.in(real)
		}
	case errors.Is(err, fs.ErrNotExist):
		parent, perr := filepath.EvalSymlinks(filepath.Dir(filepath.Clean(text)))
		if perr != nil {
			return p, nil, &fs.PathError{Op: "open", Path: filepath.Dir(text), Err: Unwrap(perr)}
		}
		real = filepath.Join(parent, filepath.Base(text))
	default:
		return p, nil, &fs.PathError{Op: "open", Path: text, Err: Unwrap(err)}
	}
	p.Path = filepath.ToSlash(filepath.Base(real))
	p.Tree = strings.TrimSuffix(text, filepath.Base(text))
	return p.in(filepath.Dir(real))
}

// in opens the tree of p, which is the directory dir.
func (p Place) in(dir string) (Place, func() error, error) {
	tree, err := host.New(dir)
	if err != nil {
		return p, nil, &fs.PathError{Op: "open", Path: p.Tree, Err: Unwrap(err)}
	}
	p.FS = tree
	return p, tree.Close, nil
}

// hostBase returns the name of what is at a path. "." and ".." are names of no
// object; cp takes them for what is in a directory.
func hostBase(text string) string {
	text = strings.TrimRight(filepath.ToSlash(text), "/")
	name := text[strings.LastIndexByte(text, '/')+1:]
	if name == "" || name == ".." || strings.HasSuffix(name, ":") {
		return "."
	}
	return name
}

func endsInSlash(text string) bool { return text != "" && os.IsPathSeparator(text[len(text)-1]) }

// Unwrap returns what is wrong without the path that an error is about, for who
// names it in another way.
func Unwrap(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
