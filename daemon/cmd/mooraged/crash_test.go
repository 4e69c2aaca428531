//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// A service that dies of a fatal error leaves a report without secrets, of which its log
// and the doctor tell once.
func TestRule14CrashReport(t *testing.T) {
	h := newHome(t)
	p := h.service()
	const canary = "hunter2-canary"
	d, err := h.client.Add(t.Context(), api.AddDrive{URL: "git+https://me:" + canary + "@127.0.0.1:1/a.git", Remember: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Mount(t.Context(), d.Name, true); code(err) != api.CodeOffline {
		t.Errorf("mounting: %v", err)
	}
	if status := p.end(syscall.SIGQUIT); status == 0 { // by which the runtime writes all stacks
		t.Error("SIGQUIT ended it in good order")
	}
	p = h.service()
	reports, err := filepath.Glob(filepath.Join(h.dir, ".local/state/moorage/crashes/mooraged-*.txt"))
	if err != nil || len(reports) != 1 {
		t.Fatalf("reports of the crash: %v, %v", reports, err)
	}
	b, err := os.ReadFile(reports[0])
	if err != nil || !strings.Contains(string(b), "goroutine ") || strings.Contains(string(b), canary) {
		t.Errorf("the report is %s, %v", b, err)
	}
	if !strings.Contains(p.stderr.String(), reports[0]) {
		t.Error("the log of the next service does not tell of the crash")
	}
	for _, want := range []api.CheckState{api.CheckNote, api.CheckOK} {
		checks, err := h.client.Doctor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c := find(t, checks, "crashes"); c.State != want || want == api.CheckNote && !strings.Contains(c.Detail, reports[0]) {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if l, err := os.ReadDir(filepath.Dir(reports[0])); err != nil || len(l) != 2 { // and what was told of
		t.Errorf("after an end in good order there are %v, %v", l, err)
	}
}
