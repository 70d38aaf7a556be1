package hosttwin

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// root is a directory of the machine, as a tree.
type root struct {
	m       *Machine
	path    string
	counted bool
}

var _ hostfs.Writable = (*root)(nil)

// Name implements [hostfs.FS].
func (r *root) Name() string { return "twin:" + r.path }

// Close implements [hostfs.FS].
func (r *root) Close() error { return nil }

// walk returns the inode of a path, and its own name for messages. The caller
// holds mu.
func (r *root) walk(p string) (*inode, error) {
	if p != "." && !fs.ValidPath(p) {
		return nil, fs.ErrInvalid
	}
	return r.m.live.find(path.Join(r.path, p))
}

// OpenDir implements [hostfs.Writable].
func (r *root) OpenDir(p string) (hostfs.Dir, error) {
	if err := r.m.enter(r.counted, false, "open", p); err != nil {
		return nil, err
	}
	defer r.m.mu.Unlock()
	n, err := r.walk(p)
	if err == nil && !n.mode.IsDir() {
		err = errNotDir
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: p, Err: err}
	}
	return &dir{newNode(r, n, p, false)}, nil
}

// SyncFS implements [hostfs.Writable].
func (r *root) SyncFS() error {
	if err := r.m.enter(r.counted, true, "syncfs", r.path); err != nil {
		return err
	}
	defer r.m.mu.Unlock()
	r.m.settle()
	return nil
}

// Usage implements [hostfs.Writable].
func (r *root) Usage() (hostfs.Usage, error) {
	if err := r.m.enter(r.counted, false, "statfs", r.path); err != nil {
		return hostfs.Usage{}, err
	}
	defer r.m.mu.Unlock()
	free := int64(1) << 40
	if r.m.Capacity > 0 {
		free = r.m.Capacity - r.m.used()
	}
	return hostfs.Usage{FSID: fsid, FreeBytes: free, Type: "twin", NameBytes: 255}, nil
}

// used counts the bytes of contents. The caller holds mu.
func (m *Machine) used() int64 {
	var sum int64
	for _, n := range m.live.inodes {
		sum += int64(len(n.data))
	}
	return sum
}

// ReadDir implements [hostfs.FS].
func (r *root) ReadDir(p string, l *hostfs.Listing) error {
	d, err := r.OpenDir(p)
	if err != nil {
		return err
	}
	return errors.Join(d.List(l), d.Close())
}

// Stat implements [hostfs.FS].
func (r *root) Stat(p string) (hostfs.Stat, error) {
	if err := r.m.enter(r.counted, false, "stat", p); err != nil {
		return hostfs.Stat{}, err
	}
	defer r.m.mu.Unlock()
	n, err := r.walk(p)
	if err != nil {
		return hostfs.Stat{}, &fs.PathError{Op: "stat", Path: p, Err: err}
	}
	return n.stat(r.m.dev, fsid).Stat, nil
}

// Resolve implements [hostfs.FS]. Every link of a twin leads outside.
func (r *root) Resolve(p string) (string, error) {
	st, err := r.Stat(p)
	if err == nil && st.Mode&fs.ModeSymlink != 0 {
		err = &fs.PathError{Op: "resolve", Path: p, Err: hostfs.ErrOutside}
	}
	return p, err
}

// Open implements [hostfs.FS].
func (r *root) Open(p string) (hostfs.File, hostfs.Stat, error) {
	parent, name := hostfs.SplitPath(p)
	d, err := r.OpenDir(parent)
	if err != nil {
		return nil, hostfs.Stat{}, err
	}
	defer d.Close()
	f, err := d.Open(name)
	if err != nil {
		return nil, hostfs.Stat{}, err
	}
	st, err := f.Stat()
	return f, st, err
}

// list fills l with the entries of n. The caller holds mu.
func (m *Machine) list(n *inode, l *hostfs.Listing) {
	l.Reset()
	names := make([]string, 0, len(n.entries))
	for name := range n.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		child := m.live.inodes[n.entries[name]]
		e := hostfs.Entry{Stat: child.stat(m.dev, fsid).Stat}
		if l.WantDOS {
			e.DOS, e.HasDOS = hostfs.ParseDOSAttribute(child.xattrs[hostfs.DOSAttribute])
		}
		l.Add(name, e)
	}
}
