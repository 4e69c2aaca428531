package reader

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// File is one version of one file. Its methods may be called concurrently.
type File struct {
	c      *Controller
	store  Store
	size   int64
	fetch  Fetch
	base   context.Context // ends with the File
	cancel context.CancelFunc
	wg     sync.WaitGroup // readers, plans and attempts: who uses store

	// Guarded by c.mu:
	closed   bool
	broken   error     // the version is gone
	parts    []*part   // by offset, disjoint
	gone     uint64    // parts that were dropped: then the store may have more
	streams  []*stream // what reads look like
	recent   []recent  // a ring
	oldest   int       // of recent
	last     time.Time // of a read
	planning bool      // a goroutine makes parts that run ahead
	stats    Stats

	wants   []run         // what Prefetch wants and no part was made for yet
	pins    int           // parts that Prefetch waits for
	settled chan struct{} // closed when both are none; nil if Prefetch was not called
	failure error         // why Prefetch gave up; kept until Prefetch is called again
}

// ReadAt reads like [io.ReaderAt]. It returns when all bytes are there, or with
// ctx's error; what was begun to be fetched goes on then and gets into the
// store. Errors of the remote are wrapped and come after retries.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	if off >= f.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), f.size-off)]
	if len(want) > 0 {
		if n, err := f.read(ctx, want, off); err != nil {
			return n, fmt.Errorf("read %d bytes at %d: %w", len(want), off, err)
		}
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

// Passed notes that n bytes at off, which are in the store, were read from there
// past f: what a reader needs next is fetched all the same.
func (f *File) Passed(off, n int64) {
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.closed || n <= 0 {
		return
	}
	now := c.o.Clock()
	f.answer(f.note(now, off, off+n), off+n)
	f.plan(now)
}

func (f *File) read(ctx context.Context, p []byte, off int64) (n int, err error) {
	c, end := f.c, off+int64(len(p))
	c.mu.Lock()
	if f.closed {
		c.mu.Unlock()
		return 0, ErrClosed
	}
	f.wg.Add(1)
	defer f.wg.Done()
	now := c.o.Clock()
	s := f.note(now, off, end)
	s.readers++
	i, cold := f.index(off)
	cold = cold || i < len(f.parts) && f.parts[i].off < end
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		s.readers--
		s.last = c.o.Clock()
		if n > 0 {
			f.answer(s, off+int64(n))
		}
		f.plan(s.last)
		c.mu.Unlock()
	}()
	if !cold {
		if n, _ := f.store.ReadAt(p, off); n == len(p) {
			return n, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := f.want(s, off, end, false); err != nil {
		return 0, err
	}
	return f.collect(ctx, s, p, off)
}

// want sees to it that all bytes from off to end are in the store or in parts.
// With anew, those that the store says it has are fetched if no others are.
func (f *File) want(s *stream, off, end int64, anew bool) error {
	c := f.c
	lo, hi := down(off), min(up(end), f.size)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.size <= smallFile && (off == 0 || s.sure) {
		lo, hi = 0, f.size
	}
	for {
		to := hi
		if s.begins(end) {
			to = min(up(end+s.window), f.size) // one request, since what is read first comes first
		}
		before := f.gone
		gaps := f.gaps(lo, to)
		c.mu.Unlock()
		missing := f.missing(gaps)
		if anew && (len(missing) == 0 || missing[0].off >= hi) {
			missing = gaps
		}
		c.mu.Lock()
		if f.closed {
			return ErrClosed
		}
		if f.gone != before { // what was dropped may be what is missing
			continue
		}
		now := c.o.Clock()
		for _, m := range missing {
			if m.off >= hi { // that is not urgent
				break
			}
			if err := f.hopeless(now); err != nil {
				return err
			}
			if s.sure {
				s.front = max(s.front, m.end)
				f.add(s, asked, m, max(c.limits().part, firstAhead+s.window))
			} else {
				f.add(nil, asked, m, c.limits().part)
			}
		}
		for _, p := range f.parts {
			if p.off < end && off < p.end {
				c.promote(p, min(end, p.end), now)
			}
		}
		c.dispatch(now)
		f.plan(now)
		return nil
	}
}

// hopeless says why nothing can be fetched.
func (f *File) hopeless(now time.Time) error {
	if f.broken == nil && f.c.pause.Sub(now) > maxHold {
		return f.c.pauseErr
	}
	return f.broken
}

// promote notes that a reader wants p's bytes up to end.
func (c *Controller) promote(p *part, end int64, now time.Time) {
	p.wanted, p.used = max(p.wanted, end), now
	if p.class != asked {
		p.class = asked
		if p.state == queued {
			c.queues[asked] = append(c.queues[asked], p)
		}
	}
}

// collect fills b with the bytes at off, in their order, as they come.
func (f *File) collect(ctx context.Context, s *stream, b []byte, off int64) (int, error) {
	c, done := f.c, 0
	for done < len(b) {
		pos, rest := off+int64(done), b[done:]
		c.mu.Lock()
		if f.closed {
			c.mu.Unlock()
			return done, ErrClosed
		}
		i, ok := f.index(pos)
		if ok {
			n, err := f.take(ctx, f.parts[i], rest, pos)
			if done += n; err != nil {
				return done, err
			}
			continue
		}
		if i < len(f.parts) {
			rest = rest[:min(int64(len(rest)), f.parts[i].off-pos)]
		}
		c.mu.Unlock()
		if n, _ := f.store.ReadAt(rest, pos); n == len(rest) {
			done += n
		} else if err := f.want(s, pos, pos+int64(len(rest)), true); err != nil {
			return done, err
		}
	}
	return done, nil
}

// take waits for bytes of p and copies them to b: as many as p has. It may give
// none, when p is not there any more. c.mu is held, and then is not.
func (f *File) take(ctx context.Context, p *part, b []byte, pos int64) (int, error) {
	c := f.c
	need := min(pos+int64(len(b)), p.end)
	w := &waiter{need: need, ch: make(chan struct{}, 1)}
	for {
		for p.into != nil {
			p = p.into
		}
		now := c.o.Clock()
		switch {
		case p.arrived >= need:
			from := p.buf[pos-p.off : need-p.off]
			p.used = now
			if p.served += int64(len(from)); p.resident && p.served >= p.end-p.off {
				f.drop(p)
				c.dispatch(now)
			}
			c.mu.Unlock()
			return copy(b, from), nil
		case p.err != nil:
			defer c.mu.Unlock()
			return 0, p.err
		case f.closed:
			c.mu.Unlock()
			return 0, ErrClosed
		case p.state == done:
			c.mu.Unlock()
			return 0, nil
		}
		p.waiters = append(p.waiters, w)
		c.promote(p, need, now)
		if p.state == queued {
			c.dispatch(now)
		} else {
			c.watch(p)
		}
		c.mu.Unlock()
		var err error
		select {
		case <-w.ch:
		case <-ctx.Done():
			err = ctx.Err()
		case <-f.base.Done():
			err = ErrClosed
		}
		c.mu.Lock()
		if err != nil {
			for p.into != nil {
				p = p.into
			}
			p.waiters = slices.DeleteFunc(p.waiters, func(v *waiter) bool { return v == w })
			c.mu.Unlock()
			return 0, err
		}
	}
}

// Stats tells what was done for this File.
func (f *File) Stats() Stats {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.stats
}

// Close gives up what is under way, and returns when the store is not used any
// more. Readers that wait get ErrClosed.
func (f *File) Close() {
	c := f.c
	c.mu.Lock()
	if !f.closed {
		f.closed = true
		delete(c.files, f)
		for _, s := range f.streams {
			delete(c.live, s)
		}
		for _, p := range slices.Clone(f.parts) {
			c.leave(p, done)
			f.drop(p)
		}
		f.settle(ErrClosed)
		c.poke()
	}
	c.mu.Unlock()
	f.cancel()
	f.wg.Wait()
}
