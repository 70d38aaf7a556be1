package hosttwin

import (
	"io/fs"
	"maps"
	"slices"

	"github.com/fatkit/fatkit/internal/hostfs"
)

// sectorBytes is what is written as a whole.
const sectorBytes = 512

// inode is a file, a directory or a symbolic link.
type inode struct {
	// id is never given out again; it is what names and changes refer to.
	id                         uint64
	ino                        uint64
	mode                       fs.FileMode
	nlink                      uint32
	uid, gid                   uint32
	atime, mtime, ctime, btime int64
	xattrs                     map[string][]byte
	entries                    map[string]uint64 // ids, of a directory
	data                       []byte            // of a file; of a link its target
	opened                     int               // handles
	writers                    int               // handles for writing
	lease                      int               // of the handles, a leaseKind
}

// Kinds of leases.
const (
	noLease = iota
	readLease
	writeLease
)

// state is everything that a file system holds.
type state struct {
	inodes map[uint64]*inode // by id
	next   uint64            // id
	clock  int64
}

// rootID is the number of the top directory.
const rootID = 2

// startTime is when a machine is switched on first.
const startTime = 1_700_000_000_000_000_000

func newState() *state {
	s := &state{inodes: map[uint64]*inode{}, next: rootID, clock: startTime}
	root := s.newInode(fs.ModeDir|0o755, true)
	root.nlink = 2
	return s
}

// clone returns a copy that shares nothing that changes.
func (s *state) clone() *state {
	c := &state{inodes: make(map[uint64]*inode, len(s.inodes)), next: s.next, clock: s.clock}
	for id, n := range s.inodes {
		if n.nlink == 0 {
			continue // was only open
		}
		d := *n
		d.xattrs, d.entries, d.data = maps.Clone(n.xattrs), maps.Clone(n.entries), slices.Clone(n.data)
		d.opened, d.writers, d.lease = 0, 0, noLease
		c.inodes[id] = &d
	}
	return c
}

// tick returns the time, which never stands still.
func (s *state) tick() int64 {
	s.clock += 1_000_003
	return s.clock
}

// newInode makes one. Numbers are given out again if reuse is allowed.
func (s *state) newInode(mode fs.FileMode, reuse bool) *inode {
	id := s.next
	s.next++
	now := s.tick()
	n := &inode{id: id, ino: id, mode: mode, nlink: 1, atime: now, mtime: now, ctime: now, btime: now}
	if reuse {
		n.ino = s.freeIno()
	}
	if mode.IsDir() {
		n.entries = map[string]uint64{}
	}
	s.inodes[id] = n
	return n
}

// freeIno returns the lowest inode number that is free.
func (s *state) freeIno() uint64 {
	used := make(map[uint64]bool, len(s.inodes))
	for _, n := range s.inodes {
		used[n.ino] = true
	}
	ino := uint64(rootID)
	for used[ino] {
		ino++
	}
	return ino
}

// unref removes inodes that nothing names and nobody has open.
func (s *state) unref(n *inode) {
	if n.nlink == 0 && n.opened == 0 {
		delete(s.inodes, n.id)
	}
}

// stat describes an inode.
func (n *inode) stat(dev, fsid uint64) hostfs.Identity {
	id := hostfs.Identity{
		Stat: hostfs.Stat{
			Size: int64(len(n.data)), Mtime: n.mtime, Atime: n.atime, Btime: n.btime,
			Ino: n.ino, Dev: dev, Mode: n.mode,
		},
		Ctime: n.ctime, FSID: fsid, Nlink: n.nlink, UID: n.uid, GID: n.gid,
	}
	if n.mode.IsDir() {
		id.Size = 4096
	}
	return id
}

// resize makes the contents n bytes long.
func (n *inode) resize(size int64) {
	if size <= int64(len(n.data)) {
		n.data = n.data[:size:size]
		return
	}
	n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
}
