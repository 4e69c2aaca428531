// Package disktest is a folder in memory that loses power, for tests of what
// keeps files there. It does what [disk.FS] promises, and of what that does not
// promise the worst that an operating system might do: whatever was not synced
// is there after a power failure, or not, each page and each name for itself.
//
// A [Disk] holds a node store too, by way of [Disk.Pebble]: both lose power at
// one moment.
package disktest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// ErrPower is what everything on a disk without power gives.
var ErrPower = errors.New("the disk has lost power")

// PageSize is what is written as a whole most of the time, in bytes. A power
// failure can tear it at a multiple of 512.
const (
	PageSize   = 4096
	sectorSize = 512
)

// Disk is an empty folder at first, with 1 TiB free. Its methods may be called
// concurrently.
type Disk struct {
	mu    sync.Mutex
	rng   *rand.Rand
	state        // what is there; since the power was cut, what Pebble believes to be there
	left  *state // since the power was cut: what was there then
	locks map[string]bool

	ops    uint64
	at     uint64 // the operation before which hook is called
	hook   func()
	paused bool // hook runs
	resume sync.Cond
	fail   func(op, name string) error
}

var _ disk.FS = (*Disk)(nil)

// New makes a disk. The seed decides what is written back without being asked
// to, and what Crash does that is given no random numbers.
func New(seed uint64) *Disk {
	d := &Disk{
		rng:   rand.New(rand.NewPCG(seed, 0)),
		state: state{root: newDir(), free: 1 << 40},
		locks: map[string]bool{},
	}
	d.resume.L = &d.mu
	return d
}

// state is what is on a disk.
type state struct {
	root *node
	log  []*change // those to names that are not all on stable storage, in order
	free int64     // bytes that can still be written
	held int64     // bytes that are taken
}

func (s *state) clone() *state {
	c := copier{}
	e := &state{root: c.node(s.root)}
	for _, ch := range s.log {
		e.log = append(e.log, c.change(ch))
	}
	e.count(s)
	return e
}

// count counts what is taken on a disk as large as s.
func (s *state) count(of *state) {
	s.held = s.root.used(map[*node]bool{})
	s.free = of.free + of.held - s.held
}

// Crash cuts the power: from now on everything on d fails with ErrPower. It
// gives the disk as it is when the power is back. A second Crash of the same
// disk gives another disk that it may have left. With rng nil the disk's own
// random numbers are used.
func (d *Disk) Crash(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut()
	if rng == nil {
		rng = d.rng
	}
	e := New(rng.Uint64())
	e.root = crashed(d.left.root, d.left.log, newDice(rng))
	e.state.count(d.left)
	e.ops = d.ops
	return e
}

// Kill is the sudden end of the process: from now on everything on d fails with
// ErrPower, and the disk that it gives has all that was written. What was not
// synced can still be lost in a Crash of that.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut()
	e := New(d.rng.Uint64())
	e.state = *d.left.clone()
	e.ops = d.ops
	return e
}

// cut cuts the power.
func (d *Disk) cut() {
	if d.left == nil {
		d.left = d.state.clone()
	}
}

// Dead tells whether Crash or Kill was called.
func (d *Disk) Dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left != nil
}

// Ops is how many operations began that change something or sync it, also
// those that failed. The disks that Crash and Kill give count on.
func (d *Disk) Ops() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// CrashAt has f called once, before the operation is done that makes Ops n.
// Other operations wait meanwhile, so f must call nothing of the disk but Crash
// and Kill, after which the operation fails. It replaces the call before.
func (d *Disk) CrashAt(n uint64, f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.hook = n, f
}

// Fail has f called before each operation, those of reading included, which
// fails with what f gives, if anything. op is one of open, create, read, write,
// truncate, punch, sync, stat, remove, rename, link, list, lock, syncdir and free;
// name is that by which the file was opened. After a failed sync the bytes seem
// to be written, but the next sync will not write them, as on Linux. nil ends
// it.
func (d *Disk) Fail(f func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// SetFree sets how many bytes can still be written. A write for which they do
// not suffice is done in part.
func (d *Disk) SetFree(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

// mode is what kind of operation is begun.
type mode uint8

const (
	changing mode = 1 << iota // it counts in Ops
	pebble                    // it goes on without power, see Disk.Pebble
)

// begin begins an operation. It returns with d.mu held if it gives no error.
func (d *Disk) begin(op, name string, m mode) error {
	d.mu.Lock()
	for d.paused {
		d.resume.Wait()
	}
	if m&changing != 0 && d.left == nil {
		d.ops++
		if d.hook != nil && d.ops == d.at {
			d.pause()
		}
	}
	var err error
	if f := d.fail; f != nil && d.left == nil {
		d.mu.Unlock()
		err = f(op, name)
		d.mu.Lock()
	}
	if d.left != nil {
		err = ErrPower
		if m&pebble != 0 {
			return nil
		}
	}
	if err != nil {
		d.mu.Unlock()
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (d *Disk) pause() {
	hook := d.hook
	d.hook, d.paused = nil, true
	d.mu.Unlock()
	hook()
	d.mu.Lock()
	d.paused = false
	d.resume.Broadcast()
}

// change is one change to names: a name appears, one goes away, or both.
type change struct {
	node *node
	from place // has no directory if a name just appears
	to   place // has none if a name just goes away
}

// place is a name in a directory. It is emptied when what is written on stable
// storage.
type place struct {
	dir  *node
	name string
}

// note does a change where it is seen at once.
func (d *Disk) note(c change) {
	if c.from.dir != nil {
		delete(c.from.dir.kids, c.from.name)
		c.node.names--
	}
	if c.to.dir != nil {
		if was := c.to.dir.kids[c.to.name]; was != nil {
			was.names--
			d.reclaim(was)
		}
		c.to.dir.kids[c.to.name] = c.node
		c.node.names++
	}
	d.reclaim(c.node)
	d.log = append(d.log, &c)
}

// reclaim frees the pages of a file that nobody can reach any more.
func (d *Disk) reclaim(n *node) {
	if n.names == 0 && n.opens == 0 {
		d.take(-int64(len(n.pages)))
	}
}

// take takes pages of the free room.
func (d *Disk) take(pages int64) {
	d.free -= pages * PageSize
	d.held += pages * PageSize
}

// settle puts the names of a directory on stable storage.
func (d *Disk) settle(dir *node) {
	for _, c := range d.log {
		to := c.to.dir == dir
		if c.from.dir == dir || to && c.node.dir {
			c.from.remove(c.node, stableNames)
			c.from = place{}
		}
		if to {
			c.to.put(c.node, stableNames)
			c.to = place{}
		}
	}
	d.log = slices.DeleteFunc(d.log, func(c *change) bool { return c.from.dir == nil && c.to.dir == nil })
}

func stableNames(n *node) map[string]*node { return n.stable }

func (p place) remove(n *node, names func(*node) map[string]*node) {
	if p.dir != nil && names(p.dir)[p.name] == n {
		delete(names(p.dir), p.name)
	}
}

func (p place) put(n *node, names func(*node) map[string]*node) {
	if p.dir != nil {
		names(p.dir)[p.name] = n
	}
}

// dice decides what survives.
type dice struct {
	rng  *rand.Rand
	keep float64 // how probable it is that something does
}

func newDice(rng *rand.Rand) dice {
	d := dice{rng, rng.Float64()}
	switch rng.IntN(6) {
	case 0:
		d.keep = 0
	case 1:
		d.keep = 1
	}
	return d
}

func (d dice) kept() bool { return d.rng.Float64() < d.keep }

// crashed gives the tree below root as it may be on stable storage.
func crashed(root *node, log []*change, dice dice) *node {
	names := map[*node]map[string]*node{}
	of := func(n *node) map[string]*node {
		if names[n] == nil {
			m := make(map[string]*node, len(n.stable))
			for name, kid := range n.stable {
				m[name] = kid
			}
			names[n] = m
		}
		return names[n]
	}
	// A journal keeps the first changes and none of the others; POSIX asks for
	// no journal.
	journal, first := dice.rng.IntN(2) == 0, dice.rng.IntN(len(log)+1)
	for i, c := range log {
		if journal && i >= first || !journal && !dice.kept() {
			continue
		}
		c.from.remove(c.node, of)
		c.to.put(c.node, of)
	}
	done := map[*node]*node{}
	var copied func(n *node) *node
	copied = func(n *node) *node {
		if e := done[n]; e != nil {
			return e
		}
		if !n.dir {
			done[n] = n.crashed(dice)
			return done[n]
		}
		e := newDir()
		done[n] = e
		for _, name := range sortedNames(of(n)) {
			kid := copied(of(n)[name])
			e.kids[name], e.stable[name] = kid, kid
			kid.names++
		}
		return e
	}
	return copied(root)
}

// copier copies nodes that may have several names.
type copier map[*node]*node

func (c copier) node(n *node) *node {
	if n == nil || c[n] != nil {
		return c[n]
	}
	e := n.clone()
	c[n] = e
	for name, kid := range e.kids {
		e.kids[name] = c.node(kid)
	}
	for name, kid := range e.stable {
		e.stable[name] = c.node(kid)
	}
	return e
}

func (c copier) change(ch *change) *change {
	return &change{c.node(ch.node), place{c.node(ch.from.dir), ch.from.name}, place{c.node(ch.to.dir), ch.to.name}}
}
