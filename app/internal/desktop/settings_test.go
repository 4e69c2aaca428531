package desktop

import (
	"context"
	"testing"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

func (r *remote) Settings(context.Context) (api.Settings, error) {
	return api.Settings{CacheDir: "/c", CacheLimit: 1 << 30, Proxy: api.ProxySystem, MountDir: "/m"}, r.call("settings")
}

func (r *remote) EditSettings(_ context.Context, e api.EditSettings) (api.Settings, error) {
	if err := r.call("limit %d", *e.CacheLimit); err != nil {
		return api.Settings{}, err
	}
	return api.Settings{CacheDir: "/c", CacheLimit: *e.CacheLimit, Proxy: api.ProxySystem, MountDir: "/m"}, nil
}

// pauses tells everybody who watches.
func (r *remote) pauses(p *api.Pause) (api.Service, error) {
	if err := r.call("paused %v", p != nil); err != nil {
		return api.Service{}, err
	}
	s := api.Service{Paused: p}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, stream := range r.streams {
		stream.events <- api.Event{Kind: api.ServiceChanged, Service: &s}
	}
	return s, nil
}

func (r *remote) Pause(_ context.Context, until time.Time) (api.Service, error) {
	return r.pauses(&api.Pause{Since: time.Now(), Until: until})
}

func (r *remote) Resume(context.Context) (api.Service, error) { return r.pauses(nil) }

func (r *remote) Secrets(context.Context) (api.Secrets, error) {
	return api.Secrets{Keyring: api.KeyringUsable, File: api.SecretFileAbsent, Kept: []api.KeptSecret{{ID: "1", Drive: "notes"}}}, nil
}

func (r *remote) ForgetSecret(_ context.Context, id string) error { return r.call("forget %s", id) }
func (r *remote) UnlockKeyring(context.Context) error             { return r.call("unlock keyring") }
func (r *remote) UnlockSecretFile(_ context.Context, passphrase string) error {
	return r.call("unlock %s", passphrase)
}

func (r *remote) CreateSecretFile(_ context.Context, passphrase string) error {
	return r.call("create %s", passphrase)
}

func (r *remote) ChangePassphrase(_ context.Context, old, passphrase string) error {
	return r.call("change %s %s", old, passphrase)
}

func TestPause(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Mounted}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Do(model.Pause, "")
	v := g.until("paused", func(v model.View) bool { return v.Pause.Verb == model.Resume })
	if !v.Pause.Checked || v.Banner.Action.Verb != model.Resume {
		t.Errorf("%+v, %+v", v.Pause, v.Banner)
	}
	g.Do(model.Resume, "")
	v = g.until("resumed", func(v model.View) bool { return v.Pause.Verb == model.Pause })
	if v.Pause.Checked || v.Banner.What != "" {
		t.Errorf("%+v, %+v", v.Pause, v.Banner)
	}
	r.mu.Lock()
	r.fail = &api.Error{Problem: api.Problem{What: "The disk is full."}}
	r.mu.Unlock()
	g.Do(model.Pause, "")
	g.until("a refusal", func(v model.View) bool { return v.Banner.What == "The disk is full." })
	g.Do(model.Dismiss, "")
	g.until("dismissed", up)
}

func TestSettingsOfTheService(t *testing.T) {
	r := &remote{running: true}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Do(model.Preferences, "")
	v := g.until("settings", func(v model.View) bool { return v.Settings.Known })
	if s := v.Settings; s.Wire.CacheLimit != 1<<30 || len(s.Accounts.Kept) != 1 || s.Accounts.Keeper.Tone != model.Good {
		t.Errorf("%+v", s)
	}
	done := make(chan *api.Problem, 1)
	limit := int64(5 << 30)
	g.EditSettings(api.EditSettings{CacheLimit: &limit}, func(p *api.Problem) { done <- p })
	if p := <-done; p != nil {
		t.Errorf("%+v", p)
	}
	g.until("the limit", func(v model.View) bool { return v.Settings.Wire.CacheLimit == limit })
	for want, ask := range map[string]func(func(*api.Problem)){
		"forget 1":       func(f func(*api.Problem)) { g.ForgetSecret("1", f) },
		"unlock keyring": func(f func(*api.Problem)) { g.Unlock("", f) },
		"unlock word":    func(f func(*api.Problem)) { g.Unlock("word", f) },
		"create word":    func(f func(*api.Problem)) { g.CreateSecretFile("word", f) },
		"change old new": func(f func(*api.Problem)) { g.ChangePassphrase("old", "new", f) },
	} {
		ask(func(p *api.Problem) { done <- p })
		if p := <-done; p != nil || !r.called(want) {
			t.Errorf("%s: %+v, called %q", want, p, r.calls)
		}
	}
	r.mu.Lock()
	r.fail = &api.Error{Problem: api.Problem{What: "No."}}
	r.mu.Unlock()
	g.EditSettings(api.EditSettings{CacheLimit: &limit}, func(p *api.Problem) { done <- p })
	if p := <-done; p == nil || p.What != "No." {
		t.Errorf("a refusal: %+v", p)
	}
}
