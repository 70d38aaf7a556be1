package hosttwin

import (
	"errors"
	"io/fs"
	"path"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// Rename implements [hostfs.Dir].
func (d *dir) Rename(name string, to hostfs.Dir, newName string, mode hostfs.RenameMode) error {
	dst, err := d.pair("rename", name, to, newName)
	if err != nil {
		return err
	}
	_, n, err := d.on(true, "rename", name)
	if err != nil {
		return err
	}
	m := d.r.m
	defer m.mu.Unlock()
	target := m.live.inodes[m.live.inodes[dst.id].entries[newName]]
	if err := m.checkRename(n, target, dst, mode); err != nil {
		return d.failed("rename", name+" to "+path.Join(dst.name, newName), err)
	}
	if n == target {
		return nil // two names of one inode: rename(2) does nothing
	}
	now := m.live.tick()
	m.structure(noInode, move{d.id, dst.id, name, newName, mode == hostfs.Exchange, now}.do)
	return nil
}

// checkRename says why n cannot be renamed onto target.
func (m *Machine) checkRename(n, target *inode, dst *dir, mode hostfs.RenameMode) error {
	switch {
	case mode == hostfs.NoReplace && m.Lacks.NoReplace, mode == hostfs.Exchange && m.Lacks.Exchange:
		return errors.ErrUnsupported
	case n == nil, m.live.inodes[dst.id].nlink == 0, mode == hostfs.Exchange && target == nil:
		return fs.ErrNotExist
	case mode == hostfs.NoReplace && target != nil:
		return fs.ErrExist
	case m.live.below(dst.id, n), mode == hostfs.Exchange && target != nil && m.live.below(dst.id, target) && target.id != dst.id:
		return errors.ErrUnsupported
	case mode == hostfs.Replace && target != nil && target.mode.IsDir():
		return errors.New("is a directory")
	}
	return nil
}

// below reports whether the directory id is n or lies below it.
func (s *state) below(id uint64, n *inode) bool {
	if !n.mode.IsDir() {
		return false
	}
	if n.id == id {
		return true
	}
	for _, child := range n.entries {
		if s.below(id, s.inodes[child]) {
			return true
		}
	}
	return false
}

// move is a rename that has been allowed.
type move struct {
	from, to      uint64
	name, newName string
	exchange      bool
	now           int64
}

// do carries it out.
func (v move) do(s *state) {
	p, q := s.inodes[v.from], s.inodes[v.to]
	if p == nil || q == nil {
		return
	}
	n, target := s.inodes[p.entries[v.name]], s.inodes[q.entries[v.newName]]
	if n == nil {
		return
	}
	delete(p.entries, v.name)
	q.entries[v.newName] = n.id
	switch {
	case target == nil:
	case v.exchange:
		p.entries[v.name] = target.id
		target.ctime = v.now
	default:
		s.drop(target, v.now)
	}
	n.ctime = v.now
	p.mtime, p.ctime, q.mtime, q.ctime = v.now, v.now, v.now, v.now
}

// Link implements [hostfs.Dir].
func (d *dir) Link(name string, to hostfs.Dir, newName string) error {
	dst, err := d.pair("link", name, to, newName)
	if err != nil {
		return err
	}
	_, n, err := d.on(true, "link", name)
	if err != nil {
		return err
	}
	m := d.r.m
	defer m.mu.Unlock()
	parent := m.live.inodes[dst.id]
	switch {
	case m.Lacks.Link:
		err = errors.ErrUnsupported
	case n == nil || parent.nlink == 0:
		err = fs.ErrNotExist
	case n.mode.IsDir():
		err = fs.ErrPermission
	case parent.entries[newName] != 0:
		err = fs.ErrExist
	}
	if err != nil {
		return d.failed("link", name, err)
	}
	id, into, now := n.id, dst.id, m.live.tick()
	m.structure(noInode, func(s *state) {
		n, q := s.inodes[id], s.inodes[into]
		if n == nil || q == nil {
			return
		}
		q.entries[newName] = id
		n.nlink++
		n.ctime, q.mtime, q.ctime = now, now, now
	})
	return nil
}

// pair checks the arguments of a call that names two directories.
func (d *dir) pair(op, name string, to hostfs.Dir, newName string) (*dir, error) {
	if err := checkName(op, name); err != nil {
		return nil, err
	}
	if err := checkName(op, newName); err != nil {
		return nil, err
	}
	dst, ok := to.(*dir)
	if !ok || dst.r.m != d.r.m {
		return nil, d.failed(op, name, hostfs.ErrCrossDevice)
	}
	return dst, nil
}
