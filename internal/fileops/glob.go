package fileops

import (
	"context"
	"io/fs"
	"path"
	"strings"
)

// HasWildcards reports whether a name means something to Glob.
func HasWildcards(name string) bool { return strings.ContainsAny(name, `*?[`) }

// Glob returns the places that the pattern p.Path matches, in the order of their
// names: * and ? match any characters and any one of a name, [a-z] one of a
// range, without regard to case. A name without wildcards, or one that exists as
// it is written, stands for itself. No match is fs.ErrNotExist.
func Glob(ctx context.Context, p Place) ([]Place, error) {
	if !HasWildcards(p.Path) {
		return []Place{p}, nil
	}
	if _, err := fs.Stat(p.FS, p.Path); err == nil {
		return []Place{p}, nil
	}
	if _, err := path.Match(fold(p.Path), ""); err != nil {
		return nil, &fs.PathError{Op: "match", Path: p.String(), Err: err}
	}
	root := p
	root.Path, root.Base = ".", "."
	found := []Place{root}
	elements := strings.Split(p.Path, "/")
	for i, element := range elements {
		var err error
		if found, err = globIn(ctx, found, element, i < len(elements)-1 || p.DirOnly); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, &fs.PathError{Op: "match", Path: p.String(), Err: fs.ErrNotExist}
	}
	for i := range found {
		found[i].DirOnly = p.DirOnly
	}
	return found, nil
}

// globIn returns what element matches in the directories dirs.
func globIn(ctx context.Context, dirs []Place, element string, dirsOnly bool) ([]Place, error) {
	var found []Place
	pattern := fold(element)
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !HasWildcards(element) {
			next := dir.Join(element)
			if fi, err := fs.Stat(next.FS, next.Path); err == nil && (fi.IsDir() || !dirsOnly) {
				found = append(found, next)
			}
			continue
		}
		entries, err := fs.ReadDir(dir.FS, dir.Path)
		if err != nil {
			return nil, dir.Wrap(err)
		}
		for _, e := range entries {
			if ok, err := path.Match(pattern, fold(e.Name())); err == nil && ok && (e.IsDir() || !dirsOnly) {
				found = append(found, dir.Join(e.Name()))
			}
		}
	}
	return found, nil
}

// fold makes names equal that differ in case alone.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }
