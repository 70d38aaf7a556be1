package vvfat

import (
	"bytes"
	"testing"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// TestView compares what a layout says of its nodes with the bytes of its disk.
func TestView(t *testing.T) {
	tree, _ := mustScan(t, hostTree(t, awkwardNames...), ScanOptions{})
	for _, o := range []Options{{}, {FAT: 32, SizeBytes: 64 << 20, ClusterBytes: 512}, {First: []string{"sub", "zlast"}}} {
		d := newDisk(t, tree, o, DiskOptions{})
		l := d.Layout()
		g := l.Geometry()
		for id := RootID; id < l.Nodes(); id++ {
			n := l.Node(id)
			for c := n.FirstCluster; c < n.FirstCluster+n.Clusters; c++ {
				if owner, ok := l.OwnerOf(c); !ok || owner != id {
					t.Errorf("cluster %d of %q belongs to %d, %v", c, l.Path(id), owner, ok)
				}
			}
			if id != RootID {
				if got, ok := l.Child(n.Parent, n.HostName); !ok || got != id {
					t.Errorf("child %q of %d is %d, %v", n.HostName, n.Parent, got, ok)
				}
			}
			if n.Dir {
				compareDirectory(t, d, n)
			}
		}
		for _, c := range []uint32{0, 1, l.UsedClusters() + 2, g.MaxCluster() + 1} {
			if id, ok := l.OwnerOf(c); ok {
				t.Errorf("cluster %d belongs to %d", c, id)
			}
		}
		if _, ok := l.Child(RootID, "no such name"); ok {
			t.Error("there is a child that there is not")
		}
	}
}

// compareDirectory compares a rendered directory and its slots with the disk.
func compareDirectory(t *testing.T, d *Disk, n Node) {
	t.Helper()
	l := d.Layout()
	g := l.Geometry()
	data, slots := l.Directory(n.ID)
	at := l.VolumeOffset() + g.FATOffset(g.FATs)
	if n.FirstCluster != 0 {
		at = l.VolumeOffset() + g.ClusterOffset(n.FirstCluster)
	}
	p := make([]byte, len(data))
	if err := block.ReadFull(d, p, at); err != nil || !bytes.Equal(p, data) {
		t.Errorf("%q is not on the disk as rendered: %v", l.Path(n.ID), err)
	}
	if len(slots) != int(n.End-n.First) {
		t.Errorf("%q has %d slots for %d children", l.Path(n.ID), len(slots), n.End-n.First)
	}
	for _, s := range slots {
		e := fatfmt.DecodeDirEntry(data[(s.First+s.Count-1)*fatfmt.DirEntryBytes:])
		child := l.Node(s.Node)
		if child.Parent != n.ID || e.Cluster != child.FirstCluster || int64(e.Size) != child.Size || (e.Attr&fatfmt.AttrDirectory != 0) != child.Dir {
			t.Errorf("the slots of %q show %+v", l.Path(s.Node), e)
		}
	}
}
