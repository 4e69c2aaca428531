package blocks

import (
	"errors"
	"io/fs"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

const (
	// floorShare and floorLeast are Options.Floor where it is 0.
	floorShare = 20
	floorLeast = 2 << 30
	// remeasure is how many pages are written before free space is looked at
	// again, if that is before the next tick of the keeper.
	remeasure = 64 << 20 / page
	// maxSlack is how many pages below the limit the keeper evicts, so that who
	// writes seldom has to.
	maxSlack = 256 << 20 / page
	// maxBusy is how many nodes that are in use one search for a victim passes.
	maxBusy = 1 << 10
)

// keep evicts in the background, and looks after the folder, until Close.
func (c *Cache) keep() {
	defer c.workers.Done()
	t := time.NewTicker(c.tune.flush)
	defer t.Stop()
	for {
		select {
		case <-c.closing:
			return
		case <-t.C:
			c.tickNow()
			c.checkMark()
			c.measure()
			c.unpin(1 << 16)
		case <-c.press:
			c.mu.Lock()
			old := c.unmeasured >= remeasure
			c.mu.Unlock()
			if old {
				c.measure()
			}
		}
		c.trim()
	}
}

// measure sets spare from the free space of the disk.
func (c *Cache) measure() {
	var spare int64 = 1 << 60
	if c.floor >= 0 {
		// Without an answer, ENOSPC will tell.
		if free, total, err := c.fs.Free(); err == nil {
			floor := c.floor
			if floor == 0 {
				floor = max(total/floorShare, floorLeast)
			}
			spare = (free - floor) / page
		}
	}
	c.mu.Lock()
	c.spare, c.unmeasured = spare, 0
	c.mu.Unlock()
}

// ceilingLocked is how many pages may be taken.
func (c *Cache) ceilingLocked() int64 {
	n := max(c.index.blocks+c.spare, 0)
	if c.limit > 0 {
		n = min(n, c.limit/page)
	}
	return n
}

// Room is how many bytes the cache may take in all, by its limit and the disk's
// free space.
func (c *Cache) Room() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ceilingLocked() * page
}

// dropLocked does something that takes nodes out of the index whose pages are
// free now.
func (c *Cache) dropLocked(drop func()) {
	before := c.index.blocks
	drop()
	c.spare += before - c.index.blocks
	c.evicted += before - c.index.blocks
}

// reserve makes sure that pages can be written.
func (c *Cache) reserve(blocks int64) error {
	if blocks == 0 {
		return nil
	}
	for {
		c.mu.Lock()
		ceiling := c.ceilingLocked()
		used := c.index.blocks + c.reserved + blocks
		if used > ceiling-slack(ceiling)/2 || c.unmeasured >= remeasure {
			wake(c.press)
		}
		if used <= ceiling {
			c.reserved += blocks
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if blocks > ceiling || !c.evict() {
			return ErrFull
		}
	}
}

func (c *Cache) unreserve(blocks int64) {
	c.mu.Lock()
	c.reserved -= blocks
	c.mu.Unlock()
}

func slack(ceiling int64) int64 { return min(ceiling/32, maxSlack) }

// trim evicts until writers have some room again.
func (c *Cache) trim() {
	c.mu.Lock()
	ceiling := c.ceilingLocked()
	over := c.index.blocks+c.reserved > ceiling-slack(ceiling)/2
	c.mu.Unlock()
	for over && !c.closed.Load() && c.evict() {
		c.mu.Lock()
		ceiling = c.ceilingLocked()
		over = c.index.blocks+c.reserved > ceiling-slack(ceiling)
		c.mu.Unlock()
	}
}

// noSpace is told that the disk took n bytes no more. It evicts for them, and
// tells whether to try again.
func (c *Cache) noSpace(n int64) bool {
	c.mu.Lock()
	c.spare = min(c.spare, 0) // until free space is measured again
	goal := c.evicted + 2*n/page + 1
	c.mu.Unlock()
	freed := false
	for done := false; !done && c.evict(); {
		freed = true
		c.mu.Lock()
		done = c.evicted >= goal
		c.mu.Unlock()
	}
	return freed
}

// evict takes one extent or file away. It returns false if there is none that
// can be.
func (c *Cache) evict() bool {
	for busy := 0; busy < maxBusy; {
		c.mu.Lock()
		r := c.index.victim()
		if r == 0 && c.evicting > 0 {
			// Others have what is left in their hands.
			before := c.evicted
			c.evictions.Wait()
			some := c.evicted != before
			c.mu.Unlock()
			if some {
				return true
			}
			busy++
			continue
		}
		if r == 0 {
			c.mu.Unlock()
			if !c.unpinOnce() {
				return false
			}
			continue
		}
		n := *c.index.at(r)
		// The node is in no queue, and this is the only one to evict it.
		v := c.acquireLocked(n.id, false)
		c.evicting++
		c.mu.Unlock()

		to := uint8(queueMain)
		if c.pinned(n.object) {
			to = queuePinned
		} else {
			done := false
			if n.flags&flagExtent != 0 && !c.noPunch.Load() {
				done = c.evictExtent(v, n.extent)
			} else {
				done = c.discard(v, false)
			}
			if done {
				c.mu.Lock()
				c.index.bury(&n)
				c.evictedLocked(v)
				c.mu.Unlock()
				return true
			}
			busy++
		}
		c.mu.Lock()
		c.requeueLocked(n, to)
		c.evictedLocked(v)
		c.mu.Unlock()
	}
	return false
}

// evictedLocked ends what evict did with one version.
func (c *Cache) evictedLocked(v *version) {
	c.evicting--
	c.evictions.Broadcast()
	c.releaseLocked(v)
}

// requeueLocked puts a node that was not evicted into a queue again, if it is
// still there and in none.
func (c *Cache) requeueLocked(n node, queue uint8) {
	r := c.index.find(n.id)
	if n.flags&flagExtent != 0 {
		r = c.index.extent(r, n.extent)
	}
	if r != 0 && c.index.at(r).queue == queueNone && c.index.at(r).flags&flagBig == 0 {
		c.index.push(queue, r)
	}
}

// unpinOnce is unpin of a good part of the pinned nodes, once in a tick, for
// one who finds nothing else to evict.
func (c *Cache) unpinOnce() bool {
	c.mu.Lock()
	tick := c.ticks.Load()
	again := c.pinnedTick == tick
	c.pinnedTick = tick
	c.mu.Unlock()
	return !again && c.unpin(1<<16)
}

// unpin looks at up to n pinned nodes, and queues again those that are not
// pinned any more. It tells whether there were any.
func (c *Cache) unpin(n int) (found bool) {
	c.mu.Lock()
	n = min(n, c.index.queues[queuePinned].n)
	c.mu.Unlock()
	for ; n > 0; n-- {
		c.mu.Lock()
		r := c.index.queues[queuePinned].first
		if r == 0 {
			c.mu.Unlock()
			return found
		}
		c.index.remove(r)
		n := *c.index.at(r)
		c.mu.Unlock()
		to := uint8(queuePinned)
		if !c.pinned(n.object) {
			to, found = queueMain, true
		}
		c.mu.Lock()
		c.requeueLocked(n, to)
		c.mu.Unlock()
	}
	return found
}

// evictExtent makes a hole of an extent. It returns false if that is in use, or
// cannot be done.
func (c *Cache) evictExtent(v *version, e uint32) bool {
	v.mu.Lock()
	if v.phase != idle {
		v.mu.Unlock()
		return false
	}
	of, err := v.ensure(false)
	if err != nil {
		v.mu.Unlock()
		// It is not there any more, or cannot be opened.
		return !c.closed.Load() && (!c.hasExtent(v.id, e) || c.discard(v, false))
	}
	x := v.exts[e]
	gone := !v.lay.big() || e >= v.lay.extents() || !c.hasExtent(v.id, e)
	if gone || x != nil && (x.pins > 0 || x.loading || x.busy) {
		last := v.unref(of)
		v.mu.Unlock()
		closeLast(last)
		return gone
	}
	if x == nil {
		x = v.put(e, &extent{})
	}
	v.clean(x, x.dirty)
	x.sums, x.busy = nil, true
	lay := v.lay
	v.mu.Unlock()

	err = punch(of, lay, e)

	if err == nil {
		c.mu.Lock()
		empty := false
		c.dropLocked(func() { empty = c.index.dropExtent(c.index.find(v.id), e) })
		c.mu.Unlock()
		if empty {
			defer c.discard(v, false)
		}
	}
	v.mu.Lock()
	if !x.gone {
		v.drop(e, x)
	}
	x.busy = false
	v.cond.Broadcast()
	last := v.unref(of)
	v.mu.Unlock()
	closeLast(last)
	if errors.Is(err, disk.ErrUnsupported) {
		c.noPunch.Store(true)
		return c.discard(v, false)
	}
	if err != nil {
		c.warn("part of a file in the cache cannot be given back to the disk", "object", v.id.object, "err", err)
	}
	return err == nil
}

// punch makes an extent absent and a hole. The order matters little: sums that
// stay without bytes do not match.
func punch(f *openFile, lay layout, e uint32) error {
	p, ok := f.File.(disk.Puncher)
	if !ok {
		return disk.ErrUnsupported
	}
	zero := make([]byte, 4*lay.extentUnits(e))
	if _, err := f.WriteAt(zero, lay.sumsAt+4*extentUnits*int64(e)); err != nil {
		return err
	}
	from := int64(e) * extentSize
	return p.PunchHole(from, min(extentSize, lay.sumsAt-from))
}

// discard removes a version's file; without force only if nobody uses it, which
// it tells. Somebody who reads it goes on with the file that is gone.
func (c *Cache) discard(v *version, force bool) bool {
	v.mu.Lock()
	for v.phase != idle {
		if !force {
			v.mu.Unlock()
			return false
		}
		v.cond.Wait()
	}
	if !force && v.file != nil && v.file.refs > 0 {
		v.mu.Unlock()
		return false
	}
	v.phase = removing
	last := v.forget()
	v.mu.Unlock()
	closeLast(last)

	err := c.fs.Remove(v.id.name())
	gone := err == nil || errors.Is(err, fs.ErrNotExist)
	if gone {
		c.dropNode(v.id)
	} else {
		c.warn("a file in the cache cannot be removed", "object", v.id.object, "err", err)
	}
	v.mu.Lock()
	v.phase, v.absent = idle, gone
	v.cond.Broadcast()
	v.mu.Unlock()
	return gone
}

// Drop takes away all versions of an object. Those with a File that is open go
// when that is closed.
func (c *Cache) Drop(object uint64) { c.dropAll(object, nil) }

// Prune takes away all versions of k.Object but k, as Drop does.
func (c *Cache) Prune(k Key) {
	keep := id{k.Object, c.tune.hash(k.Version)}
	c.dropAll(k.Object, &keep)
}

func (c *Cache) dropAll(object uint64, keep *id) {
	c.mu.Lock()
	ids := c.index.versions(nil, object)
	for _, v := range c.open[object] {
		ids = append(ids, v.id)
	}
	scanned := c.scanned
	c.mu.Unlock()
	if !scanned {
		files, _ := c.fs.List(folder(object)) // what cannot be listed cannot be removed
		for _, f := range files {
			if i, ok := parseBase(f.Name); ok && i.object == object {
				ids = append(ids, i)
			}
		}
	}
	for _, i := range ids {
		if keep != nil && i == *keep {
			continue
		}
		c.mu.Lock()
		v := c.acquireLocked(i, false)
		doomed := v.handles > 0
		v.doomed = v.doomed || doomed
		c.mu.Unlock()
		if !doomed {
			c.discard(v, true)
		}
		c.release(v)
	}
}
