package mounts

import (
	"log/slog"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/events"
	"github.com/moorage/moorage/daemon/internal/state"
)

// Whoever found a drive just before it went does not show it again.
func TestErasedDriveIsNotShown(t *testing.T) {
	hub := new(events.Hub)
	m := New(Options{Events: hub, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	d := m.newDrive(state.Drive{ID: "1", Name: "x"}, Location{Kind: "fake"}, false)
	d.erased = true
	d.connecting()
	s := hub.Subscribe()
	defer s.Close()
	if e, err := s.Next(t.Context()); err != nil || e.Kind != api.Ready {
		t.Errorf("told of a drive that is gone: %+v, %v", e.Drive, err)
	}
}
