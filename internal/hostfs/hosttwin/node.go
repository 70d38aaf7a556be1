package hosttwin

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// node is an open inode.
type node struct {
	r       *root
	id      uint64
	name    string
	writing bool
	closed  bool
}

var _ hostfs.Node = (*node)(nil)

// permBits are the bits of a mode that can be set.
const permBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// newNode opens n. The caller holds mu.
func newNode(r *root, n *inode, name string, writing bool) *node {
	n.opened++
	if writing {
		n.writers++
	}
	return &node{r: r, id: n.id, name: name, writing: writing}
}

// enter begins an operation on the inode; it returns with mu held unless it
// fails.
func (n *node) enter(changes bool, op string) (*inode, error) {
	if err := n.r.m.enter(n.r.counted, changes, op, n.name); err != nil {
		return nil, err
	}
	if n.closed {
		n.r.m.mu.Unlock()
		return nil, &fs.PathError{Op: op, Path: n.name, Err: fs.ErrClosed}
	}
	return n.r.m.live.inodes[n.id], nil
}

// Identity implements [hostfs.Node].
func (n *node) Identity() (hostfs.Identity, error) {
	i, err := n.enter(false, "stat")
	if err != nil {
		return hostfs.Identity{}, err
	}
	defer n.r.m.mu.Unlock()
	return i.stat(n.r.m.dev, fsid), nil
}

// change carries out and notes a change of attributes.
func (n *node) change(op string, do func(i *inode)) error {
	if _, err := n.enter(true, op); err != nil {
		return err
	}
	defer n.r.m.mu.Unlock()
	id, now := n.id, n.r.m.live.tick()
	n.r.m.structure(id, func(s *state) {
		if i := s.inodes[id]; i != nil {
			i.ctime = now
			do(i)
		}
	})
	return nil
}

// SetTimes implements [hostfs.Node].
func (n *node) SetTimes(atime, mtime int64) error {
	return n.change("set times of", func(i *inode) {
		if atime != hostfs.NoTime {
			i.atime = atime
		}
		if mtime != hostfs.NoTime {
			i.mtime = mtime
		}
	})
}

// SetMode implements [hostfs.Node].
func (n *node) SetMode(perm fs.FileMode) error {
	return n.change("chmod", func(i *inode) { i.mode = i.mode&^permBits | perm&permBits })
}

// SetOwner implements [hostfs.Node].
func (n *node) SetOwner(uid, gid uint32) error {
	return n.change("chown", func(i *inode) { i.uid, i.gid = uid, gid })
}

// Xattrs implements [hostfs.Node].
func (n *node) Xattrs() ([]string, error) {
	i, err := n.enter(false, "list attributes of")
	if err != nil {
		return nil, err
	}
	defer n.r.m.mu.Unlock()
	var names []string
	for name := range i.xattrs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Xattr implements [hostfs.Node].
func (n *node) Xattr(name string) ([]byte, error) {
	i, err := n.enter(false, "get attribute of")
	if err != nil {
		return nil, err
	}
	defer n.r.m.mu.Unlock()
	v, ok := i.xattrs[name]
	if !ok {
		return nil, &fs.PathError{Op: "get attribute of", Path: n.name, Err: hostfs.ErrNoXattr}
	}
	return slices.Clone(v), nil
}

// SetXattr implements [hostfs.Node].
func (n *node) SetXattr(name string, value []byte) error {
	if n.r.m.Lacks.UserXattr {
		return &fs.PathError{Op: "set attribute of", Path: n.name, Err: errors.ErrUnsupported}
	}
	value = slices.Clone(value)
	return n.change("set attribute of", func(i *inode) {
		if i.xattrs == nil {
			i.xattrs = map[string][]byte{}
		}
		i.xattrs[name] = value
	})
}

// RemoveXattr implements [hostfs.Node].
func (n *node) RemoveXattr(name string) error {
	return n.change("remove attribute of", func(i *inode) { delete(i.xattrs, name) })
}

// Sync implements [hostfs.Node].
func (n *node) Sync() error {
	i, err := n.enter(true, "sync")
	if err != nil {
		return err
	}
	defer n.r.m.mu.Unlock()
	n.r.m.syncFile(n.id)
	if i.mode.IsDir() {
		n.r.m.syncStructure()
	}
	return nil
}

// Lease implements [hostfs.Node]. Other programs do not wait for one to end:
// their open fails, as that of a program that does not want to wait.
func (n *node) Lease() error {
	i, err := n.enter(false, "lease")
	if err != nil {
		return err
	}
	defer n.r.m.mu.Unlock()
	switch {
	case n.r.m.Lacks.Lease:
		err = errors.ErrUnsupported
	case n.writing && i.opened > 1, !n.writing && i.writers > 0:
		err = hostfs.ErrInUse
	case n.writing:
		i.lease = writeLease
	default:
		i.lease = readLease
	}
	if err != nil {
		return &fs.PathError{Op: "lease", Path: n.name, Err: err}
	}
	return nil
}

// Leased implements [hostfs.Node].
func (n *node) Leased() bool {
	n.r.m.mu.Lock()
	defer n.r.m.mu.Unlock()
	i := n.r.m.live.inodes[n.id]
	return !n.closed && i.lease != noLease
}

// Release implements [hostfs.Node].
func (n *node) Release() error {
	n.r.m.mu.Lock()
	defer n.r.m.mu.Unlock()
	if !n.closed {
		n.r.m.live.inodes[n.id].lease = noLease
	}
	return nil
}

// Close implements [hostfs.Node].
func (n *node) Close() error {
	n.r.m.mu.Lock()
	defer n.r.m.mu.Unlock()
	if n.closed {
		return fs.ErrClosed
	}
	n.closed = true
	i := n.r.m.live.inodes[n.id]
	i.opened--
	i.lease = noLease
	if n.writing {
		i.writers--
	}
	if i.nlink == 0 && i.opened == 0 {
		delete(n.r.m.live.inodes, n.id)
	}
	return nil
}
