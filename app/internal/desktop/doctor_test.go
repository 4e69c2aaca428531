package desktop

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/crash"
)

func (r *remote) Service(context.Context) (api.Service, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running {
		return api.Service{}, client.ErrNoService
	}
	return api.Service{Version: "v1.2.3"}, r.fail
}

func (r *remote) Doctor(context.Context) ([]api.Check, error) {
	return []api.Check{{ID: "x", Name: "mounts", State: api.CheckBad, Detail: "A dead mount.", Fix: "mounts"}}, r.call("doctor")
}

func (r *remote) Treat(_ context.Context, fixes ...string) ([]api.Check, error) {
	return []api.Check{{ID: "x", Name: "mounts", State: api.CheckOK, Detail: "None is dead.", Done: "Took it away."}}, r.call("treat %q", fixes)
}

func (r *remote) Stop(_ context.Context, s api.StopService) error {
	if err := r.call("stop unmount=%v", s.Unmount); err != nil {
		return err
	}
	r.die()
	return nil
}

func here(_ context.Context, fix bool) ([]api.Check, error) {
	return []api.Check{{Name: "folders", State: api.CheckOK, Detail: fmt.Sprint("without a service, fix ", fix)}}, nil
}

// logins are a Login in memory.
type logins struct {
	mu           sync.Mutex
	app, service bool
	refuse       error
}

func (l *logins) App() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.app, nil
}

func (l *logins) SetApp(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.app = on
	return nil
}

func (l *logins) Service(context.Context) (can, on bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return true, l.service, nil
}

func (l *logins) SetService(_ context.Context, on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse == nil {
		l.service = on
	}
	return l.refuse
}

func TestDoctorLooksAndMends(t *testing.T) {
	r := &remote{running: true}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Do(model.Examine, "")
	v := g.until("a report", func(v model.View) bool { return len(v.Doctor.Checks) > 0 })
	if c := v.Doctor.Checks; len(c) != 2 || c[0].Detail != "It runs, version v1.2.3." || c[1].Fix.Drive != "mounts" {
		t.Fatalf("%+v", c)
	}
	g.Do(model.Treat, "mounts")
	v = g.until("mended", func(v model.View) bool { return v.Doctor.Tone == model.Good })
	if v.Doctor.Checks[1].Done != "Took it away." || !r.called(`treat ["mounts"]`) {
		t.Errorf("%+v, %q", v.Doctor.Checks, r.calls)
	}
}

func TestDoctorWithoutAService(t *testing.T) {
	r := &remote{startup: errors.New("it would not")}
	g := newRig(t, r, Backoff{First: time.Hour})
	g.until("lost", func(v model.View) bool { return v.Banner.Other.Verb == model.Examine })
	g.Do(model.Examine, "")
	v := g.until("a report", func(v model.View) bool { return len(v.Doctor.Checks) == 2 })
	if c := v.Doctor.Checks; c[0].Tone != model.Bad || c[0].Detail == "" || c[1].Detail != "without a service, fix false" {
		t.Errorf("%+v", c)
	}
	// What is mended may have been in the way, so that it is tried again at once.
	r.mu.Lock()
	r.startup = nil
	r.mu.Unlock()
	g.Do(model.Treat, "folders")
	g.until("the service", up)
}

func TestAServiceThatWasStoppedIsNotStartedAgain(t *testing.T) {
	r := &remote{running: true}
	g := newRig(t, r, Backoff{First: time.Millisecond, Most: time.Millisecond})
	g.until("up", up)
	done := make(chan *api.Problem, 1)
	r.mu.Lock()
	r.fail = &api.Error{Problem: api.Problem{Code: api.CodeBusy, What: "In use."}}
	r.mu.Unlock()
	g.StopService(func(p *api.Problem) { done <- p })
	if p := <-done; p == nil || p.What != "In use." {
		t.Errorf("a refusal is told as %+v", p)
	}
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	g.StopService(func(p *api.Problem) { done <- p })
	if p := <-done; p != nil {
		t.Error(p)
	}
	g.until("lost", func(v model.View) bool { return v.Banner.Tone == model.Bad })
	for range 3 {
		g.Do(model.Reconnect, "")
		<-g.Changes()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.starts != 0 {
		t.Errorf("it was started %d times", r.starts)
	}
}

func TestSettings(t *testing.T) {
	r := &remote{running: true}
	g := newRig(t, r, Backoff{})
	if s := g.View().Settings; s.Version != "v1.2.3" || s.Running != "…" || s.App.Can {
		t.Errorf("before it is known: %+v", s)
	}
	g.Do(model.Preferences, "")
	v := g.until("settings", func(v model.View) bool { return v.Settings.App.Can })
	if s := v.Settings; s.App.On || s.Service.On || s.Version != "v1.2.3" || s.Running != "v1.2.3" {
		t.Errorf("%+v", s)
	}
	g.Do(model.AppAtLogin, "")
	g.until("the app at login", func(v model.View) bool { return v.Settings.App.On && v.Settings.App.Can })
	g.Do(model.ServiceAtLogin, "")
	g.until("the service at login", func(v model.View) bool { return v.Settings.Service.On && v.Settings.Service.Can })
	g.logins.mu.Lock()
	g.logins.refuse = errors.New("no manager")
	g.logins.mu.Unlock()
	g.Do(model.ServiceAtLogin, "")
	g.until("a refusal", func(v model.View) bool { return v.Settings.Trouble.What != "" && v.Settings.Service.On })
}

// TestRule14BundleHoldsNoLogin: wherever an address with one may stand.
func TestRule14BundleHoldsNoLogin(t *testing.T) {
	const canary = "CaNaRy"
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const address = "https://ann:" + canary + "@example.org/x.git?key=" + canary
	write("mooraged.log.1", strings.Repeat("older\n", 20)+"before "+address+"\n")
	write("mooraged.log", strings.Repeat("line "+address+"\n", 490))
	write("crashes/mooraged-20260305T120000.txt", "panic: "+address+"\n\ngoroutine 1 [running]:\nmain.main()\n")
	r := &remote{running: true, drives: []api.Drive{
		{Name: "a", State: api.Failed, URL: address, Problem: &api.Problem{What: "No " + address + ".", Means: "“" + address + "”", Do: address}},
		{Name: "b", URL: "git@example.org:x.git"},
		{Name: "c", URL: "ann:" + canary + "@example.org:x.git"},
		{Name: "d", URL: "https://ann:" + canary + "/" + canary + "@example.org/x"},
		{Name: "e", URL: "https://ann:a@" + canary + "@example.org/x"},
		{Name: "f", URL: "s3://bucket/x?secret=" + canary},
		{Name: "g", URL: "hf://org/model@main"},
	}}
	g := newRig(t, r, Backoff{}, func(o *Options) {
		o.Evidence = Evidence{ServiceLog: filepath.Join(dir, "mooraged.log"), Crashes: filepath.Join(dir, "crashes"),
			AppLog: func() string { return "app " + address + "\n" }}
	})
	g.until("up", up)
	r.mu.Lock()
	r.fail = &api.Error{Problem: api.Problem{What: "Refused by " + address, Do: address}}
	r.mu.Unlock()
	made := make(chan model.Bundle, 1)
	g.Diagnose(func(b model.Bundle) { made <- b })
	b := <-made

	var archive bytes.Buffer
	if err := b.Zip(&archive); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for i, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		texts[f.Name] = string(text)
		if strings.Contains(string(text), canary) {
			t.Errorf("%s has a login in it:\n%s", f.Name, text)
		}
		if b.Files[i].Name != f.Name || b.Files[i].Text != string(text) {
			t.Errorf("%s is not what was shown", f.Name)
		}
	}
	for name, want := range map[string]string{
		"about.txt": "app      v1.2.3", "doctor.txt": "Refused by", "drives.json": "hf://org/model@main", "service.log": "before https://(hidden)@example.org",
		"app.log": "app https://(hidden)@example.org", "crashes/mooraged-20260305T120000.txt": "goroutine 1",
	} {
		if !strings.Contains(texts[name], want) {
			t.Errorf("%s lacks %q:\n%.300s", name, want, texts[name])
		}
	}
	if n := strings.Count(texts["service.log"], "\n"); n != 500 {
		t.Errorf("%d lines of the log", n)
	}
}

func TestRecentKeepsTheLastLines(t *testing.T) {
	var r Recent
	for i := range 1234 {
		fmt.Fprintf(&r, "line %d\n", i)
	}
	lines := strings.Split(strings.TrimSuffix(r.Text(), "\n"), "\n")
	if len(lines) != 500 || lines[0] != "line 734" || lines[499] != "line 1233" {
		t.Errorf("%d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
}

// heard waits for what a person is to be told.
func (g *rig) heard(want string) {
	g.t.Helper()
	found := false
	g.until(want, func(model.View) bool {
		for _, n := range g.News() {
			found = found || n.Title+": "+n.Text == want
		}
		return found
	})
}

func TestTellsOfAConflictOnADriveThatIsNotWatched(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Mounted, Pending: api.Pending{Files: 1}}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	r.mu.Lock()
	r.uploads = []api.Upload{{Path: "a (copy).txt", State: api.UploadConflict, Since: time.Now().Add(time.Minute)}}
	r.mu.Unlock()
	r.set(api.Drive{Name: "a", State: api.Mounted})
	g.heard("a: Somebody else changed the same file. Yours is kept beside it as a (copy).txt.")
}

func TestTellsOfACrashOfTheService(t *testing.T) {
	r := &remote{running: true}
	var mu sync.Mutex
	reports := []crash.Report{{Time: time.Now()}}
	g := newRig(t, r, Backoff{First: time.Millisecond, Most: time.Millisecond}, func(o *Options) {
		o.Crashes = func() ([]crash.Report, error) {
			mu.Lock()
			defer mu.Unlock()
			return reports, nil
		}
	})
	g.until("up", up)
	if n := g.News(); len(n) != 0 {
		t.Errorf("told of an old crash: %+v", n)
	}
	mu.Lock()
	reports = []crash.Report{{Time: time.Now().Add(time.Second)}, reports[0]}
	mu.Unlock()
	r.die()
	g.heard("Moorage has crashed: The service was started again. What was saved is safe. Settings can save a report of it.")
}
