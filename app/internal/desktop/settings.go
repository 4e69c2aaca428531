package desktop

import (
	"context"
	"fmt"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// Login is what is started at login. Its methods are not called concurrently.
type Login interface {
	App() (on bool, err error)
	SetApp(on bool) error
	Service(ctx context.Context) (can, on bool, err error)
	SetService(ctx context.Context, on bool) error
}

// Setup is how the service is set up.
type Setup interface {
	Settings(ctx context.Context) (api.Settings, error)
	EditSettings(ctx context.Context, e api.EditSettings) (api.Settings, error)
	Pause(ctx context.Context, until time.Time) (api.Service, error)
	Resume(ctx context.Context) (api.Service, error)
}

// Secrets is where passwords are kept.
type Secrets interface {
	Secrets(ctx context.Context) (api.Secrets, error)
	ForgetSecret(ctx context.Context, id string) error
	UnlockKeyring(ctx context.Context) error // returns when the person has answered
	UnlockSecretFile(ctx context.Context, passphrase string) error
	CreateSecretFile(ctx context.Context, passphrase string) error
	ChangePassphrase(ctx context.Context, old, passphrase string) error
}

var (
	_ Setup   = (*client.Client)(nil)
	_ Secrets = (*client.Client)(nil)
)

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
	if wire, err := c.o.Setup.Settings(ctx); err == nil {
		s.Wire = &wire
	} else {
		c.o.Logger.Warn("the service's settings", "err", err)
	}
	if secrets, err := c.o.Secrets.Secrets(ctx); err == nil {
		s.Secrets = &secrets
	} else {
		c.o.Logger.Warn("where passwords are kept", "err", err)
	}
	return s
}

// pause has transfers wait, or go on. Events tell when it is so.
func (c *Controller) pause(verb model.Verb) {
	c.ask(verb, "", askTimeout, func(ctx context.Context) (err error) {
		if verb == model.Pause {
			_, err = c.o.Setup.Pause(ctx, time.Time{})
		} else {
			_, err = c.o.Setup.Resume(ctx)
		}
		return err
	})
}

// EditSettings changes how the service is set up. done is called as that of Add.
func (c *Controller) EditSettings(e api.EditSettings, done func(*api.Problem)) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, askTimeout)
		defer cancel()
		s, err := c.o.Setup.EditSettings(ctx, e)
		if c.ctx.Err() != nil {
			return
		}
		if err == nil {
			c.change(func(m *model.Model) { m.SetWire(s) })
		}
		done(c.problem(err))
	})
}

// ForgetSecret takes the password with that id away. done is called as that of Add, as
// below.
func (c *Controller) ForgetSecret(id string, done func(*api.Problem)) {
	c.keep(askTimeout, done, func(ctx context.Context) error { return c.o.Secrets.ForgetSecret(ctx, id) })
}

// Unlock opens the encrypted file of passwords; without a passphrase the desktop asks
// for the keyring's.
func (c *Controller) Unlock(passphrase string, done func(*api.Problem)) {
	c.keep(slowTimeout, done, func(ctx context.Context) error { // a person may have to answer
		if passphrase == "" {
			return c.o.Secrets.UnlockKeyring(ctx)
		}
		return c.o.Secrets.UnlockSecretFile(ctx, passphrase)
	})
}

// CreateSecretFile makes the encrypted file of passwords.
func (c *Controller) CreateSecretFile(passphrase string, done func(*api.Problem)) {
	c.keep(askTimeout, done, func(ctx context.Context) error { return c.o.Secrets.CreateSecretFile(ctx, passphrase) })
}

// ChangePassphrase gives that file another passphrase.
func (c *Controller) ChangePassphrase(old, passphrase string, done func(*api.Problem)) {
	c.keep(askTimeout, done, func(ctx context.Context) error { return c.o.Secrets.ChangePassphrase(ctx, old, passphrase) })
}

// keep changes what keeps passwords, and looks how it is then.
func (c *Controller) keep(limit time.Duration, done func(*api.Problem), f func(ctx context.Context) error) {
	c.run(func() {
		ctx, cancel := context.WithTimeout(c.ctx, limit)
		defer cancel()
		err := f(ctx)
		if s, serr := c.o.Secrets.Secrets(ctx); serr == nil {
			c.change(func(m *model.Model) { m.SetSecrets(s) })
		}
		if c.ctx.Err() != nil {
			return
		}
		done(c.problem(err))
	})
}
