package control

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// fakeSettings keep what they are given.
type fakeSettings struct {
	settings api.Settings
	service  api.Service
}

func (f *fakeSettings) Settings() (api.Settings, error) { return f.settings, nil }
func (f *fakeSettings) EditSettings(_ context.Context, e api.EditSettings) (api.Settings, error) {
	if e.Proxy != nil {
		return api.Settings{}, &api.Error{Exit: api.ExitUsage, Problem: api.Problem{Code: api.CodeBadSetting, What: "No."}}
	}
	f.settings.CacheLimit = *e.CacheLimit
	return f.settings, nil
}
func (f *fakeSettings) PauseTransfers(p api.PauseTransfers) (api.Service, error) {
	f.service.Paused = &api.Pause{Until: p.Until}
	return f.service, nil
}
func (f *fakeSettings) ResumeTransfers() (api.Service, error) {
	f.service.Paused = nil
	return f.service, nil
}

func TestSettings(t *testing.T) {
	w, ctx := start(t), t.Context()
	limit, proxy := int64(1<<40), "x"
	if s, err := w.client.EditSettings(ctx, api.EditSettings{CacheLimit: &limit}); err != nil || s.CacheLimit != limit {
		t.Errorf("EditSettings: %+v, %v", s, err)
	}
	if s, err := w.client.Settings(ctx); err != nil || s.CacheLimit != limit {
		t.Errorf("Settings: %+v, %v", s, err)
	}
	var e *api.Error
	if _, err := w.client.EditSettings(ctx, api.EditSettings{Proxy: &proxy}); !errors.As(err, &e) || e.Problem.Code != api.CodeBadSetting {
		t.Errorf("EditSettings: %v", err)
	}
}

func TestPauses(t *testing.T) {
	w, ctx := start(t), t.Context()
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if s, err := w.client.Pause(ctx, until); err != nil || s.Paused == nil || !s.Paused.Until.Equal(until) {
		t.Errorf("Pause: %+v, %v", s, err)
	}
	if s, err := w.client.Pause(ctx, time.Time{}); err != nil || s.Paused == nil || !s.Paused.Until.IsZero() {
		t.Errorf("Pause for ever: %+v, %v", s, err)
	}
	if s, err := w.client.Resume(ctx); err != nil || s.Paused != nil {
		t.Errorf("Resume: %+v, %v", s, err)
	}
}
