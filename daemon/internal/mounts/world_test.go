package mounts_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/events"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/mounts/mountstest"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers"
)

// world is a home with a service's drives in it.
type world struct {
	t       *testing.T
	dir     string
	m       *mounts.Manager
	mounter *mountstest.Mounter
	holder  *holder // of listeners; nil: drives listen by themselves
	keep    mounts.Keeper
	opener  *opener
	secrets *keyring
	hub     *events.Hub
	config  string
	look    func(ctx context.Context, dir string) error
	every   time.Duration // LookEvery
	network chan struct{} // a value: the addresses have changed
	state   *state.Store
	log     slog.Handler         // nil: shown when the test fails
	peer    func(net.Conn) error // nil: the tests are the kernel
}

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	w := &world{t: t, dir: dir, mounter: &mountstest.Mounter{Path: filepath.Join(dir, "table")},
		network: make(chan struct{}), opener: &opener{}, secrets: &keyring{}, config: filepath.Join(dir, "config.toml")}
	w.mounter.OnMount = mnt
	return w
}

// start begins a service in w, as after a boot or a crash.
func (w *world) start() {
	w.t.Helper()
	st, err := state.Open(filepath.Join(w.dir, "state"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.state, w.hub = st, new(events.Hub)
	var mnt mounts.Mounter = w.mounter
	if w.holder != nil {
		mnt = w.holder
	}
	if w.log == nil {
		w.log = slog.NewTextHandler(logTo{w.t}, nil)
	}
	if w.peer == nil {
		w.peer = func(net.Conn) error { return nil }
	}
	m := mounts.New(mounts.Options{
		Opener: w.opener, Mounter: mnt, Secrets: w.secrets, Config: config.New(w.config), State: st,
		CacheDir: filepath.Join(w.dir, "cache"), MountsDir: filepath.Join(w.dir, "Moorage"), Events: w.hub,
		Logger: slog.New(w.log), Clock: time.Now, Rand: rand.Reader, CheckPeer: w.peer,
		Watch: w.mounter.Watch, Retry: 10 * time.Millisecond, Measure: 10 * time.Millisecond,
		Look: w.look, LookEvery: w.every, Network: w.watchNetwork, Keep: w.keep,
	})
	w.m = m
	if err := m.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.close(m) })
}

func (w *world) watchNetwork(ctx context.Context, changed func()) error {
	for {
		select {
		case <-w.network:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}

// leave ends the service; its mounts stay.
func (w *world) leave() { w.close(w.m) }

func (w *world) close(m *mounts.Manager) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		w.t.Errorf("Close: %v", err)
	}
}

func (w *world) add(a api.AddDrive) api.Drive {
	w.t.Helper()
	d, err := w.m.Add(w.t.Context(), a)
	if err != nil {
		w.t.Fatalf("Add(%+v): %v", a, err)
	}
	return d
}

func (w *world) mount(name string) api.Drive {
	w.t.Helper()
	d, err := w.m.Mount(w.t.Context(), name, true)
	if err != nil {
		w.t.Fatalf("Mount(%s): %v", name, err)
	}
	return d
}

// until waits for drive name to be as ok says.
func (w *world) until(name string, ok func(api.Drive) bool) api.Drive {
	w.t.Helper()
	s := w.hub.Subscribe()
	defer s.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	var last api.Drive
	for {
		e, err := s.Next(ctx)
		if err != nil {
			w.t.Fatalf("waiting for %s: %v; it was last %+v", name, err, last)
		}
		if e.Drive == nil || e.Drive.Name != name || e.Kind != api.DriveChanged {
			continue
		}
		if last = *e.Drive; ok(last) {
			return last
		}
	}
}

// untilGone waits until there is no drive name any more.
func (w *world) untilGone(name string) {
	w.t.Helper()
	s := w.hub.Subscribe()
	defer s.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, err := w.m.Get(name); code(err) == api.CodeNoDrive {
			return
		}
		if _, err := s.Next(ctx); err != nil {
			w.t.Fatalf("waiting for %s to go: %v", name, err)
		}
	}
}

func in(s api.State) func(api.Drive) bool { return func(d api.Drive) bool { return d.State == s } }

func (w *world) table() []mounter.Mount {
	w.t.Helper()
	l, err := w.mounter.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// stateOf returns the only drive's state file.
func (w *world) stateOf(name string) state.Drive {
	w.t.Helper()
	ids, err := w.state.IDs()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, id := range ids {
		if d, err := w.state.Load(id); err == nil && d.Name == name {
			return d
		}
	}
	w.t.Fatalf("no state of %s", name)
	return state.Drive{}
}

// nothingLeft makes sure that no trace of any drive is left.
func (w *world) nothingLeft() {
	w.t.Helper()
	if ids, err := w.state.IDs(); err != nil || len(ids) > 0 {
		w.t.Errorf("state is left: %v, %v", ids, err)
	}
	for _, d := range []string{"Moorage", "cache"} {
		if l, err := os.ReadDir(filepath.Join(w.dir, d)); err == nil && len(l) > 0 {
			w.t.Errorf("in %s are left: %v", d, l)
		}
	}
	if t := w.table(); len(t) > 0 {
		w.t.Errorf("mounts are left: %v", t)
	}
	if n := w.secrets.len(); n > 0 {
		w.t.Errorf("%d secrets are left", n)
	}
	if n := w.opener.open(); n > 0 {
		w.t.Errorf("%d file systems are left open", n)
	}
}

func code(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Problem.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// mnt is the MNT call of a kernel that mounts.
func mnt(ctx context.Context, s mounter.Spec) error {
	c, err := nfstest.Dial(ctx, net.JoinHostPort(s.Address, fmt.Sprint(s.Port)), nfstest.Auth{})
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Mnt(ctx, s.Export)
	if err != nil {
		return err
	}
	if r.Status != 0 {
		return &mounter.Error{Op: "mount", Dir: s.Dir, Kind: mounter.ErrRefused, What: "The server refused."}
	}
	return nil
}

// opener opens drives "fake:NAME": file systems in memory that live as long as
// the opener, as a remote outlives the service.
type opener struct {
	mu      sync.Mutex
	fs      map[string]*memfs.FS
	opens   int
	fail    func(r mounts.Request) error // of Open; nil: none
	block   bool                         // Open waits for its context
	well    func() mounts.Health
	pins    mounts.Pinner
	waves   chan struct{}
	moved   func()       // Source.NetworkChanged
	history *fakeHistory // of drives "git…"
	keeps   bool         // drives keep what they are told in a journal, see journal
}

func (o *opener) Parse(raw string) (mounts.Location, error) {
	rest, ok := strings.CutPrefix(raw, "fake:")
	if !ok {
		return mounts.Location{}, fmt.Errorf("%w: %q", providers.ErrURL, "it")
	}
	name, secret, _ := strings.Cut(rest, "?secret=")
	base, revision, _ := strings.Cut(name, "@")
	loc := mounts.Location{URL: "fake:" + name, Kind: "fake", Name: base, Secret: secret}
	if strings.HasPrefix(name, "git") {
		loc.History, loc.Revision, loc.Remote = true, revision, "fake:"+base
	}
	return loc, nil
}

// At makes "fake:NAME@REVISION".
func (o *opener) At(url, revision string) (mounts.Location, error) {
	if strings.ContainsAny(revision, " \n") {
		return mounts.Location{}, fmt.Errorf("%w: %q", providers.ErrURL, revision)
	}
	base, _, _ := strings.Cut(url, "@")
	if revision != "" {
		base += "@" + revision
	}
	return o.Parse(base)
}

func (o *opener) Revisions(_ context.Context, r mounts.Request, _ api.RevisionQuery) (api.Revisions, error) {
	if _, err := os.Stat(r.CacheDir); err != nil {
		return api.Revisions{}, err
	}
	return api.Revisions{Default: "default of " + r.URL, Next: r.CacheDir}, nil
}

func (o *opener) Open(ctx context.Context, r mounts.Request) (*mounts.Source, error) {
	o.mu.Lock()
	fail, block, well, waves := o.fail, o.block, o.well, o.waves
	o.mu.Unlock()
	if fail != nil {
		if err := fail(r); err != nil {
			return nil, err
		}
	}
	if block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := os.MkdirAll(r.CacheDir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(r.CacheDir, "block"), make([]byte, 1<<16), 0o600); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fs == nil {
		o.fs = make(map[string]*memfs.FS)
	}
	if o.fs[r.URL] == nil {
		o.fs[r.URL] = memfs.New(memfs.Options{UID: r.UID, GID: r.GID, Mode: 0o700})
	}
	o.opens++
	src := &mounts.Source{FS: o.fs[r.URL], Health: well, Changes: waves, Close: func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.opens--
		return nil
	}}
	src.Pinner, src.NetworkChanged = o.pins, o.moved
	if o.history != nil && strings.HasPrefix(r.URL, "fake:git") {
		h := o.history
		h.mu.Lock()
		h.url = r.URL
		h.mu.Unlock()
		src.Reviser = h
		src.Health = func() mounts.Health {
			s := h.Shown()
			return mounts.Health{Online: true, Shown: &s}
		}
	}
	if o.keeps {
		journal{r.StateDir}.serve(src)
	}
	return src, nil
}

func (o *opener) Unpublished(stateDir string, most int) (mounts.Unpublished, error) {
	l, err := journal{stateDir}.read()
	return mounts.Unpublished{Uploads: l[:min(len(l), most)], Count: len(l), Bytes: int64(len(l))}, err
}

func (o *opener) open() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.opens
}

func (o *opener) set(f func(*opener)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

// keyring is a keyring that works, or does not.
type keyring struct {
	onSet func() // called after a secret was stored; nil: nothing

	asked chan struct{} // gets something at each Get; nil: nothing

	mu  sync.Mutex
	m   map[string]string
	err error
}

func (k *keyring) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *keyring) Get(ctx context.Context, id string) (string, error) {
	if k.asked != nil {
		select {
		case k.asked <- struct{}{}:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.m[id]; ok {
		return s, k.err
	}
	return "", secrets.ErrNotFound
}

func (k *keyring) Set(_ context.Context, id, s string) error {
	if k.onSet != nil {
		defer k.onSet()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	if k.m == nil {
		k.m = make(map[string]string)
	}
	k.m[id] = s
	return nil
}

func (k *keyring) Delete(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, id)
	return k.err
}

func (k *keyring) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.m)
}

// logTo shows the service's log when a test fails.
type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
