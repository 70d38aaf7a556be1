package fusemount

import (
	"container/list"
	"sync"
)

// maxRecent is how many values are kept.
const maxRecent = 64

// recent keeps what belongs to the nodes that were asked for last. The zero value
// is empty.
type recent[T any] struct {
	mu     sync.Mutex
	byNode map[*node]*list.Element
	order  *list.List // of *kept[T], the latest first
}

type kept[T any] struct {
	node  *node
	value T
}

// get returns what belongs to n, which fresh makes if there is nothing.
func (r *recent[T]) get(n *node, fresh func() T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byNode == nil {
		r.byNode, r.order = map[*node]*list.Element{}, list.New()
	}
	if e := r.byNode[n]; e != nil {
		r.order.MoveToFront(e)
		return e.Value.(*kept[T]).value
	}
	k := &kept[T]{n, fresh()}
	r.byNode[n] = r.order.PushFront(k)
	if r.order.Len() > maxRecent {
		old := r.order.Remove(r.order.Back()).(*kept[T])
		delete(r.byNode, old.node)
	}
	return k.value
}
