package vvfat

import (
	"container/list"
	"sync"

	"github.com/fatkit/fatkit/block"
)

// maxDirCacheBytes bounds the memory for rendered directories; the one in use
// is kept whatever its size.
const maxDirCacheBytes = 8 << 20

// dirCache keeps the directories that were read last rendered.
type dirCache struct {
	l *Layout

	mu     sync.Mutex
	byNode map[NodeID]*renderedDir
	recent list.List // of *renderedDir, the one used last in front
	bytes  int64     // of all data in the cache
}

// renderedDir is a directory that is rendered, or about to be.
type renderedDir struct {
	id    NodeID
	place *list.Element
	once  sync.Once
	ready bool // the cache's mu guards it
	data  []byte
}

func (c *dirCache) init(l *Layout) { c.l, c.byNode = l, make(map[NodeID]*renderedDir) }

// read sets p to bytes of a directory from off on; behind its last entry there
// are zeroes. With cached set it returns block.ErrWouldBlock for a directory
// that is not rendered.
func (c *dirCache) read(p []byte, id NodeID, off int64, cached bool) error {
	c.mu.Lock()
	r := c.byNode[id]
	switch {
	case r != nil:
		c.recent.MoveToFront(r.place)
	case !cached:
		r = &renderedDir{id: id}
		r.place = c.recent.PushFront(r)
		c.byNode[id] = r
	}
	wait := r == nil || !r.ready
	c.mu.Unlock()
	if wait {
		if cached {
			return block.ErrWouldBlock
		}
		r.once.Do(func() { c.render(r) })
	}
	n := 0
	if off < int64(len(r.data)) {
		n = copy(p, r.data[off:])
	}
	clear(p[n:])
	return nil
}

// render fills in r and makes room for it.
func (c *dirCache) render(r *renderedDir) {
	r.data = c.l.renderDir(r.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.ready = true
	if r.place == nil {
		return // it was evicted meanwhile
	}
	c.bytes += int64(cap(r.data))
	for c.bytes > maxDirCacheBytes && c.recent.Len() > 1 {
		c.evict(c.recent.Back().Value.(*renderedDir))
	}
}

// evict forgets r. The caller holds mu.
func (c *dirCache) evict(r *renderedDir) {
	c.recent.Remove(r.place)
	r.place = nil
	delete(c.byNode, r.id)
	if r.ready {
		c.bytes -= int64(cap(r.data))
	}
}

// drop forgets everything.
func (c *dirCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.recent.Len() > 0 {
		c.evict(c.recent.Back().Value.(*renderedDir))
	}
}
