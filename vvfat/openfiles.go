package vvfat

import (
	"container/list"
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"

	"github.com/fatkit/fatkit/block"
	"github.com/fatkit/fatkit/diskerr"
	"github.com/fatkit/fatkit/internal/hostfs"
)

// openFiles keeps the files that were read last open.
type openFiles struct {
	tree   *Tree
	max    int
	event  func(Event)
	locate Locator // or nil

	mu     sync.Mutex
	byNode map[NodeID]*openFile
	recent list.List // of *openFile, the one used last in front
	failed map[NodeID]struct{}
	closed bool
}

// openFile is an open file. It is pinned while someone uses it: a file that is
// evicted meanwhile is closed at its last release.
type openFile struct {
	owner   *openFiles
	id      NodeID
	content content
	place   *list.Element // in owner.recent; nil when it was evicted
	pins    int           // owner.mu guards pins and place
	sparse  bool          // it seems to have holes
}

var _ block.Releaser = (*openFile)(nil)

func (c *openFiles) init(t *Tree, o *DiskOptions) {
	c.tree, c.max, c.event, c.locate = t, o.MaxOpenFiles, o.Event, o.Locate
	c.byNode = make(map[NodeID]*openFile)
	c.failed = make(map[NodeID]struct{})
}

// acquire returns the open file of a node and pins it. A file that it opens is
// as it was scanned; one that was open may have changed since. With cached set
// it returns block.ErrWouldBlock for a file that is not open.
func (c *openFiles) acquire(id NodeID, cached bool) (*openFile, error) {
	c.mu.Lock()
	if f := c.byNode[id]; f != nil {
		f.pins++
		c.recent.MoveToFront(f.place)
		c.mu.Unlock()
		return f, nil
	}
	c.mu.Unlock()
	if cached {
		return nil, block.ErrWouldBlock
	}
	x, err := c.openAnywhere(id)
	if err != nil {
		return nil, c.fail(id, err)
	}
	return c.insert(id, x), nil
}

// openScanned opens the file of a node where it was scanned.
func (c *openFiles) openScanned(id NodeID) (content, hostfs.Stat, error) {
	path := c.tree.hostPath(id)
	return c.withRoom(func() (content, hostfs.Stat, error) { return c.tree.source.open(path) })
}

// withRoom opens a file. When the process has no descriptor left, files that
// nobody uses make room.
func (c *openFiles) withRoom(open func() (content, hostfs.Stat, error)) (content, hostfs.Stat, error) {
	x, st, err := open()
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		c.shrink(c.max / 2)
		x, st, err = open()
	}
	return x, st, err
}

// insert adds a file that was just opened, unless someone else was faster.
func (c *openFiles) insert(id NodeID, x content) *openFile {
	c.mu.Lock()
	if f := c.byNode[id]; f != nil {
		f.pins++
		c.mu.Unlock()
		x.Close()
		return f
	}
	f := &openFile{owner: c, id: id, content: x, pins: 1}
	if c.tree.node(id).size >= minSparse {
		f.sparse = hasHoles(x.OSFile())
	}
	if !c.closed {
		f.place = c.recent.PushFront(f)
		c.byNode[id] = f
	}
	c.mu.Unlock()
	c.shrink(c.max)
	return f
}

// shrink evicts files until at most n are kept.
func (c *openFiles) shrink(n int) {
	for {
		c.mu.Lock()
		if c.recent.Len() <= n {
			c.mu.Unlock()
			return
		}
		f := c.recent.Back().Value.(*openFile)
		c.recent.Remove(f.place)
		f.place = nil
		delete(c.byNode, f.id)
		unused := f.pins == 0
		c.mu.Unlock()
		if unused {
			f.content.Close()
		}
	}
}

// Release implements block.Releaser: it ends one use of the file.
func (f *openFile) Release() {
	f.owner.mu.Lock()
	f.pins--
	if f.pins < 0 {
		panic("vvfat: a file was released more often than it was acquired")
	}
	last := f.pins == 0 && f.place == nil
	f.owner.mu.Unlock()
	if last {
		f.content.Close()
	}
}

// closeAll evicts every file and keeps none from now on.
func (c *openFiles) closeAll() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.shrink(0)
}

// check fails unless the open file is still what the disk shows.
func (c *openFiles) check(f *openFile) error {
	st, err := f.content.Stat()
	if err == nil && c.as(f.id, &st) {
		return nil
	}
	if err == nil {
		err = diskerr.ErrChanged
	}
	return c.fail(f.id, err)
}

// fail returns the error for a file that cannot be read, and reports it if it
// is the first of this file. A file that is gone, or is no file any more, has
// changed.
func (c *openFiles) fail(id NodeID, err error) error {
	if gone(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = diskerr.ErrChanged
	}
	err = &fs.PathError{Op: "read", Path: c.tree.path(id), Err: bare(err)}
	c.mu.Lock()
	_, known := c.failed[id]
	c.failed[id] = struct{}{}
	c.mu.Unlock()
	if !known && c.event != nil {
		c.event(Event{Path: c.tree.path(id), Err: err})
	}
	return err
}
