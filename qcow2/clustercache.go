package qcow2

import (
	"container/list"
	"sync"

	"github.com/fatkit/fatkit/internal/format/qcow2fmt"
)

// clusterCache holds decompressed clusters, the most recently used ones. Their
// bytes never change, so readers keep using what is thrown out.
type clusterCache struct {
	max int // clusters

	mu    sync.Mutex
	byKey map[qcow2fmt.L2Entry]*list.Element // of *cachedCluster
	order list.List                          // most recently used first
}

// cachedCluster is a cluster that is decompressed, or about to be.
type cachedCluster struct {
	key  qcow2fmt.L2Entry
	done chan struct{} // closed when data and err are set
	data []byte
	err  error
}

func newClusterCache(cacheBytes int, clusterBytes int64) *clusterCache {
	if cacheBytes == 0 {
		cacheBytes = DefaultDataCacheBytes
	}
	return &clusterCache{
		max:   max(int(int64(cacheBytes)/clusterBytes), 1),
		byKey: make(map[qcow2fmt.L2Entry]*list.Element),
	}
}

// get returns the cluster of an L2 entry, calling decode unless it is there.
// Concurrent calls for one cluster share one decode.
func (c *clusterCache) get(key qcow2fmt.L2Entry, decode func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		cl := e.Value.(*cachedCluster)
		<-cl.done
		return cl.data, cl.err
	}
	cl := &cachedCluster{key: key, done: make(chan struct{})}
	c.byKey[key] = c.order.PushFront(cl)
	for c.order.Len() > c.max {
		c.remove(c.order.Back())
	}
	c.mu.Unlock()

	cl.data, cl.err = decode()
	close(cl.done)
	if cl.err != nil {
		c.drop(cl)
	}
	return cl.data, cl.err
}

// peek returns the cluster of an L2 entry if it is there.
func (c *clusterCache) peek(key qcow2fmt.L2Entry) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	cl := e.Value.(*cachedCluster)
	select {
	case <-cl.done:
		c.order.MoveToFront(e)
		return cl.data, cl.err == nil
	default:
		return nil, false
	}
}

// drop removes cl unless something else took its place.
func (c *clusterCache) drop(cl *cachedCluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[cl.key]; ok && e.Value == any(cl) {
		c.remove(e)
	}
}

// clear empties the cache: host clusters are about to get new owners.
func (c *clusterCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byKey)
	c.order.Init()
}

// remove takes an element out. The caller holds mu.
func (c *clusterCache) remove(e *list.Element) {
	c.order.Remove(e)
	delete(c.byKey, e.Value.(*cachedCluster).key)
}
