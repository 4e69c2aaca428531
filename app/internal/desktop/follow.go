package desktop

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Backoff is how long to wait between tries to reach the service: First, then
// twice as long each time up to Most, every wait shortened at random by up to
// a half so that programs do not try in step.
type Backoff struct {
	First, Most time.Duration
	Rand        func() float64 // from [0, 1); nil: math/rand
}

func (b Backoff) orDefault() Backoff {
	if b.First <= 0 {
		b.First = 500 * time.Millisecond
	}
	if b.Most <= 0 {
		b.Most = 30 * time.Second
	}
	if b.Rand == nil {
		b.Rand = rand.Float64
	}
	return b
}

// wait is the time before try n, from 0.
func (b Backoff) wait(n int) time.Duration {
	d := b.Most
	if n < 16 {
		d = min(b.First<<n, b.Most)
	}
	return d - time.Duration(b.Rand()*float64(d)/2)
}

// follow takes in events until Close, and comes back after every failure.
func (c *Controller) follow() {
	c.lookForCrashes(true)
	started := false // and not waited since
	for try := 0; ; try++ {
		ready, err := c.stream()
		if c.ctx.Err() != nil {
			return
		}
		if ready {
			try = 0
		}
		c.o.Logger.Warn("the service's events ended", "err", err)
		// A service that was there may be restarting, which is quicker than a
		// second one; one that was just started is not started in a row.
		if errors.Is(err, client.ErrNoService) && !ready && !started && !c.told() {
			if err = c.start(); err == nil {
				started = true
				continue
			}
		}
		started = false
		p := c.lost(err)
		c.change(func(m *model.Model) { m.Lost(p) })
		timer := time.NewTimer(c.o.Backoff.wait(try))
		select {
		case <-timer.C:
		case <-c.again:
			try = 0
		case <-c.ctx.Done():
		}
		timer.Stop()
		if c.ctx.Err() != nil {
			return
		}
	}
}

// stream follows one stream to its end, and says whether it got to Ready.
func (c *Controller) stream() (ready bool, err error) {
	s, err := c.subscribe()
	if err != nil {
		return false, err
	}
	defer s.Close()
	c.change(func(m *model.Model) { m.Opened() })
	for {
		e, err := c.next(s, ready)
		if err != nil {
			return ready, err
		}
		ready = ready || e.Kind == api.Ready
		if e.Kind == api.Ready {
			c.lookForCrashes(false)
		}
		watched := false
		c.change(func(m *model.Model) {
			c.published(m, e)
			m.Apply(e)
			name, ok := m.Watched()
			watched = ok && (e.Drive == nil || e.Drive.Name == name)
		})
		if watched {
			signal(c.look)
		}
	}
}

func (c *Controller) subscribe() (Stream, error) {
	// A stream lives as long as the context that it is made with, so the bound
	// on the wait for its beginning is a cancel that comes too late otherwise.
	ctx, cancel := context.WithCancel(c.ctx)
	timer := time.AfterFunc(askTimeout, cancel)
	s, err := c.o.Subscribe(ctx)
	if !timer.Stop() && err == nil {
		s.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &owned{s, cancel}, nil
}

// owned is a stream with the context that it lives in.
type owned struct {
	Stream
	cancel context.CancelFunc
}

func (o *owned) Close() {
	o.cancel()
	o.Stream.Close()
}

// next waits for an event: not long for those that a stream begins with.
func (c *Controller) next(s Stream, ready bool) (api.Event, error) {
	if ready {
		return s.Next(c.ctx)
	}
	ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
	defer cancel()
	return s.Next(ctx)
}

func (c *Controller) start() error {
	c.change(func(m *model.Model) { m.Starting() })
	err := c.o.Start(c.ctx)
	if err != nil {
		c.o.Logger.Warn("start the service", "err", err)
		return &startError{err}
	}
	return nil
}

// startError is a failure to start the service, as opposed to one to reach it.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// lost says why there are no events.
func (c *Controller) lost(err error) api.Problem {
	t := c.o.Texts
	var se *startError
	var ae *api.Error
	switch {
	case errors.As(err, &ae):
		return ae.Problem
	case errors.Is(err, client.ErrNoMooraged):
		return api.Problem{What: t.Get("service.failed.what"), Means: t.Get("service.missing.means"), Do: t.Get("service.missing.do")}
	case errors.As(err, &se):
		means := t.Get("service.failed.means", strings.TrimRight(se.err.Error(), ".\n"))
		return api.Problem{What: t.Get("service.failed.what"), Means: means, Do: t.Get("service.failed.do")}
	}
	return api.Problem{What: t.Get("link.lost.what"), Means: t.Get("link.lost.means"), Do: t.Get("link.lost.do")}
}
