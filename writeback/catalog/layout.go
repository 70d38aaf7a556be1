package catalog

import (
	"io/fs"

	"github.com/fatkit/fatkit/internal/format/fatfmt"
	"github.com/fatkit/fatkit/internal/hostfs"
	"github.com/fatkit/fatkit/vvfat"
)

// layoutBase is the tree of a layout.
type layoutBase struct {
	l    *vvfat.Layout
	fsid uint64
}

// FromLayout returns the base that a layout shows. fsid is that of the file
// system of the root (hostfs.Identity), by which its inodes are known again when
// a reboot has changed the device number.
func FromLayout(l *vvfat.Layout, fsid uint64) Base { return layoutBase{l, fsid} }

func (b layoutBase) Count() int { return int(b.l.Nodes()) }

func (b layoutBase) Node(id ID) Node {
	n := b.l.Node(vvfat.NodeID(id))
	mode := fs.FileMode(n.Perm)
	if n.Dir {
		mode |= fs.ModeDir
	}
	out := Node{
		Parent: ID(n.Parent), Chain: Extent{n.FirstCluster, n.Clusters},
		Inode: Inode{Name: n.HostName, Alias: n.Alias, Link: n.Link, Foreign: n.Foreign},
	}
	out.Inode.ID.Stat = hostfs.Stat{
		Size: n.Size, Mtime: n.Mtime, Atime: n.Atime, Btime: n.Btime, Ino: n.Ino, Dev: n.Dev, Mode: mode,
	}
	if !n.Foreign {
		out.Inode.ID.FSID = b.fsid
	}
	if id == Root {
		out.Inode.Name = "."
	}
	return out
}

func (b layoutBase) Children(id ID) ([]ID, []Entry, error) {
	raw, slots := b.l.Directory(vvfat.NodeID(id))
	ids, entries := make([]ID, len(slots)), make([]Entry, len(slots))
	for i, s := range slots {
		short := s.First + s.Count - 1
		e := fatfmt.DecodeDirEntry(raw[short*fatfmt.DirEntryBytes:])
		ids[i] = ID(s.Node)
		entries[i] = Entry{Slot: short, Long: s.Count > 1, DirEntry: e, Name: e.ShortName(b.l.CodePage())}
		if s.Count > 1 {
			entries[i].Name = b.l.Node(s.Node).Name
		}
	}
	return ids, entries, nil
}

func (b layoutBase) Owner(cluster uint32) (ID, bool) {
	id, ok := b.l.OwnerOf(cluster)
	return ID(id), ok
}
