package desktop

import (
	"context"
	"errors"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Doctor is what the app asks about this computer. Its methods are as those of
// Service.
type Doctor interface {
	Service(ctx context.Context) (api.Service, error)
	Doctor(ctx context.Context) ([]api.Check, error)
	Treat(ctx context.Context, fixes ...string) ([]api.Check, error)
	Stop(ctx context.Context, s api.StopService) error
}

var _ Doctor = (*client.Client)(nil)

// doctorTimeout is longer than the service takes to look, to mend and to look again.
const doctorTimeout = 2 * time.Minute

// examine has the doctor look, and with Treat do fix first, unless it is at it.
func (c *Controller) examine(verb model.Verb, fix string) {
	busy := false
	c.change(func(m *model.Model) { busy = !m.Examining() })
	if busy {
		return
	}
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, doctorTimeout)
		defer cancel()
		checks := c.checks(ctx, verb == model.Treat, fix)
		c.change(func(m *model.Model) { m.Examined(checks) })
		if verb == model.Treat {
			signal(c.again) // what was mended may have been in the way
		}
	})
}

// checks never fails: what cannot be looked at is a check of its own.
func (c *Controller) checks(ctx context.Context, treat bool, fix string) []api.Check {
	t := c.o.Texts
	service := api.Check{ID: "service", Name: t.Get("doctor.service"), State: api.CheckOK}
	var more []api.Check
	s, err := c.o.Doctor.Service(ctx)
	switch {
	case err != nil:
		p := c.problem(err)
		service.State, service.Detail, service.Remedy = api.CheckBad, p.What, p.Do
		if more, err = c.o.Local(ctx, treat); err == nil {
			return append([]api.Check{service}, more...)
		}
	case s.Problem != nil:
		service.State, service.Detail, service.Remedy = api.CheckBad, s.Problem.What, s.Problem.Do
	case s.Version != c.o.Version:
		service.State, service.Detail = api.CheckNote, t.Get("doctor.service.other", s.Version, c.o.Version)
		service.Remedy = t.Get("doctor.service.other.do")
	default:
		service.Detail = t.Get("doctor.service.runs", s.Version)
	}
	if err == nil && treat {
		more, err = c.o.Doctor.Treat(ctx, fix)
	} else if err == nil {
		more, err = c.o.Doctor.Doctor(ctx)
	}
	if err != nil {
		c.o.Logger.Warn("ask the doctor", "err", err)
		more = []api.Check{{ID: "report", Name: t.Get("doctor.rest"), State: api.CheckBad,
			Detail: t.Get("doctor.rest.failed", err), Remedy: t.Get("doctor.rest.do")}}
		var e *api.Error
		if errors.As(err, &e) {
			more[0].Detail, more[0].Remedy = e.Problem.What, e.Problem.Do
		}
	}
	return append([]api.Check{service}, more...)
}

// StopService ends the service, with all drives unmounted, and does not start it
// again. done is called as that of Add.
func (c *Controller) StopService(done func(*api.Problem)) {
	stopping := func(b bool) {
		c.mu.Lock()
		c.stopped = b
		c.mu.Unlock()
	}
	stopping(true)
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, slowTimeout)
		defer cancel()
		err := c.o.Doctor.Stop(ctx, api.StopService{Unmount: true})
		if errors.Is(err, client.ErrNoService) {
			err = nil
		}
		if c.ctx.Err() != nil {
			return
		}
		if err != nil {
			c.o.Logger.Warn("stop the service", "err", err)
			stopping(false)
		}
		done(c.problem(err))
	})
}

// told reports whether the service was told to end.
func (c *Controller) told() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// lookForCrashes tells of those since the last call; those from before the app
// began are told by whoever found them.
func (c *Controller) lookForCrashes(first bool) {
	if c.o.Crashes == nil {
		return
	}
	all, err := c.o.Crashes()
	if err != nil {
		c.o.Logger.Warn("look for crash reports", "err", err)
		return
	}
	if len(all) == 0 || !all[0].Time.After(c.lastCrash) {
		return
	}
	c.lastCrash = all[0].Time
	if !first {
		c.change(func(m *model.Model) { m.Crashed(true) })
	}
}

// Crashed tells of a crash of the app before it was started this time.
func (c *Controller) Crashed() {
	c.change(func(m *model.Model) { m.Crashed(false) })
}
