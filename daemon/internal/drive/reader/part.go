package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// class says how urgent a part is.
type class int

const (
	asked      class = iota // a reader waits for it, or did
	early                   // it runs ahead of a stream
	background              // Prefetch wants it
)

type state int

const (
	queued state = iota
	underWay
	done // its bytes are there: in memory, until they are in the store
)

// part is a piece of a file that one request is to bring: whole units that are
// neither in the store nor in another part. Its fields are guarded by the
// Controller's mutex, but for the bytes of buf below arrived, which stay as
// they are once a reader knows of them.
type part struct {
	f        *File
	s        *stream // of which it is, or nil
	off, end int64
	class    class
	state    state
	ahead    bool // it counts among the requests that run ahead
	pinned   bool // Prefetch waits for it

	wanted    int64 // up to where readers asked for its bytes; off if none did
	waiters   []*waiter
	into      *part     // the part that took it over
	err       error     // why it will not be there
	tries     int       // in vain, in a row
	refusals  int       // by a remote that asks for fewer requests
	notBefore time.Time // of the next request
	reserved  int64     // bytes of the budget

	buf      []byte // of off up to end, or longer
	arrived  int64  // up to where buf is filled, as an offset in the file
	attempts []*attempt
	owner    *attempt // that fills buf; nil if the first to bring a byte will
	shared   bool     // an attempt that is given up may still write to buf
	hedges   int
	resident bool // done, and the store did not take it
	served   int64
	used     time.Time
}

// waiter is a reader that waits for a part's bytes up to need.
type waiter struct {
	need int64
	ch   chan struct{} // of one element
}

func (w *waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// attempt is one request for what a part still lacks. from, end and buf are set
// before it starts; buf is written by its own goroutine alone.
type attempt struct {
	p         *part
	from, end int64
	buf       []byte // of p.off on
	pos       int64  // up to where it filled buf
	cancel    context.CancelFunc
	begun     time.Time
	last      time.Time // when it was last seen to go on; begun if it was not
	trickled  int64     // bytes that came since
	first     bool      // a byte came
	dead      bool      // nobody waits for it any more
	over      bool      // it writes to buf no more
}

// run asks for the bytes and fills a.buf with them.
func (a *attempt) run(ctx context.Context) {
	c := a.p.f.c
	defer c.wg.Done()
	defer a.p.f.wg.Done()
	defer a.cancel()
	body, err := a.p.f.fetch(ctx, a.from, a.end-a.from)
	sent := false
	if err == nil {
		sent = true
		err = a.read(body)
		body.Close() // what came, came
	}
	if p := c.ended(a, sent, err); p != nil {
		c.keep(p)
	}
}

// errCut says that a part was shortened and is complete.
var errCut = errors.New("no more is wanted")

func (a *attempt) read(body io.Reader) error {
	c, off, pos := a.p.f.c, a.p.off, a.from
	for empty := 0; pos < a.end; {
		n, err := body.Read(a.buf[pos-off : min(pos+Unit, a.end)-off])
		pos += int64(n)
		if n > 0 {
			empty = 0
			if !c.arrived(a, int64(n)) {
				return errCut
			}
		} else if empty++; err == nil && empty == 100 {
			return io.ErrNoProgress
		}
		switch {
		case err == io.EOF && pos < a.end:
			return fmt.Errorf("%w: %d of %d bytes", ErrLength, pos-a.from, a.end-a.from)
		case err == io.EOF:
			return nil
		case err != nil && pos < a.end:
			return err
		}
	}
	// A longer body may be of another place. To see its end is also what lets a
	// connection be used again.
	var more [1]byte
	for range 100 {
		n, err := body.Read(more[:])
		if n > 0 {
			return fmt.Errorf("%w: more than %d bytes", ErrLength, a.end-a.from)
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// trickle is how many bytes a request has to bring within Options.Inactivity.
const trickle = 1 << 10

// arrived notes n more bytes of an attempt; false if no more are wanted of it.
func (c *Controller) arrived(a *attempt, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, now := a.p, c.o.Clock()
	c.stats.Fetched += n
	p.f.stats.Fetched += n
	a.trickled += n
	if !a.first || a.trickled >= trickle {
		a.last, a.trickled = now, 0
	}
	if !a.first {
		a.first = true
		c.meter.delay(now, now.Sub(a.begun))
	}
	c.meter.arrived(now, n, c.under() > c.meter.pipe()*3/2)
	c.ahead.bytes += n
	a.pos += n
	if a.dead {
		return false
	}
	if p.owner != a {
		// Of two that raced, this one goes on. The other may be writing to its
		// buffer still.
		for _, b := range slices.Clone(p.attempts) {
			if b != a {
				c.kill(b)
			}
		}
		if &a.buf[0] != &p.buf[0] {
			copy(a.buf[:a.from-p.off], p.buf)
			p.buf, p.shared = a.buf, false
		}
		p.owner = a
	}
	p.arrived = min(a.pos, p.end)
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		if w.need > p.arrived {
			return false
		}
		w.wake()
		return true
	})
	if p.s != nil && p.s.held {
		p.f.plan(now)
	}
	return a.pos < p.end || p.end == a.end
}

// ended notes the end of an attempt: the part that is complete by it and is to
// be kept, or nil.
func (c *Controller) ended(a *attempt, sent bool, err error) *part {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.dead {
		return nil
	}
	p := a.p
	a.over = true
	c.kill(a)
	now := c.o.Clock()
	defer c.dispatch(now)
	if err == nil || err == errCut {
		c.granted(now)
		c.finish(p, now)
		return p
	}
	c.failed(p, a, sent, err, now)
	return nil
}

// kill ends an attempt; nothing that it brings counts any more.
func (c *Controller) kill(a *attempt) {
	a.dead = true
	a.cancel()
	p := a.p
	p.attempts = slices.DeleteFunc(p.attempts, func(b *attempt) bool { return b == a })
	if !a.over && &a.buf[0] == &p.buf[0] {
		p.shared = true
	}
	if p.owner == a {
		p.owner = nil
	}
	now := c.o.Clock()
	c.ahead.pass(now, c.inFlight)
	if c.inFlight--; c.inFlight == 0 {
		c.meter.idle()
		c.ahead.round(now, false)
	}
	p.f.stats.InFlight--
}

// leave takes p out of those that are under way.
func (c *Controller) leave(p *part, to state) {
	for _, a := range slices.Clone(p.attempts) {
		c.kill(a)
	}
	if p.state == underWay {
		delete(c.active, p)
		if p.ahead {
			p.ahead = false
			c.aheadNow--
		}
	}
	p.state = to
}

// finish makes p one whose bytes are there.
func (c *Controller) finish(p *part, now time.Time) {
	c.leave(p, done)
	p.used = now
	for _, w := range p.waiters {
		w.wake()
	}
	p.waiters = nil
	if p.s != nil {
		p.s.fails = 0
	}
	p.f.plan(now)
}

// warnEvery is how often the log tells at most that nothing is kept: a cache
// without room would say it for every part of every file.
const warnEvery = 10 * time.Minute

// keep puts a part that is complete into the store.
func (c *Controller) keep(p *part) {
	f := p.f
	c.mu.Lock()
	b, gone := p.buf[:p.end-p.off], f.broken != nil
	c.mu.Unlock()
	var err error
	if !gone {
		err = f.store.WriteAt(b, p.off)
	}
	warn := false
	defer func() {
		if warn {
			c.o.Logger.Warn("what is read is not kept", "err", err)
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Clock()
	if err != nil && now.Sub(c.warned) >= warnEvery {
		c.warned, warn = now, true
	}
	if err != nil && p.pinned {
		f.settle(fmt.Errorf("keep %d bytes at %d: %w", len(b), p.off, err))
	}
	if err == nil || f.closed || p.class == background {
		f.drop(p)
	} else {
		p.resident, p.used = true, now
		c.residents[p] = struct{}{}
		c.arm(now.Add(tidyEvery))
	}
	f.plan(now)
	c.dispatch(now)
}

// failed decides what becomes of a part whose request failed.
func (c *Controller) failed(p *part, a *attempt, sent bool, err error, now time.Time) {
	f := p.f
	if errors.Is(err, ErrLength) && a.pos > a.from {
		// Whose bytes these are is not known. Readers may be copying some, so
		// they stay where they are.
		for _, b := range slices.Clone(p.attempts) {
			c.kill(b)
		}
		p.arrived, p.shared = a.from, true
	}
	after, refused := c.o.RateLimited(err)
	switch {
	case c.o.Changed(err):
		f.fail(err)
		return
	case refused:
		c.refused(now, after, err)
		if len(p.attempts) > 0 {
			return
		}
		if p.refusals++; p.refusals <= maxRefusals {
			c.requeue(p, c.pause)
			return
		}
	case len(p.attempts) > 0: // the other one may do better
		return
	case sent || errors.Is(err, ErrInactive) || c.o.Retryable(err):
		if !errors.Is(err, ErrLength) && a.pos-a.from >= Unit {
			p.tries = 0
		}
		if p.tries++; p.tries < c.o.Attempts {
			c.o.Logger.Debug("a request failed and is made again", "err", err, "try", p.tries)
			c.requeue(p, now.Add(firstBackoff<<(p.tries-1)))
			return
		}
	}
	c.giveUp(p, err, now)
}

// requeue lets p have another request.
func (c *Controller) requeue(p *part, notBefore time.Time) {
	c.leave(p, queued)
	p.notBefore = notBefore
	c.queues[p.class] = slices.Insert(c.queues[p.class], 0, p)
	c.arm(notBefore)
}

// giveUp passes an error on to whoever waits for p.
func (c *Controller) giveUp(p *part, err error, now time.Time) {
	c.leave(p, done)
	p.err = err
	for _, w := range p.waiters {
		w.wake()
	}
	p.waiters = nil
	if s := p.s; s != nil {
		s.pause = now.Add(min(time.Second<<min(s.fails, 5), maxHold))
		s.fails++
		s.front = min(s.front, p.off)
	}
	if p.pinned {
		p.f.settle(err)
	}
	p.f.drop(p)
}
