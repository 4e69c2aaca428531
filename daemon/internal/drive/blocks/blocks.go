// Package blocks keeps what was read of a remote on this computer's disk: one
// sparse file for each version of an object, with a checksum for each unit of
// 64 KiB that is there.
//
// # What is promised
//
// A read gives the bytes that were put for that key and range, or an error.
// After a crash less may be there than before, never more, and never other
// bytes. The folder belongs to the person: it may be deleted, or its files
// replaced, at any time, and what is lost that way is only absent.
//
// # How
//
// Bytes are present in memory as soon as they are put. Every few seconds they
// are put on stable storage, and then their sums into the file; what is not
// there after a crash is absent. Every unit is compared with its sum when it is
// read first after the file was opened.
//
// What is on the disk is kept in an index in memory, about 45 bytes for each
// version, which is built in the background after a start. Versions of more than
// 16 MiB are evicted by extents of 16 MiB, which become holes.
package blocks

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// Unit is how many bytes are present or absent together.
const Unit = 64 << 10

var (
	// ErrMissing means that bytes are not here, or not any more. They have to be
	// fetched again.
	ErrMissing = errors.New("not in the cache")
	// ErrFull means that bytes could not be kept: there is no room, or the disk
	// takes none. The caller still has them.
	ErrFull = errors.New("no room in the cache")
	// ErrClosed means that the Cache is closed.
	ErrClosed = errors.New("the cache is closed")
)

// Key names the bytes of one version of an object.
type Key struct {
	Object  uint64
	Version string // any bytes
}

// Range is a part of a file, in bytes.
type Range struct{ Off, N int64 }

// Options say how much a Cache may keep.
type Options struct {
	// Limit is how many bytes of the disk the cache may take; 0: as many as Floor
	// leaves.
	Limit int64
	// Floor is how many bytes of the disk must stay free; 0: 5% of it, but at
	// least 2 GiB; negative: none.
	Floor  int64
	Logger *slog.Logger     // nil: silent
	Clock  func() time.Time // nil: time.Now
	// Pinned tells whether an object must be kept. It is called from any
	// goroutine, also in calls that put something. Nil: none is.
	Pinned func(object uint64) bool
}

// tuning is what tests change.
type tuning struct {
	files   int                         // versions' files that are kept open
	extents int64                       // of versions that are open, in memory
	flush   time.Duration               // how often sums are written
	unflush int64                       // bytes without sums that are too many to wait for that
	hash    func(version string) uint64 // in file names
	// together is how many versions are put on stable storage by one SyncAll.
	together int
	// backlog is how many versions may wait for that. What comes while the disk
	// does not keep up with is not kept, or it would have to be kept in memory.
	backlog int
}

// Cache is a folder of versions. It is safe for concurrent use.
type Cache struct {
	fs     disk.FS
	log    *slog.Logger
	clock  func() time.Time
	pinned func(uint64) bool
	floor  int64
	tune   tuning

	closed  atomic.Bool
	closing chan struct{}
	workers sync.WaitGroup
	press   chan struct{} // wakes the keeper
	rescan  chan struct{} // wakes the scanner
	flushes chan struct{} // wakes the flusher
	ticks   atomic.Uint32
	extents atomic.Int64 // in memory
	noPunch atomic.Bool  // the file system makes no holes

	flushMu sync.Mutex      // held by the one that flushes, also across I/O
	settled map[string]bool // by flushMu: folders whose names are on stable storage

	warnMu sync.Mutex
	warned map[string]time.Time

	mu         sync.Mutex
	index      *index
	scanned    bool
	removed    uint64                // versions whose nodes were dropped
	open       map[uint64][]*version // by object
	files      []*version            // whose files are open
	hand       int                   // in files
	dirty      map[*version]struct{}
	dirtyBytes int64
	reserved   int64     // pages that are going to be written
	limit      int64     // bytes; 0: none
	spare      int64     // pages that can be written until only Floor is free
	unmeasured int64     // pages written since that was measured
	evicted    int64     // pages, ever
	evicting   int       // nodes that are in no queue meanwhile
	evictions  sync.Cond // evicting went down
	pinnedTick uint32    // when all pinned nodes were last looked at
}

// Open opens the cache in a folder. What lies there is looked through in the
// background; it can be read meanwhile.
func Open(fs disk.FS, o Options) (*Cache, error) {
	return open(fs, o, tuning{files: 256, extents: 8 << 10, flush: 5 * time.Second, unflush: 64 << 20, hash: hashVersion,
		together: 64, backlog: 32 << 10})
}

func open(fs disk.FS, o Options, t tuning) (*Cache, error) {
	c := &Cache{
		fs: fs, log: o.Logger, clock: o.Clock, pinned: o.Pinned, floor: o.Floor, tune: t,
		closing: make(chan struct{}), press: make(chan struct{}, 1), rescan: make(chan struct{}, 1),
		flushes: make(chan struct{}, 1), settled: map[string]bool{}, warned: map[string]time.Time{},
		index: newIndex(), open: map[uint64][]*version{}, dirty: map[*version]struct{}{}, limit: max(o.Limit, 0),
	}
	c.evictions.L = &c.mu
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.pinned == nil {
		c.pinned = func(uint64) bool { return false }
	}
	if err := c.mark(); err != nil {
		return nil, err
	}
	c.tickNow()
	c.measure()
	c.workers.Add(3)
	go c.keep()
	go c.scan()
	go c.flush()
	return c, nil
}

// Usage tells how many bytes of the disk the cache takes, and its limit.
func (c *Cache) Usage() (used, limit int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (c.index.blocks + c.reserved) * page, c.limit
}

// SetLimit changes Options.Limit. What is too much is evicted in the background.
func (c *Cache) SetLimit(bytes int64) {
	c.mu.Lock()
	c.limit = max(bytes, 0)
	c.mu.Unlock()
	wake(c.press)
}

// Close writes down what a later Open needs, and stops what Open started. Files
// that are still open fail from then on with ErrClosed, or have nothing.
func (c *Cache) Close() error {
	if c.closed.Swap(true) {
		return ErrClosed
	}
	close(c.closing)
	c.workers.Wait()
	err := c.flushAll(false)
	for _, v := range c.allOpen() {
		v.mu.Lock()
		last := v.forget()
		v.mu.Unlock()
		closeLast(last)
		c.release(v)
	}
	return err
}

// wake lets a worker run once more.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// tick is the time in units of 30 s, as far as uses are told apart.
func (c *Cache) tick() uint8 { return uint8(c.ticks.Load()) }

func (c *Cache) tickNow() { c.ticks.Store(uint32(c.clock().Unix() / 30)) }

// warn logs what the disk does. A disk that fails does so often.
func (c *Cache) warn(msg string, args ...any) {
	now := c.clock()
	c.warnMu.Lock()
	last, ok := c.warned[msg]
	quiet := ok && now.Sub(last) >= 0 && now.Sub(last) < 10*time.Second
	if !quiet {
		c.warned[msg] = now
	}
	c.warnMu.Unlock()
	if !quiet {
		c.log.Warn(msg, args...)
	}
}

// acquire gives the version with that id for use. The caller releases it.
func (c *Cache) acquire(i id, handle bool) *version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acquireLocked(i, handle)
}

func (c *Cache) acquireLocked(i id, handle bool) *version {
	v := c.openLocked(i)
	if v == nil {
		v = newVersion(c, i)
		// What is not in the index is not on the disk.
		v.absent = c.scanned && c.index.find(i) == 0
		c.open[i.object] = append(c.open[i.object], v)
	}
	v.users++
	if handle {
		v.handles++
		v.doomed = false
	}
	return v
}

func (c *Cache) openLocked(i id) *version {
	for _, v := range c.open[i.object] {
		if v.id == i {
			return v
		}
	}
	return nil
}

func (c *Cache) release(v *version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releaseLocked(v)
}

func (c *Cache) releaseLocked(v *version) {
	if v.users--; v.users > 0 {
		return
	}
	l := c.open[v.id.object]
	for i := range l {
		if l[i] == v {
			l[i] = l[len(l)-1]
			l[len(l)-1] = nil
			l = l[:len(l)-1]
			break
		}
	}
	if len(l) == 0 {
		delete(c.open, v.id.object)
	} else {
		c.open[v.id.object] = l
	}
}

// releaseHandle is release for a File.
func (c *Cache) releaseHandle(v *version) {
	c.mu.Lock()
	v.handles--
	doomed := v.handles == 0 && v.doomed
	discard := doomed || v.handles == 0 && c.emptyLocked(v.id)
	if !discard {
		c.releaseLocked(v)
	}
	c.mu.Unlock()
	if discard {
		c.discard(v, doomed)
		c.release(v)
	}
}

// emptyLocked tells whether a version has a file from which all extents were
// evicted, and which nothing else would remove.
func (c *Cache) emptyLocked(i id) bool {
	r := c.index.find(i)
	return r != 0 && c.index.at(r).flags&flagBig != 0 && len(c.index.extents[r]) == 0
}

// allOpen acquires all versions that are open.
func (c *Cache) allOpen() []*version {
	c.mu.Lock()
	defer c.mu.Unlock()
	var l []*version
	for _, vs := range c.open {
		for _, v := range vs {
			v.users++
			l = append(l, v)
		}
	}
	return l
}

// fileOpened and fileClosed keep the list of open files, each of which is a
// reason for its version to stay.
func (c *Cache) fileOpened(v *version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files = append(c.files, v)
	v.slot = len(c.files)
	v.users++
}

func (c *Cache) fileClosed(v *version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.files[len(c.files)-1]
	c.files[v.slot-1], last.slot = last, v.slot
	c.files[len(c.files)-1] = nil
	c.files = c.files[:len(c.files)-1]
	v.slot = 0
	c.releaseLocked(v)
}

// closeFiles makes room for one more open file, as far as files are not being
// read. It gives those that were used lately a second chance.
func (c *Cache) closeFiles() {
	for tries := 2 * c.tune.files; tries > 0; tries-- {
		c.mu.Lock()
		if len(c.files) < c.tune.files {
			c.mu.Unlock()
			return
		}
		c.hand++
		v := c.files[c.hand%len(c.files)]
		if v.touched.Swap(false) {
			c.mu.Unlock()
			continue
		}
		v.users++
		c.mu.Unlock()
		v.closeFile()
		c.release(v)
	}
}

// tooMuch tells whether too many versions wait to be flushed.
func (c *Cache) tooMuch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.dirty) >= c.tune.backlog
}

// soiled and cleaned keep the set of versions that have to be flushed.
func (c *Cache) soiled(v *version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty[v] = struct{}{}
	v.users++
}

func (c *Cache) cleaned(v *version) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dirty, v)
	c.releaseLocked(v)
}

func (c *Cache) soiledBytes(n int64) {
	c.mu.Lock()
	c.dirtyBytes += n
	much := c.dirtyBytes >= c.tune.unflush
	c.mu.Unlock()
	if much {
		wake(c.flushes)
	}
}

// hasNode, hasExtent and extentsOf ask the index.
func (c *Cache) hasNode(i id) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index.find(i) != 0
}

func (c *Cache) hasExtent(i id, e uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index.extent(c.index.find(i), e) != 0
}

func (c *Cache) extentsOf(i id, first, last uint32) (l []uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.index.extents[c.index.find(i)]
	if int(last-first) < len(all) {
		for e := first; e <= last; e++ {
			if all[e] != 0 {
				l = append(l, e)
			}
		}
		return l
	}
	for e := range all {
		if e >= first && e <= last {
			l = append(l, e)
		}
	}
	return l
}

// newNode puts a version into the index whose file was made. The pages of its
// trailer were reserved.
func (c *Cache) newNode(i id, lay layout) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spendLocked(lay.baseBlocks())
	c.nodeLocked(i, lay)
}

// spendLocked tells that pages that were reserved are written.
func (c *Cache) spendLocked(blocks int64) {
	c.reserved -= blocks
	c.unmeasured += blocks
	c.spare -= blocks
}

// addNode puts a version into the index that was found, unless it is there, with
// the pages that its extents take besides the trailer.
func (c *Cache) addNode(i id, lay layout, exts []uint32, blocks []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.index.find(i) != 0 {
		return
	}
	c.nodeLocked(i, lay)
	for n, e := range exts {
		c.chargeLocked(i, lay, e, blocks[n])
	}
}

func (c *Cache) nodeLocked(i id, lay layout) ref {
	r := c.index.find(i)
	if r == 0 {
		r = c.index.add(i, lay.big(), lay.baseBlocks(), c.tick())
	}
	return r
}

func (c *Cache) dropNode(i id) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed++
	c.dropLocked(func() { c.index.drop(i) })
}

// charge counts pages of an extent, of which some were reserved before.
func (c *Cache) charge(i id, lay layout, e uint32, blocks, reserved int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spendLocked(reserved)
	c.chargeLocked(i, lay, e, blocks)
}

func (c *Cache) chargeLocked(i id, lay layout, e uint32, blocks int64) {
	r := c.nodeLocked(i, lay)
	if !lay.big() {
		c.index.charge(r, blocks)
	} else if x := c.index.extent(r, e); x != 0 {
		c.index.charge(x, blocks)
	} else if blocks > 0 {
		c.index.addExtent(r, e, blocks, c.tick())
	}
}

// touch counts a use of an extent.
func (c *Cache) touch(i id, e uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.index.find(i)
	if x := c.index.extent(r, e); x != 0 {
		r = x
	}
	if r != 0 {
		c.index.touch(r, c.tick())
	}
}
