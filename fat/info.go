package fat

import (
	"io/fs"
	"path"
	"time"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/vfs"
)

// Entry is what FileInfo.Sys returns: what FAT knows of a file and io/fs does
// not.
type Entry struct {
	Attr         vfs.Attr // all bits of the medium
	ShortName    string   // such as "LONGNA~1.TXT"
	FirstCluster uint32   // 0 for an empty file
	Times        vfs.Times
}

// fileInfo describes a file or directory.
type fileInfo struct {
	name  string
	size  int64
	entry fatfmt.DirEntry
	first uint32
	inode uint64
	vol   *Volume
}

var (
	_ fs.FileInfo   = (*fileInfo)(nil)
	_ fs.DirEntry   = (*fileInfo)(nil)
	_ vfs.TimesInfo = (*fileInfo)(nil)
	_ vfs.InodeInfo = (*fileInfo)(nil)
)

func (i *fileInfo) Name() string { return i.name }
func (i *fileInfo) Size() int64  { return i.size }
func (i *fileInfo) IsDir() bool  { return i.entry.IsDir() }

// Mode derives permission bits from the read-only attribute. On a directory
// that attribute forbids nothing.
func (i *fileInfo) Mode() fs.FileMode {
	switch {
	case i.IsDir():
		return fs.ModeDir | 0o777
	case i.entry.Attr&fatfmt.AttrReadOnly != 0:
		return 0o444
	}
	return 0o666
}

func (i *fileInfo) ModTime() time.Time { return i.Times().Modified }

func (i *fileInfo) Times() vfs.Times {
	e, loc := &i.entry, i.vol.opt.Location
	var t vfs.Times
	t.Modified, _ = fatfmt.DecodeTime(e.WriteDate, e.WriteTime, 0, loc)
	t.Accessed, _ = fatfmt.DecodeTime(e.AccessDate, 0, 0, loc)
	t.Created, _ = fatfmt.DecodeTime(e.CreateDate, e.CreateTime, e.CreateTenths, loc)
	return t
}

func (i *fileInfo) Sys() any {
	short := ""
	if i.name != "." {
		short = fatfmt.ShortNameString(i.entry.Name, 0, i.vol.codePage)
	}
	return &Entry{Attr: vfs.Attr(i.entry.Attr), ShortName: short, FirstCluster: i.first, Times: i.Times()}
}

// Inode implements vfs.InodeInfo: the place of the entry.
func (i *fileInfo) Inode() uint64 { return i.inode }

func (i *fileInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i *fileInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i *fileInfo) String() string             { return fs.FormatFileInfo(i) }

// info describes n. The caller holds treeMu and a reference to n.
func (v *Volume) info(n *node) (*fileInfo, error) {
	name := "."
	v.cacheMu.Lock()
	removed := n.removed
	v.cacheMu.Unlock()
	switch {
	case removed:
		name = path.Base(fatfmt.ShortNameString(n.entry.Name, 0, v.codePage))
	case n != v.root:
		d, err := v.contents(n.at.dir)
		if err != nil {
			return nil, err
		}
		name = d.nameAt(position{n.at.slot, n.long}, v.codePage)
	}
	i := v.describe(n, name)
	if n != v.root && !removed {
		i.inode = inode(v.firstOf(n.at.dir), n.at.slot)
	}
	return i, nil
}

// describe describes n, which is called name, but for its place.
func (v *Volume) describe(n *node, name string) *fileInfo {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return &fileInfo{name: name, size: int64(n.size), entry: n.entry, first: n.chain.first, vol: v}
}

// firstOf returns the first cluster of a directory; 0 for a root that has none.
func (v *Volume) firstOf(dir *node) uint32 {
	dir.mu.RLock()
	defer dir.mu.RUnlock()
	return dir.chain.first
}

// inode returns the number of the entry at a slot of the directory that begins at
// a cluster. A directory has at most 65,536 slots. FAT 1.03, "Directory Structure".
func inode(dir uint32, slot int) uint64 { return uint64(dir)<<16 | uint64(slot) | 1<<48 }

// list describes everything in directory n, in the order of the medium. The
// caller holds treeMu and a reference to n.
func (v *Volume) list(n *node) ([]fs.DirEntry, error) {
	v.cacheMu.Lock()
	removed := n.removed
	v.cacheMu.Unlock()
	if removed {
		return nil, nil
	}
	if !n.isDir {
		return nil, ErrNotDir
	}
	d, err := v.contents(n)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, 0, len(d.names))
	first := v.firstOf(n)
	scanSlots(d.raw, v.codePage, func(at position, name string, e *fatfmt.DirEntry) bool {
		v.cacheMu.Lock()
		child := n.children[at.slot]
		v.cacheMu.Unlock()
		if child != nil {
			i := v.describe(child, name)
			i.inode = inode(first, at.slot)
			out = append(out, i)
			return true
		}
		i := &fileInfo{
			name: name, size: int64(e.Size), entry: *e, first: e.FirstCluster(v.geo.Type),
			inode: inode(first, at.slot), vol: v,
		}
		if e.IsDir() {
			i.size = 0
		}
		out = append(out, i)
		return true
	})
	return out, nil
}
