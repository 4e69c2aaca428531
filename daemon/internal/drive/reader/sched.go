package reader

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond // before the second request; doubles
	maxRefusals  = 10                     // of one part
	idleAfter    = 3 * time.Second        // without a read, what runs ahead is given up
	awayAfter    = time.Second            // the same when the file is read elsewhere
	tidyEvery    = 500 * time.Millisecond
	hedgeGain    = 0.05 // requests beside late ones, per request
	maxHedges    = 4
	maxStray     = 128 << 10              // the largest gap that is fetched between random reads
	shrinkRest   = 200 * time.Millisecond // before windows shrink again
	stallLeast   = time.Second            // without a byte amid a body, before another request is tried
)

// poke has the loop look after everything.
func (c *Controller) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// arm has the loop look after everything at t, or before.
func (c *Controller) arm(t time.Time) {
	if c.due.IsZero() || t.Before(c.due) {
		c.due = t
		if !c.looking {
			c.poke()
		}
	}
}

// loop does what is due at a time.
func (c *Controller) loop() {
	defer c.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-c.base.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		c.mu.Lock()
		now := c.o.Clock()
		c.due, c.looking = time.Time{}, true
		c.tidy(now)
		c.dispatch(now)
		c.looking = false
		wait := time.Hour
		if !c.due.IsZero() {
			wait = c.due.Sub(now)
		}
		c.mu.Unlock()
		timer.Reset(max(wait, time.Millisecond))
	}
}

// tidy ends what is late or no longer wanted.
func (c *Controller) tidy(now time.Time) {
	for p := range c.active {
		for _, a := range slices.Clone(p.attempts) {
			if due := a.last.Add(c.o.Inactivity); !now.Before(due) {
				c.kill(a)
				c.failed(p, a, true, fmt.Errorf("%w for %v", ErrInactive, c.o.Inactivity), now)
			} else {
				c.arm(due)
			}
		}
		if p.state == underWay {
			c.hedge(p, now)
		}
	}
	for s := range c.live {
		idle := now.Sub(s.last)
		if s.readers == 0 && (idle >= idleAfter || idle >= awayAfter && s.f.last.After(s.last)) {
			c.abandon(s)
			continue
		}
		if now.Before(s.pause) {
			c.arm(s.pause)
		} else {
			s.f.plan(now)
		}
		c.arm(now.Add(tidyEvery))
	}
	for p := range c.residents {
		if now.Sub(p.used) >= idleAfter {
			p.f.drop(p)
		} else {
			c.arm(now.Add(tidyEvery))
		}
	}
}

// hedge makes a second request for a part that a reader waits for if the first
// one is late. The one that brings the next byte goes on.
func (c *Controller) hedge(p *part, now time.Time) {
	late := c.meter.late()
	if late == 0 || len(p.waiters) == 0 || len(p.attempts) != 1 || p.hedges == 2 {
		return
	}
	a := p.attempts[0]
	if a.first {
		late = max(4*late, stallLeast)
	}
	if due := a.last.Add(late); now.Before(due) {
		c.arm(due)
		return
	}
	if c.hedges < 1 || c.inFlight >= c.most || now.Before(c.pause) {
		return
	}
	n := p.end - p.off
	if !c.o.Budget.reserve(c, n, true) {
		return
	}
	p.reserved += n
	p.hedges++
	c.hedges--
	c.stats.Hedges++
	p.f.stats.Hedges++
	p.owner = nil
	c.try(p, make([]byte, n), now)
}

// abandon gives up what runs ahead of a stream that nobody reads any more.
func (c *Controller) abandon(s *stream) {
	if !s.sure {
		return
	}
	delete(c.live, s)
	s.start(run{s.runs[0].off, s.tail()})
	s.held = false
	for _, p := range slices.Clone(s.f.parts) {
		if p.s == s && p.state != done && !p.pinned {
			c.cut(p)
		}
	}
}

// cut takes off p what no reader asked for, unless it is nearly there.
func (c *Controller) cut(p *part) {
	if p.arrived == p.off && p.wanted == p.off {
		c.leave(p, done)
		p.f.drop(p)
		return
	}
	if p.end-p.arrived <= max((p.end-p.off)/4, 4*Unit) {
		return
	}
	end := up(p.wanted)
	if p.arrived > p.off {
		end = max(end, down(p.arrived)+Unit)
	}
	p.end = min(p.end, end)
}

// dispatch starts requests, as many as may be.
func (c *Controller) dispatch(now time.Time) {
	if c.closed {
		return
	}
	if left := c.pause.Sub(now); left > 0 {
		if left > maxHold { // too long for readers to wait
			for len(c.queues[asked]) > 0 {
				p := c.queues[asked][0]
				c.queues[asked] = c.queues[asked][1:]
				if p.state == queued && p.class == asked {
					c.giveUp(p, c.pauseErr, now)
				}
			}
		}
		c.arm(c.pause)
		return
	}
	share := c.most / 4 // for readers, and for what runs ahead, at least
	for c.inFlight < c.most {
		p := c.head(asked, now)
		if p == nil || len(c.queues[early]) > 0 && c.inFlight >= c.most-max(share-c.aheadNow, 0) {
			break
		}
		if !c.begin(p, now) {
			break
		}
	}
	for _, k := range []class{early, background} {
		for c.inFlight < c.most {
			p := c.head(k, now)
			if p == nil {
				break
			}
			// Requests that are nearly through leave the link idle while the next
			// ones travel, so these go before.
			if c.aheadNow >= max(c.most-share, 1) || c.aheadNow >= c.ahead.limit && c.under() >= 2*c.meter.pipe() {
				c.ahead.bounded = true
				return
			}
			if !c.begin(p, now) {
				return
			}
		}
	}
}

// head is the first part in a queue that may start, or nil.
func (c *Controller) head(k class, now time.Time) *part {
	q := c.queues[k]
	for len(q) > 0 && (q[0].state != queued || q[0].class != k) {
		q = q[1:]
	}
	c.queues[k] = q
	for _, p := range q {
		if p.state != queued || p.class != k {
			continue
		}
		if !now.Before(p.notBefore) {
			return p
		}
		c.arm(p.notBefore)
	}
	return nil
}

// begin makes the request for p, unless there is no memory.
func (c *Controller) begin(p *part, now time.Time) bool {
	c.merge(p)
	for n := p.end - p.off - p.reserved; n > 0; {
		if c.o.Budget.reserve(c, n, p.class != asked) {
			p.reserved += n
			break
		}
		if p.class != asked {
			c.shrink(now)
			return false
		}
		if !c.evict() {
			return false
		}
	}
	c.queues[p.class] = slices.DeleteFunc(c.queues[p.class], func(q *part) bool { return q == p })
	p.state = underWay
	c.active[p] = struct{}{}
	if p.class != asked {
		p.ahead = true
		c.aheadNow++
	}
	if p.tries > 0 || p.refusals > 0 {
		c.stats.Retries++
		p.f.stats.Retries++
	}
	if p.buf == nil || p.shared {
		b := make([]byte, p.end-p.off)
		copy(b[:p.arrived-p.off], p.buf)
		p.buf, p.shared = b, false
	}
	c.hedges = min(c.hedges+hedgeGain, maxHedges)
	c.try(p, p.buf, now)
	p.owner = p.attempts[0]
	return true
}

// shrink makes windows smaller because memory is short.
func (c *Controller) shrink(now time.Time) {
	if now.Sub(c.shrunk) < shrinkRest {
		return
	}
	c.shrunk = now
	for s := range c.live {
		s.window = max(s.window/2, minPart)
		s.mark = max(s.mark, s.tail()+s.window)
	}
}

// try starts an attempt that fills buf.
func (c *Controller) try(p *part, buf []byte, now time.Time) {
	ctx, cancel := context.WithCancel(p.f.base)
	a := &attempt{p: p, from: p.arrived, pos: p.arrived, end: p.end, buf: buf, cancel: cancel, begun: now, last: now}
	p.attempts = append(p.attempts, a)
	c.ahead.pass(now, c.inFlight)
	c.inFlight++
	c.stats.Requests++
	p.f.stats.InFlight++
	p.f.stats.Requests++
	c.wg.Add(1)
	p.f.wg.Add(1)
	go a.run(ctx)
	c.arm(now.Add(c.o.Inactivity))
	c.watch(p)
}

// watch has the loop look after a part that a reader waits for when it is late.
func (c *Controller) watch(p *part) {
	if late := c.meter.late(); late > 0 && len(p.waiters) > 0 && len(p.attempts) == 1 {
		if a := p.attempts[0]; !a.first {
			c.arm(a.begun.Add(late))
		} else {
			c.arm(a.last.Add(max(4*late, stallLeast)))
		}
	}
}

// merge takes the parts behind p that wait as well into p, with small gaps
// between, so that one request brings all.
func (c *Controller) merge(p *part) {
	if p.arrived > p.off || p.buf != nil {
		return
	}
	f, gap := p.f, c.gap()
	if p.s == nil { // a read at random pays for few bytes that nobody asked for
		gap = min(gap, maxStray)
	}
	most := max(c.limits().part, p.end-p.off)
	i, _ := f.index(p.off)
	for i+1 < len(f.parts) {
		q := f.parts[i+1]
		if q.state != queued || q.class != p.class || q.tries > 0 || q.refusals > 0 || q.end-p.off > most || q.off-p.end > gap {
			return
		}
		f.parts = slices.Delete(f.parts, i+1, i+2)
		p.end = q.end
		if q.wanted > q.off {
			p.wanted = q.wanted
		}
		p.waiters = append(p.waiters, q.waiters...)
		q.waiters, q.state, q.into = nil, done, p
		if q.pinned {
			if p.pinned {
				f.pins--
			}
			p.pinned = true
		}
	}
}

// evict drops the bytes that the store did not take and that were not asked for
// for the longest time; false if there are none.
func (c *Controller) evict() bool {
	var oldest *part
	for p := range c.residents {
		if oldest == nil || p.used.Before(oldest.used) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	oldest.f.drop(oldest)
	return true
}

// under is how many bytes are asked for and not there.
func (c *Controller) under() int64 {
	var n int64
	for p := range c.active {
		n += p.end - p.arrived
	}
	return n
}
