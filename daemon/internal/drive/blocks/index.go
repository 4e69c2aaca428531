package blocks

// ref is a node of an index; 0 is none.
type ref uint32

const (
	chunkNodes = 1 << 10
	ghosts     = 1 << 15
	maxFreq    = 3
)

// Queues of nodes. Pinned ones are out of the way of the search for a victim.
const (
	queueNone = iota
	queueSmall
	queueMain
	queuePinned
	queues
)

// Flags of a node.
const (
	flagBig       = 1 << iota // a version whose extents have nodes of their own
	flagExtent                // an extent
	flagUnsettled             // sums were written, and not put on stable storage since
)

// node is a version that is on the disk, or an extent of one. There may be
// millions, so it has no pointers, which the garbage collector would follow, and
// 40 bytes.
type node struct {
	id
	chain      ref    // version: next in its bucket; extent: its version; free: next free
	prev, next ref    // in its queue
	blocks     uint32 // pages that it takes on the disk; of a big version without its extents
	extent     uint32
	queue      uint8
	freq       uint8
	seen       uint8 // the tick in which freq was raised
	flags      uint8
}

type queue struct {
	first, last ref // first is the oldest
	n           int
	blocks      int64
}

// index knows what is on the disk and what to evict next. Eviction is S3-FIFO
// ("FIFO queues are all you need for cache eviction", SOSP 2023): what is new
// goes through a small queue, and gets into the main one if it is used again
// before its turn comes, or came back soon after it was evicted. It does no I/O
// and has no lock.
type index struct {
	chunks  [][]node
	used    int // slots of chunks that were ever used
	free    ref
	buckets []ref // linear hashing of versions by object
	level   uint  // 1<<level <= len(buckets) < 2<<level
	heads   int
	extents map[ref]map[uint32]ref // of big versions
	queues  [queues]queue
	blocks  int64    // of all nodes
	ghost   []uint32 // fingerprints of what was evicted, direct-mapped
}

func newIndex() *index {
	return &index{buckets: make([]ref, 1), extents: map[ref]map[uint32]ref{}, ghost: make([]uint32, ghosts)}
}

func (x *index) at(r ref) *node { return &x.chunks[r/chunkNodes][r%chunkNodes] }

// mix is the finalizer of splitmix64: ids are small numbers in a row.
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

func (x *index) bucket(object uint64) *ref {
	h := mix(object)
	b := h & (2<<x.level - 1)
	if b >= uint64(len(x.buckets)) {
		b = h & (1<<x.level - 1)
	}
	return &x.buckets[b]
}

// find gives the node of a version.
func (x *index) find(i id) ref {
	r := *x.bucket(i.object)
	for r != 0 && x.at(r).id != i {
		r = x.at(r).chain
	}
	return r
}

// versions appends all versions of an object.
func (x *index) versions(ids []id, object uint64) []id {
	for r := *x.bucket(object); r != 0; r = x.at(r).chain {
		if n := x.at(r); n.object == object {
			ids = append(ids, n.id)
		}
	}
	return ids
}

// grow adds a bucket and moves to it what belongs there, so that no insertion
// takes long.
func (x *index) grow() {
	n := uint64(len(x.buckets))
	x.buckets = append(x.buckets, 0)
	from := n &^ (1 << x.level)
	if n+1 == 2<<x.level {
		defer func() { x.level++ }()
	}
	r := x.buckets[from]
	x.buckets[from] = 0
	for r != 0 {
		next := x.at(r).chain
		b := &x.buckets[mix(x.at(r).object)&(2<<x.level-1)]
		x.at(r).chain, *b = *b, r
		r = next
	}
}

func (x *index) alloc(n node) ref {
	r := x.free
	if r != 0 {
		x.free = x.at(r).chain
	} else {
		if x.used == 0 {
			x.used = 1 // 0 is none
		}
		if x.used/chunkNodes == len(x.chunks) {
			x.chunks = append(x.chunks, make([]node, chunkNodes))
		}
		r = ref(x.used)
		x.used++
	}
	*x.at(r) = n
	return r
}

func (x *index) release(r ref) {
	x.remove(r)
	x.blocks -= int64(x.at(r).blocks)
	*x.at(r) = node{chain: x.free}
	x.free = r
}

// add makes the node of a version that has none.
func (x *index) add(i id, big bool, blocks int64, tick uint8) ref {
	n := node{id: i, seen: tick}
	if big {
		n.flags = flagBig
	}
	r := x.alloc(n)
	b := x.bucket(i.object)
	x.at(r).chain, *b = *b, r
	if x.heads++; x.heads > len(x.buckets) {
		x.grow()
	}
	if big {
		x.extents[r] = map[uint32]ref{}
	} else {
		x.push(x.entry(r), r)
	}
	x.charge(r, blocks)
	return r
}

// extent gives the node of an extent, 0 if there is none.
func (x *index) extent(head ref, e uint32) ref { return x.extents[head][e] }

// addExtent makes the node of an extent that has none.
func (x *index) addExtent(head ref, e uint32, blocks int64, tick uint8) ref {
	r := x.alloc(node{id: x.at(head).id, chain: head, extent: e, flags: flagExtent, seen: tick})
	x.extents[head][e] = r
	x.push(x.entry(r), r)
	x.charge(r, blocks)
	return r
}

// dropExtent takes an extent away. It tells whether it was the last.
func (x *index) dropExtent(head ref, e uint32) bool {
	if r := x.extents[head][e]; r != 0 {
		delete(x.extents[head], e)
		x.release(r)
	}
	return len(x.extents[head]) == 0
}

// drop takes a version and its extents away.
func (x *index) drop(i id) {
	r := x.find(i)
	if r == 0 {
		return
	}
	for _, e := range x.extents[r] {
		x.release(e)
	}
	delete(x.extents, r)
	at := x.bucket(i.object)
	for *at != r {
		at = &x.at(*at).chain
	}
	*at = x.at(r).chain
	x.heads--
	x.release(r)
}

// charge counts pages that a node takes more, or less.
func (x *index) charge(r ref, blocks int64) {
	n := x.at(r)
	was := int64(n.blocks)
	n.blocks = uint32(min(max(was+blocks, 0), 1<<32-1))
	x.blocks += int64(n.blocks) - was
	x.queues[n.queue].blocks += int64(n.blocks) - was
}

// touch counts a use, once in a tick: reading an extent in pieces is one use.
func (x *index) touch(r ref, tick uint8) {
	if n := x.at(r); n.seen != tick {
		n.seen = tick
		n.freq = min(n.freq+1, maxFreq)
	}
}

// push puts a node at the young end of a queue.
func (x *index) push(queue uint8, r ref) {
	n, q := x.at(r), &x.queues[queue]
	n.queue, n.prev, n.next = queue, q.last, 0
	if q.last != 0 {
		x.at(q.last).next = r
	} else {
		q.first = r
	}
	q.last = r
	q.n++
	q.blocks += int64(n.blocks)
}

// remove takes a node out of its queue.
func (x *index) remove(r ref) {
	n := x.at(r)
	if n.queue == queueNone {
		return
	}
	q := &x.queues[n.queue]
	if n.prev != 0 {
		x.at(n.prev).next = n.next
	} else {
		q.first = n.next
	}
	if n.next != 0 {
		x.at(n.next).prev = n.prev
	} else {
		q.last = n.prev
	}
	q.n--
	q.blocks -= int64(n.blocks)
	n.queue, n.prev, n.next = queueNone, 0, 0
}

// victim takes what should be evicted next out of its queue; 0: there is
// nothing. The caller drops it, or pushes it again.
func (x *index) victim() ref {
	for {
		s, m := &x.queues[queueSmall], &x.queues[queueMain]
		from := m
		if m.first == 0 || s.blocks*9 > m.blocks {
			from = s
		}
		r := from.first
		if r == 0 {
			r = m.first
		}
		if r == 0 {
			return 0
		}
		n := x.at(r)
		x.remove(r)
		if n.freq == 0 {
			return r
		}
		if n.freq--; from == s {
			n.freq = 0
		}
		x.push(queueMain, r)
	}
}

func fingerprint(n *node) (slot int, print uint32) {
	h := mix(n.object ^ mix(n.version+uint64(n.extent)))
	return int(h % ghosts), uint32(h>>32) | 1
}

// bury remembers what was evicted.
func (x *index) bury(n *node) {
	slot, print := fingerprint(n)
	x.ghost[slot] = print
}

// entry is the queue that a new node goes to.
func (x *index) entry(r ref) uint8 {
	slot, print := fingerprint(x.at(r))
	if x.ghost[slot] != print {
		return queueSmall
	}
	x.ghost[slot] = 0
	return queueMain
}
