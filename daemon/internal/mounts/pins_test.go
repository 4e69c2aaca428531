package mounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/nfs"
)

// fakePins keeps what it is told to, but not "none", which is not there.
type fakePins struct {
	mu   sync.Mutex
	list []mounts.Pin
}

func (f *fakePins) Pin(_ context.Context, path string) error {
	if path == "none" {
		return fmt.Errorf("look up: %w", nfs.ErrNoEnt)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := mounts.Pin{Path: path, State: api.PinFetching, Total: 10}
	switch path {
	case "big":
		p = mounts.Pin{Path: path, State: api.PinNoRoom, Here: 5 << 20, Total: 1 << 40}
	case "bad":
		p.State, p.Err = api.PinFailed, errors.New("it is not readable")
	}
	f.list = append(f.list, p)
	return nil
}

func (f *fakePins) Unpin(_ context.Context, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.list {
		if p.Path == path {
			f.list = append(f.list[:i], f.list[i+1:]...)
			return nil
		}
		if strings.HasPrefix(path, p.Path) {
			return &mounts.CoveredError{By: p.Path}
		}
	}
	return mounts.ErrNotPinned
}

func (f *fakePins) Pins() []mounts.Pin {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]mounts.Pin(nil), f.list...)
}

func TestPins(t *testing.T) {
	w := newWorld(t)
	h := mounts.Health{Online: true}
	waves := make(chan struct{}, 1)
	w.opener.pins, w.opener.waves = &fakePins{}, waves
	w.opener.well = func() mounts.Health {
		w.opener.mu.Lock()
		defer w.opener.mu.Unlock()
		return h
	}
	w.start()
	ctx := t.Context()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	_, err := w.m.Pin(ctx, "x", "a")
	problem(t, err, api.CodeNotMounted, api.ExitFailed)
	problem(t, w.m.Unpin(ctx, "other", "a"), api.CodeNoDrive, api.ExitNotFound)
	w.mount("x")
	if p, err := w.m.Pin(ctx, "x", "/a/b/"); err != nil || p.Path != "a/b" || p.State != api.PinFetching || p.Total != 10 {
		t.Errorf("Pin: %+v, %v", p, err)
	}
	_, err = w.m.Pin(ctx, "x", "none")
	problem(t, err, api.CodeNoFile, api.ExitNotFound)
	for _, path := range []string{"big", "bad"} {
		p, err := w.m.Pin(ctx, "x", path)
		if err != nil || p.Problem == nil {
			t.Fatalf("Pin(%s): %+v, %v", path, p, err)
		}
		problem(t, &api.Error{Exit: api.ExitFailed, Problem: *p.Problem}, map[string]string{"big": api.CodePinRoom, "bad": api.CodeInternal}[path], api.ExitFailed)
		if path == "big" && !strings.Contains(p.Problem.What, "5.0 MiB of 1.0 TiB") {
			t.Errorf("it says %q", p.Problem.What)
		}
	}
	if l, err := w.m.Pins(ctx, "x"); err != nil || len(l) != 3 {
		t.Errorf("Pins: %+v, %v", l, err)
	}
	if d, err := w.m.Get("x"); err != nil || len(d.Pins) != 3 {
		t.Errorf("the drive: %+v, %v", d, err)
	}
	problem(t, w.m.Unpin(ctx, "x", "other"), api.CodeNotPinned, api.ExitNotFound)
	problem(t, w.m.Unpin(ctx, "x", "a/b/c"), api.CodeNotPinned, api.ExitFailed)
	if err := w.m.Unpin(ctx, "x", "a/b"); err != nil {
		t.Error(err)
	}
	w.opener.set(func(*opener) { h.PinRoom = true })
	waves <- struct{}{}
	d := w.until("x", func(d api.Drive) bool { return d.Problem != nil })
	problem(t, &api.Error{Exit: api.ExitFailed, Problem: *d.Problem}, api.CodePinRoom, api.ExitFailed)
	if d.State != api.Mounted {
		t.Errorf("with pins that do not fit it is %s", d.State)
	}
	w.opener.set(func(*opener) { h.PinRoom = false })
	waves <- struct{}{}
	w.until("x", func(d api.Drive) bool { return d.Problem == nil })
}

// What is on this computer anyway cannot be pinned, and says so.
func TestNothingToPin(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	_, err := w.m.Pin(t.Context(), "x", "")
	var e *api.Error
	if !errors.As(err, &e) || e.Problem.Code != api.CodeUnsupported || e.Exit != api.ExitNotFound {
		t.Errorf("Pin: %v", err)
	}
}
