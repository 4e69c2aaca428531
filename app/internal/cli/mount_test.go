//go:build unix

package cli

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestMount(t *testing.T) {
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "place")
	r := f.run(t, nil, "mount", "https://h/repo.git@v1", dir, "--read-only")
	if r.status != 0 || r.out != "repo.git@v1 is mounted at "+dir+"\n" || r.err != "" {
		t.Errorf("%+v", r)
	}
	want := []string{`POST /v1/drives {"url":"https://h/repo.git@v1","dir":"` + dir + `","read_only":true}`, `POST /v1/drives/repo.git@v1/mount {"wait":true}`}
	if calls := f.said(); !reflect.DeepEqual(calls, want) {
		t.Errorf("\n got %q\nwant %q", calls, want)
	}
	f.run(t, nil, "mount", "mem:", "--auto", "--name", "m")
	if calls := f.said(); !strings.Contains(calls[0], `"auto":true,"remember":true`) {
		t.Errorf("--auto does not remember: %q", calls)
	}
}

func TestMountFolderGivenRelatively(t *testing.T) {
	f := newFake(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Mkdir("photos", 0o755); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{"photos": dir + "/photos", "./nowhere": dir + "/nowhere", "..": filepath.Dir(dir), "mem:": "mem:",
		"github.com/o/r": "github.com/o/r", "/a/b": "/a/b", "git@h:o/r.git": "git@h:o/r.git"} {
		f.run(t, nil, "mount", arg, "--name", "x")
		if calls := f.said(); !strings.Contains(calls[0], `"url":"`+want+`"`) {
			t.Errorf("%s: %s", arg, calls[0])
		}
	}
}

func TestMountOfKnownDrive(t *testing.T) {
	f := newFake(t, goDrive, notes)
	r := f.run(t, nil, "mount", "notes")
	if r.status != 0 || r.out != "notes is mounted at /home/u/notes\n" {
		t.Errorf("%+v", r)
	}
	if calls := f.said(); len(calls) != 1 {
		t.Errorf("did %q", calls)
	}
	if r := f.run(t, nil, "mount", "go"); r.status != api.ExitNotFound || !strings.Contains(r.err, "mounted already at /home/u/Moorage/go") {
		t.Errorf("mounted already: %+v", r)
	}
}

// A mount that fails leaves nothing half-made, and keeps the service's words and
// status.
func TestMountFails(t *testing.T) {
	for name, tc := range map[string]struct {
		how    func(*api.Drive) *api.Error
		status int
	}{
		"error": {fail(api.CodeNoRevision, "There is no branch v9.", api.ExitFailed), api.ExitFailed},
		"rights": {func(d *api.Drive) *api.Error {
			d.State, d.Problem = api.Failed, &api.Problem{Code: api.CodeRights, What: "There is no branch v9.", Do: "Do this."}
			return nil
		}, api.ExitMissing},
		"state": {func(d *api.Drive) *api.Error {
			d.State, d.Problem = api.Failed, &api.Problem{Code: api.CodeOffline, What: "There is no branch v9.", Do: "Do this."}
			return nil
		}, api.ExitFailed},
		"needs you": {func(d *api.Drive) *api.Error {
			d.State, d.Problem = api.NeedsYou, &api.Problem{Code: api.CodeAuth, What: "There is no branch v9.", Do: "Do this."}
			return nil
		}, api.ExitFailed},
	} {
		f := newFake(t)
		f.mount = append(f.mount, tc.how)
		r := f.run(t, nil, "mount", "https://h/r.git", "--name", "r")
		if r.status != tc.status || r.out != "" || r.err != "moorage: There is no branch v9.\n  Do this.\n" {
			t.Errorf("%s: %+v", name, r)
		}
		if f.count() != 0 {
			t.Errorf("%s: %v stays", name, f.drives)
		}
	}
	f := newFake(t, notes)
	f.mount = append(f.mount, fail(api.CodeOffline, "Offline.", api.ExitFailed))
	if r := f.run(t, nil, "mount", "notes"); r.status != api.ExitFailed || f.count() != 1 {
		t.Errorf("a remembered drive that cannot be mounted: %+v, %v", r, f.drives)
	}
}

func TestMountAsksForPassword(t *testing.T) {
	f := newFake(t)
	f.mount = append(f.mount, fail(api.CodeAuth, "The server wants a password.", api.ExitFailed))
	r := f.run(t, func(e *Env) { e.ReadPassword = func(context.Context) (string, error) { return "hunter2", nil } }, "mount", "https://h/r.git", "--name", "r")
	if r.status != 0 || f.secret("r") != "hunter2" || strings.Contains(r.out+r.err, "hunter2") || !strings.Contains(r.err, "wants a password") {
		t.Errorf("%+v", r)
	}
	// It asks three times and then gives up.
	asked := 0
	f = newFake(t)
	for range 9 {
		f.mount = append(f.mount, fail(api.CodeAuth, "The server wants a password.", api.ExitFailed))
	}
	r = f.run(t, func(e *Env) { e.ReadPassword = func(context.Context) (string, error) { asked++; return "wrong", nil } }, "mount", "https://h/r.git")
	if r.status != api.ExitFailed || asked != 3 || f.count() != 0 {
		t.Errorf("asked %d times, %+v", asked, r)
	}
}

func TestMountWaitsForTheRemote(t *testing.T) {
	f := newFake(t)
	f.mount = append(f.mount, fail(api.CodeOffline, "h cannot be reached.", api.ExitFailed))
	r := f.run(t, nil, "mount", "https://h/r.git", "--name", "r", "--wait")
	if r.status != 0 || !strings.Contains(r.err, "h cannot be reached. Trying again") || r.out == "" {
		t.Errorf("%+v", r)
	}
	f.mount = append(f.mount, fail(api.CodeNoRemote, "No such repository.", api.ExitFailed))
	if r := f.run(t, nil, "mount", "https://h/x.git", "--wait"); r.status != api.ExitFailed {
		t.Errorf("waited for what never comes: %+v", r)
	}
}

func TestMountInterrupted(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.mount = append(f.mount, func(*api.Drive) *api.Error {
		cancel() // Ctrl-C while the service is at it
		return fail(api.CodeOffline, "Offline.", api.ExitFailed)(nil)
	})
	var e Env
	f.run(t, func(x *Env) { e = *x }, "version")
	status := Run(ctx, []string{"mount", "https://h/r.git", "--wait"}, e)
	if status != api.ExitFailed || f.count() != 0 {
		t.Errorf("status %d, %v stays", status, f.drives)
	}
}

func TestMountShowsStepsOnATerminal(t *testing.T) {
	f := newFake(t)
	seen := make(chan bool)
	f.mount = append(f.mount, func(d *api.Drive) *api.Error {
		f.watcher <- api.Event{Kind: api.DriveChanged, Drive: &api.Drive{Name: d.Name, State: api.Connecting, Step: "list"}}
		<-seen
		return nil
	})
	r := f.run(t, func(e *Env) {
		e.StderrTerminal = true
		e.Stderr = &notifier{want: "reading the list", seen: seen, to: e.Stderr.(interface{ Write([]byte) (int, error) })}
	}, "mount", "mem:", "--name", "m")
	if r.status != 0 || !strings.Contains(r.err, "\rm\x1b") && !strings.Contains(r.err, "m: reading the list of files…") {
		t.Errorf("%+v", r)
	}
}

// notifier closes seen when want is written.
type notifier struct {
	want string
	seen chan bool
	done bool
	to   interface{ Write([]byte) (int, error) }
}

func (n *notifier) Write(b []byte) (int, error) {
	if !n.done && strings.Contains(string(b), n.want) {
		n.done = true
		close(n.seen)
	}
	return n.to.Write(b)
}

func TestUnmount(t *testing.T) {
	busy := &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeBusy, What: "vim has files open.", Do: "Close them."}}
	f := newFake(t, goDrive, scratch)
	f.unmount = []*api.Error{busy}
	if r := f.run(t, nil, "unmount", "go"); r.status != api.ExitFailed || r.err != "moorage: vim has files open.\n  Close them.\n" {
		t.Errorf("busy: %+v", r)
	}
	f.said()
	if r := f.run(t, nil, "unmount", goDrive.Dir+"/", "--force"); r.status != 0 || r.out != "go is unmounted\n" {
		t.Errorf("forced: %+v", r)
	}
	if calls := f.said(); !reflect.DeepEqual(calls, []string{`POST /v1/drives/go/unmount {"force":true,"wait":true}`}) {
		t.Errorf("did %q", calls)
	}
	for _, name := range []string{"go", "nosuch", "/nowhere"} {
		if r := f.run(t, nil, "unmount", name); r.status != api.ExitNotFound {
			t.Errorf("%s: %+v", name, r)
		}
	}
	f = newFake(t, goDrive)
	f.unmount = []*api.Error{busy}
	if r := f.run(t, nil, "unmount", "go", "--wait"); r.status != 0 || !strings.Contains(r.err, "vim has files open. Waiting") {
		t.Errorf("waiting: %+v", r)
	}
}

// TestUnmountWithoutService: a service that stands still keeps no drive, whether it does
// so before or while it is asked.
func TestUnmountWithoutService(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "mooraged"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	f := newFake(t, goDrive)
	f.standStill("")
	program := filepath.Join(bin, "mooraged")
	r := f.run(t, nil, "unmount", "go", "--force")
	if want := []string{program, "unmount", "--force", "--", "go"}; r.status != 0 || len(r.ran) != 1 || !reflect.DeepEqual(r.ran[0][:len(want)], want) {
		t.Errorf("%+v", r)
	}
	if calls := f.said(); len(calls) != 0 {
		t.Errorf("the service did %q", calls)
	}
	f = newFake(t, goDrive)
	f.standStill("/v1/drives/go/unmount")
	r = f.run(t, nil, "unmount", goDrive.Dir)
	if want := []string{program, "unmount", "--", goDrive.Dir, goDrive.Dir}; r.status != 0 || len(r.ran) != 1 || !reflect.DeepEqual(r.ran[0], want) {
		t.Errorf("%+v", r)
	}
}

func TestOpen(t *testing.T) {
	f := newFake(t, goDrive, scratch)
	if r := f.run(t, nil, "open", "go"); r.status != 0 || !reflect.DeepEqual(r.ran, [][]string{{fileManager, goDrive.Dir}}) {
		t.Errorf("%+v", r)
	}
	if r := f.run(t, nil, "open", "scratch"); r.status != api.ExitFailed || r.ran != nil || !strings.Contains(r.err, "moorage mount scratch") {
		t.Errorf("%+v", r)
	}
}
