package fat

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/vfs"
)

var (
	_ vfs.FS          = (*Volume)(nil)
	_ fs.StatFS       = (*Volume)(nil)
	_ fs.ReadDirFS    = (*Volume)(nil)
	_ fs.SubFS        = (*Volume)(nil)
	_ vfs.MkdirAllFS  = (*Volume)(nil)
	_ vfs.RemoveAllFS = (*Volume)(nil)
	_ vfs.ChtimesFS   = (*Volume)(nil)
	_ vfs.ChmodFS     = (*Volume)(nil)
	_ vfs.AttrFS      = (*Volume)(nil)
	_ vfs.UsageFS     = (*Volume)(nil)
	_ vfs.SyncFS      = (*Volume)(nil)
)

// Stat implements fs.StatFS.
func (v *Volume) Stat(name string) (fs.FileInfo, error) {
	var out *fileInfo
	err := v.find("stat", name, func(n *node) (err error) {
		out, err = v.info(n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReadDir implements fs.ReadDirFS: the entries are sorted by name.
func (v *Volume) ReadDir(name string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	err := v.find("readdir", name, func(n *node) (err error) {
		out, err = v.list(n)
		return err
	})
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return out, err
}

// Sub implements fs.SubFS. The result is a vfs.FS.
func (v *Volume) Sub(dir string) (fs.FS, error) { return vfs.Sub(v, dir) }

// changeNamed is change for an operation on a name that is not the root.
func (v *Volume) changeNamed(op, name string, fn func() error) error {
	if !fs.ValidPath(name) || name == "." {
		return pathError(op, name, fs.ErrInvalid)
	}
	return pathError(op, name, v.change(fn))
}

// in runs fn with the directory of name, its contents, and the last part of
// name. The caller holds treeMu for writing.
func (v *Volume) in(name string, fn func(dir *node, d *directory, last string) error) error {
	dir, last, err := v.parent(name)
	if err != nil {
		return err
	}
	d, err := v.hold(dir)
	if err == nil {
		err = fn(dir, d, last)
	}
	if uerr := v.unref(dir); err == nil {
		err = uerr
	}
	return err
}

// create makes an entry called name in dir. prepare, which may be nil, gets the
// new node before anything leads to it, and may fail. The result holds a
// reference. The caller holds treeMu for writing.
func (v *Volume) create(dir *node, d *directory, name string, attr fatfmt.Attr, prepare func(*node) error) (*node, error) {
	if err := fatfmt.ValidateName(name); err != nil {
		return nil, err
	}
	if _, ok := d.lookup(name); ok {
		return nil, fs.ErrExist
	}
	n := &node{vol: v, isDir: attr&fatfmt.AttrDirectory != 0, refs: 1, chain: chain{whole: true}}
	n.entry.Attr = attr
	now := v.opt.stamp(v.opt.Now())
	now.created(&n.entry)
	now.modified(&n.entry)
	now.accessed(&n.entry)
	label := v.nameFor(d, name, nil)
	start, err := v.room(dir, d, label.slots(), nil, nil)
	if err == nil && prepare != nil {
		n.at.dir = dir
		err = prepare(n)
	}
	if err != nil {
		d.namer = nil // it took the name for given
		v.discard(n)
		return nil, err
	}
	n.mu.Lock()
	e := n.full()
	at := v.place(dir, d, start, &label, &e)
	n.entry.Name, n.entry.Case = e.Name, e.Case
	n.mu.Unlock()
	v.settleAt(n, dir, at)
	v.touch(n)
	v.changed(dir)
	return n, nil
}

// discard forgets a node that got no entry.
func (v *Volume) discard(n *node) {
	v.cacheMu.Lock()
	n.removed = true
	delete(v.dirty, n)
	v.cacheMu.Unlock()
}

// settleAt makes at in dir the place of n.
func (v *Volume) settleAt(n, dir *node, at position) {
	v.cacheMu.Lock()
	n.at, n.long = place{dir, at.slot}, at.long
	v.adopt(dir, n)
	v.cacheMu.Unlock()
}

// changed sets the time of change of a directory.
func (v *Volume) changed(dir *node) {
	if dir == v.root {
		return // it has no entry
	}
	now := v.opt.stamp(v.opt.Now())
	dir.mu.Lock()
	now.modified(&dir.entry)
	dir.mu.Unlock()
	v.touch(dir)
}

// Mkdir implements vfs.FS. perm is not kept.
func (v *Volume) Mkdir(name string, _ fs.FileMode) error {
	if name == "." {
		return pathError("mkdir", name, fs.ErrExist)
	}
	return v.changeNamed("mkdir", name, func() error {
		return v.in(name, func(dir *node, d *directory, last string) error {
			n, err := v.create(dir, d, last, fatfmt.AttrDirectory, v.prepareDir)
			if err != nil {
				return err
			}
			return v.unref(n)
		})
	})
}

// prepareDir gives a new directory its first cluster, with "." and "..".
func (v *Volume) prepareDir(n *node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := v.extend(n, 1, 0); err != nil {
		return err
	}
	bytes := int64(v.geo.ClusterBytes())
	if err := v.disk.zero(v.geo.ClusterOffset(n.chain.first), bytes); err != nil {
		return v.fail(err)
	}
	d := newDirectory(make([]byte, bytes), v.codePage, v.geo.Type)
	v.keep(n, d)
	v.pin(n)
	v.held = append(v.held, n)
	v.open(n, d, 0)
	dot := n.entry
	dot.Name, dot.Cluster = fatfmt.DotName, n.chain.first
	dot.Encode(d.slot(0))
	dot.Name, dot.Cluster = fatfmt.DotDotName, n.at.dir.dotDotCluster()
	dot.Encode(d.slot(1))
	d.end = 2
	return nil
}

// stepwise is a volume that makes and removes trees one object at a time.
type stepwise struct{ *Volume }

func (stepwise) MkdirAll(string, fs.FileMode) error { return errors.ErrUnsupported }
func (stepwise) RemoveAll(string) error             { return errors.ErrUnsupported }

// MkdirAll implements vfs.MkdirAllFS.
func (v *Volume) MkdirAll(name string, perm fs.FileMode) error {
	return vfs.MkdirAll(stepwise{v}, name, perm)
}

// RemoveAll implements vfs.RemoveAllFS. It is not atomic.
func (v *Volume) RemoveAll(name string) error { return vfs.RemoveAll(stepwise{v}, name) }

// Remove implements vfs.FS. A file that is open stays usable until it is
// closed.
func (v *Volume) Remove(name string) error {
	return v.changeNamed("remove", name, func() error {
		return v.in(name, func(dir *node, d *directory, last string) error {
			n, err := v.step(dir, last)
			if err != nil {
				return err
			}
			err = v.mayRemove(n)
			if err == nil {
				v.erase(dir, d, position{n.at.slot, n.long})
				v.unlink(n)
				v.changed(dir)
			}
			if uerr := v.unref(n); err == nil {
				err = uerr
			}
			return err
		})
	})
}

// mayRemove says why n cannot be removed, if it cannot. The caller holds treeMu
// for writing.
func (v *Volume) mayRemove(n *node) error {
	if !n.isDir {
		return nil
	}
	d, err := v.hold(n)
	if err != nil {
		return err
	}
	if !d.empty(v.codePage) {
		return ErrNotEmpty
	}
	return nil
}

// unlink makes n, whose entry was erased, a node without an entry. Its clusters
// are freed with the last reference. The caller holds treeMu for writing and a
// reference to n.
func (v *Volume) unlink(n *node) {
	if n.contents != nil {
		if _, ok := v.dirtyDirs[n]; ok {
			if n.movedOut { // its old entries must go from the medium
				v.orphans = append(v.orphans, v.images(n)...)
			} else {
				v.dirtyBlocks.Add(-int64(len(n.contents.base)))
			}
			clear(n.contents.base)
			delete(v.dirtyDirs, n)
		}
	}
	v.cacheMu.Lock()
	delete(n.at.dir.children, n.at.slot)
	n.removed = true
	if n.contents != nil {
		v.forget(n)
	}
	v.unlinked[n] = struct{}{}
	v.cacheMu.Unlock()
}
