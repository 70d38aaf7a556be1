package hostfs

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// Resolve implements [FS]. It asks the host where the link leads, which may
// pass through directories outside of the root, and compares the result with
// the place of the root. The answer is only a path: whoever opens it is
// confined again, so a race cannot lead out.
func (r *Root) Resolve(path string) (string, error) {
	if err := checkPath("resolve", path); err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(filepath.Join(r.real, filepath.FromSlash(path)))
	if err != nil {
		return "", &fs.PathError{Op: "resolve", Path: r.join(path), Err: underlying(err)}
	}
	rel, err := filepath.Rel(r.real, real)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", &fs.PathError{Op: "resolve", Path: r.join(path), Err: ErrOutside}
	}
	return filepath.ToSlash(rel), nil
}

// join returns the name of path for messages.
func (r *Root) join(path string) string {
	return filepath.Join(r.name, filepath.FromSlash(path))
}

// Name implements [FS].
func (r *Root) Name() string { return r.name }

// realDir returns the place of a directory with no symbolic link in it.
func realDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// underlying strips the *fs.PathError from err, whose path is not the one that
// the caller knows.
func underlying(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}
