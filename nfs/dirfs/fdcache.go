//go:build linux || darwin

package dirfs

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// What a descriptor can do.
const (
	canRead  uint8 = 1
	canWrite uint8 = 2
)

const (
	// idleLimit is how long a descriptor is kept without use: what is kept
	// open keeps a volume from being unmounted.
	idleLimit = 5 * time.Minute
	// orphanLimit is the same for an object without a name. Its space is free
	// only when its last descriptor is closed.
	orphanLimit = time.Minute
	// insideLimit is how long a directory is taken to be inside the folder
	// without a look.
	insideLimit = time.Second
)

// desc is an open descriptor of one object.
type desc struct {
	fd  int
	can uint8 // 0: it only stands for the object (O_PATH, O_EVTONLY)
	vol *volume
	dir bool

	refs   int  // of calls; guarded by the cache
	closed bool // not in the cache any more: the last call closes it
}

// kept is one object of the cache.
type kept struct {
	id   nfs.ID
	d    *desc
	seen time.Time // when a directory was found to be inside the folder
	used time.Time
	in   *list.List
	el   *list.Element
}

// fdCache keeps descriptors open, within a limit, so that calls are quick and
// objects stay usable after they lose their name.
type fdCache struct {
	limit int
	now   func() time.Time

	mu   sync.Mutex
	byID map[nfs.ID]*kept
	// Least used first. Objects that were looked up only do not drive out those
	// that are worked with: cold may have a quarter of the limit. So may orphans.
	cold, hot, orphans list.List
}

func newFDCache(limit int, now func() time.Time) *fdCache {
	return &fdCache{limit: limit, now: now, byID: make(map[nfs.ID]*kept)}
}

// pin gives the descriptor of id, if there is one. For a directory the second
// result says whether it was inside the folder a moment ago. The caller
// releases it.
func (c *fdCache) pin(id nfs.ID) (d *desc, inside bool) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byID[id]
	if k == nil {
		return nil, false
	}
	k.used = now
	k.in.MoveToBack(k.el)
	k.d.refs++
	return k.d, !k.d.dir || now.Sub(k.seen) < insideLimit
}

// met notes that id was just found by its name, and reports whether there is a
// descriptor of it.
func (c *fdCache) met(id nfs.ID) bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byID[id]
	if k == nil {
		return false
	}
	k.seen, k.used = now, now
	k.in.MoveToBack(k.el)
	return true
}

// again pins d, which is pinned, once more.
func (c *fdCache) again(d *desc) {
	c.mu.Lock()
	d.refs++
	c.mu.Unlock()
}

func (c *fdCache) release(d *desc) {
	c.mu.Lock()
	d.refs--
	last := d.refs == 0 && d.closed
	c.mu.Unlock()
	if last {
		unix.Close(d.fd)
	}
}

// add takes d, which the caller has just opened by its name, and gives the
// descriptor to use for id: d or a better one that is here already. The caller
// releases the result.
func (c *fdCache) add(id nfs.ID, d *desc, hot bool) *desc {
	now := c.now()
	c.mu.Lock()
	k := c.byID[id]
	var dead []int
	if k != nil {
		if k.d.can|d.can == k.d.can {
			dead = append(dead, d.fd)
		} else {
			dead = c.replace(k, d)
		}
	} else {
		k = &kept{id: id, d: d}
		c.byID[id] = k
		c.move(k, &c.cold)
	}
	if (hot || d.dir) && k.in == &c.cold {
		c.move(k, &c.hot)
	}
	k.seen, k.used = now, now
	k.in.MoveToBack(k.el)
	k.d.refs++
	d = k.d
	dead = append(dead, c.evict()...)
	c.mu.Unlock()
	closeAll(dead)
	return d
}

// better puts a descriptor that can more in the place of id's, and gives it
// back pinned.
func (c *fdCache) better(id nfs.ID, d *desc) *desc {
	c.mu.Lock()
	d.refs++
	var dead []int
	if k := c.byID[id]; k != nil {
		dead = c.replace(k, d)
		if k.in == &c.cold {
			c.move(k, &c.hot)
		}
	} else {
		d.closed = true
	}
	c.mu.Unlock()
	closeAll(dead)
	return d
}

func (c *fdCache) replace(k *kept, d *desc) (dead []int) {
	dead = retire(k.d)
	k.d = d
	return dead
}

// retire makes the last call close d, or says that there is none.
func retire(d *desc) (dead []int) {
	d.closed = true
	if d.refs == 0 {
		return []int{d.fd}
	}
	return nil
}

func (c *fdCache) move(k *kept, to *list.List) {
	if k.in != nil {
		k.in.Remove(k.el)
	}
	k.in, k.el = to, to.PushBack(k)
}

func (c *fdCache) remove(k *kept) (dead []int) {
	k.in.Remove(k.el)
	delete(c.byID, k.id)
	return retire(k.d)
}

// orphan notes that id's last name is gone.
func (c *fdCache) orphan(id nfs.ID) {
	c.mu.Lock()
	var dead []int
	if k := c.byID[id]; k != nil && k.in != &c.orphans {
		c.move(k, &c.orphans)
		dead = c.evict()
	}
	c.mu.Unlock()
	closeAll(dead)
}

// drop forgets the descriptor of id.
func (c *fdCache) drop(id nfs.ID) {
	c.mu.Lock()
	var dead []int
	if k := c.byID[id]; k != nil {
		dead = c.remove(k)
	}
	c.mu.Unlock()
	closeAll(dead)
}

// evict brings the cache within its limits; what is in use stays.
func (c *fdCache) evict() (dead []int) {
	dead = append(dead, c.trim(&c.cold, c.limit/4)...)
	dead = append(dead, c.trim(&c.orphans, c.limit/4)...)
	return append(dead, c.trim(&c.hot, c.limit-c.cold.Len()-c.orphans.Len())...)
}

func (c *fdCache) trim(l *list.List, limit int) (dead []int) {
	for el := l.Front(); el != nil && l.Len() > limit; {
		k := el.Value.(*kept)
		el = el.Next()
		if k.d.refs == 0 {
			dead = append(dead, c.remove(k)...)
		}
	}
	return dead
}

// shrink closes half of what is kept, because the process or the machine has
// no descriptors left, and reports whether there was any.
func (c *fdCache) shrink() bool {
	c.mu.Lock()
	dead := c.trim(&c.cold, c.cold.Len()/2)
	dead = append(dead, c.trim(&c.hot, c.hot.Len()/2)...)
	c.mu.Unlock()
	closeAll(dead)
	return len(dead) > 0
}

// dropOrphans closes the nameless objects that no call uses, because their
// space is needed, and reports whether there was any.
func (c *fdCache) dropOrphans() bool {
	c.mu.Lock()
	dead := c.trim(&c.orphans, 0)
	c.mu.Unlock()
	closeAll(dead)
	return len(dead) > 0
}

// sweep closes what was not used for long.
func (c *fdCache) sweep() {
	now := c.now()
	c.mu.Lock()
	var dead, files []int
	var pinned []*desc
	var ids []nfs.ID
	for _, l := range []*list.List{&c.cold, &c.hot, &c.orphans} {
		limit := idleLimit
		if l == &c.orphans {
			limit = orphanLimit
		}
		for el := l.Front(); el != nil; {
			k := el.Value.(*kept)
			el = el.Next()
			idle := now.Sub(k.used)
			switch {
			case k.d.refs > 0:
			case idle > limit:
				dead = append(dead, c.remove(k)...)
			case idle > orphanLimit && !k.d.dir:
				// Something beside us may have deleted it meanwhile.
				k.d.refs++
				pinned, ids, files = append(pinned, k.d), append(ids, k.id), append(files, k.d.fd)
			}
		}
	}
	c.mu.Unlock()
	closeAll(dead)
	for i, fd := range files {
		var st unix.Stat_t
		gone := unix.Fstat(fd, &st) == nil && st.Nlink == 0
		c.release(pinned[i])
		if gone {
			c.drop(ids[i])
		}
	}
}

func (c *fdCache) close() {
	c.mu.Lock()
	var dead []int
	for _, k := range c.byID {
		dead = append(dead, c.remove(k)...)
	}
	c.mu.Unlock()
	closeAll(dead)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// lostName notes that id was not found by its name. A directory is of no use
// then; a file stays, because it may be in use.
func (c *fdCache) lostName(id nfs.ID) {
	c.mu.Lock()
	var dead []int
	if k := c.byID[id]; k != nil && k.d.dir {
		dead = c.remove(k)
	}
	c.mu.Unlock()
	closeAll(dead)
}
