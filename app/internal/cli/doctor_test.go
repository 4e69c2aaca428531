//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

var (
	keyringNote = api.Check{ID: "session-bus", Name: "session bus", State: api.CheckNote, Detail: "None.", Remedy: "Log in."}
	badFolder   = api.Check{ID: "folder-state", Name: "folder of the state", State: api.CheckBad, Detail: "Open.", Remedy: "chmod it.", Fix: "folders"}
)

// What it found and what to do; nothing is changed.
func TestDoctorSays(t *testing.T) {
	f := newFake(t)
	f.checks = []api.Check{keyringNote, badFolder}
	r := f.run(t, nil, "doctor")
	for _, want := range []string{"session bus", "note", "Log in.", "bad", "chmod it.", "moorage doctor --fix"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if r.status != api.ExitMissing {
		t.Errorf("status %d", r.status)
	}
	if len(f.calls) != 0 {
		t.Errorf("the doctor changed something: %v", f.calls)
	}
}

func TestDoctorFix(t *testing.T) {
	f := newFake(t)
	f.checks = []api.Check{badFolder}
	f.treated = []api.Check{{ID: badFolder.ID, Name: badFolder.Name, State: api.CheckOK, Detail: "/s", Done: "Closed /s to others."}}
	r := f.run(t, nil, "doctor", "--fix")
	if !strings.Contains(r.out, "folder of the state: Closed /s to others.") || strings.Contains(r.out, "--fix") {
		t.Errorf("%s", r.out)
	}
	if want := []string{"POST /v1/doctor {}"}; !slices.Equal(f.calls, want) {
		t.Errorf("asked %v", f.calls)
	}
	var checks []api.Check
	r = f.run(t, nil, "doctor", "--fix", "--json")
	if err := json.Unmarshal([]byte(r.out), &checks); err != nil || checks[len(checks)-1] != f.treated[0] {
		t.Errorf("%s, %v", r.out, err)
	}
}

// Without a service the program looks at what it can; what it mends may let the service
// start.
func TestDoctorWithoutService(t *testing.T) {
	f := newFake(t)
	f.checks = []api.Check{keyringNote}
	f.treated = f.checks
	for err, says := range map[error]string{client.ErrNoMooraged: "not found", client.ErrNoService: "ended", context.DeadlineExceeded: "in time"} {
		r := f.run(t, func(e *Env) {
			e.Start = func(context.Context) error { return err }
			e.Local = func(_ context.Context, fix bool) ([]api.Check, error) { return []api.Check{badFolder}, nil }
		}, "doctor")
		if r.status != api.ExitMissing || !strings.Contains(r.out, says) || !strings.Contains(r.out, badFolder.Detail) {
			t.Errorf("%v: %+v", err, r)
		}
		r = f.run(t, func(e *Env) { e.Start = func(context.Context) error { return err } }, "doctor")
		if r.status != api.ExitMissing || !strings.Contains(r.out, "cannot be looked at") {
			t.Errorf("%v, and no report: %+v", err, r)
		}
	}
	mended := false
	r := f.run(t, func(e *Env) {
		e.Start = func(context.Context) error {
			if !mended {
				return errors.New("the folder is open to other users")
			}
			return nil
		}
		e.Local = func(_ context.Context, fix bool) ([]api.Check, error) {
			mended = fix
			return []api.Check{{ID: badFolder.ID, Name: badFolder.Name, State: api.CheckOK, Detail: "/s", Done: "Closed /s to others."}}, nil
		}
	}, "doctor", "--fix", "--json")
	var checks []api.Check
	if err := json.Unmarshal([]byte(r.out), &checks); err != nil || len(checks) != 3 {
		t.Fatalf("%s, %v", r.out, err)
	}
	if s := checks[1]; s.State == api.CheckBad || !strings.Contains(s.Done, "open to other users") || !strings.Contains(s.Done, "Closed /s") || checks[2] != keyringNote {
		t.Errorf("%+v", checks)
	}
}
