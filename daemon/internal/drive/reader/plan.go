package reader

import (
	"context"
	"slices"
	"sort"
	"time"
)

// index finds the part with pos in it, or where such a part would be.
func (f *File) index(pos int64) (int, bool) {
	i := sort.Search(len(f.parts), func(i int) bool { return f.parts[i].end > pos })
	return i, i < len(f.parts) && f.parts[i].off <= pos
}

// gaps are the pieces from off to end that are in no part.
func (f *File) gaps(off, end int64) []run {
	var gs []run
	for i, _ := f.index(off); i < len(f.parts) && f.parts[i].off < end; i++ {
		if p := f.parts[i]; off < p.off {
			gs = append(gs, run{off, p.off})
		}
		off = f.parts[i].end
	}
	if off < end {
		gs = append(gs, run{off, end})
	}
	return gs
}

// missing are the pieces of gs that the store does not have. c.mu is not held.
func (f *File) missing(gs []run) []run {
	var out []run
	for _, g := range gs {
		for _, r := range f.store.Have(g.off, g.end-g.off) {
			off, end := up(r.Off), r.Off+r.N
			if end < f.size {
				end = down(end)
			}
			if off >= end {
				continue
			}
			if off > g.off {
				out = append(out, run{g.off, min(off, g.end)})
			}
			g.off = max(g.off, end)
		}
		if g.off < g.end {
			out = append(out, g)
		}
	}
	return out
}

// add makes parts of most bytes for what of r is in none.
func (f *File) add(s *stream, k class, r run, most int64) {
	for _, g := range f.gaps(r.off, r.end) {
		for g.off < g.end {
			end := min(g.off+most, g.end)
			p := &part{f: f, s: s, off: g.off, end: end, class: k, wanted: g.off, arrived: g.off}
			i, _ := f.index(g.off)
			f.parts = slices.Insert(f.parts, i, p)
			f.c.queues[k] = append(f.c.queues[k], p)
			g.off = end
		}
	}
}

// drop lets go of a part. Readers that have it keep its bytes.
func (f *File) drop(p *part) {
	i, ok := f.index(p.off)
	if !ok || f.parts[i] != p {
		return
	}
	f.parts = slices.Delete(f.parts, i, i+1)
	f.gone++
	delete(f.c.residents, p)
	f.c.o.Budget.release(p.reserved)
	p.reserved = 0
	if p.pinned {
		f.pins--
		f.settle(nil)
	}
}

// fail ends everything because the version is gone.
func (f *File) fail(err error) {
	f.broken = err
	now := f.c.o.Clock()
	for _, p := range slices.Clone(f.parts) {
		if p.state != done {
			f.c.giveUp(p, err, now)
		}
	}
	f.settle(err)
}

// plan has parts made that run ahead, if any are due.
func (f *File) plan(now time.Time) {
	if f.planning {
		return
	}
	if _, ok := f.piece(now); !ok {
		return
	}
	f.planning = true
	f.c.wg.Add(1)
	f.wg.Add(1)
	go f.makePlans()
}

// piece is what to make parts for next.
type piece struct {
	run
	s *stream // nil if Prefetch wants it
}

func (f *File) piece(now time.Time) (piece, bool) {
	if f.closed || f.broken != nil {
		return piece{}, false
	}
	l := f.c.limits()
	for _, s := range f.streams {
		if r, ok := s.next(now, l); ok {
			return piece{r, s}, true
		}
	}
	if len(f.wants) > 0 && f.pins < f.c.ahead.limit {
		w := f.wants[0]
		return piece{run{w.off, min(w.off+l.part, w.end)}, nil}, true
	}
	return piece{}, false
}

// makePlans makes parts until none is due. The store may do I/O to tell what it
// has, so no lock is held and nobody waits.
func (f *File) makePlans() {
	c := f.c
	defer c.wg.Done()
	defer f.wg.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		now := c.o.Clock()
		pc, ok := f.piece(now)
		if !ok {
			f.planning = false
			return
		}
		before := f.gone
		gaps := f.gaps(pc.off, pc.end)
		c.mu.Unlock()
		missing := f.missing(gaps)
		c.mu.Lock()
		if f.closed || f.broken != nil || f.gone != before {
			continue
		}
		k := early
		if pc.s == nil {
			k = background
		}
		for _, m := range missing {
			f.add(pc.s, k, m, pc.end-pc.off)
		}
		if pc.s != nil {
			pc.s.front = max(pc.s.front, pc.end)
		} else {
			f.pin(pc.run)
		}
		c.dispatch(now)
	}
}

// pin has Prefetch wait for the parts in r, and takes r off what it wants.
func (f *File) pin(r run) {
	for _, p := range f.parts {
		if p.off < r.end && r.off < p.end && !p.pinned {
			p.pinned = true
			f.pins++
		}
	}
	if len(f.wants) > 0 && f.wants[0].off == r.off {
		if f.wants[0].off = r.end; r.end >= f.wants[0].end {
			f.wants = f.wants[1:]
		}
	}
	f.settle(nil)
}

// settle ends Prefetch if it failed or is through.
func (f *File) settle(err error) {
	if f.settled == nil || isClosed(f.settled) {
		return
	}
	if err != nil {
		f.failure, f.wants, f.pins = err, nil, 0
		for _, p := range f.parts {
			p.pinned = false
		}
	}
	if err != nil || len(f.wants) == 0 && f.pins == 0 {
		close(f.settled)
	}
}

// Prefetch fetches what is missing of n bytes at off when nothing else is to
// do. It does not wait.
func (f *File) Prefetch(off, n int64) {
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	r := run{down(max(off, 0)), f.size}
	if n < f.size-r.off {
		r.end = min(up(off+n), f.size)
	}
	if f.closed || f.broken != nil || r.off >= r.end || n <= 0 {
		return
	}
	if f.settled == nil || isClosed(f.settled) {
		f.settled, f.failure = make(chan struct{}), nil
	}
	f.wants = append(f.wants, r)
	f.plan(c.o.Clock())
}

// Wait returns when what Prefetch asked for is in the store, with ctx's error,
// or with the error that ended it: of the remote, of the store, or ErrClosed.
func (f *File) Wait(ctx context.Context) error {
	f.c.mu.Lock()
	settled, err := f.settled, f.broken
	if f.closed {
		err = ErrClosed
	}
	f.c.mu.Unlock()
	if settled == nil {
		return err
	}
	select {
	case <-settled:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.failure
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
