package desktop

import (
	"context"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Revisions is what the app asks of the service about the history of a drive. Its method is
// as those of Service.
type Revisions interface {
	Revisions(ctx context.Context, name string, q api.RevisionQuery) (api.Revisions, error)
}

var _ Revisions = (*client.Client)(nil)

// Drive returns a drive as it was last told.
func (c *Controller) Drive(name string) (api.Drive, bool) { return c.drive(name) }

// Revisions asks what a drive may show. done is called from another goroutine, and not at
// all after Close.
func (c *Controller) Revisions(drive string, q api.RevisionQuery, done func(api.Revisions, *api.Problem)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
		defer cancel()
		r, err := c.o.Revisions.Revisions(ctx, drive, q)
		if c.ctx.Err() == nil {
			done(r, c.problem(err))
		}
	})
}

// Revise has a drive show another revision, with the mount that it has. done is called as
// that of Add; a drive that takes long goes on, and tells how far it is by itself.
func (c *Controller) Revise(drive, revision string, done func(*api.Problem)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, slowTimeout)
		defer cancel()
		_, err := c.o.Service.Edit(ctx, drive, api.EditDrive{Revision: &revision})
		if c.ctx.Err() == nil {
			done(c.problem(err))
		}
	})
}

// goBack has a drive follow the branch again that it followed before.
func (c *Controller) goBack(drive string) {
	d, ok := c.drive(drive)
	if !ok || d.Shown == nil || d.Shown.Back == nil {
		return
	}
	c.ask(model.GoBack, drive, slowTimeout, func(ctx context.Context) error {
		_, err := c.o.Service.Edit(ctx, drive, api.EditDrive{Revision: d.Shown.Back})
		return err
	})
}
