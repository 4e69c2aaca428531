//go:build unix

package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// open is the bucket's URL without a login, which the environment of programs has.
func (b *bucket) open() string {
	b.t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKeyID)
	b.t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretAccessKey)
	return "s3://" + b.name + "?endpoint=" + url.QueryEscape(b.srv.Endpoint)
}

// While transfers are paused, what is saved is safe here, a sync says why it does not
// wait, and the pause outlives a service that was killed.
func TestPauseOutlivesTheService(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	address := b.open()
	p := h.service()
	ctx := t.Context()
	d := h.mount(api.AddDrive{URL: address, Name: "b", Remember: true})
	c := kernel(t, d.Address)
	save(t, c, h.root(), "before", "1")
	b.arrives("before", "1")

	s, err := h.client.Pause(ctx, time.Time{})
	if err != nil || s.Paused == nil || !s.Paused.Until.IsZero() {
		t.Fatalf("Pause: %+v, %v", s, err)
	}
	file := save(t, c, h.root(), "while", "it was paused")
	for _, wait := range []bool{false, true} {
		if _, err := h.client.Sync(ctx, "b", wait); code(err) != api.CodePaused {
			t.Errorf("Sync(wait %v): %v", wait, err)
		}
	}
	if d, err := h.client.Drive(ctx, "b"); err != nil || d.State != api.Mounted || d.Pending.Files != 1 {
		t.Errorf("the drive is %+v, %v", d, err)
	}
	p.end(syscall.SIGKILL)

	h.service()
	if s, err := h.client.Service(ctx); err != nil || s.Paused == nil {
		t.Errorf("after a kill: %+v, %v", s, err)
	}
	d = h.drive("b", func(d api.Drive) bool { return d.State == api.Mounted && d.Pending.Files == 1 })
	c = kernel(t, d.Address)
	got, err := c.Read(ctx, file, 0, 100)
	if err != nil || got.Status != 0 || string(got.Data) != "it was paused" {
		t.Errorf("READ: %v, %q, %v", got.Status, got.Data, err)
	}
	if _, err := h.client.Sync(ctx, "b", true); code(err) != api.CodePaused {
		t.Errorf("Sync: %v", err)
	}
	if got := b.object("while"); got != "" {
		t.Errorf("the remote has %q during the pause", got)
	}
	if s, err := h.client.Resume(ctx); err != nil || s.Paused != nil {
		t.Errorf("Resume: %+v, %v", s, err)
	}
	b.arrives("while", "it was paused")
	if s, err := h.client.Resume(ctx); err != nil || s.Paused != nil {
		t.Errorf("Resume again: %+v, %v", s, err)
	}
}

// A pause that has a time ends by itself, and everybody who watches is told.
func TestPauseEnds(t *testing.T) {
	h := newHome(t)
	h.service()
	ctx := t.Context()
	if _, err := h.client.Pause(ctx, time.Now().Add(-time.Minute)); code(err) != api.CodeBadRequest {
		t.Errorf("Pause until a minute ago: %v", err)
	}
	stream, err := h.client.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	// A pause that is shorter than the way to the service would be refused.
	if _, err := h.client.Pause(ctx, time.Now().Add(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	was := false
	for {
		e, err := stream.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != api.ServiceChanged {
			continue
		}
		if was && e.Service.Paused == nil {
			return
		}
		was = was || e.Service.Paused != nil
	}
}

func TestSettings(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	h.service()
	ctx := t.Context()
	s, err := h.client.Settings(ctx)
	if err != nil || s.CacheDir != s.CacheDefault || s.CacheLimit != 10<<30 || s.Proxy != api.ProxySystem || s.UploadLimit != 0 || s.MountDir != filepath.Join(h.dir, "Moorage") {
		t.Fatalf("by default: %+v, %v", s, err)
	}
	d := h.mount(api.AddDrive{URL: b.url(), Name: "b", Remember: true})
	place, limit, mounts := filepath.Join(h.dir, "large", "cache"), int64(100<<20), filepath.Join(h.dir, "drives")
	s, err = h.client.EditSettings(ctx, api.EditSettings{CacheDir: &place, CacheLimit: &limit, MountDir: &mounts})
	if err != nil || s.CacheDir != place || s.CacheLimit != limit || s.MountDir != mounts || len(s.CacheLater) != 1 || s.CacheLater[0] != "b" {
		t.Fatalf("EditSettings: %+v, %v", s, err)
	}
	h.drive("b", func(d api.Drive) bool { return d.Cache.Limit == limit })
	old := filepath.Join(s.CacheDefault)
	if l, err := os.ReadDir(old); err != nil || len(l) != 1 {
		t.Fatalf("the old place has %v, %v", l, err)
	}
	if now, err := h.client.Drive(ctx, "b"); err != nil || now.Dir != d.Dir {
		t.Errorf("a mounted drive has moved from %s to %s, %v", d.Dir, now.Dir, err)
	}
	if _, err := h.client.Unmount(ctx, "b", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if d, err = h.client.Mount(ctx, "b", true); err != nil || d.Dir != filepath.Join(mounts, "b") {
		t.Fatalf("mounted again: %+v, %v", d, err)
	}
	if l, err := os.ReadDir(place); err != nil || len(l) != 1 {
		t.Errorf("the new place has %v, %v", l, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		l, err := os.ReadDir(old)
		if err != nil || len(l) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the old place still has %v", l)
		}
	}
	if s, err := h.client.Settings(ctx); err != nil || s.CacheLater != nil {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, ".config", "moorage", "config.toml"))
	if err != nil || !strings.Contains(string(text), "cache_limit = 104857600") {
		t.Errorf("the config file is %q, %v", text, err)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	h := newHome(t)
	h.service()
	ctx := t.Context()
	full := filepath.Join(h.dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := h.mount(api.AddDrive{URL: "mem:", Name: "m"})
	before, err := h.client.Settings(ctx)
	if err != nil {
		t.Fatal(err)
	}
	within := filepath.Join(d.Dir, "cache")
	relative, proxy, small := "cache", "http://ann:hunter2@p.example", int64(5)
	for name, tt := range map[string]struct {
		e    api.EditSettings
		code string
	}{
		"not empty":       {api.EditSettings{CacheDir: &full}, api.CodeDirNotEmpty},
		"a file":          {api.EditSettings{CacheDir: &file}, api.CodeDirNotDir},
		"on a drive":      {api.EditSettings{CacheDir: &within}, api.CodeDirMounted},
		"mounts on drive": {api.EditSettings{MountDir: &within}, api.CodeDirMounted},
		"relative":        {api.EditSettings{CacheDir: &relative}, api.CodeBadDir},
		"password":        {api.EditSettings{Proxy: &proxy}, api.CodeBadSetting},
		"limit":           {api.EditSettings{UploadLimit: &small}, api.CodeBadSetting},
	} {
		_, err := h.client.EditSettings(ctx, tt.e)
		if code(err) != tt.code || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
	if after, err := h.client.Settings(ctx); err != nil || after.CacheDir != before.CacheDir || after.Proxy != before.Proxy || after.UploadLimit != 0 {
		t.Errorf("after refusals: %+v, %v", after, err)
	}
}

// A limit is kept by what drives send, and can be changed while they do.
func TestUploadLimit(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	h.service()
	ctx := t.Context()
	d := h.mount(api.AddDrive{URL: b.url(), Name: "b"})
	limit := int64(64 << 10)
	if _, err := h.client.EditSettings(ctx, api.EditSettings{UploadLimit: &limit}); err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("slowly ", 192<<10/7)
	began := time.Now()
	save(t, kernel(t, d.Address), h.root(), "large", content)
	b.arrives("large", content)
	if took := time.Since(began); took < 2*time.Second { // three by the limit
		t.Errorf("192 KiB at 64 KiB a second took %v", took)
	}
}

// proxyServer is a proxy for http that counts.
type proxyServer struct {
	*httptest.Server
	mu    sync.Mutex
	asked int
}

func newProxy(t *testing.T) *proxyServer {
	p := &proxyServer{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked++
		p.mu.Unlock()
		http.Error(w, "no", http.StatusBadGateway)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxyServer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Drives go through the proxy that is set, at once and also where the environment has
// another one, but not to this computer.
func TestProxySetting(t *testing.T) {
	h, env, set := newHome(t), newProxy(t), newProxy(t)
	t.Setenv("HTTP_PROXY", env.URL)
	t.Setenv("http_proxy", "")
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	h.service()
	ctx := t.Context()
	try := func() {
		t.Helper()
		if _, err := h.client.Mount(ctx, "r", true); err == nil {
			t.Fatal("a repository that nobody has was mounted")
		}
	}
	if _, err := h.client.Add(ctx, api.AddDrive{URL: "http://nowhere.invalid/r.git", Name: "r"}); err != nil {
		t.Fatal(err)
	}
	try()
	if env.count() == 0 || set.count() != 0 {
		t.Errorf("by default the proxy of the environment was asked %d times, the other one %d", env.count(), set.count())
	}
	asked := env.count()
	if _, err := h.client.EditSettings(ctx, api.EditSettings{Proxy: &set.URL}); err != nil {
		t.Fatal(err)
	}
	try()
	if env.count() != asked || set.count() == 0 {
		t.Errorf("when it is set the proxy of the environment was asked %d times more, the other one %d", env.count()-asked, set.count())
	}
	here := newBucket(t)
	d := h.mount(api.AddDrive{URL: here.url(), Name: "b"})
	if _, _, err := net.SplitHostPort(d.Address); err != nil {
		t.Errorf("a remote on this computer: %+v", d)
	}
}
