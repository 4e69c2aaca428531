package memfs

import (
	"container/list"
	"sync"
	"time"
)

// orphans are the objects without a name, the longest unused first. They stay
// usable by id because a client may have them open.
type orphans struct {
	mu   sync.Mutex
	list list.List // of *node
}

// orphanEntry is a node's place among the orphans.
type orphanEntry struct {
	at   *list.Element
	used time.Time
}

func (o *orphans) add(n *node, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n.orphan = orphanEntry{at: o.list.PushBack(n), used: now}
}

func (o *orphans) use(n *node, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n.orphan.at != nil {
		n.orphan.used = now
		o.list.MoveToBack(n.orphan.at)
	}
}

// take removes the first node that may go and that nobody is using, and
// returns it locked; nil if there is none.
func (o *orphans) take(may func(*node) bool) *node {
	o.mu.Lock()
	defer o.mu.Unlock()
	for e := o.list.Front(); e != nil; e = e.Next() {
		n := e.Value.(*node)
		if !may(n) {
			return nil
		}
		if n.mu.TryLock() { // this comes after node.mu in the order: do not wait
			o.list.Remove(e)
			n.orphan.at = nil
			return n
		}
	}
	return nil
}

func (o *orphans) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list.Len()
}

// unlink makes n, which is locked, an orphan. It needs tree.
func (f *FS) unlink(n *node, now time.Time) {
	n.unlinked.Store(true)
	f.orphanBytes.Add(n.charged)
	f.orphanFiles.Add(1)
	f.orphans.add(n, now)
}

// evict gives up the longest unused orphan and reports whether there was one.
func (f *FS) evict() bool {
	return f.drop(f.orphans.take(func(*node) bool { return true }))
}

// expire gives up the orphans whose time is over or that are too many.
func (f *FS) expire() {
	limit := f.clock().Add(-f.retain)
	for f.drop(f.orphans.take(func(n *node) bool { return n.orphan.used.Before(limit) })) {
	}
	for f.orphans.len() > maxOrphans && f.evict() {
	}
}

// drop frees n, which is locked and no longer among the orphans.
func (f *FS) drop(n *node) bool {
	if n == nil {
		return false
	}
	n.gone = true
	f.nodes.Delete(n.id)
	n.data = pages{}
	f.orphanBytes.Add(-n.charged)
	f.orphanFiles.Add(-1)
	f.bytes.Add(-n.charged)
	f.files.Add(-1)
	n.charged = 0
	n.mu.Unlock()
	return true
}
