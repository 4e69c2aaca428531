package disktest

import (
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
)

// node is a file or a directory. It is guarded by Disk.mu.
type node struct {
	dir          bool
	names, opens int // of a file: how often it is to be found, and open

	// Of a directory: the names as they are seen, and as they are on stable
	// storage.
	kids, stable map[string]*node

	// Of a file: the pages that are no holes, and for those that are not on
	// stable storage what is there in their place, nil for a hole. Pages are never
	// changed, only replaced.
	pages, old    map[int64]*page
	size, oldSize int64
	stuck         map[int64]bool // pages that could not be written and are taken for written
}

type page [PageSize]byte

func newDir() *node {
	return &node{dir: true, kids: map[string]*node{}, stable: map[string]*node{}}
}

func newFile() *node {
	return &node{pages: map[int64]*page{}, old: map[int64]*page{}, stuck: map[int64]bool{}}
}

// clone copies a node as a process finds it that did not make it.
func (n *node) clone() *node {
	e := *n
	e.opens = 0
	e.kids, e.stable = maps.Clone(n.kids), maps.Clone(n.stable)
	e.pages, e.old, e.stuck = maps.Clone(n.pages), maps.Clone(n.old), maps.Clone(n.stuck)
	return &e
}

// used is how many bytes the tree takes, without what is in seen.
func (n *node) used(seen map[*node]bool) int64 {
	if seen[n] {
		return 0
	}
	seen[n] = true
	used := int64(len(n.pages)) * PageSize
	for _, kid := range n.kids {
		used += kid.used(seen)
	}
	return used
}

func sortedNames(names map[string]*node) []string {
	return slices.Sorted(maps.Keys(names))
}

func (n *node) readAt(p []byte, off int64) (int, error) {
	if off >= n.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > n.size-off
	if short {
		p = p[:n.size-off]
	}
	for done := 0; done < len(p); {
		i, in := (off+int64(done))/PageSize, int((off+int64(done))%PageSize)
		part := p[done:min(len(p), done+PageSize-in)]
		if pg := n.pages[i]; pg != nil {
			copy(part, pg[in:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// writeAt writes as many pages as there is room for.
func (d *Disk) writeAt(n *node, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		i, in := (off+int64(done))/PageSize, int((off+int64(done))%PageSize)
		part := p[done:min(len(p), done+PageSize-in)]
		if n.pages[i] == nil {
			if d.free < PageSize {
				break
			}
			d.take(1)
		}
		n.edit(i, d.rng, func(pg *page) { copy(pg[in:], part) })
		done += len(part)
	}
	if end := off + int64(done); done > 0 && end > n.size {
		n.resize(end, d.rng)
	}
	if done < len(p) {
		return done, syscall.ENOSPC
	}
	return done, nil
}

// edit replaces a page by a changed copy.
func (n *node) edit(i int64, rng *rand.Rand, change func(*page)) {
	var next page
	if pg := n.pages[i]; pg != nil {
		next = *pg
	}
	change(&next)
	n.touch(i, rng)
	n.pages[i] = &next
}

// touch notes what is on stable storage before page i is changed. Sometimes
// that is what was written there last, though nobody synced it.
func (n *node) touch(i int64, rng *rand.Rand) {
	_, dirty := n.old[i]
	if !dirty || !n.stuck[i] && rng.IntN(4) == 0 {
		n.old[i] = n.pages[i]
	}
	delete(n.stuck, i)
}

func (n *node) resize(size int64, rng *rand.Rand) {
	if rng.IntN(4) == 0 {
		n.oldSize = n.size
	}
	n.size = size
}

func (d *Disk) truncate(n *node, size int64) {
	if size < n.size {
		for _, i := range slices.Sorted(maps.Keys(n.pages)) {
			switch at := i * PageSize; {
			case at >= size:
				d.drop(n, i)
			case at+PageSize > size:
				n.edit(i, d.rng, func(pg *page) { clear(pg[size-at:]) })
			}
		}
	}
	if size != n.size {
		n.resize(size, d.rng)
	}
}

// drop makes a page a hole.
func (d *Disk) drop(n *node, i int64) {
	n.touch(i, d.rng)
	delete(n.pages, i)
	d.take(-1)
}

// punch makes holes of the pages that lie in [off, off+size) as a whole.
func (d *Disk) punch(n *node, off, size int64) {
	for _, i := range slices.Sorted(maps.Keys(n.pages)) {
		if at := i * PageSize; off <= at && at+PageSize <= off+size {
			d.drop(n, i)
		}
	}
}

func (n *node) sync() {
	maps.DeleteFunc(n.old, func(i int64, _ *page) bool { return !n.stuck[i] })
	n.oldSize = n.size
}

// syncFailed: a journal takes care of holes and sizes, but of no bytes.
func (n *node) syncFailed() {
	for i := range n.old {
		n.stuck[i] = n.pages[i] != nil
	}
}

// crashed is the file as it may be on stable storage.
func (n *node) crashed(dice dice) *node {
	e := newFile()
	e.size = n.size
	if !dice.kept() {
		e.size = n.oldSize
	}
	for i, pg := range n.pages {
		if _, dirty := n.old[i]; !dirty {
			e.pages[i] = pg
		}
	}
	for _, i := range slices.Sorted(maps.Keys(n.old)) {
		pg := n.old[i]
		switch {
		case n.stuck[i]:
		case dice.keep > 0 && dice.keep < 1 && dice.rng.IntN(8) == 0:
			pg = torn(pg, n.pages[i], dice.rng)
		case dice.kept():
			pg = n.pages[i]
		}
		if pg != nil {
			e.pages[i] = pg
		}
	}
	for i, pg := range e.pages {
		switch at := i * PageSize; {
		case at >= e.size:
			delete(e.pages, i)
		case at+PageSize > e.size:
			cut := *pg
			clear(cut[e.size-at:])
			e.pages[i] = &cut
		}
	}
	e.oldSize = e.size
	return e
}

// torn begins as one page and ends as the other.
func torn(a, b *page, rng *rand.Rand) *page {
	if rng.IntN(2) == 0 {
		a, b = b, a
	}
	var t page
	at := rng.IntN(PageSize/sectorSize+1) * sectorSize
	if a != nil {
		copy(t[:at], a[:at])
	}
	if b != nil {
		copy(t[at:], b[at:])
	}
	return &t
}
