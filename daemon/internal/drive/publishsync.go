package drive

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// hastenAll has everything published now, also what is parked. p.mu is held.
func (p *publisher) hastenAll() {
	for _, w := range p.work {
		w.parked, w.waits = nil, nil
		if !w.running && !w.rests && !w.held {
			p.at(w, time.Now())
		}
		p.count(w)
	}
}

// ErrPaused is why changes are not published: see [Drive.Pause].
var ErrPaused = errors.New("publishing is paused")

// pause has nothing published, and what is under way called off as it is when the
// drive closes; or has it go on.
func (p *publisher) pause(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused == on {
		return
	}
	p.paused = on
	p.halt()
	p.life, p.halt = context.WithCancel(p.d.flights.base)
	p.idle.Broadcast() // who waits for the end is told
	p.poke()
}

// sync is hastenAll that waits for the end. The error tells what could not be
// published.
func (p *publisher) sync(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer stop()
	closed := context.AfterFunc(p.d.flights.base, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle.Broadcast()
	})
	defer closed()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.syncs++ // what is new does not wait for quiet
	defer func() { p.syncs-- }()
	p.hastenAll()
	for {
		left := p.tally[toDo]
		if p.paused && left+p.tally[held] > 0 {
			return ErrPaused
		}
		if left == 0 && p.overlooked() {
			p.look()
			continue
		}
		if left == 0 {
			return p.stuckError()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d changes are not published yet: %w", left, ctx.Err())
		}
		if err := p.d.flights.base.Err(); err != nil {
			return fmt.Errorf("the drive is closing: %w", err)
		}
		p.idle.Wait()
	}
}
