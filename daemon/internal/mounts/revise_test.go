package mounts_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/providers"
)

// fakeHistory shows what it is told to; of its branches there are "main", for "", and
// "side". "none" it has not.
type fakeHistory struct {
	began chan struct{} // gets something when Turn begins; nil: nothing
	wait  chan struct{} // Turn waits until it is closed, or ctx is done; nil: it does not

	mu  sync.Mutex
	url string
}

func (f *fakeHistory) URL() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.url
}

func (f *fakeHistory) Shown() api.Shown {
	_, rev, _ := strings.Cut(f.URL(), "@")
	s := api.Shown{Revision: rev, Commit: "id of " + rev}
	if rev == "" || rev == "side" {
		s.Branch = rev + "main"
	}
	return s
}

func (f *fakeHistory) Turn(ctx context.Context, revision string) error {
	if f.began != nil {
		f.began <- struct{}{}
	}
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if revision == "closed" {
		return fmt.Errorf("turn: %w", providers.ErrClosed)
	}
	if revision == "none" {
		return fmt.Errorf("look: %w", providers.ErrNoRevision)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	base, _, _ := strings.Cut(f.url, "@")
	f.url = strings.TrimSuffix(base+"@"+revision, "@")
	return nil
}

func (f *fakeHistory) Revisions(ctx context.Context, q api.RevisionQuery) (api.Revisions, error) {
	if q.Find == "slow" {
		if _, bounded := ctx.Deadline(); !bounded {
			return api.Revisions{}, errors.New("it may take for ever")
		}
		return api.Revisions{}, context.DeadlineExceeded
	}
	return api.Revisions{Default: "main"}, nil
}

func historyWorld(t *testing.T, f *fakeHistory) *world {
	w := newWorld(t)
	w.opener.history = f
	w.start()
	w.add(api.AddDrive{URL: "fake:git", Remember: true})
	w.mount("git")
	return w
}

func to(revision string) api.EditDrive { return api.EditDrive{Revision: &revision} }

// While a drive is on its way to a revision, it says so, and nothing waits for it.
func TestTurning(t *testing.T) {
	f := &fakeHistory{began: make(chan struct{}, 9), wait: make(chan struct{})}
	w := historyWorld(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.m.Edit(ctx, "git", to("v1"))
		done <- err
	}()
	<-f.began
	d := w.until("git", func(d api.Drive) bool { return d.Shown.Turning != nil })
	if *d.Shown.Turning != "v1" || d.Shown.Revision != "" || d.State != api.Mounted {
		t.Errorf("on its way: %+v", d.Shown)
	}
	w.add(api.AddDrive{URL: "fake:other"}) // no lock is held
	auto := true
	if _, err := w.m.Edit(t.Context(), "git", api.EditDrive{Auto: &auto}); err != nil {
		t.Error(err)
	}
	cancel() // who asked goes away; what was begun goes on
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	close(f.wait)
	d = w.until("git", func(d api.Drive) bool { return d.Shown.Turning == nil })
	if d.Shown.Revision != "v1" || d.Shown.Commit != "id of v1" || d.Shown.Back == nil || *d.Shown.Back != "" || d.URL != "fake:git@v1" || !d.Auto {
		t.Errorf("arrived: %+v, %+v", d, d.Shown)
	}
	if st := w.stateOf("git"); st.URL != "fake:git@v1" {
		t.Errorf("the state says %s", st.URL)
	}
	if b, err := os.ReadFile(w.config); err != nil || !strings.Contains(string(b), "'fake:git@v1'") {
		t.Errorf("the config says %s, %v", b, err)
	}
}

// What there is can be told before the drive is mounted, or when it cannot be any more.
func TestRevisionsOfADriveThatIsNotMounted(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:git@gone", Remember: true})
	l, err := w.m.Revisions(t.Context(), "git", api.RevisionQuery{})
	if err != nil || l.Default != "default of fake:git@gone" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := os.Stat(l.Next); err == nil {
		t.Errorf("%s is left behind", l.Next)
	}
	w.opener.set(func(o *opener) { o.block = true })
	if _, err := w.m.Mount(t.Context(), "git", false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Edit(t.Context(), "git", to("v1")); code(err) != api.CodeMounted {
		t.Errorf("about to be mounted: %v", err)
	}
	w.add(api.AddDrive{URL: "fake:other"})
	if _, err := w.m.Revisions(t.Context(), "other", api.RevisionQuery{}); code(err) != api.CodeUnsupported {
		t.Errorf("a drive without a history: %v", err)
	}
}

func TestTurnFails(t *testing.T) {
	f := &fakeHistory{}
	w := historyWorld(t, f)
	if _, err := w.m.Edit(t.Context(), "git", to("none")); code(err) != api.CodeNoRevision {
		t.Errorf("no such revision: %v", err)
	}
	if _, err := w.m.Edit(t.Context(), "git", to("closed")); code(err) != api.CodeStopping {
		t.Errorf("unmounted meanwhile: %v", err)
	}
	if _, err := w.m.Revisions(t.Context(), "git", api.RevisionQuery{Find: "slow"}); code(err) != api.CodeTimeout {
		t.Errorf("a remote that is slow: %v", err)
	}
	// What cannot be written down is not shown either.
	if err := os.WriteFile(w.config, []byte("[[drive\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Edit(t.Context(), "git", to("v1")); code(err) != api.CodeConfig {
		t.Errorf("with a damaged config file: %v", err)
	}
	if d, err := w.m.Get("git"); err != nil || d.Shown.Revision != "" || f.URL() != "fake:git" || d.URL != "fake:git" {
		t.Errorf("after that: %+v, %+v, %v", d, d.Shown, err)
	}
	if st := w.stateOf("git"); st.URL != "fake:git" {
		t.Errorf("the state says %s", st.URL)
	}
}

// Ways there and back again.
func TestTurnBack(t *testing.T) {
	w := historyWorld(t, &fakeHistory{})
	id := strings.Repeat("ab", 20)
	for i, s := range []struct{ to, back string }{{"v1", "<>"}, {id, "<>"}, {"side", ""}, {id, "<side>"}, {"v1", "<side>"}, {"side", ""}, {"", ""}} {
		d, err := w.m.Edit(t.Context(), "git", to(s.to))
		if err != nil {
			t.Fatal(err)
		}
		back := ""
		if b := d.Shown.Back; b != nil {
			back = "<" + *b + ">"
		}
		if back != s.back || d.Shown.Revision != s.to {
			t.Errorf("%d, to %q: back is %q, want %q; shown is %q", i, s.to, back, s.back, d.Shown.Revision)
		}
	}
}

// Somebody who edits the revision in the config file keeps mount and cache.
func TestRevisionInConfig(t *testing.T) {
	w := historyWorld(t, &fakeHistory{})
	before := w.stateOf("git")
	w.leave()
	b, err := os.ReadFile(w.config)
	if err == nil {
		err = os.WriteFile(w.config, []byte(strings.ReplaceAll(string(b), "fake:git", "fake:git@v2")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	d := w.until("git", in(api.Mounted))
	after := w.stateOf("git")
	if d.URL != "fake:git@v2" || string(after.Key) != string(before.Key) || after.Port != before.Port || after.Mount == nil || *after.Mount != *before.Mount {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
}

func TestBeside(t *testing.T) {
	w := historyWorld(t, &fakeHistory{})
	if err := w.m.SetSecret(t.Context(), "git", "hush"); err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("ab", 20)
	for _, s := range []struct{ revision, name, url string }{
		{"v1.2", "git @ v1.2", "fake:git@v1.2"}, {"v1.2", "git @ v1.2-2", "fake:git@v1.2"}, {"", "git @ default", "fake:git"},
		{"feature/x:y", "git @ feature-x-y", "fake:git@feature/x:y"}, {id, "git @ ababababab", "fake:git@" + id},
		{strings.Repeat("long", 20), "git @ " + strings.Repeat("long", 20)[:58], "fake:git@" + strings.Repeat("long", 20)},
	} {
		d := w.add(api.AddDrive{Beside: "git", Revision: s.revision})
		if d.Name != s.name || d.URL != s.url || !d.ReadOnly || d.Shown == nil || d.Shown.Revision != s.revision {
			t.Errorf("%q: %+v, %+v", s.revision, d, d.Shown)
		}
		st := w.stateOf(d.Name)
		if got, err := w.secrets.Get(t.Context(), st.ID); err != nil || got != "hush" || !st.Secret {
			t.Errorf("%q: its secret is %q, %v", s.revision, got, err)
		}
	}
	if d := w.add(api.AddDrive{Beside: "git @ v1.2", Revision: "v2"}); d.Name != "git @ v2" {
		t.Errorf("beside one that is beside another: %q", d.Name)
	}
	for _, a := range []api.AddDrive{{Beside: "git", URL: "fake:x"}, {Beside: "git", Revision: "a b"}, {Beside: "none"}} {
		if d, err := w.m.Add(t.Context(), a); err == nil {
			t.Errorf("%+v made %+v", a, d)
		}
	}
}

// A service that ends does not wait for a remote.
func TestTurningAtTheEnd(t *testing.T) {
	f := &fakeHistory{began: make(chan struct{}, 9), wait: make(chan struct{})}
	w := historyWorld(t, f)
	done := make(chan error, 1)
	go func() {
		_, err := w.m.Edit(context.Background(), "git", to("v1"))
		done <- err
	}()
	<-f.began
	began := time.Now()
	w.leave()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := <-done; err == nil {
		t.Error("it arrived")
	}
	if st := w.stateOf("git"); st.URL != "fake:git" {
		t.Errorf("the state says %s", st.URL)
	}
}

var _ mounts.Reviser = (*fakeHistory)(nil)
