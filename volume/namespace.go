package volume

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/vfs"
)

// Options tune a [Namespace].
type Options struct {
	// DeviceNames treats the names of DOS's devices as DOS does: none can be
	// created as a file, and NUL is a file that swallows what is written.
	DeviceNames bool
	// Devices, with DeviceNames, are further devices by name, such as "CON".
	Devices map[string]func() vfs.File
}

// Namespace is what is mounted where. Its methods take paths in the syntax of
// the package documentation; those for files are the [View]'s.
type Namespace struct {
	View
	registry *Registry
	options  Options

	mu    sync.Mutex // held while the table is replaced
	table atomic.Pointer[table]
}

// New returns an empty namespace for the drivers of a registry. The first letter
// that gets a volume becomes the default drive.
func New(r *Registry, o Options) *Namespace {
	n := &Namespace{registry: r, options: o}
	n.table.Store(&table{treeDir: "."})
	n.View = View{n, n.locate}
	return n
}

// FS returns the namespace as an fs.FS, whose root holds the letters as
// directories called "C:" and the mount points by their paths. It is a vfs.FS
// with every capability.
func (n *Namespace) FS() *View { return &View{n, n.locateTree} }

// change replaces the table by what fn makes of it.
func (n *Namespace) change(fn func(t *table) (*table, error)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	t, err := fn(n.table.Load())
	if err == nil {
		n.table.Store(t)
	}
	return err
}

// reserve puts a mount without a volume at a free place.
func (n *Namespace) reserve(point, what string) (*mount, error) {
	m, err := parsePoint(point)
	if err != nil {
		return nil, err
	}
	m.busy = what
	return m, n.change(func(t *table) (*table, error) {
		if t.at(m.letter, m.key) != nil {
			return nil, ErrInUse
		}
		t = t.with(m)
		if m.letter != 0 {
			t.dirs[m.letter-'A'] = "."
		}
		return t, nil
	})
}

// publish gives a reserved place its volume.
func (n *Namespace) publish(m *mount, v *Volume, dir string, subst bool) {
	done := *m
	done.vol, done.dir, done.subst, done.busy = v, dir, subst, ""
	n.change(func(t *table) (*table, error) {
		t = t.with(&done)
		if t.def == 0 && m.letter != 0 && t.treeDir == "." {
			t.def = m.letter
		}
		return t, nil
	})
}

// drop frees a place. The default drive stays, so that its prompt does not
// jump.
func (n *Namespace) drop(m *mount) {
	n.change(func(t *table) (*table, error) { return t.without(m.letter, m.key), nil })
}

// Mount mounts a source at a letter ("C:") or in the tree ("/mnt/x"), by the
// driver of that name, or by the one that is most sure if driver is "". The
// namespace owns the source from then on. A place that is taken is [ErrInUse];
// a source that nobody can mount is a [NoDriverError].
func (n *Namespace) Mount(ctx context.Context, point string, src *Source, driver string) error {
	m, err := n.reserve(point, "it is being mounted")
	if err != nil {
		return pathError("mount", point, err)
	}
	v, err := n.mount(ctx, src, driver)
	if err != nil {
		n.drop(m)
		return pathError("mount", point, err)
	}
	n.publish(m, v, ".", false)
	return nil
}

// mount makes a volume of a source.
func (n *Namespace) mount(ctx context.Context, src *Source, driver string) (*Volume, error) {
	d, err := n.registry.take(ctx, src, driver)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.Name, err)
	}
	fsys, err := d.Mount(ctx, src)
	if err != nil {
		n.registry.give(d)
		return nil, fmt.Errorf("%s: %w", src.Name, err)
	}
	return newVolume(fsys, d, src, n.options.DeviceNames), nil
}

// Attach mounts a tree that is there already, without a driver. If it is an
// io.Closer it is closed at the end.
func (n *Namespace) Attach(point string, fsys vfs.FS, name string) error {
	m, err := n.reserve(point, "it is being mounted")
	if err != nil {
		return pathError("mount", point, err)
	}
	n.publish(m, newVolume(fsys, nil, &Source{Name: name, FS: fsys}, n.options.DeviceNames), ".", false)
	return nil
}

// Subst makes a letter, or a place in the tree, a second name of a directory.
func (n *Namespace) Subst(point, dir string) error {
	l, err := n.locate(dir)
	if err == nil && l.Volume() == nil {
		err = ErrNoDrive
	}
	if err != nil {
		return pathError("subst", dir, err)
	}
	if fi, err := l.Volume().Stat(l.Name()); err != nil || !fi.IsDir() {
		return pathError("subst", dir, cmpOr(err, vfs.ErrNotDir))
	}
	m, err := parsePoint(point)
	if err != nil {
		return pathError("subst", point, err)
	}
	m.vol, m.dir, m.subst = l.Volume(), l.Name(), true
	return pathError("subst", point, n.change(func(t *table) (*table, error) {
		switch {
		case t.at(m.letter, m.key) != nil:
			return nil, ErrInUse
		case t.at(l.mnt.letter, l.mnt.key) != l.mnt: // unmounted meanwhile
			return nil, ErrNoDrive
		}
		t = t.with(m)
		if m.letter != 0 {
			t.dirs[m.letter-'A'] = "."
		}
		return t, nil
	}))
}

func cmpOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Unmount takes away what is mounted at a place. While files of it are open,
// a copy runs or the volume has a second name by [Namespace.Subst], that is
// [ErrBusy]; with force, files are closed, copies end, and second names go as well.
//
// Its error can also be that of the last writes. The place is free then, too.
func (n *Namespace) Unmount(point string, force bool) error {
	return pathError("unmount", point, n.unmount(point, force))
}

func (n *Namespace) unmount(point string, force bool) error {
	m, err := n.take(point, force, "it is being unmounted")
	if err != nil || m.subst {
		return err
	}
	err = errors.Join(m.vol.end(), m.vol.source.close())
	n.drop(m)
	if m.vol.driver != nil {
		n.registry.give(m.vol.driver)
	}
	return err
}

// take stops the volume at a place and reserves the place. A second name is
// dropped instead.
func (n *Namespace) take(point string, force bool, what string) (m *mount, err error) {
	p, err := parsePoint(point)
	if err != nil {
		return nil, err
	}
	return m, n.change(func(t *table) (*table, error) {
		m = t.at(p.letter, p.key)
		switch {
		case m == nil:
			return nil, ErrNoDrive
		case m.vol == nil:
			return nil, &busyError{m.busy}
		case m.subst:
			return t.without(m.letter, m.key), nil
		}
		u := t
		for _, other := range t.all() {
			if other == m || other.vol != m.vol {
				continue
			}
			if !force {
				return nil, &busyError{other.point + " is another name of it"}
			}
			u = u.without(other.letter, other.key)
		}
		if err := m.vol.stop(force); err != nil {
			return nil, err
		}
		return u.with(&mount{point: m.point, letter: m.letter, key: m.key, busy: what}), nil
	})
}

// Close unmounts everything, with force.
func (n *Namespace) Close() error {
	var failed error
	for _, m := range n.table.Load().all() {
		err := n.Unmount(m.point, true)
		if err != nil && !errors.Is(err, ErrNoDrive) { // it went with another name
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// MountInfo describes a place of a namespace.
type MountInfo struct {
	Point  string  // "C:" or "/mnt/x"
	Volume *Volume // nil while it is being mounted, unmounted or checked
	Subst  string  // the directory of the volume that this is a second name of; "" as a rule
}

// Mounts lists what is mounted: the letters, then the tree.
func (n *Namespace) Mounts() []MountInfo {
	var all []MountInfo
	for _, m := range n.table.Load().all() {
		i := MountInfo{Point: m.point, Volume: m.vol}
		if m.subst {
			i.Subst = n.origin(m)
		}
		all = append(all, i)
	}
	return all
}

// origin returns the path that a second name stands for.
func (n *Namespace) origin(m *mount) string {
	for _, other := range n.table.Load().all() {
		if other.vol == m.vol && !other.subst {
			return Location{other, m.dir}.String()
		}
	}
	return path.Join("/", m.dir) // it is being unmounted
}

// Files lists the open files of all volumes.
func (n *Namespace) Files() []FileInfo {
	var all []FileInfo
	for _, m := range n.table.Load().all() {
		if m.vol == nil || m.subst {
			continue
		}
		for _, f := range m.vol.Files() {
			f.Point = m.point
			all = append(all, f)
		}
	}
	return all
}

// exclusive runs fn on the source of the volume at a place while it is not
// mounted, and mounts it again: by the driver called again, or by the one that is
// most sure if that is "".
func (n *Namespace) exclusive(ctx context.Context, point, what string, fn func(*Volume) (again string, err error)) error {
	m, err := n.take(point, false, what)
	if err != nil {
		return err
	}
	if m.subst {
		n.change(func(t *table) (*table, error) { return t.with(m), nil })
		return &busyError{"it is another name of a directory of " + n.origin(m)}
	}
	old := m.vol
	again, failed := old.driver.Name(), old.end()
	if failed == nil {
		again, failed = fn(old)
	}
	n.registry.give(old.driver)
	v, err := n.mount(context.WithoutCancel(ctx), old.source, again)
	if err != nil {
		n.drop(m)
		return errors.Join(failed, fmt.Errorf("it is no longer mounted: %w", err), old.source.close())
	}
	n.publish(m, v, ".", false)
	return failed
}

// Check checks the file system at a place, which is not mounted meanwhile, and
// repairs it if that is asked for. Each finding goes to found. While files are
// open that is [ErrBusy]; a driver that cannot check is errors.ErrUnsupported.
func (n *Namespace) Check(ctx context.Context, point string, repair bool, found func(diskerr.Finding)) error {
	v, err := n.at(point)
	if err == nil {
		c, ok := v.driver.(Checker)
		if !ok {
			return pathError("check", point, errors.ErrUnsupported)
		}
		err = n.exclusive(ctx, point, "it is being checked", func(v *Volume) (string, error) {
			if repair && v.readOnly {
				return v.driver.Name(), diskerr.ErrReadOnly
			}
			return v.driver.Name(), c.Check(ctx, v.source, repair, found)
		})
	}
	return pathError("check", point, err)
}

// Format makes an empty file system at a place: what was there is lost. It is
// made by the driver that has the place or, if that cannot and has a device, by
// the first of the registry that can. While files are open that is [ErrBusy];
// without such a driver it is errors.ErrUnsupported.
func (n *Namespace) Format(ctx context.Context, point string, o FormatOptions) error {
	v, err := n.at(point)
	if err == nil {
		f, ok := v.driver.(Formatter)
		if !ok && v.source.Device != nil {
			f, ok = n.registry.formatter()
		}
		if !ok {
			return pathError("format", point, errors.ErrUnsupported)
		}
		err = n.exclusive(ctx, point, "it is being formatted", func(v *Volume) (string, error) {
			if v.source.ReadOnly {
				return v.driver.Name(), diskerr.ErrReadOnly
			}
			if err := f.Format(ctx, v.source, o); err != nil {
				return "", err
			}
			return "", v.source.Device.Flush()
		})
	}
	return pathError("format", point, err)
}

// at returns the volume that is mounted exactly at a place.
func (n *Namespace) at(point string) (*Volume, error) {
	p, err := parsePoint(point)
	if err != nil {
		return nil, err
	}
	m := n.table.Load().at(p.letter, p.key)
	switch {
	case m == nil:
		return nil, ErrNoDrive
	case m.vol == nil:
		return nil, &busyError{m.busy}
	}
	return m.vol, nil
}
