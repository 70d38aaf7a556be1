package hosttwin

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// dir is an open directory.
type dir struct{ *node }

var _ hostfs.Dir = (*dir)(nil)

// checkName refuses what is not one component.
func checkName(op, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

// on begins an operation on a name: it returns the directory, and what has the
// name or nil, with mu held unless it fails.
func (d *dir) on(changes bool, op, name string) (parent, child *inode, err error) {
	if err := checkName(op, name); err != nil {
		return nil, nil, err
	}
	if err := d.r.m.enter(d.r.counted, changes, op, path.Join(d.name, name)); err != nil {
		return nil, nil, err
	}
	if d.closed {
		d.r.m.mu.Unlock()
		return nil, nil, d.failed(op, name, fs.ErrClosed)
	}
	parent = d.r.m.live.inodes[d.id]
	return parent, d.r.m.live.inodes[parent.entries[name]], nil
}

func (d *dir) failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path.Join(d.name, name), Err: err}
}

// List implements [hostfs.Dir].
func (d *dir) List(l *hostfs.Listing) error {
	n, err := d.enter(false, "readdir")
	if err != nil {
		return err
	}
	defer d.r.m.mu.Unlock()
	d.r.m.list(n, l)
	return nil
}

// Lookup implements [hostfs.Dir].
func (d *dir) Lookup(name string) (hostfs.Identity, error) {
	_, n, err := d.on(false, "stat", name)
	if err != nil {
		return hostfs.Identity{}, err
	}
	defer d.r.m.mu.Unlock()
	if n == nil {
		return hostfs.Identity{}, d.failed("stat", name, fs.ErrNotExist)
	}
	return n.stat(d.r.m.dev, fsid), nil
}

// open opens a name of a type that fits.
func (d *dir) open(name string, writing bool, fits func(fs.FileMode) bool, wrong error) (*node, error) {
	_, n, err := d.on(false, "open", name)
	if err != nil {
		return nil, err
	}
	defer d.r.m.mu.Unlock()
	switch {
	case n == nil:
		return nil, d.failed("open", name, fs.ErrNotExist)
	case !fits(n.mode):
		return nil, d.failed("open", name, wrong)
	case n.lease == writeLease, writing && n.lease == readLease:
		return nil, d.failed("open", name, syscall.EWOULDBLOCK)
	}
	return newNode(d.r, n, path.Join(d.name, name), writing), nil
}

// OpenDir implements [hostfs.Dir].
func (d *dir) OpenDir(name string) (hostfs.Dir, error) {
	n, err := d.open(name, false, fs.FileMode.IsDir, errNotDir)
	if err != nil {
		return nil, err
	}
	return &dir{n}, nil
}

// OpenNode implements [hostfs.Dir].
func (d *dir) OpenNode(name string) (hostfs.Node, error) {
	n, err := d.open(name, false, func(m fs.FileMode) bool { return m.IsRegular() || m.IsDir() }, hostfs.ErrNotRegular)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Open implements [hostfs.Dir].
func (d *dir) Open(name string) (hostfs.File, error) {
	n, err := d.open(name, false, fs.FileMode.IsRegular, hostfs.ErrNotRegular)
	if err != nil {
		return nil, err
	}
	return &reader{n}, nil
}

// OpenFile implements [hostfs.Dir].
func (d *dir) OpenFile(name string) (hostfs.WFile, error) {
	n, err := d.open(name, true, fs.FileMode.IsRegular, hostfs.ErrNotRegular)
	if err != nil {
		return nil, err
	}
	return &file{n}, nil
}

// make adds an inode.
func (d *dir) make(op, name string, mode fs.FileMode) error {
	m := d.r.m
	now, parent := m.live.tick(), d.id
	if m.live.inodes[parent].nlink == 0 {
		return fs.ErrNotExist
	}
	// Numbers and times are chosen once: a replay must give the same.
	fresh := *m.live.newInode(mode, !m.FreshInodes)
	delete(m.live.inodes, fresh.id)
	m.structure(noInode, func(s *state) {
		p := s.inodes[parent]
		if p == nil {
			return
		}
		n := fresh
		if mode.IsDir() {
			n.entries, n.nlink = map[string]uint64{}, 2
		}
		s.inodes[n.id], s.next = &n, max(s.next, n.id+1)
		p.entries[name] = n.id
		p.mtime, p.ctime = now, now
	})
	return nil
}

// add is make for a name that may be taken. It returns with mu held unless it
// fails.
func (d *dir) add(op, name string, mode fs.FileMode) error {
	_, n, err := d.on(true, op, name)
	if err != nil {
		return err
	}
	err = fs.ErrExist
	if n == nil {
		err = d.make(op, name, mode)
	}
	if err != nil {
		d.r.m.mu.Unlock()
		return d.failed(op, name, err)
	}
	return nil
}

// Create implements [hostfs.Dir].
func (d *dir) Create(name string, perm fs.FileMode) (hostfs.WFile, error) {
	if err := d.add("create", name, perm&permBits); err != nil {
		return nil, err
	}
	defer d.r.m.mu.Unlock()
	n := d.r.m.live.inodes[d.r.m.live.inodes[d.id].entries[name]]
	return &file{newNode(d.r, n, path.Join(d.name, name), true)}, nil
}

// Mkdir implements [hostfs.Dir].
func (d *dir) Mkdir(name string, perm fs.FileMode) error {
	if err := d.add("mkdir", name, perm&permBits|fs.ModeDir); err != nil {
		return err
	}
	d.r.m.mu.Unlock()
	return nil
}

// Symlink makes a symbolic link, for tests: no interface of fatkit does.
func Symlink(d hostfs.Dir, name string) error {
	t := d.(*dir)
	if err := t.add("symlink", name, fs.ModeSymlink|0o777); err != nil {
		return err
	}
	t.r.m.mu.Unlock()
	return nil
}

// Rmdir implements [hostfs.Dir].
func (d *dir) Rmdir(name string) error {
	_, n, err := d.on(true, "rmdir", name)
	if err != nil {
		return err
	}
	defer d.r.m.mu.Unlock()
	switch {
	case n == nil:
		return d.failed("rmdir", name, fs.ErrNotExist)
	case !n.mode.IsDir():
		return d.failed("rmdir", name, errNotDir)
	case len(n.entries) > 0:
		return d.failed("rmdir", name, hostfs.ErrNotEmpty)
	}
	d.remove(name, n)
	return nil
}

// Unlink implements [hostfs.Dir].
func (d *dir) Unlink(name string) error {
	_, n, err := d.on(true, "unlink", name)
	if err != nil {
		return err
	}
	defer d.r.m.mu.Unlock()
	switch {
	case n == nil:
		return d.failed("unlink", name, fs.ErrNotExist)
	case n.mode.IsDir():
		return d.failed("unlink", name, errors.New("is a directory"))
	}
	d.remove(name, n)
	return nil
}

// remove takes the name away.
func (d *dir) remove(name string, n *inode) {
	parent, id, now := d.id, n.id, d.r.m.live.tick()
	d.r.m.structure(noInode, func(s *state) {
		p, n := s.inodes[parent], s.inodes[id]
		if p == nil || n == nil || p.entries[name] != id {
			return
		}
		delete(p.entries, name)
		p.mtime, p.ctime = now, now
		s.drop(n, now)
	})
}

// drop takes one name off the count of n.
func (s *state) drop(n *inode, now int64) {
	n.ctime = now
	if n.nlink--; n.mode.IsDir() {
		n.nlink = 0
	}
	s.unref(n)
}
