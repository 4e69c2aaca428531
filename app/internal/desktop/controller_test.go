package desktop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// remote is a service in this process. Its streams tell what tell is given.
type remote struct {
	mu      sync.Mutex
	running bool
	drives  []api.Drive
	pins    []api.Pin
	uploads []api.Upload // nil: one that waits
	calls   []string
	starts  int
	startup error
	fail    error
	streams []*stream
}

type stream struct {
	events chan api.Event
	broken chan struct{}
	closed chan struct{}
}

func (s *stream) Next(ctx context.Context) (api.Event, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-s.broken:
		return api.Event{}, client.ErrNoService
	case <-ctx.Done():
		return api.Event{}, ctx.Err()
	}
}

func (s *stream) Close() { close(s.closed) }

func (r *remote) subscribe(context.Context) (Stream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running {
		return nil, client.ErrNoService
	}
	s := &stream{make(chan api.Event, 100), make(chan struct{}), make(chan struct{})}
	for _, d := range r.drives {
		s.events <- api.Event{Kind: api.DriveChanged, Drive: &d}
	}
	s.events <- api.Event{Kind: api.Ready}
	r.streams = append(r.streams, s)
	return s, nil
}

func (r *remote) start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts++
	r.running = r.startup == nil
	return r.startup
}

// set makes d one of the drives and tells it.
func (r *remote) set(d api.Drive) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drives = slices.DeleteFunc(r.drives, func(o api.Drive) bool { return o.Name == d.Name })
	r.drives = append(r.drives, d)
	for _, s := range r.streams {
		s.events <- api.Event{Kind: api.DriveChanged, Drive: &d}
	}
}

// die ends the service as kill -9 does.
func (r *remote) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
	for _, s := range r.streams {
		close(s.broken)
	}
	r.streams = nil
}

func (r *remote) call(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
	return r.fail
}

func (r *remote) Add(_ context.Context, a api.AddDrive) (api.Drive, error) {
	err := r.call("add %s secret=%s", a.URL, a.Secret)
	if err != nil {
		return api.Drive{}, err
	}
	d := api.Drive{Name: "added", URL: a.URL, State: api.Stopped}
	r.set(d)
	return d, nil
}

func (r *remote) Edit(_ context.Context, name string, e api.EditDrive) (api.Drive, error) {
	switch {
	case e.Auto != nil:
		return api.Drive{}, r.call("edit %s auto=%v", name, *e.Auto)
	case e.ReadOnly != nil:
		return api.Drive{}, r.call("edit %s read-only=%v", name, *e.ReadOnly)
	case e.Revision != nil:
		return api.Drive{Name: name}, r.call("edit %s revision=%q", name, *e.Revision)
	}
	return api.Drive{Name: *e.Name}, r.call("edit %s name=%s", name, *e.Name)
}

// Drive gives the drive with one upload and what is pinned.
func (r *remote) Drive(_ context.Context, name string) (api.Drive, error) {
	err := r.call("drive %s", name)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.drives {
		if d.Name == name {
			d.Uploads = []api.Upload{{Path: "a.txt", State: api.UploadSaved, Total: 7}}
			if r.uploads != nil {
				d.Uploads = r.uploads
			}
			d.Pins = r.pins
			return d, err
		}
	}
	return api.Drive{}, errors.Join(err, &api.Error{Problem: api.Problem{Code: api.CodeNoDrive}})
}

func (r *remote) Pin(_ context.Context, name, at string) (api.Pin, error) {
	r.mu.Lock()
	r.pins = []api.Pin{{Path: at, State: api.PinKept, Here: 5}}
	r.mu.Unlock()
	return api.Pin{}, r.call("pin %s %q", name, at)
}

func (r *remote) Unpin(_ context.Context, name, at string) error {
	r.mu.Lock()
	r.pins = nil
	r.mu.Unlock()
	return r.call("unpin %s %q", name, at)
}

func (r *remote) Sync(_ context.Context, name string, wait bool) (api.Synced, error) {
	return api.Synced{}, r.call("sync %s wait=%v", name, wait)
}

func (r *remote) Revisions(_ context.Context, name string, q api.RevisionQuery) (api.Revisions, error) {
	return api.Revisions{Default: "of " + name, Next: q.Find}, r.call("revisions %s", name)
}

func (r *remote) Remove(_ context.Context, name string) error { return r.call("remove %s", name) }

func (r *remote) Mount(_ context.Context, name string, wait bool) (api.Drive, error) {
	return api.Drive{}, r.call("mount %s wait=%v", name, wait)
}

func (r *remote) Unmount(_ context.Context, name string, u api.UnmountDrive) (api.Drive, error) {
	return api.Drive{}, r.call("unmount %s force=%v", name, u.Force)
}

func (r *remote) SetSecret(_ context.Context, name, secret string) error {
	return r.call("secret %s %s", name, secret)
}

func (r *remote) called(want string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.calls, want)
}

type rig struct {
	*Controller
	t      *testing.T
	remote *remote
	opened chan string
	browse error
	logins *logins
}

func newRig(t *testing.T, r *remote, backoff Backoff, with ...func(*Options)) *rig {
	t.Helper()
	texts, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, remote: r, opened: make(chan string, 1), logins: &logins{}}
	o := Options{
		Service: r, Details: r, Revisions: r, Doctor: r, Login: g.logins, Setup: r, Secrets: r, Local: here, Version: "v1.2.3", Subscribe: r.subscribe, Start: r.start, Texts: texts, Backoff: backoff,
		Browse: func(_ context.Context, folder string) error {
			g.opened <- folder
			return g.browse
		},
	}
	for _, f := range with {
		f(&o)
	}
	g.Controller = New(o)
	t.Cleanup(g.Close)
	return g
}

// until waits for a view of which ok holds, as a window would.
func (g *rig) until(what string, ok func(model.View) bool) model.View {
	g.t.Helper()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	for {
		if v := g.View(); ok(v) {
			return v
		}
		select {
		case <-g.Changes():
		case <-timer.C:
			g.t.Fatalf("no view in 10 seconds: %s; it is %+v", what, g.View())
		}
	}
}

func up(v model.View) bool { return v.Banner.What == "" }

func row(v model.View, name string) model.Row {
	for _, r := range v.Rows {
		if r.Name == name {
			return r
		}
	}
	return model.Row{}
}

func TestFollowsTheService(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Stopped}}}
	g := newRig(t, r, Backoff{})
	g.until("one drive", func(v model.View) bool { return up(v) && len(v.Rows) == 1 })
	r.set(api.Drive{Name: "a", State: api.Mounted})
	g.until("mounted", func(v model.View) bool { return row(v, "a").Primary.Verb == model.Open })
	if r.starts != 0 {
		t.Error("a service that runs was started")
	}
}

func TestStartsTheServiceOnceAndFollows(t *testing.T) {
	r := &remote{drives: []api.Drive{{Name: "a"}}}
	g := newRig(t, r, Backoff{})
	g.until("one drive", func(v model.View) bool { return up(v) && len(v.Rows) == 1 })
	if r.starts != 1 {
		t.Errorf("started %d times", r.starts)
	}
}

func TestComesBackAfterTheServiceDied(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a"}}}
	g := newRig(t, r, Backoff{First: time.Millisecond, Most: time.Millisecond})
	g.until("up", up)
	first := r.streams[0]
	r.die()
	g.until("up again", func(v model.View) bool { return r.startsBy() > 0 && up(v) && len(v.Rows) == 1 })
	select {
	case <-first.closed:
	default:
		t.Error("the broken stream was left open")
	}
}

// fails makes the service fail to start with err, or not.
func (r *remote) fails(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startup = err
}

func (r *remote) startsBy() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starts
}

func TestSaysWhyTheServiceDoesNotStartAndTriesAgainWhenTold(t *testing.T) {
	r := &remote{startup: client.ErrNoMooraged}
	g := newRig(t, r, Backoff{First: time.Hour, Most: time.Hour})
	v := g.until("the trouble", func(v model.View) bool { return v.Banner.Tone == model.Bad })
	missing := model.Notice{
		What: "The Moorage service could not be started.", Means: "Without it no drive can be mounted.",
		Do:   "Install Moorage again, or put the program mooraged beside this one.",
		Tone: model.Bad, Action: model.Action{Verb: model.Reconnect, Label: "Try now"},
		Other: model.Action{Verb: model.Examine, Label: "Find out why…"},
	}
	if v.Banner != missing {
		t.Errorf("banner %+v, want %+v", v.Banner, missing)
	}
	r.fails(errors.New("config.toml: line 3 is not TOML.\n"))
	g.Do(model.Reconnect, "")
	g.until("what the service said", func(v model.View) bool {
		return v.Banner.Means == "Without it no drive can be mounted. What it said: config.toml: line 3 is not TOML."
	})
	r.fails(nil)
	g.Do(model.Reconnect, "")
	g.until("up", up)
}

func TestBackoffGrowsToItsBoundAndNeverWaitsNothing(t *testing.T) {
	for _, c := range []struct {
		rand float64
		try  int
		want time.Duration
	}{
		{0, 0, 500 * time.Millisecond}, {0, 1, time.Second}, {0, 6, 30 * time.Second}, {0, 1000, 30 * time.Second},
		{0.999999, 0, 250 * time.Millisecond}, {0.999999, 100, 15 * time.Second},
	} {
		b := Backoff{Rand: func() float64 { return c.rand }}.orDefault()
		if got := b.wait(c.try).Round(time.Millisecond); got != c.want {
			t.Errorf("try %d at %v: %v, want %v", c.try, c.rand, got, c.want)
		}
	}
}

func TestVerbsReachTheService(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{
		{Name: "a", State: api.Mounted, Dir: "/m/a"}, {Name: "b", State: api.Stopped}, {Name: "c", State: api.Connecting},
	}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	for verb, want := range map[model.Verb]string{
		model.Mount: "mount b wait=false", model.Unmount: "unmount b force=false", model.Force: "unmount b force=true",
		model.Remove: "remove b", model.Auto: "edit b auto=true",
	} {
		g.Do(verb, "b")
		g.until(want, func(model.View) bool { return r.called(want) })
	}
	g.Do(model.UnmountAll, "")
	g.until("all unmounted", func(model.View) bool {
		return r.called("unmount a force=false") && r.called("unmount c force=false")
	})
	g.Do(model.Open, "a")
	if folder := <-g.opened; folder != "/m/a" {
		t.Errorf("opened %s", folder)
	}
}

func TestRefusalsAreShown(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Mounted, Dir: "/m/a"}, {Name: "b", State: api.Stopped}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	for _, c := range []struct {
		err  error
		what string
	}{
		{&api.Error{Problem: api.Problem{Code: api.CodeBusy, What: "Files are open.", Do: "Close them."}}, "Files are open."},
		{fmt.Errorf("ask the service: %w", context.DeadlineExceeded), "The service did not answer in time."},
		{client.ErrNoService, "The Moorage service does not answer."},
		{errors.New("strange"), "The service could not be asked: strange."},
	} {
		r.mu.Lock()
		r.fail = c.err
		r.mu.Unlock()
		g.Do(model.Unmount, "a")
		v := g.until(c.what, func(v model.View) bool { return row(v, "a").Notice.What == c.what })
		want := model.Dismiss
		if e := (*api.Error)(nil); errors.As(c.err, &e) {
			want = model.Force // the files are open
		}
		if n := row(v, "a").Notice; n.Do == "" || n.Action.Verb != want {
			t.Errorf("notice %+v", n)
		}
		g.Do(model.Dismiss, "a")
		g.until("dismissed", func(v model.View) bool { return row(v, "a").Notice.What == "" })
	}
	g.browse = errors.New("no file manager")
	g.Do(model.Open, "a")
	<-g.opened
	g.until("no file manager", func(v model.View) bool {
		return row(v, "a").Notice.Do == "Open /m/a in a file manager of your choice."
	})
	g.Do(model.Open, "b")
	g.until("nothing to open", func(v model.View) bool { return row(v, "b").Notice.What != "" })
}

func TestAddMountsTheDrive(t *testing.T) {
	r := &remote{running: true}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	done := make(chan *api.Problem, 1)
	g.Add(api.AddDrive{URL: "https://example.org/r.git", Secret: "hush"}, func(p *api.Problem) { done <- p })
	if p := <-done; p != nil {
		t.Fatalf("refused: %+v", p)
	}
	g.until("mounted", func(v model.View) bool {
		return r.called("add https://example.org/r.git secret=hush") && r.called("mount added wait=false")
	})
	r.mu.Lock()
	r.fail = &api.Error{Problem: api.Problem{What: "That is no address."}}
	r.mu.Unlock()
	g.Add(api.AddDrive{URL: "x"}, func(p *api.Problem) { done <- p })
	if p := <-done; p == nil || p.What != "That is no address." {
		t.Errorf("answer %+v", p)
	}
}

func TestSecretIsStoredAndTheDriveTriedAgain(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.NeedsYou}, {Name: "b", State: api.Mounted}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	for _, name := range []string{"b", "a"} {
		done := make(chan *api.Problem, 1)
		g.SetSecret(name, "hush", func(p *api.Problem) { done <- p })
		if p := <-done; p != nil {
			t.Fatalf("refused: %+v", p)
		}
	}
	g.until("mounting", func(model.View) bool { return r.called("secret a hush") && r.called("mount a wait=false") })
	if r.called("mount b wait=false") {
		t.Error("a mounted drive was mounted again")
	}
}

func TestNothingIsDoneAfterClose(t *testing.T) {
	r := &remote{running: true}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Close()
	g.Do(model.Mount, "a")
	g.Add(api.AddDrive{}, func(*api.Problem) { t.Error("answered after Close") })
	g.Close()
	if len(r.calls) > 0 {
		t.Errorf("called %q", r.calls)
	}
}

func TestBrowseStartsAFileManagerOnlyForAbsolutePaths(t *testing.T) {
	if err := Browse(t.Context(), "-rf"); !errors.Is(err, ErrNotAbsolute) {
		t.Errorf("error %v", err)
	}
}
