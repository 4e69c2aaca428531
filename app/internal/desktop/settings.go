package desktop

import (
	"context"
	"fmt"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// Login is what is started at login. Its methods are not called concurrently.
type Login interface {
	App() (on bool, err error)
	SetApp(on bool) error
	Service(ctx context.Context) (can, on bool, err error)
	SetService(ctx context.Context, on bool) error
}

// settings finds out how things are set up, after it has changed what verb says,
// unless it is at it.
func (c *Controller) settings(verb model.Verb) {
	busy := false
	c.change(func(m *model.Model) { busy = !m.SettingUp() })
	if busy {
		return
	}
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, slowTimeout)
		defer cancel()
		s := c.setup(ctx)
		var err error
		switch verb {
		case model.AppAtLogin:
			err = c.o.Login.SetApp(!s.AppOn)
		case model.ServiceAtLogin:
			err = c.o.Login.SetService(ctx, !s.ServiceOn)
		default:
			c.change(func(m *model.Model) { m.SetUp(s, nil) })
			return
		}
		var p *api.Problem
		if err != nil {
			c.o.Logger.Warn("change what is started at login", "err", err)
			p = &api.Problem{What: c.o.Texts.Get("settings.failed", err), Do: c.o.Texts.Get("settings.failed.do")}
		}
		s = c.setup(ctx)
		c.change(func(m *model.Model) { m.SetUp(s, p) })
	})
}

func (c *Controller) setup(ctx context.Context) model.Setup {
	s := model.Setup{Version: c.o.Version}
	on, err := c.o.Login.App()
	s.AppCan, s.AppOn = err == nil, on
	if err != nil {
		c.o.Logger.Warn("settings", "err", err)
	}
	if s.ServiceCan, s.ServiceOn, err = c.o.Login.Service(ctx); err != nil {
		s.ServiceCan = false
		c.o.Logger.Warn("settings", "err", fmt.Errorf("look whether the service is started at login: %w", err))
	}
	if service, err := c.o.Doctor.Service(ctx); err == nil {
		s.Service = &service
	}
	return s
}
