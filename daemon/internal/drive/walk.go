package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// Where a remote lists trees, a client that goes through one directory after the
// other is run ahead of: all directories are listed with a few calls. A walk is
// of use as long as the client follows. So every page of it has to be paid for,
// by a client that has come to a directory of the walk; and who waits for a
// directory that the walk does not finish soon has it listed by itself.

const (
	// demandWindow is how long a listing counts that a client asked for: with the
	// third one within it, what is above all of them is walked.
	demandWindow = 10 * time.Second
	demandCount  = 3
	// How many pages a walk may be ahead: at first, and at most.
	firstCredit = 4
	maxCredit   = 32
	// walkPatience is for how many pages of a walk somebody waits for a directory.
	// It is finished with the first page that has nothing of it.
	walkPatience = 3
	// walkIdle is how long a walk waits for a client that does not follow.
	walkIdle = 30 * time.Second
	// walkRest is how long a directory is not walked whose walk was of no use, and
	// none after a walk has failed.
	walkRest = 5 * time.Minute
	maxTired = 256
	// maxWalkDepth is how deep a walk goes; no client has paths that are longer.
	maxWalkDepth = 2048
)

var (
	errIdle   = errors.New("no client follows")
	errPieces = fmt.Errorf("%w: a walk came back to a directory", providers.ErrProtocol)
)

// demand is a listing that a client asked for.
type demand struct {
	chain []uint64 // from the root to the directory
	at    time.Time
}

// walking is a tree being walked. Its fields are under listings.mu.
type walking struct {
	root   uint64
	page   int // that was stored last
	credit int // pages that may be asked for
	paid   chan struct{}
	lists  map[*listing]bool // that it gives, or is expected to
}

// covers reports whether the directory at the end of chain is in the tree.
func (w *walking) covers(chain []uint64) bool { return slices.Contains(chain, w.root) }

// pay lets a walk go on for n pages more, up to most. Called with mu held.
func (w *walking) pay(n, most int) {
	w.credit = max(w.credit, min(w.credit+n, most))
	select {
	case w.paid <- struct{}{}:
	default:
	}
}

// walkable is the way from the root to a directory, if trees can be walked.
func (d *Drive) walkable(dir uint64) ([]uint64, error) {
	d.lists.mu.Lock()
	can := d.lists.walker != nil
	d.lists.mu.Unlock()
	if !can {
		return nil, nil
	}
	var chain []uint64
	for id := dir; ; {
		chain = append(chain, id)
		if id == nodes.Root {
			break
		}
		if len(chain) > maxDepth {
			return nil, fmt.Errorf("node %d: %w", dir, nodes.ErrCorrupt)
		}
		n, err := d.node(id)
		if err != nil {
			return nil, err
		}
		id = n.Parent
	}
	slices.Reverse(chain)
	return chain, nil
}

// want notes that somebody waits for a listing. Called with mu held.
func (s *listings) want(l *listing) {
	if l.walk == nil || l.wanted {
		return
	}
	l.wanted, l.since = true, l.walk.page
	l.walk.pay(walkPatience, maxCredit)
	l.mu.Lock()
	l.began = time.Now()
	l.mu.Unlock()
}

// walked notes that a client has come to a directory whose names are known.
func (d *Drive) walked(dir uint64) {
	s := d.lists
	s.mu.Lock()
	on := s.walk != nil
	s.mu.Unlock()
	if !on {
		return
	}
	chain, err := d.walkable(dir)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.walk != nil && s.walk.covers(chain) {
		s.walk.pay(1, maxCredit)
	}
}

// demanded notes that a client asked for a listing, and begins a walk if it seems
// to be on one. Called with mu of the listings held.
func (d *Drive) demanded(chain []uint64) {
	s := d.lists
	now := d.o.Clock()
	if s.walker == nil || s.walk != nil || len(chain) == 0 || now.Before(s.rest) {
		return
	}
	s.recent = slices.DeleteFunc(s.recent, func(r demand) bool {
		return now.Sub(r.at) > demandWindow || slices.Equal(r.chain, chain)
	})
	s.recent = append(s.recent, demand{chain, now})
	if len(s.recent) < demandCount {
		return
	}
	s.recent = s.recent[len(s.recent)-demandCount:]
	common := chain
	for _, r := range s.recent {
		n := 0
		for n < min(len(common), len(r.chain)) && common[n] == r.chain[n] {
			n++
		}
		common = common[:n]
	}
	root := common[len(common)-1]
	if until, ok := s.tired[root]; ok && now.Before(until) {
		return
	}
	w := &walking{root: root, credit: firstCredit, paid: make(chan struct{}, 1), lists: map[*listing]bool{}}
	if d.flights.spawn(d.o.OpenTimeout, func(ctx context.Context) { d.endWalk(w, d.runWalk(ctx, w)) }) != nil {
		return // there is enough to do
	}
	s.walk, s.recent = w, nil
}

// spend waits until a walk may ask for a page.
func (s *listings) spend(ctx context.Context, w *walking) error {
	idle := time.NewTimer(walkIdle)
	defer idle.Stop()
	for {
		s.mu.Lock()
		ok := w.credit > 0
		if ok {
			w.credit--
		}
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-w.paid:
		case <-idle.C:
			return errIdle
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// adopt gives the listing of a directory that a walk has come to; nil if the
// directory is being listed by itself.
func (s *listings) adopt(w *walking, dir uint64) *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.m[dir]
	if l == nil {
		l = newListing(dir)
		l.walk = w
		w.lists[l] = true
		s.m[dir] = l
	}
	if l.walk != w {
		return nil
	}
	return l
}

// owns reports whether a walk gives a listing.
func (s *listings) owns(w *walking, l *listing) bool {
	if l == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.walk == w
}

// release ends a listing that a walk gave, if it still does.
func (s *listings) release(w *walking, l *listing, err error) {
	s.mu.Lock()
	mine := l.walk == w
	if mine {
		l.walk = nil
		delete(w.lists, l)
	}
	s.mu.Unlock()
	if mine {
		s.end(l, err)
	}
}

// turnPage notes that a walk has stored a page, and lists those directories by
// themselves that somebody has waited for long enough.
func (d *Drive) turnPage(w *walking, page int) {
	s := d.lists
	s.mu.Lock()
	w.page = page
	var late []*listing
	for l := range w.lists {
		if l.wanted && page-l.since >= walkPatience {
			late = append(late, l)
			l.walk = nil
			delete(w.lists, l)
		}
	}
	s.mu.Unlock()
	d.listEach(late)
}

// endWalk ends a walk. What somebody waits for is listed by itself.
func (d *Drive) endWalk(w *walking, err error) {
	s := d.lists
	var rest, wanted []*listing
	s.mu.Lock()
	s.walk = nil
	switch {
	case errors.Is(err, providers.ErrUnsupported), errors.Is(err, errPieces):
		s.walker = nil
	case err != nil && !errors.Is(err, errIdle):
		s.rest = d.o.Clock().Add(walkRest)
	case err != nil:
		if len(s.tired) >= maxTired {
			clear(s.tired)
		}
		s.tired[w.root] = d.o.Clock().Add(walkRest)
	}
	for l := range w.lists {
		l.walk = nil
		if l.wanted {
			wanted = append(wanted, l)
			continue
		}
		rest = append(rest, l)
		if s.m[l.dir] == l {
			delete(s.m, l.dir) // who comes now begins anew
		}
	}
	s.mu.Unlock()
	for _, l := range rest {
		l.end(errIdle)
	}
	d.listEach(wanted)
	if err != nil && !errors.Is(err, errIdle) && d.flights.base.Err() == nil {
		d.o.Logger.Debug("a walk has ended early", "err", err)
	}
}

// listEach lists directories that a walk does not give.
func (d *Drive) listEach(ls []*listing) {
	for _, l := range ls {
		if err := d.listAlone(l); err != nil {
			d.lists.end(l, err)
		}
	}
}
