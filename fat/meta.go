package fat

import (
	"io/fs"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/vfs"
)

// settable are the attributes that a caller may change.
const settable = vfs.AttrReadOnly | vfs.AttrHidden | vfs.AttrSystem | vfs.AttrArchive

// edit runs fn on the entry of the node called name. The root has none, and
// is left alone.
func (v *Volume) edit(op, name string, fn func(n *node, e *fatfmt.DirEntry)) error {
	if !fs.ValidPath(name) {
		return pathError(op, name, fs.ErrInvalid)
	}
	return pathError(op, name, v.change(func() error {
		n, err := v.lookup(name)
		if err != nil {
			return err
		}
		if n != v.root {
			n.mu.Lock()
			fn(n, &n.entry)
			n.mu.Unlock()
			v.touch(n)
		}
		return v.unref(n)
	}))
}

// Chtimes implements vfs.ChtimesFS. The medium keeps the time of change in
// steps of 2 s, that of creation in steps of 10 ms, and of the last access only
// the day, from 1980 to 2107.
func (v *Volume) Chtimes(name string, t vfs.Times) error {
	return v.edit("chtimes", name, func(_ *node, e *fatfmt.DirEntry) {
		if !t.Modified.IsZero() {
			v.opt.stamp(t.Modified).modified(e)
		}
		if !t.Accessed.IsZero() {
			v.opt.stamp(t.Accessed).accessed(e)
		}
		if !t.Created.IsZero() {
			v.opt.stamp(t.Created).created(e)
		}
	})
}

// Chmod implements vfs.ChmodFS: the read-only attribute is the opposite of the
// owner's write bit. A directory is left alone.
func (v *Volume) Chmod(name string, mode fs.FileMode) error {
	return v.edit("chmod", name, func(n *node, e *fatfmt.DirEntry) {
		switch {
		case n.isDir:
		case mode&0o200 == 0:
			e.Attr |= fatfmt.AttrReadOnly
		default:
			e.Attr &^= fatfmt.AttrReadOnly
		}
	})
}

// Attr implements vfs.AttrFS.
func (v *Volume) Attr(name string) (a vfs.Attr, err error) {
	err = v.find("attr", name, func(n *node) error {
		n.mu.RLock()
		a = vfs.Attr(n.entry.Attr) & settable
		n.mu.RUnlock()
		return nil
	})
	return a, err
}

// SetAttr implements vfs.AttrFS. Attributes besides read-only, hidden, system
// and archive are fs.ErrInvalid.
func (v *Volume) SetAttr(name string, set, clear vfs.Attr) error {
	if (set|clear)&^settable != 0 {
		return pathError("setattr", name, fs.ErrInvalid)
	}
	return v.edit("setattr", name, func(_ *node, e *fatfmt.DirEntry) {
		e.Attr = e.Attr&^fatfmt.Attr(clear) | fatfmt.Attr(set)
	})
}

// Usage implements vfs.UsageFS. The first call reads the whole FAT. Clusters of
// files that were removed are free after the commit that removes them, which
// Usage waits for.
func (v *Volume) Usage() (vfs.Usage, error) {
	u := vfs.Usage{BlockBytes: int64(v.geo.ClusterBytes()), TotalBytes: v.geo.DataBytes(), FreeBytes: -1}
	if err := v.enter(); err != nil {
		return u, pathError("statfs", ".", err)
	}
	defer v.gate.Leave()
	if v.space.waiting() {
		if err := v.commit(); err != nil {
			return u, pathError("statfs", ".", err)
		}
	}
	n, err := v.space.count()
	if err != nil {
		return u, pathError("statfs", ".", err)
	}
	u.FreeBytes = int64(n) * u.BlockBytes
	return u, nil
}
