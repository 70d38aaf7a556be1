package fat

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// pathError wraps an error of an operation on a name.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// lookup finds the node called name and holds a reference to it. The caller
// holds treeMu.
func (v *Volume) lookup(name string) (*node, error) {
	n := v.ref(v.root)
	for name != "." && name != "" {
		var part string
		part, name, _ = strings.Cut(name, "/")
		next, err := v.step(n, part)
		if uerr := v.unref(n); err == nil {
			err = uerr
		}
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// step finds the node called part in dir and holds a reference to it. The
// caller holds treeMu and a reference to dir.
func (v *Volume) step(dir *node, part string) (*node, error) {
	if !dir.isDir {
		return nil, ErrNotDir
	}
	d, err := v.contents(dir)
	if err != nil {
		return nil, err
	}
	at, ok := d.lookup(part)
	if !ok {
		return nil, fs.ErrNotExist
	}
	if d.twins[at.slot] {
		e := fatfmt.DecodeDirEntry(d.slot(at.slot))
		return nil, v.entryError(v.slotOffset(dir, at.slot), e.FirstCluster(v.geo.Type), "another entry leads to the same directory")
	}
	n := v.node(dir, d, at)
	if n.isDir {
		if err := v.checkChild(dir, n); err != nil {
			return nil, errors.Join(err, v.unref(n))
		}
	}
	return n, nil
}

// checkChild refuses directories that a walk would not come back from.
func (v *Volume) checkChild(dir, n *node) error {
	n.mu.RLock()
	e := n.full()
	n.mu.RUnlock()
	return v.checkDir(dir, &e, v.slotOffset(dir, n.at.slot))
}

// parent finds the directory of name, holds a reference to it, and returns the
// last part of name.
func (v *Volume) parent(name string) (*node, string, error) {
	dir, last := path.Split(name)
	n, err := v.lookup(strings.TrimSuffix(dir, "/"))
	if err == nil && !n.isDir {
		err = errors.Join(ErrNotDir, v.unref(n))
	}
	if err != nil {
		return nil, "", err
	}
	return n, last, nil
}

// find runs fn on the node called name, for reading.
func (v *Volume) find(op, name string, fn func(*node) error) error {
	if !fs.ValidPath(name) {
		return pathError(op, name, fs.ErrInvalid)
	}
	if err := v.enter(); err != nil {
		return pathError(op, name, err)
	}
	defer v.gate.Leave()
	v.treeMu.RLock()
	defer v.treeMu.RUnlock()
	n, err := v.lookup(name)
	if err == nil {
		err = fn(n)
		if uerr := v.unref(n); err == nil {
			err = uerr
		}
	}
	return pathError(op, name, err)
}
