//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs/nfstest"
)

// timeline makes a repository with three commits a day apart, each with its number in
// the file "n", and a file "fN" of its own; the first is tagged v1. It gives the address
// and the ids.
func timeline(t *testing.T) (repo string, ids []string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	work := filepath.Join(dir, "work")
	git := func(day int, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		date := fmt.Sprintf("2026-01-%02dT12:00:00Z", 10+day)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git(0, "init", "-q", "-b", "main", work)
	for i := range 3 {
		for name, content := range map[string]string{"n": fmt.Sprint("state ", i), fmt.Sprint("f", i): "x", "same": "always"} {
			if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		git(i, "-C", work, "add", "-A")
		git(i, "-C", work, "-c", "user.name=Ann", "-c", "user.email=a@example.org", "commit", "-q", "-m", fmt.Sprint("change ", i))
		ids = append(ids, git(i, "-C", work, "rev-parse", "HEAD"))
	}
	git(0, "-C", work, "tag", "v1", ids[0])
	git(0, "-C", work, "branch", "feature/x", ids[1])
	git(0, "clone", "-q", "--bare", work, filepath.Join(dir, "repo.git"))
	return "git+file://" + filepath.Join(dir, "repo.git"), ids
}

// handleOf looks a name up.
func handleOf(t *testing.T, c *nfstest.Client, dir nfstest.Handle, name string) (nfstest.Handle, bool) {
	t.Helper()
	l, err := c.Lookup(t.Context(), dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return nfstest.Handle(l.Handle), l.Status == 0
}

// TestTimeMachine moves a mounted drive through the history of a repository: the mount,
// the server and the handles of what is the same stay.
func TestTimeMachine(t *testing.T) {
	h := newHome(t)
	p := h.service()
	url, ids := timeline(t)
	ctx := t.Context()
	d := h.mount(api.AddDrive{URL: url, Remember: true})
	c := kernel(t, d.Address)
	root := h.root()
	same, _ := handleOf(t, c, root, "same")
	n, _ := handleOf(t, c, root, "n")
	if got := read(t, c, root, "n"); got != "state 2" {
		t.Fatalf("at first: %q", got)
	}
	if s := d.Shown; s == nil || s.Revision != "" || s.Branch != "main" || s.Commit != ids[2] || s.Back != nil {
		t.Errorf("at first: %+v", s)
	}

	refs, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{})
	if err != nil || refs.Default != "main" || fmt.Sprint(refs.Branches) != fmt.Sprint([]api.Ref{{Name: "feature/x", Commit: ids[1]}, {Name: "main", Commit: ids[2]}}) ||
		fmt.Sprint(refs.Tags) != fmt.Sprint([]api.Ref{{Name: "v1", Commit: ids[0]}}) {
		t.Errorf("refs: %+v, %v", refs, err)
	}
	if refs, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{Find: "TURE"}); err != nil || len(refs.Branches) != 1 || len(refs.Tags) != 0 {
		t.Errorf("refs with TURE: %+v, %v", refs, err)
	}
	log, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{Commits: true})
	if err != nil || len(log.Commits) != 3 || log.Commits[0].ID != ids[2] || log.Commits[0].Subject != "change 2" || log.Commits[0].Author != "Ann" || log.Next != "" {
		t.Errorf("commits: %+v, %v", log, err)
	}
	day, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{At: time.Date(2026, 1, 11, 23, 0, 0, 0, time.UTC)})
	if err != nil || len(day.Commits) != 1 || day.Commits[0].ID != ids[1] {
		t.Errorf("the commit of a day: %+v, %v", day, err)
	}
	if _, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{At: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}); code(err) != api.CodeNoRevision {
		t.Errorf("the commit of a day before all: %v", err)
	}

	turn := func(revision string, state int, shown api.Shown) {
		t.Helper()
		now, err := h.client.Edit(ctx, d.Name, api.EditDrive{Revision: &revision})
		if err != nil {
			t.Fatalf("to %q: %v", revision, err)
		}
		if now.State != api.Mounted || now.Address != d.Address || now.Dir != d.Dir {
			t.Errorf("to %q: the mount was %+v and is %+v", revision, d, now)
		}
		if s := now.Shown; s == nil || s.Revision != revision || s.Branch != shown.Branch || s.Commit != ids[state] || (s.Back == nil) != (shown.Back == nil) || s.Turning != nil {
			t.Errorf("to %q: %+v", revision, s)
		}
		if got := read(t, c, root, "n"); got != fmt.Sprint("state ", state) {
			t.Errorf("to %q: n is %q", revision, got)
		}
		for i := range 3 {
			if _, there := handleOf(t, c, root, fmt.Sprint("f", i)); there != (i <= state) {
				t.Errorf("to %q: f%d is there: %v", revision, i, there)
			}
		}
		for name, was := range map[string]nfstest.Handle{"same": same, "n": n} {
			if f, _ := handleOf(t, c, root, name); string(f) != string(was) {
				t.Errorf("to %q: %s is another object", revision, name)
			}
		}
		b, err := os.ReadFile(filepath.Join(h.dir, ".config/moorage/config.toml"))
		if want := strings.TrimSuffix(url+"@"+revision, "@"); err != nil || !strings.Contains(string(b), "'"+want+"'") {
			t.Errorf("to %q: the config says %s, %v", revision, b, err)
		}
	}
	main := ""
	turn("v1", 0, api.Shown{Back: &main})
	turn(ids[1], 1, api.Shown{Back: &main})
	turn("feature/x", 1, api.Shown{Branch: "feature/x"})
	turn(ids[0], 0, api.Shown{Back: &main})
	for revision, want := range map[string]string{"nothing": api.CodeNoRevision, "a\nb": api.CodeBadURL} {
		if _, err := h.client.Edit(ctx, d.Name, api.EditDrive{Revision: &revision}); code(err) != want {
			t.Errorf("to %q: %v, want %s", revision, err, want)
		}
	}
	if got := read(t, c, root, "n"); got != "state 0" {
		t.Errorf("after failures: %q", got)
	}

	// Another drive beside it.
	b, err := h.client.Add(ctx, api.AddDrive{Beside: d.Name, Revision: "feature/x"})
	if err != nil || b.Name != "repo @ feature-x" || !b.ReadOnly || b.URL != url+"@feature/x" || b.Shown.Revision != "feature/x" {
		t.Errorf("beside: %+v, %v", b, err)
	}
	if b, err = h.client.Mount(ctx, b.Name, true); err != nil || b.Shown.Branch != "feature/x" || b.Shown.Commit != ids[1] {
		t.Errorf("beside: %+v, %v", b, err)
	}
	if _, err := h.client.Add(ctx, api.AddDrive{Beside: "nobody"}); code(err) != api.CodeNoDrive {
		t.Errorf("beside no drive: %v", err)
	}

	// A crash keeps where it is, and the handles.
	p.end(syscall.SIGKILL)
	h.service()
	d = h.drive(d.Name, func(d api.Drive) bool { return d.State == api.Mounted })
	c = kernel(t, d.Address)
	if s := d.Shown; s.Revision != ids[0] || s.Back == nil || *s.Back != "feature/x" {
		t.Errorf("after a crash: %+v", s)
	}
	turn("", 2, api.Shown{Branch: "main"})

	// One that is not mounted goes on where it is told to.
	if _, err := h.client.Unmount(ctx, d.Name, api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	gone := "gone"
	if _, err := h.client.Edit(ctx, d.Name, api.EditDrive{Revision: &gone}); err != nil {
		t.Error(err)
	}
	if _, err := h.client.Mount(ctx, d.Name, true); code(err) != api.CodeNoRevision {
		t.Errorf("at a branch that is not there: %v", err)
	}
	if refs, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{}); err != nil || len(refs.Branches) != 2 || refs.Default != "main" {
		t.Errorf("revisions of a drive that is not mounted: %+v, %v", refs, err)
	}
	if log, err := h.client.Revisions(ctx, d.Name, api.RevisionQuery{Commits: true, Of: "main"}); err != nil || len(log.Commits) != 3 {
		t.Errorf("commits of a drive that is not mounted: %+v, %v", log, err)
	}
	v1 := "v1"
	if d, err = h.client.Edit(ctx, d.Name, api.EditDrive{Revision: &v1}); err != nil || d.Shown.Revision != "v1" || d.Shown.Back == nil || *d.Shown.Back != "" {
		t.Errorf("not mounted: %+v, %v", d, err)
	}
	if d, err = h.client.Mount(ctx, d.Name, true); err != nil || d.Shown.Commit != ids[0] || d.Shown.Branch != "" {
		t.Errorf("mounted again: %+v, %v", d, err)
	}
}

func TestNoTimeMachine(t *testing.T) {
	h := newHome(t)
	h.service()
	d := h.mount(api.AddDrive{URL: t.TempDir(), Name: "f"})
	if d.Shown != nil {
		t.Errorf("a folder shows %+v", d.Shown)
	}
	rev := "x"
	_, e1 := h.client.Revisions(t.Context(), "f", api.RevisionQuery{})
	_, e2 := h.client.Edit(t.Context(), "f", api.EditDrive{Revision: &rev})
	_, e3 := h.client.Add(t.Context(), api.AddDrive{Beside: "f"})
	for _, err := range []error{e1, e2, e3} {
		if code(err) != api.CodeUnsupported {
			t.Errorf("%v", err)
		}
	}
}
