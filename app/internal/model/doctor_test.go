package model

import (
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestDoctor(t *testing.T) {
	m := newModel(t)
	if d := m.View(noon).Doctor; d.Verdict == "" || !d.Running {
		t.Errorf("before the first: %+v", d)
	}
	m.Examining()
	if d := m.View(noon).Doctor; !d.Running || d.Tone != Busy {
		t.Errorf("while it runs: %+v", d)
	}
	m.Examined([]api.Check{
		{ID: "a", Name: "mount helper", State: api.CheckOK, Detail: "It is there.", Remedy: "not said"},
		{ID: "b", Name: "login", State: api.CheckNote, Detail: "Not at login.", Remedy: "Install it.", Fix: "login"},
		{ID: "c", Name: "folders", State: api.CheckBad, Detail: "/home/ann/x is missing.", Remedy: "Make it.", Done: "Could not."},
		{ID: "drive:newer:x", Name: "newer", State: "dire", Detail: "Unknown."},
	})
	d := m.View(noon).Doctor
	if d.Running || d.Verdict != "2 things need you." || d.Tone != Bad || len(d.Checks) != 4 {
		t.Fatalf("%+v", d)
	}
	want := []Check{
		{Name: "Mount helper", Detail: "It is there.", Tone: Good},
		{Name: "Login", Detail: "Not at login.", Advice: "Install it.", Tone: Warn, Fix: Action{Verb: Treat, Drive: "login", Label: "Fix"}},
		{Name: "Folders", Detail: "~/x is missing.", Advice: "Make it.", Done: "Could not.", Tone: Bad},
		{Name: "newer", Detail: "Unknown.", Tone: Bad},
	}
	for i, c := range d.Checks {
		if c != want[i] {
			t.Errorf("%+v, want %+v", c, want[i])
		}
	}
	text := "ok\tmount helper: It is there.\nnote\tlogin: Not at login.\n\tInstall it.\nbad\tfolders: /home/ann/x is missing.\n\tMake it.\n\tCould not.\ndire\tnewer: Unknown.\n"
	if d.Report != text {
		t.Errorf("report %q", d.Report)
	}
	m.Examined([]api.Check{{Name: "x", State: api.CheckBad, Detail: "https://ann:hush@example.org does not answer."}})
	if d := m.View(noon).Doctor; strings.Contains(d.Report, "hush") {
		t.Errorf("report %q", d.Report)
	}
	m.Examined([]api.Check{{Name: "login", State: api.CheckNote}})
	if d := m.View(noon).Doctor; d.Verdict != "Drives work. One thing could be better." || d.Tone != Warn {
		t.Errorf("%+v", d)
	}
	m.Examined([]api.Check{{Name: "login", State: api.CheckOK}})
	if d := m.View(noon).Doctor; d.Verdict != "All is well." || d.Tone != Good {
		t.Errorf("%+v", d)
	}
}
