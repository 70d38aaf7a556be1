package fusemount

import (
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/fatkit/fatkit/vfs"
)

// listing is an open directory. What it held when it was read from the start is
// what it goes on to tell, so that positions in it hold.
type listing struct {
	node *node

	mu      sync.Mutex
	entries []fs.DirEntry // nil until they were read
	changes uint64        // the count of the tree before they were
}

// OpenDir implements fuse.RawFileSystem. Where nothing changes the kernel does
// without, and keeps what it is told.
func (t *tree) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if t.frozen() {
		return fuse.ENOSYS
	}
	n := t.nodes.get(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	out.Fh = t.handles.add(&listing{node: n})
	return fuse.OK
}

// ReleaseDir implements fuse.RawFileSystem.
func (t *tree) ReleaseDir(in *fuse.ReleaseIn) { t.handles.take(in.Fh) }

// load reads the directory if that is asked for. The caller holds names.
func (t *tree) load(l *listing, again bool) ([]fs.DirEntry, fuse.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries != nil && !again {
		return l.entries, fuse.OK
	}
	name, ok := t.nodes.path(l.node)
	if !ok {
		return nil, fuse.OK // it was removed: nothing is in it
	}
	l.changes = t.changes.Load()
	list, err := t.list(name)
	if err != nil {
		return nil, errnoOf(err)
	}
	if list == nil {
		list = []fs.DirEntry{}
	}
	l.entries = list
	return list, fuse.OK
}

// list reads a directory in the order of the medium, if it has one.
func (t *tree) list(name string) ([]fs.DirEntry, error) {
	f, err := t.fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if d, ok := f.(fs.ReadDirFile); ok {
		return d.ReadDir(-1)
	}
	return fs.ReadDir(t.fsys, name)
}

// listing returns the open directory that a request is about. Of a frozen tree the
// kernel opens directories by itself; those that it read last are kept.
func (t *tree) listing(in *fuse.ReadIn) *listing {
	if !t.frozen() {
		return t.handles.listing(in.Fh)
	}
	n := t.nodes.get(in.NodeId)
	if n == nil {
		return nil
	}
	return t.listings.get(n, func() *listing { return &listing{node: n} })
}

// read calls add for each entry from the position on at which the kernel goes on,
// until add has no room. Positions 0 and 1 are "." and "..".
func (t *tree) read(in *fuse.ReadIn, add func(l *listing, name string, e fs.DirEntry) bool) fuse.Status {
	l := t.listing(in)
	if l == nil {
		return fuse.EBADF
	}
	t.names.RLock()
	defer t.names.RUnlock()
	entries, status := t.load(l, in.Offset == 0 && !t.frozen())
	if status != fuse.OK {
		return status
	}
	for at := in.Offset; at < uint64(len(entries))+2; at++ {
		ok := false
		switch at {
		case 0:
			ok = add(l, ".", nil)
		case 1:
			ok = add(l, "..", nil)
		default:
			ok = add(l, entries[at-2].Name(), entries[at-2])
		}
		if !ok {
			break
		}
	}
	return fuse.OK
}

// dots returns the entry of "." or "..".
func (t *tree) dots(l *listing, name string) fuse.DirEntry {
	n := l.node
	if name == ".." {
		t.nodes.mu.Lock()
		if n.parent != nil {
			n = n.parent
		}
		t.nodes.mu.Unlock()
	}
	return fuse.DirEntry{Name: name, Ino: n.ino, Mode: typeBits(fs.ModeDir)}
}

// ReadDir implements fuse.RawFileSystem.
func (t *tree) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return t.read(in, func(l *listing, name string, e fs.DirEntry) bool {
		if e == nil {
			return out.AddDirEntry(t.dots(l, name))
		}
		return out.AddDirEntry(fuse.DirEntry{Name: name, Ino: t.ino(l, e), Mode: typeBits(e.Type())})
	})
}

// ino returns the inode number of an entry.
func (t *tree) ino(l *listing, e fs.DirEntry) uint64 {
	own := uint64(0)
	if fi, ok := e.(fs.FileInfo); ok {
		own = t.inode(fi)
	}
	return t.nodes.ino(l.node, e.Name(), own)
}

// ReadDirPlus implements fuse.RawFileSystem: names with what Lookup would say.
func (t *tree) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	var told []*node
	status := t.read(in, func(l *listing, name string, e fs.DirEntry) bool {
		if e == nil {
			return out.AddDirLookupEntry(t.dots(l, name)) != nil
		}
		entry := out.AddDirLookupEntry(fuse.DirEntry{Name: name, Ino: t.ino(l, e), Mode: typeBits(e.Type())})
		if entry == nil {
			return false
		}
		if fi := t.current(l, name, e); fi != nil {
			n := t.fillEntry(l.node, name, fi, entry)
			out.FixMode(entry.Mode)
			if fi.Mode().IsRegular() && fi.Size() > 0 && fi.Size() <= maxPushed {
				told = append(told, n)
			}
		}
		return true
	})
	if t.frozen() {
		t.pusher.listed(in.NodeId, in.Offset == 0, told)
	}
	return status
}

// current returns what is known of an entry if it is still there. The caller
// holds names.
func (t *tree) current(l *listing, name string, e fs.DirEntry) fs.FileInfo {
	var fi fs.FileInfo
	var err error
	if t.changes.Load() == l.changes && t.o.Timeout == 0 {
		fi, err = e.Info()
	} else {
		dir, ok := t.nodes.path(l.node)
		if !ok {
			return nil
		}
		fi, err = vfs.Lstat(t.fsys, path.Join(dir, name))
	}
	if err != nil || fi.Name() != name {
		return nil
	}
	return fi
}

// FsyncDir implements fuse.RawFileSystem: it syncs the whole tree.
func (t *tree) FsyncDir(_ <-chan struct{}, _ *fuse.FsyncIn) fuse.Status {
	return errnoOf(vfs.Sync(t.fsys))
}
