package blocks

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// flushers is how many versions are flushed at once: file systems put what many
// wait for on stable storage together.
const flushers = 4

// flush writes sums every few seconds, until Close.
func (c *Cache) flush() {
	defer c.workers.Done()
	t := time.NewTicker(c.tune.flush)
	defer t.Stop()
	for {
		select {
		case <-c.closing:
			return
		case <-t.C:
		case <-c.flushes:
		}
		if err := c.flushAll(false); err != nil {
			c.warn("the cache cannot be put on stable storage", "err", err)
		}
	}
}

// Flush returns when all that was put since Open, and is present, is on stable
// storage. What was found there is not looked at again: the system has written
// it down meanwhile, unless it lost power, and then that could be seen.
func (c *Cache) Flush() error {
	if c.closed.Load() {
		return fmt.Errorf("flush the cache: %w", ErrClosed)
	}
	if err := c.flushAll(true); err != nil {
		return fmt.Errorf("flush the cache: %w", err)
	}
	return nil
}

// flushAll writes the sums of what was present before, when the bytes are on
// stable storage. The sums get there with the next Sync of their file, or with
// this one if it is final.
func (c *Cache) flushAll(final bool) error {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	c.mu.Lock()
	var l []*version
	for v := range c.dirty {
		v.users++
		l = append(l, v)
	}
	c.dirtyBytes = 0
	c.mu.Unlock()
	err := c.flushVersions(l)
	for _, v := range l {
		c.release(v)
	}
	if !final {
		return err
	}
	return errors.Join(err, c.settle())
}

// flushVersions puts the bytes of many versions on stable storage together, if
// that can be done.
func (c *Cache) flushVersions(l []*version) error {
	each := make([][]flushed, len(l))
	together := false
	if all, ok := c.fs.(disk.SyncAller); ok && len(l) >= c.tune.together {
		for i, v := range l {
			each[i] = v.unwritten()
		}
		together = all.SyncAll() == nil // else each tells what is wrong with it
	}
	next := make([]int, len(l))
	for i := range next {
		next[i] = i
	}
	return parallel(next, func(i int) error {
		if !together {
			return c.flushVersion(l[i])
		}
		of, err := l[i].ensureDirty()
		if of == nil {
			return err
		}
		return c.writeSums(l[i], of, each[i], nil)
	})
}

// parallel does something with each of l and gives the first error.
func parallel[T any](l []T, do func(T) error) error {
	var g sync.WaitGroup
	next := make(chan T)
	errs := make([]error, min(flushers, len(l)))
	for i := range errs {
		g.Go(func() {
			for v := range next {
				if err := do(v); err != nil && errs[i] == nil {
					errs[i] = err
				}
			}
		})
	}
	for _, v := range l {
		next <- v
	}
	close(next)
	g.Wait()
	return errors.Join(errs...)
}

// flushed is an extent that is being flushed.
type flushed struct {
	e     uint32
	x     *extent
	gen   uint32
	units unitSet
	sums  []uint32 // of all units of the extent
}

// unwritten lists the dirty units of a version.
func (v *version) unwritten() (l []flushed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for e, x := range v.exts {
		if !x.dirty.empty() {
			l = append(l, flushed{e: e, x: x, gen: x.gen, units: x.dirty, sums: slices.Clone(x.sums)})
		}
	}
	return l
}

// flushVersion puts the bytes of dirty units on stable storage and then writes
// their sums. flushMu is held.
func (c *Cache) flushVersion(v *version) error {
	of, err := v.ensureDirty()
	if of == nil {
		return err
	}
	l := v.unwritten()
	return c.writeSums(v, of, l, of.Sync())
}

// writeSums writes the sums of units whose bytes are on stable storage, or takes
// units away that failed to get there. It gives back the reference to of.
func (c *Cache) writeSums(v *version, of *openFile, l []flushed, err error) error {
	written, failed := false, err != nil
	for i := range l {
		f := &l[i]
		v.mu.Lock()
		if failed {
			v.lose(f)
		}
		if failed || !f.same() {
			v.mu.Unlock()
			continue
		}
		f.x.pins++
		image, lay := f.image(), v.lay
		v.mu.Unlock()
		_, werr := of.WriteAt(appendSums(nil, image), lay.sumsAt+4*extentUnits*int64(f.e))
		err = errors.Join(err, werr)
		written = true
		v.mu.Lock()
		if werr == nil && !f.x.gone {
			v.settled(f, image)
		}
		f.x.pins--
		v.mu.Unlock()
	}
	if written {
		c.unsettle(v.id)
	}
	v.mu.Lock()
	last := v.unref(of)
	v.mu.Unlock()
	closeLast(last)
	return err
}

// ensureDirty is ensure without making a file: bytes whose file is gone are
// gone. It works while the cache is being closed.
func (v *version) ensureDirty() (*openFile, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.phase != idle {
		v.cond.Wait()
	}
	if v.dirty == 0 {
		return nil, nil
	}
	if v.file == nil {
		if err := v.open(false); err != nil {
			return nil, err
		}
	}
	if v.file == nil || v.dirty == 0 {
		return nil, nil
	}
	v.file.refs++
	return v.file, nil
}

// same tells whether the extent is still the one whose bytes are on stable
// storage now. version.mu is held, as by those below.
func (f *flushed) same() bool { return !f.x.gone && !f.x.busy && f.x.gen == f.gen }

// image is what the file's sums of the extent should be: of units that are not
// known to be on stable storage none.
func (f *flushed) image() []uint32 {
	image := make([]uint32, len(f.sums))
	for u, s := range f.x.sums {
		if !f.x.dirty.has(u) || f.units.has(u) && s == f.sums[u] {
			image[u] = s
		}
	}
	return image
}

// settled makes clean what the file has.
func (v *version) settled(f *flushed, image []uint32) {
	var same unitSet
	for u, s := range f.x.sums {
		if f.units.has(u) && s == image[u] {
			same.add(u)
		}
	}
	v.clean(f.x, same)
}

// lose makes units absent that could not be put on stable storage: what is read
// of them now may be other bytes once the system has forgotten them.
func (v *version) lose(f *flushed) {
	if f.x.gone || f.x.busy {
		return
	}
	var blocks int64
	var lost unitSet
	for u := range f.x.sums {
		if f.units.has(u) && f.x.sums[u] != 0 && f.x.spans == 0 {
			f.x.sums[u] = 0
			f.x.verified.remove(u)
			lost.add(u)
			blocks += v.lay.unitBlocks(f.e, u)
		}
	}
	v.c.charge(v.id, v.lay, f.e, -blocks, 0)
}

// unsettle has the next Flush put a file on stable storage.
func (c *Cache) unsettle(i id) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.index.find(i); r != 0 {
		c.index.at(r).flags |= flagUnsettled
	}
}

// settle puts sums that were written, and the names of their files, on stable
// storage. flushMu is held.
func (c *Cache) settle() error {
	var all []id
	for from := 1; ; from += chunkNodes {
		c.mu.Lock()
		to := min(from+chunkNodes, c.index.used)
		for r := from; r < to; r++ {
			if n := c.index.at(ref(r)); n.flags&flagUnsettled != 0 {
				n.flags &^= flagUnsettled
				all = append(all, n.id)
			}
		}
		done := to >= c.index.used
		c.mu.Unlock()
		if done {
			break
		}
	}
	if s, ok := c.fs.(disk.SyncAller); ok && len(all) >= c.tune.together && s.SyncAll() == nil {
		return nil
	}
	err := parallel(all, func(i id) error {
		f, err := c.fs.Open(i.name(), false)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was evicted
		}
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	dirs := map[string]bool{}
	for _, i := range all {
		dirs[folder(i.object)] = true
	}
	for dir := range dirs {
		err = errors.Join(err, c.settleDir(dir))
	}
	return err
}

// settleDir puts the names in a folder on stable storage, and the folder's own.
func (c *Cache) settleDir(dir string) error {
	err := c.fs.SyncDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody deleted it
	}
	for err == nil && dir != "." && !c.settled[dir] {
		up := path.Dir(dir)
		if err = c.fs.SyncDir(up); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		c.settled[dir] = err == nil
		dir = up
	}
	return err
}
