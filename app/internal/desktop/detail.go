package desktop

import (
	"context"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Details is what the app asks of the service about one drive. Its methods are as
// those of Service.
type Details interface {
	Drive(ctx context.Context, name string) (api.Drive, error)
	Pin(ctx context.Context, name, at string) (api.Pin, error)
	Unpin(ctx context.Context, name, at string) error
	Sync(ctx context.Context, name string, wait bool) (api.Synced, error)
}

var _ Details = (*client.Client)(nil)

// lookPause is between two questions about the drive that is watched, whatever
// happens to it meanwhile: an upload of thousands of files is told many times a
// second, and nobody reads faster.
const lookPause = 300 * time.Millisecond

// Watch says which drive all is to be known of from now on; "" for none. It is
// asked for whenever the drive changes.
func (c *Controller) Watch(drive string) {
	c.change(func(m *model.Model) { m.Watch(drive) })
	signal(c.look)
}

// watch asks for all of the watched drive whenever it may have changed.
func (c *Controller) watch() {
	for {
		select {
		case <-c.look:
		case <-c.ctx.Done():
			return
		}
		c.lookAt()
		timer := time.NewTimer(lookPause)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
		}
		timer.Stop()
	}
}

func (c *Controller) lookAt() {
	c.mu.Lock()
	name, ok := c.model.Watched()
	ending := c.ending
	c.ending = map[string]struct{}{}
	c.mu.Unlock()
	for other := range ending {
		if !ok || other != name {
			c.lookAtEnd(other)
		}
	}
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
	defer cancel()
	d, err := c.o.Details.Drive(ctx, name)
	if err != nil { // the stream of events tells what is wrong
		c.o.Logger.Debug("ask about a drive", "drive", name, "err", err)
		return
	}
	c.change(func(m *model.Model) { m.Whole(d) })
}

// published remembers a drive of which a change has come to its end with e, so that
// what became of it can be asked for. The caller holds mu.
func (c *Controller) published(m *model.Model, e api.Event) {
	if e.Kind != api.DriveChanged || e.Drive == nil {
		return
	}
	if old, ok := m.Drive(e.Drive.Name); ok && e.Drive.Pending.Files < old.Pending.Files {
		c.ending[e.Drive.Name] = struct{}{}
		signal(c.look)
	}
}

// lookAtEnd asks what became of the changes of a drive that is not watched.
func (c *Controller) lookAtEnd(drive string) {
	ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
	defer cancel()
	d, err := c.o.Details.Drive(ctx, drive)
	if err != nil {
		c.o.Logger.Debug("ask what became of changes", "drive", drive, "err", err)
		return
	}
	c.change(func(m *model.Model) { m.Ended(drive, d.Uploads) })
}

// changeOf does one of the verbs that change how a drive is kept.
func (c *Controller) changeOf(verb model.Verb, drive string) {
	c.ask(verb, drive, askTimeout, func(ctx context.Context) (err error) {
		d, _ := c.drive(drive)
		switch verb {
		case model.Auto:
			auto := !d.Auto
			_, err = c.o.Service.Edit(ctx, drive, api.EditDrive{Auto: &auto})
		case model.ReadOnly:
			only := !d.ReadOnly
			_, err = c.o.Service.Edit(ctx, drive, api.EditDrive{ReadOnly: &only})
		case model.KeepHere:
			c.mu.Lock()
			kept := c.model.Kept(drive)
			c.mu.Unlock()
			if kept {
				err = c.o.Details.Unpin(ctx, drive, "")
			} else {
				_, err = c.o.Details.Pin(ctx, drive, "")
			}
		case model.Publish:
			_, err = c.o.Details.Sync(ctx, drive, false)
		}
		signal(c.look)
		return err
	})
}

// Edit gives a drive another name or place. done is called as that of Add.
func (c *Controller) Edit(drive string, e api.EditDrive, done func(*api.Problem)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
		defer cancel()
		if e.Dir != nil {
			dir := c.expand(*e.Dir)
			e.Dir = &dir
		}
		d, err := c.o.Service.Edit(ctx, drive, e)
		if c.ctx.Err() != nil {
			return
		}
		if err == nil && d.Name != drive {
			c.change(func(m *model.Model) {
				if name, _ := m.Watched(); name == drive {
					m.Watch(d.Name)
				}
			})
		}
		done(c.problem(err))
	})
}
