package drive

import (
	"context"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// listing is one directory being listed, for those who wait for its names while
// they arrive.
type listing struct {
	dir  uint64
	kept *marks // names that were asked for one by one meanwhile, and are there

	// Under listings.mu.
	walk   *walking // that gives the names; nil: the directory is listed by itself
	wanted bool     // somebody waits
	since  int      // page of the walk at which that began

	mu    sync.Mutex
	began time.Time     // by the clock of this computer, for patience
	more  chan struct{} // closed when anything below has changed
	rev   uint64        // of the remote before it was asked
	given *marks        // cookies of names that it has confirmed
	pages int           // how often names were stored
	done  bool
	err   error
}

func newListing(dir uint64) *listing {
	return &listing{dir: dir, began: time.Now(), kept: newMarks(), more: make(chan struct{}), given: newMarks()}
}

// turn wakes all who wait. Called with mu held.
func (l *listing) turn() {
	close(l.more)
	l.more = make(chan struct{})
}

// start begins the listing, also anew: what was confirmed does not count any more.
func (l *listing) start(rev uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rev, l.given = rev, newMarks()
}

// stored says that more names are in the store. Those who wait are not told that
// the listing is farther if it ends soon.
func (l *listing) stored(cookies []uint64, soon bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given.set(cookies...)
	if !soon {
		l.pages++
		l.turn()
	}
}

func (l *listing) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.err = true, err
	l.turn()
}

// progress is how far a listing is.
type progress struct {
	more  <-chan struct{} // closed when it is farther
	pages int
	done  bool
	err   error
}

func (l *listing) progress() progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return progress{l.more, l.pages, l.done, l.err}
}

// has reports whether the listing has confirmed the name with that cookie, while
// the remote was at revision rev.
func (l *listing) has(cookie, rev uint64) bool {
	l.mu.Lock()
	given, mine := l.given, l.rev
	l.mu.Unlock()
	return mine == rev && given.has(cookie)
}

// wait returns when the listing has ended, with its error, or enough says that it
// is far enough. It is asked whenever more names were stored.
func (l *listing) wait(ctx context.Context, enough func(progress) bool) error {
	l.mu.Lock()
	began := l.began
	l.mu.Unlock()
	ctx, cancel := patient(ctx, began)
	defer cancel()
	for {
		p := l.progress()
		if p.done {
			return p.err
		}
		if enough != nil && enough(p) {
			return nil
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listings are those that are going on, one of a directory, and the walk that may
// give some of them.
type listings struct {
	mu     sync.Mutex
	m      map[uint64]*listing
	walker providers.Walker // nil: there is none, or it is of no use
	walk   *walking         // that is going on, or nil
	recent []demand
	tired  map[uint64]time.Time // directories that are not walked before
	rest   time.Time            // nothing is walked before
}

func newListings(p providers.Provider) *listings {
	w, _ := p.(providers.Walker)
	return &listings{m: map[uint64]*listing{}, walker: w, tired: map[uint64]time.Time{}}
}

// get finds the listing of a directory that is going on, or nil.
func (s *listings) get(dir uint64) *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[dir]
}

// end ends a listing.
func (s *listings) end(l *listing, err error) {
	s.mu.Lock()
	if s.m[l.dir] == l {
		delete(s.m, l.dir)
	}
	s.mu.Unlock()
	l.end(err)
}

// beginList gives the listing of a directory that is going on, or begins one, for
// somebody who waits for it.
func (d *Drive) beginList(ctx context.Context, dir uint64) (*listing, error) {
	chain, err := d.walkable(dir)
	if err != nil {
		return nil, err
	}
	s := d.lists
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.m[dir]
	if l == nil {
		l = newListing(dir)
		if s.walk != nil && s.walk.covers(chain) {
			l.walk = s.walk // which will come to it
			l.walk.lists[l] = true
		} else if err := d.listAlone(l); err != nil {
			return nil, err
		}
		s.m[dir] = l
		if !inBackground(ctx) {
			d.demanded(chain)
		}
	}
	s.want(l)
	return l, nil
}

// listAlone makes one listing.
func (d *Drive) listAlone(l *listing) error {
	return d.flights.spawn(d.o.OpenTimeout, func(ctx context.Context) { d.lists.end(l, d.runList(ctx, l)) })
}

// marks are a set of small numbers. Nil marks hold nothing and take nothing.
type marks struct {
	mu sync.Mutex
	m  map[uint64]uint64
}

func newMarks() *marks { return &marks{m: map[uint64]uint64{}} }

func (s *marks) set(is ...uint64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range is {
		s.m[i/64] |= 1 << (i % 64)
	}
}

func (s *marks) has(i uint64) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[i/64]&(1<<(i%64)) != 0
}
