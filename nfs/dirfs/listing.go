package dirfs

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs"
)

const (
	// listingWindow is how many entries of one directory are held at most,
	// about 60 bytes each. A larger directory is read once per window.
	listingWindow = 128 << 10
	// listingBudget is how many entries all listings hold together.
	listingBudget = 256 << 10
	// listingExact is up to how many entries a listing is read again at once
	// when the directory changed during a walk.
	listingExact = 8192
	// coarseTime is how long a directory can change without a change of its
	// times, where the host's clock is coarse (a timer tick; 2 s on FAT).
	coarseTime    = 20 * time.Millisecond
	coarseTimeFAT = 2 * time.Second
)

// lastCookie is behind every entry.
const lastCookie = math.MaxUint64

// nameBlock keeps names in larger blocks, so that a million names are not a million
// objects for the garbage collector.
type nameBlock struct{ block strings.Builder }

// keep keeps s, which is the name number n of a listing.
func (k *nameBlock) keep(s string, n int) string {
	b := &k.block
	if b.Cap()-b.Len() < len(s) {
		*b = strings.Builder{}
		b.Grow(max(len(s), min(64<<10, 32*n+256)))
	}
	at := b.Len()
	b.WriteString(s)
	return b.String()[at:]
}

// entry is one name of a listing.
type entry struct {
	cookie uint64
	id     uint64 // 0 until somebody asked, with noted; atomic
	name   string
}

// stamp tells whether a directory changed.
type stamp struct{ mtime, ctime int64 }

func stampOf(a *nfs.Attr) stamp { return stamp{a.Mtime.UnixNano(), a.Ctime.UnixNano()} }

// listing holds the entries of a directory whose cookies lie in (after, upTo],
// in the order of their cookies. Only the ids change once it is made.
type listing struct {
	entries     []entry
	attrs       []atomic.Pointer[seenAttr] // of the entries; nil: not remembered
	after, upTo uint64
	stamp       stamp
	settled     bool // the stamp would show a later change
	made        time.Time
	cost        time.Duration
}

// newListing collects the names that read calls it with. It is made in windows:
// entries up to after are left out, and no more than window are kept.
func newListing(key *[keySize]byte, after uint64, window int, read func(add func(name string)) error) (*listing, error) {
	l := &listing{after: after, upTo: lastCookie}
	var names nameBlock
	err := read(func(name string) {
		// Cookies are spread by one for each further name with the same hash,
		// so a name may belong behind after though its hash is not. Such names
		// differ from after by less than their number, which is 0 in practice.
		c := cookieOf(key, name)
		if c <= after || c > l.upTo {
			return
		}
		l.entries = append(l.entries, entry{cookie: c, name: names.keep(name, len(l.entries))})
		if len(l.entries) >= 2*window {
			l.order()
			l.entries = slices.Clone(l.entries[:window])
			l.upTo = l.entries[window-1].cookie
		}
	})
	if err != nil {
		return nil, err
	}
	l.order()
	if len(l.entries) > window {
		l.entries = slices.Clip(l.entries[:window])
		l.upTo = l.entries[window-1].cookie
	}
	for i := 1; i < len(l.entries); i++ {
		if e := &l.entries[i]; e.cookie <= l.entries[i-1].cookie {
			e.cookie = l.entries[i-1].cookie + 1
		}
	}
	return l, nil
}

func (l *listing) order() {
	slices.SortFunc(l.entries, func(a, b entry) int {
		if c := cmp.Compare(a.cookie, b.cookie); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
}

// from gives the entries behind cookie; ok is false if they are not in l.
func (l *listing) from(cookie uint64) (entries []entry, ok bool) {
	if cookie < l.after || cookie >= l.upTo {
		return nil, false
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].cookie > cookie })
	return l.entries[i:], true
}

// extended is l with the entries of m, which begins where l ends.
func (l *listing) extended(m *listing) *listing {
	n := *m
	n.after = l.after
	// Who uses l sees no more of the array than before, but may store ids in it.
	entries := l.entries
	if size := len(l.entries) + len(m.entries); size > cap(entries) {
		entries = make([]entry, len(l.entries), size+size/2)
		for i := range l.entries {
			e := &l.entries[i]
			entries[i] = entry{cookie: e.cookie, id: atomic.LoadUint64(&e.id), name: e.name}
		}
	}
	n.entries, n.attrs = append(entries, m.entries...), nil
	return &n
}

// whole reports whether the directory has no entries behind l.
func (l *listing) whole() bool { return l.upTo == lastCookie }

// serves reports whether a call for cookie may be answered from l when the
// directory has stamp now. A walk begins at cookie 0, where l has to be exact.
// Later, an entry that is there during the whole walk is in any listing that
// was made after its begin; so a large directory that changes all the time,
// because a client removes what it lists, is read again now and then only.
func (l *listing) serves(cookie uint64, now stamp, at time.Time) bool {
	if l.exact(now) {
		return true
	}
	return cookie != 0 && len(l.entries) > listingExact && at.Sub(l.made) < 2*time.Second+20*l.cost
}

func (l *listing) exact(now stamp) bool { return l.settled && l.stamp == now }

// noted is the bit of an entry's id that says that the object's place is on
// record, as it must be before a client gets a handle. Ids have 63 bits.
const noted = 1 << 63

func (e *entry) loadID() (id nfs.ID, place bool) {
	v := atomic.LoadUint64(&e.id)
	return nfs.ID(v &^ noted), v&noted != 0
}

func (e *entry) storeID(id nfs.ID, place bool) {
	v := uint64(id)
	if place {
		v |= noted
	}
	atomic.StoreUint64(&e.id, v)
}

// listings keeps the listings used last, within a budget.
type listings struct {
	mu    sync.Mutex
	byDir map[nfs.ID]*list.Element
	order list.List // of *dirListing, the one used last in front
	size  int
}

type dirListing struct {
	dir nfs.ID
	l   *listing
}

func newListings() *listings { return &listings{byDir: make(map[nfs.ID]*list.Element)} }

func (s *listings) get(dir nfs.ID) *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	el := s.byDir[dir]
	if el == nil {
		return nil
	}
	s.order.MoveToFront(el)
	return el.Value.(*dirListing).l
}

func (s *listings) put(dir nfs.ID, l *listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if el := s.byDir[dir]; el != nil {
		s.remove(el)
	}
	s.byDir[dir] = s.order.PushFront(&dirListing{dir, l})
	s.size += len(l.entries) + 16 // an empty one is not free
	for s.size > listingBudget && s.order.Len() > 1 {
		s.remove(s.order.Back())
	}
}

func (s *listings) remove(el *list.Element) {
	d := s.order.Remove(el).(*dirListing)
	delete(s.byDir, d.dir)
	s.size -= len(d.l.entries) + 16
}
