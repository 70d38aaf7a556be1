package vvfat

import (
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// Place is where the inode of a file may lie now, and what tells that it is
// the right one.
type Place struct {
	Tree hostfs.FS // the host tree that Path belongs to
	Path string
	Ino  uint64
	Size int64 // bytes
	// Mtimes are the times of the last change that the inode may have: while
	// its time is being set it may have the old one or the new one.
	Mtimes [2]int64
}

// holds reports whether an inode is the one of the place.
func (p *Place) holds(st *hostfs.Stat) bool {
	return st.Ino == p.Ino && st.Size == p.Size && (st.Mtime == p.Mtimes[0] || st.Mtime == p.Mtimes[1])
}

// Locator finds the inodes of a disk whose files are moved while it is in use.
// It returns the places where the file of a node may lie, the likeliest first,
// or none for a file that is where it was scanned and as it was. A file that is
// being moved has two: where it was and where it will be.
//
// It is asked when a file is opened, and when an open one is not as it was
// scanned. It is called concurrently and must not block.
type Locator func(NodeID) []Place

// maxLookups is how often a file that is at none of its places is looked for:
// it may have been moved between the question and the look.
const maxLookups = 3

// openAnywhere opens the file of a node where it is now.
func (c *openFiles) openAnywhere(id NodeID) (content, error) {
	var last error
	for range maxLookups {
		var places []Place
		if c.locate != nil {
			places = c.locate(id)
		}
		x, err := c.openOne(id, places)
		if err == nil || c.locate == nil {
			return x, err
		}
		if last == nil || !gone(err) {
			last = err
		}
	}
	return nil, last
}

// openOne opens the file of a node at the first of its places that has it, or
// where it was scanned if there are none.
func (c *openFiles) openOne(id NodeID, places []Place) (content, error) {
	if len(places) == 0 {
		x, st, err := c.openScanned(id)
		if err != nil || c.as(id, &st) {
			return x, err
		}
		x.Close()
		return nil, diskerr.ErrChanged
	}
	var last error
	for i := range places {
		x, err := c.openPlace(&places[i])
		if err == nil {
			return x, nil
		}
		if last == nil || !gone(err) {
			last = err
		}
	}
	return nil, last
}

// openPlace opens the file at a place.
func (c *openFiles) openPlace(p *Place) (content, error) {
	x, st, err := c.withRoom(func() (content, hostfs.Stat, error) { return p.Tree.Open(p.Path) })
	if err != nil {
		return nil, err
	}
	if !p.holds(&st) {
		x.Close()
		return nil, diskerr.ErrChanged
	}
	return x, nil
}

// as reports whether an inode is what the disk shows of a node: as it was
// scanned, or as it has been made since by whoever moves the files.
func (c *openFiles) as(id NodeID, st *hostfs.Stat) bool {
	if c.tree.node(id).same(st) {
		return true
	}
	if c.locate == nil {
		return false
	}
	for _, p := range c.locate(id) {
		if p.holds(st) {
			return true
		}
	}
	return false
}
