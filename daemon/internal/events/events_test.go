package events

import (
	"context"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// drain returns the events that are there now.
func drain(t *testing.T, s *Subscription) (out []api.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return out
		}
		out = append(out, e)
	}
}

func TestSubscribeBeginsWithPresentDrives(t *testing.T) {
	var h Hub
	h.Put(api.Drive{Name: "b"})
	h.Put(api.Drive{Name: "a"})
	h.Put(api.Drive{Name: "gone"})
	h.Remove("gone")
	s := h.Subscribe()
	defer s.Close()
	got := drain(t, s)
	if len(got) != 3 || got[0].Drive.Name != "a" || got[1].Drive.Name != "b" || got[2].Kind != api.Ready {
		t.Fatalf("got %+v, want a, b, ready", got)
	}
}

// A reader that sleeps through ten thousand changes gets one event a drive, the
// last, and the queue stays small meanwhile.
func TestSlowReaderGetsLastState(t *testing.T) {
	var h Hub
	s := h.Subscribe()
	defer s.Close()
	for range 10_000 {
		h.Put(api.Drive{Name: "a", State: api.Connecting})
		h.Put(api.Drive{Name: "b", State: api.Connecting})
	}
	h.Put(api.Drive{Name: "a", State: api.Mounted})
	h.Remove("b")
	got := drain(t, s)
	if len(got) != 3 {
		t.Fatalf("got %d events, want ready, a, b", len(got))
	}
	if got[1].Drive.State != api.Mounted || got[2].Kind != api.DriveRemoved {
		t.Fatalf("got %+v %+v, want the last states", got[1], got[2])
	}
	if got[1].Seq >= got[2].Seq {
		t.Errorf("sequence %d, %d does not rise", got[1].Seq, got[2].Seq)
	}
}

func TestClosedSubscriptionGetsNothing(t *testing.T) {
	var h Hub
	s := h.Subscribe()
	drain(t, s)
	s.Close()
	h.Put(api.Drive{Name: "a"})
	if got := drain(t, s); len(got) != 0 {
		t.Fatalf("got %+v after Close", got)
	}
}

// A reader that comes late learns how the service is, before the drives.
func TestServiceComesFirst(t *testing.T) {
	h := new(Hub)
	h.Put(api.Drive{Name: "a"})
	h.PutService(api.Service{PID: 1})
	h.PutService(api.Service{PID: 2})
	s := h.Subscribe()
	defer s.Close()
	for i, want := range []api.EventKind{api.ServiceChanged, api.DriveChanged, api.Ready} {
		e, err := s.Next(t.Context())
		if err != nil || e.Kind != want || i == 0 && e.Service.PID != 2 {
			t.Fatalf("event %d is %+v, %v", i, e, err)
		}
	}
	h.PutService(api.Service{PID: 3})
	if e, err := s.Next(t.Context()); err != nil || e.Kind != api.ServiceChanged || e.Service.PID != 3 {
		t.Errorf("then %+v, %v", e, err)
	}
}
