//go:build unix

package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

func TestPauseAndResume(t *testing.T) {
	f := newFake(t, api.Drive{Name: "notes", URL: "mem:", Kind: "mem", State: api.Stopped, Dir: "/m/notes"})
	if r := f.run(t, nil, "resume"); r.status != api.ExitNotFound || !strings.Contains(r.err, "Transfers are not paused.") {
		t.Errorf("resume: status %d, said %q", r.status, r.err)
	}
	if r := f.run(t, nil, "pause"); r.status != 0 || r.out != "Transfers are paused; moorage resume ends that\n" {
		t.Errorf("pause: status %d, printed %q", r.status, r.out)
	}
	for _, args := range [][]string{{"status"}, {"status", "notes"}} {
		if r := f.run(t, nil, args...); r.status != 0 || !strings.HasSuffix(r.out, "\nTransfers are paused; moorage resume ends that\n") {
			t.Errorf("%q: status %d, printed %q", args, r.status, r.out)
		}
	}
	if r := f.run(t, nil, "status", "--json"); strings.Contains(r.out, "paused") {
		t.Errorf("the list of drives says %q", r.out)
	}
	if r := f.run(t, nil, "resume"); r.status != 0 || r.out != "Transfers go on\n" {
		t.Errorf("resume: status %d, printed %q", r.status, r.out)
	}
	if r := f.run(t, nil, "status"); strings.Contains(r.out, "paused") {
		t.Errorf("status says %q", r.out)
	}
	if r := f.run(t, nil, "pause", "--for", "2h"); r.status != 0 || !strings.Contains(r.out, "Transfers are paused until ") {
		t.Errorf("pause --for: status %d, printed %q", r.status, r.out)
	}
	if left := time.Until(f.service().Paused.Until); left < time.Hour || left > 2*time.Hour {
		t.Errorf("it is paused for %v more", left)
	}
	for _, args := range [][]string{{"pause", "--until", "tomorrow"}, {"pause", "--for", "-1h"}, {"pause", "--for", "1h", "--until", "18:30"}, {"pause", "x"}} {
		if r := f.run(t, nil, args...); r.status != api.ExitUsage {
			t.Errorf("%q: status %d, said %q", args, r.status, r.err)
		}
	}
}

func TestPauseEnd(t *testing.T) {
	now := time.Date(2026, 3, 5, 12, 30, 0, 0, time.UTC)
	for until, want := range map[string]time.Time{
		"18:30":            time.Date(2026, 3, 5, 18, 30, 0, 0, time.UTC),
		"12:30":            time.Date(2026, 3, 6, 12, 30, 0, 0, time.UTC),
		"07:00":            time.Date(2026, 3, 6, 7, 0, 0, 0, time.UTC),
		"2026-03-09 08:15": time.Date(2026, 3, 9, 8, 15, 0, 0, time.UTC),
	} {
		if got, err := pauseEnd(now, 0, until); err != nil || !got.Equal(want) {
			t.Errorf("until %s: %v, %v", until, got, err)
		}
	}
}
