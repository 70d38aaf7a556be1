package vfs

import (
	"context"
	"io/fs"
	"path"
)

// Tally counts what a walk or a copy has met.
type Tally struct {
	Files int64 // regular files
	Dirs  int64
	Other int64 // links, devices and what else is neither
	Bytes int64 // sizes of the regular files
	Kept  int64 // regular files that a copy left as they are in the target
}

// add counts one object.
func (t *Tally) add(fi fs.FileInfo) {
	switch {
	case fi.IsDir():
		t.Dirs++
	case fi.Mode().IsRegular():
		t.Files++
		t.Bytes += fi.Size()
	default:
		t.Other++
	}
}

// WalkFunc is called by [Walk] for each object, a directory before what is in
// it. An error that it is given (and then fi is nil) belongs to name; the
// error that it returns ends the walk, except that fs.SkipDir leaves out a
// directory.
type WalkFunc func(name string, fi fs.FileInfo, err error) error

// Walk visits name and all below it, in the order of the names, and follows no
// symbolic link. It ends with the context's error when ctx ends.
func Walk(ctx context.Context, fsys fs.FS, name string, fn WalkFunc) error {
	fi, err := Lstat(fsys, name)
	err = walk(ctx, fsys, name, fi, err, fn, 0)
	if err == fs.SkipDir {
		return nil
	}
	return err
}

func walk(ctx context.Context, fsys fs.FS, name string, fi fs.FileInfo, err error, fn WalkFunc, depth int) error {
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	if err == nil && depth > maxDepth {
		fi, err = nil, &fs.PathError{Op: "walk", Path: name, Err: errTooDeep}
	}
	if err != nil {
		return fn(name, nil, err)
	}
	if err := fn(name, fi, nil); err != nil || !fi.IsDir() {
		return err
	}
	entries, err := fs.ReadDir(fsys, name)
	if err != nil {
		return fn(name, nil, err)
	}
	for _, e := range entries {
		sub := path.Join(name, e.Name())
		info, err := e.Info()
		if err := walk(ctx, fsys, sub, info, err, fn, depth+1); err != nil && err != fs.SkipDir {
			return err
		}
	}
	return nil
}

// Measure counts what is at and below name. progress, which may be nil, sees
// the tally grow; it is called from Measure's goroutine.
func Measure(ctx context.Context, fsys fs.FS, name string, progress func(Tally)) (Tally, error) {
	var t Tally
	err := Walk(ctx, fsys, name, func(_ string, fi fs.FileInfo, err error) error {
		if err != nil {
			return err
		}
		t.add(fi)
		if progress != nil {
			progress(t)
		}
		return nil
	})
	return t, err
}
