package desktop

import (
	"context"
	"errors"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Prospects is what the app asks of the service about what may become a drive. Its
// methods are as those of Service.
type Prospects interface {
	Describe(ctx context.Context, d api.Describe) (api.Description, error)
	Try(ctx context.Context, t api.Try) (api.Tried, error)
	Found(ctx context.Context) ([]api.Found, error)
}

var _ Prospects = (*client.Client)(nil)

// Describe tells what an address is. done is called as that of Add, and not after
// cancel.
func (c *Controller) Describe(d api.Describe, done func(model.Prospect)) (cancel func()) {
	return inquire(c, askTimeout, func(ctx context.Context) (api.Description, error) { return c.o.Prospects.Describe(ctx, d) },
		func(a api.Description, err error) {
			done(phrase(c, func(m *model.Model) model.Prospect { return m.Prospect(a, c.problem(err)) }))
		})
}

// Try tells what is at an address. done is called as that of Describe.
func (c *Controller) Try(t api.Try, done func(model.Tried)) (cancel func()) {
	return inquire(c, askTimeout, func(ctx context.Context) (api.Tried, error) { return c.o.Prospects.Try(ctx, t) },
		func(a api.Tried, err error) {
			done(phrase(c, func(m *model.Model) model.Tried { return m.Tried(t, a, c.problem(err)) }))
		})
}

// Found tells what on this computer may become a drive; nothing, if the service does
// not answer. done is called as that of Describe.
func (c *Controller) Found(done func([]model.Found)) (cancel func()) {
	return inquire(c, askTimeout, c.o.Prospects.Found, func(all []api.Found, err error) {
		if err != nil {
			c.o.Logger.Warn("ask what may become a drive", "err", err)
		}
		done(phrase(c, func(m *model.Model) []model.Found { return m.Found(all) }))
	})
}

// inquire asks in another goroutine, and calls done there unless it was called off.
func inquire[T any](c *Controller, limit time.Duration, ask func(context.Context) (T, error), done func(T, error)) (cancel func()) {
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	c.run(func() {
		defer cancel()
		v, err := ask(ctx)
		if errors.Is(ctx.Err(), context.Canceled) {
			return
		}
		done(v, err)
	})
	return cancel
}

// phrase has the model put something in words.
func phrase[T any](c *Controller, f func(*model.Model) T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c.model)
}
