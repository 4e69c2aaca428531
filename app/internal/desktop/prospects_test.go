package desktop

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// knows are the prospects of one address, "mem:"; another one hangs.
type knows struct {
	away  bool
	ended chan struct{} // a Try that hung was called off
}

func (k *knows) Describe(_ context.Context, d api.Describe) (api.Description, error) {
	if k.away {
		return api.Description{}, client.ErrNoService
	}
	return api.Description{URL: d.URL, Kind: "mem", Name: "mem", Dir: filepath.Join(string(filepath.Separator), "m", "mem")}, nil
}

func (k *knows) Try(ctx context.Context, t api.Try) (api.Tried, error) {
	if t.URL != "mem:" {
		<-ctx.Done()
		close(k.ended)
		return api.Tried{}, ctx.Err()
	}
	return api.Tried{Files: 2, Writable: true}, nil
}

func (k *knows) Found(context.Context) ([]api.Found, error) {
	if k.away {
		return nil, client.ErrNoService
	}
	return []api.Found{{Kind: "git", Name: "r", URL: "git+https://h/r.git", From: "/x/r/.git/config"}}, nil
}

// answer waits for what done is called with.
func answer[T any](t *testing.T, ask func(done func(T)) (cancel func())) T {
	t.Helper()
	got := make(chan T, 1)
	defer ask(func(v T) { got <- v })()
	select {
	case v := <-got:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("no answer")
	}
	panic("not reached")
}

func TestProspects(t *testing.T) {
	k := &knows{ended: make(chan struct{})}
	g := newRig(t, &remote{running: true}, Backoff{}, func(o *Options) { o.Prospects = k })
	p := answer(t, func(done func(model.Prospect)) func() { return g.Describe(api.Describe{URL: "mem:"}, done) })
	if p.Text != "Drive in memory" || p.URL != "mem:" || p.Place("x") != filepath.Join(string(filepath.Separator), "m", "x") {
		t.Errorf("%+v", p)
	}
	if a := answer(t, func(done func(model.Tried)) func() { return g.Try(api.Try{URL: "mem:"}, done) }); a.Summary != "2 files" || a.Problem != nil {
		t.Errorf("%+v", a)
	}
	if f := answer(t, g.Found); len(f) != 1 || f[0].Title != "r" {
		t.Errorf("%+v", f)
	}
	k.away = true
	if p := answer(t, func(done func(model.Prospect)) func() { return g.Describe(api.Describe{URL: "mem:"}, done) }); p.Problem == nil || p.URL != "" {
		t.Errorf("without a service: %+v", p)
	}
	if f := answer(t, g.Found); len(f) != 0 {
		t.Errorf("without a service: %+v", f)
	}
}

func TestTryIsCalledOff(t *testing.T) {
	k := &knows{ended: make(chan struct{})}
	g := newRig(t, &remote{running: true}, Backoff{}, func(o *Options) { o.Prospects = k })
	g.Try(api.Try{URL: "hangs"}, func(model.Tried) { t.Error("answered although nobody waits") })()
	select {
	case <-k.ended:
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
	g.Close() // waits for what would answer
}

func TestDropped(t *testing.T) {
	g := newRig(t, &remote{running: true}, Backoff{})
	dir := t.TempDir()
	link, other := filepath.Join(dir, "link.url"), filepath.Join(dir, "text.txt")
	for path, text := range map[string]string{link: "[InternetShortcut]\r\nURL=https://example.org/r.git\r\n", other: "https://example.org/r.git"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{[]string{dir}, dir}, {[]string{link}, "https://example.org/r.git"}, {[]string{other}, ""}, {[]string{filepath.Join(dir, "none"), other, link, dir}, "https://example.org/r.git"},
	} {
		if got := answer(t, func(done func(string)) func() { return g.Dropped(c.paths, done) }); got != c.want {
			t.Errorf("%v: %q, want %q", c.paths, got, c.want)
		}
	}
}

// The app shows the person's home as "~", so that she may write it like that.
func TestHomeInPlaces(t *testing.T) {
	home := t.TempDir()
	g := newRig(t, &remote{running: true}, Backoff{}, func(o *Options) { o.Home = home })
	for dir, want := range map[string]string{"~/x/y": filepath.Join(home, "x", "y"), "~": home, "~ann/x": "~ann/x", "/x/~": "/x/~", "": "", "Z:": "Z:"} {
		if got := g.expand(dir); got != want {
			t.Errorf("%q is %q, want %q", dir, got, want)
		}
	}
}
