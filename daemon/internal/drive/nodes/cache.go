package nodes

import (
	"container/list"
	"sync"
)

// cache holds the nodes used last.
type cache struct {
	limit int

	mu    sync.Mutex
	nodes map[uint64]*list.Element // of *Node
	order list.List                // used last in front
	stamp uint64                   // moves with every forget
}

func newCache(limit int) *cache {
	return &cache{limit: limit, nodes: map[uint64]*list.Element{}}
}

// get returns a node, or the stamp with which it may be filled in.
func (c *cache) get(id uint64) (Node, uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.nodes[id]
	if !ok {
		return Node{}, c.stamp, false
	}
	c.order.MoveToFront(e)
	return *e.Value.(*Node), 0, true
}

// fill adds a node that was read after get gave stamp. If nodes were changed
// since, it may be old, and is not taken.
func (c *cache) fill(n Node, stamp uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stamp != stamp {
		return
	}
	if _, ok := c.nodes[n.ID]; ok {
		return
	}
	c.nodes[n.ID] = c.order.PushFront(&n)
	if c.order.Len() > c.limit {
		old := c.order.Back()
		c.order.Remove(old)
		delete(c.nodes, old.Value.(*Node).ID)
	}
}

// forget drops nodes that have changed.
func (c *cache) forget(ids []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamp++
	for _, id := range ids {
		if e, ok := c.nodes[id]; ok {
			c.order.Remove(e)
			delete(c.nodes, id)
		}
	}
}
