package fusemount

import (
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf16"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/vfs"
)

// forever is the timeout of what changes through the mount alone.
const forever = 24 * time.Hour

// maxNameUnits is the longest name in UTF-16 code units: that of FAT 1.03, "Name
// Limits and Character Sets", and as many bytes as Linux takes elsewhere.
const maxNameUnits = 255

// tree answers the kernel from a vfs.FS. Its methods are in this file, by what
// they are about in names_linux.go, files_linux.go, dirs_linux.go,
// attr_linux.go and xattr_linux.go.
//
// Requests come concurrently. A lock is held for a name from the moment its
// path is made until the tree is done with it: otherwise a rename in between
// would lead it to another object.
type tree struct {
	fuse.RawFileSystem // what is not implemented: ENOSYS

	fsys    vfs.FS
	o       Options
	timeout time.Duration
	server  *fuse.Server

	names sync.RWMutex // held for reading while paths are used, for writing while they change
	nodes *table
	// changes counts what changed names or attributes, so that what was listed
	// before is not told after it.
	changes atomic.Uint64

	handles handles

	// Of a frozen tree.
	readers  readers
	listings recent[*listing]
	pusher   pusher
}

// newTree returns the file system of a mount.
func newTree(fsys vfs.FS, o Options) (*tree, error) {
	fi, err := fs.Stat(fsys, ".")
	if err != nil {
		return nil, err
	}
	t := &tree{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		fsys:          fsys, o: o, timeout: o.Timeout, nodes: newTable(fi.Mode().Type()),
	}
	t.pusher.tree = t
	if t.timeout == 0 {
		t.timeout = forever
	}
	t.handles.byID = map[uint64]any{}
	return t, nil
}

// String implements fuse.RawFileSystem.
func (t *tree) String() string { return Type }

// Init implements fuse.RawFileSystem.
func (t *tree) Init(s *fuse.Server) { t.server = s }

// OnUnmount closes what is still open: the kernel does not say so at the end of
// a connection.
func (t *tree) OnUnmount() {
	for _, x := range t.handles.takeAll() {
		if h, ok := x.(*handle); ok {
			t.tell("close", h.node, h.f.Close())
		}
	}
	t.pusher.end()
	t.readers.close()
}

// tell logs an error that no reply can carry.
func (t *tree) tell(op string, n *node, err error) {
	if err != nil && t.o.Log != nil {
		name, _ := t.nodes.path(n)
		t.o.Log.Error(op+" failed", "file", name, "error", err)
	}
}

// at returns the node with a number, and its path. For what is gone it is ESTALE,
// upon which the kernel looks the name up anew: it may have an old idea of it, if
// the object went away by another spelling of its name. The caller holds names.
func (t *tree) at(id uint64) (*node, string, fuse.Status) {
	n := t.nodes.get(id)
	if n == nil {
		return nil, "", fuse.Status(syscall.ESTALE)
	}
	name, ok := t.nodes.path(n)
	if !ok {
		return n, "", fuse.Status(syscall.ESTALE)
	}
	return n, name, fuse.OK
}

// in returns the node of a directory, and the path of an object called name in
// it. The caller holds names.
func (t *tree) in(id uint64, name string) (*node, string, fuse.Status) {
	dir, at, status := t.at(id)
	if status != fuse.OK {
		return nil, "", status
	}
	if len(name) > maxNameUnits {
		units := 0
		for _, r := range name {
			units += utf16.RuneLen(r)
		}
		if units > maxNameUnits {
			return nil, "", fuse.Status(syscall.ENAMETOOLONG)
		}
	}
	full := path.Join(at, name)
	if !fs.ValidPath(full) { // not UTF-8: no tree has such a name
		return nil, "", fuse.Status(syscall.EILSEQ)
	}
	return dir, full, fuse.OK
}

// Lookup implements fuse.RawFileSystem.
func (t *tree) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	t.names.RLock()
	defer t.names.RUnlock()
	dir, full, status := t.in(header.NodeId, name)
	switch status {
	case fuse.OK:
	case fuse.Status(syscall.EILSEQ):
		return fuse.ENOENT
	default:
		return status
	}
	return t.entry(dir, full, name, out)
}

// entry tells the kernel of an object of a directory. The caller holds names.
func (t *tree) entry(dir *node, full, name string, out *fuse.EntryOut) fuse.Status {
	fi, err := vfs.Lstat(t.fsys, full)
	if err != nil {
		return errnoOf(err)
	}
	t.fillEntry(dir, name, fi, out)
	return fuse.OK
}

// fillEntry is entry for an object that was looked at. A name in another
// spelling than the tree's holds for this moment alone: the kernel would not
// forget it when the object gets another name. From then on that is so for the
// tree's spelling, too, which somebody may take the name away from by the other.
func (t *tree) fillEntry(dir *node, name string, fi fs.FileInfo, out *fuse.EntryOut) *node {
	own := fi.Name()
	n := t.nodes.enter(dir, own, fi.Mode().Type(), t.inode(fi))
	out.NodeId, out.Generation = n.id, 1
	out.SetAttrTimeout(t.timeout)
	switch {
	case fi.IsDir(): // it has one name in the kernel, which it changes
		if own == name {
			out.SetEntryTimeout(t.timeout)
		}
	case own != name:
		if t.nodes.alias(n) && !t.frozen() {
			// Not before the reply: the kernel has locked the directory.
			go t.server.EntryNotify(dir.id, own)
		}
	case t.frozen() || !t.nodes.aliased(n):
		out.SetEntryTimeout(t.timeout)
	}
	t.fillAttr(n, fi, &out.Attr)
	return n
}

// inode returns the number that the tree has for an object, or 0. Those of several
// volumes are not told apart.
func (t *tree) inode(fi fs.FileInfo) uint64 {
	if _, several := t.fsys.(usageAt); several {
		return 0
	}
	if x, ok := fi.(vfs.InodeInfo); ok {
		return x.Inode()
	}
	if s, ok := fi.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

// Forget implements fuse.RawFileSystem.
func (t *tree) Forget(id, times uint64) { t.nodes.forget(id, times) }

// StatFs implements fuse.RawFileSystem.
func (t *tree) StatFs(_ <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	t.names.RLock()
	defer t.names.RUnlock()
	u, err := t.usage(header.NodeId)
	out.NameLen, out.Bsize, out.Frsize = maxNameUnits, 4096, 4096
	if err != nil {
		if errnoOf(err) == fuse.Status(syscall.EOPNOTSUPP) {
			return fuse.OK
		}
		return errnoOf(err)
	}
	if u.BlockBytes > 0 {
		out.Bsize, out.Frsize = uint32(u.BlockBytes), uint32(u.BlockBytes)
	}
	out.Blocks = uint64(max(u.TotalBytes, 0)) / uint64(out.Bsize)
	out.Bfree = uint64(max(u.FreeBytes, 0)) / uint64(out.Bsize)
	out.Bavail = out.Bfree
	return fuse.OK
}

// usageAt is a tree of several volumes.
type usageAt interface {
	UsageAt(name string) (vfs.Usage, error)
}

// usage returns how full the volume is that a node is on. The caller holds
// names.
func (t *tree) usage(id uint64) (vfs.Usage, error) {
	if x, ok := t.fsys.(usageAt); ok {
		if _, name, status := t.at(id); status == fuse.OK && name != "." {
			return x.UsageAt(name)
		}
	}
	return vfs.UsageOf(t.fsys)
}
