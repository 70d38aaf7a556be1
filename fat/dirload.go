package fat

import (
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/format/fatfmt"
)

// maxTreeDepth bounds how deep directories may be nested. The longest path
// that Windows knows has far fewer parts.
const maxTreeDepth = 1000

// contents returns the contents of directory n. The caller holds treeMu and a
// reference to n. Who wants to change them uses hold.
func (v *Volume) contents(n *node) (*directory, error) {
	v.cacheMu.Lock()
	d := n.contents
	if d != nil {
		v.recent.MoveToFront(v.places[n])
	}
	v.cacheMu.Unlock()
	if d != nil {
		return d, nil
	}
	n.loadMu.Lock()
	defer n.loadMu.Unlock()
	v.cacheMu.Lock()
	d = n.contents
	v.cacheMu.Unlock()
	if d != nil {
		return d, nil
	}
	raw, err := v.readDirectory(n)
	if err == nil {
		err = v.checkParent(n, raw)
	}
	if err != nil {
		return nil, err
	}
	d = newDirectory(raw, v.codePage, v.geo.Type)
	v.keep(n, d)
	return d, nil
}

// keep makes d the contents of n, and forgets others that are in nobody's way.
func (v *Volume) keep(n *node, d *directory) {
	v.cacheMu.Lock()
	defer v.cacheMu.Unlock()
	n.contents = d
	v.places[n] = v.recent.PushFront(n)
	v.cached += len(d.raw)
	for e := v.recent.Back(); e != nil && v.cached > maxCachedDirBytes; {
		old := e.Value.(*node)
		e = e.Prev()
		if old != n && old.pins == 0 && len(old.contents.base) == 0 {
			v.forget(old)
		}
	}
}

// forget drops the contents of n. The caller holds cacheMu.
func (v *Volume) forget(n *node) {
	v.cached -= len(n.contents.raw)
	n.contents = nil
	v.recent.Remove(v.places[n])
	delete(v.places, n)
	v.drop(n)
}

// hold is contents for one who may change them: they stay until the end of the
// change. The caller holds treeMu for writing.
func (v *Volume) hold(n *node) (*directory, error) {
	d, err := v.contents(n)
	if err != nil {
		return nil, err
	}
	v.pin(n)
	v.held = append(v.held, n)
	return d, nil
}

// pin keeps the contents of n in memory.
func (v *Volume) pin(n *node) {
	v.cacheMu.Lock()
	n.pins++
	v.cacheMu.Unlock()
}

// unpin takes back one pin of each node.
func (v *Volume) unpin(nodes []*node) {
	v.cacheMu.Lock()
	for _, n := range nodes {
		n.pins--
		v.drop(n)
	}
	v.cacheMu.Unlock()
}

// readDirectory reads all slots of n from the medium.
func (v *Volume) readDirectory(n *node) ([]byte, error) {
	if n.fixedRoot() {
		raw := make([]byte, min(v.geo.RootBytes(), maxDirBytes))
		return raw, v.disk.read(raw, v.geo.RootOffset())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	limit := max(1, uint32(maxDirBytes/v.geo.ClusterBytes()))
	if n.chain.first == 0 {
		return nil, firstError(v.table, 0)
	}
	if err := n.chain.walk(v.table, limit); err != nil {
		return nil, err
	}
	clusters := min(n.chain.known, limit)
	raw := make([]byte, 0, int(clusters)*v.geo.ClusterBytes())
	err := n.chain.runs(v.table, 0, clusters, func(r run) error {
		at := len(raw)
		raw = raw[:at+int(r.n)*v.geo.ClusterBytes()]
		return v.disk.read(raw[at:], v.geo.ClusterOffset(r.first))
	})
	return raw, err
}

// checkDir makes sure that the directory of an entry is none of those that
// lead to it. The caller holds treeMu and a reference to dir.
func (v *Volume) checkDir(dir *node, e *fatfmt.DirEntry, off int64) error {
	first := e.FirstCluster(v.geo.Type)
	depth := 0
	for n := dir; n != nil; n = n.at.dir {
		if depth++; depth > maxTreeDepth {
			return v.entryError(off, first, "directories are nested too deeply")
		}
		if !n.fixedRoot() && n.chain.first == first {
			return v.entryError(off, first, "the directory contains itself")
		}
	}
	if !v.geo.Valid(first) {
		return v.entryError(off, first, "is no cluster of the volume, so the directory has no contents")
	}
	return nil
}

func (v *Volume) entryError(off int64, first uint32, reason string) error {
	return &diskerr.FormatError{Format: v.geo.Type.String(), Structure: "directory entry", Field: "DIR_FstClus",
		Offset: off, Value: first, Reason: reason}
}

// checkParent notes whether ".." of directory n leads to another directory than
// the one it was found in, and refuses it if that one had gone astray already.
//
// A damaged volume stays readable, but a directory that many entries lead to
// cannot make a small volume an endless tree. The caller holds n.loadMu.
func (v *Volume) checkParent(n *node, raw []byte) error {
	parent := n.at.dir
	if parent == nil {
		return nil
	}
	strays := true
	if len(raw) >= 2*slotBytes {
		e := fatfmt.DecodeDirEntry(raw[slotBytes:])
		up := e.FirstCluster(v.geo.Type)
		strays = e.Name != fatfmt.DotDotName || up != parent.dotDotCluster() &&
			(parent != v.root || up != v.geo.RootCluster) // some systems write that
	}
	if strays && parent.astray {
		return v.entryError(-1, n.chain.first, "the directory belongs to another one, as does the one that leads to it")
	}
	n.astray = strays || parent.astray
	return nil
}

// slotOffset returns where slot i of directory n lies on the device; -1 if
// that is not known without reading. The caller holds treeMu.
func (v *Volume) slotOffset(n *node, i int) int64 {
	off := int64(i) * slotBytes
	if n.fixedRoot() {
		return v.geo.RootOffset() + off
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	cb := int64(v.geo.ClusterBytes())
	c, _, ok := n.chain.find(uint32(off / cb))
	if !ok {
		return -1
	}
	return v.geo.ClusterOffset(c) + off%cb
}
