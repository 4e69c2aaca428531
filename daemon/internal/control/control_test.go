package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/events"
)

// fakeDrives answers with one drive; the real ones need mounts.
type fakeDrives struct {
	block chan struct{} // Mount waits for it
}

func (*fakeDrives) List() ([]api.Drive, error) { return []api.Drive{{Name: "a b"}}, nil }
func (*fakeDrives) Get(n string) (api.Drive, error) {
	if n == "boom" {
		return api.Drive{}, errors.New("disk on fire")
	}
	return api.Drive{}, &api.Error{Exit: api.ExitNotFound, Problem: api.Problem{Code: api.CodeNoDrive, What: "There is no drive " + n + "."}}
}
func (*fakeDrives) Add(_ context.Context, a api.AddDrive) (api.Drive, error) {
	return api.Drive{Name: a.Name}, nil
}
func (*fakeDrives) Edit(_ context.Context, n string, e api.EditDrive) (api.Drive, error) {
	return api.Drive{Name: n, Auto: *e.Auto}, nil
}
func (f *fakeDrives) Remove(_ context.Context, n string, discard bool) error {
	if n == "full" && !discard {
		return &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodeUnpublished, What: "2 changes are not published."}}
	}
	return nil
}
func (*fakeDrives) Uploads(_ context.Context, n string, limit int) ([]api.Upload, error) {
	return []api.Upload{{Path: n, State: api.UploadSaved, Total: int64(limit)}}, nil
}
func (*fakeDrives) Sync(_ context.Context, n string, wait bool) (api.Synced, error) {
	s := api.Synced{Pending: api.Pending{Files: 1}}
	if wait {
		s.Failed = []api.Upload{{Path: n, State: api.UploadParked}}
	}
	return s, nil
}
func (*fakeDrives) Pins(_ context.Context, n string) ([]api.Pin, error) {
	return []api.Pin{{Path: n, State: api.PinKept}}, nil
}
func (*fakeDrives) Pin(_ context.Context, n, path string) (api.Pin, error) {
	return api.Pin{Path: n + ":" + path, State: api.PinFetching}, nil
}
func (*fakeDrives) Unpin(_ context.Context, n, path string) error {
	if path != "a b" {
		return &api.Error{Exit: api.ExitNotFound, Problem: api.Problem{Code: api.CodeNotPinned, What: path + " is not pinned."}}
	}
	return nil
}
func (*fakeDrives) Revisions(_ context.Context, n string, q api.RevisionQuery) (api.Revisions, error) {
	at := ""
	if !q.At.IsZero() {
		at = q.At.UTC().Format(time.RFC3339)
	}
	return api.Revisions{Next: fmt.Sprintf("%s %q %v %q %s %q", n, q.Find, q.Commits, q.Page, at, q.Of)}, nil
}
func (*fakeDrives) Secrets(context.Context) api.Secrets {
	return api.Secrets{Keyring: api.KeyringLocked, Kept: []api.KeptSecret{{ID: "a b", File: true}}}
}
func (*fakeDrives) ForgetSecret(_ context.Context, id string) error {
	if id != "a b" {
		return &api.Error{Exit: api.ExitNotFound, Problem: api.Problem{Code: api.CodeNoSecret, What: "No password is kept for " + id + "."}}
	}
	return nil
}
func (*fakeDrives) UnlockSecrets(_ context.Context, u api.UnlockSecrets) error {
	if u.Passphrase != "" && u.Passphrase != "right" {
		return &api.Error{Exit: api.ExitFailed, Problem: api.Problem{Code: api.CodePassphrase, What: "That is not it."}}
	}
	return nil
}
func (*fakeDrives) CreateSecretFile(f api.SecretFile) error {
	if f.Old != "" {
		return errors.New("another request")
	}
	return nil
}
func (*fakeDrives) ChangePassphrase(f api.SecretFile) error {
	if f.Old != "old" || f.Passphrase != "new" {
		return errors.New("another request")
	}
	return nil
}
func (*fakeDrives) SetSecret(context.Context, string, string) error { return nil }
func (f *fakeDrives) Mount(ctx context.Context, n string, _ bool) (api.Drive, error) {
	select {
	case <-f.block:
	case <-ctx.Done():
		return api.Drive{}, ctx.Err()
	}
	return api.Drive{Name: n, State: api.Mounted}, nil
}
func (*fakeDrives) Unmount(_ context.Context, n string, u api.UnmountDrive) (api.Drive, error) {
	return api.Drive{Name: n}, nil
}

type fakeDoctor struct{}

func (fakeDoctor) Examine(context.Context) []api.Check {
	return []api.Check{{Name: "x", State: api.CheckOK}}
}

func (fakeDoctor) Treat(_ context.Context, fixes []string) (l []api.Check) {
	for _, f := range fixes {
		l = append(l, api.Check{Name: "x", State: api.CheckOK, Done: f})
	}
	return l
}

type world struct {
	socket string
	hub    *events.Hub
	drives *fakeDrives
	client *client.Client

	prospects fakeProspects
}

func start(t *testing.T) *world { return startWith(t, readTime) }

func startWith(t *testing.T, read time.Duration) *world {
	t.Helper()
	w := &world{socket: socketPath(t), hub: new(events.Hub), drives: &fakeDrives{block: make(chan struct{})},
		prospects: fakeProspects{make(chan struct{})}}
	w.client = client.New(w.socket)
	set := new(fakeSettings)
	s := New(Options{Settings: set, Pauses: set, Drives: w.drives, Mounts: w.drives, Uploads: w.drives, Pins: w.drives, History: w.drives, Secrets: w.drives, Prospects: w.prospects,
		Events: func() Feed { return w.hub.Subscribe() },
		Doctor: fakeDoctor{},
		Stop:   func(context.Context, api.StopService) error { return nil },
		Info:   func() api.Service { return api.Service{PID: 7} },
		Logger: slog.New(slog.DiscardHandler)})
	s.http.ReadTimeout = read
	l, err := Listen(w.socket, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return w
}

func TestClientCalls(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	if s, err := w.client.Service(ctx); err != nil || s.PID != 7 {
		t.Errorf("Service = %+v, %v", s, err)
	}
	if l, err := w.client.Drives(ctx); err != nil || len(l) != 1 {
		t.Errorf("Drives = %+v, %v", l, err)
	}
	yes := true
	for _, name := range []string{"a b", "100%", "a/b", "ä?#", "..."} {
		if d, err := w.client.Edit(ctx, name, api.EditDrive{Auto: &yes}); err != nil || d.Name != name || !d.Auto {
			t.Errorf("Edit(%q) = %+v, %v", name, d, err)
		}
	}
	var e *api.Error
	if _, err := w.client.Drive(ctx, "none"); !errors.As(err, &e) || e.Exit != api.ExitNotFound || e.Problem.Code != api.CodeNoDrive {
		t.Errorf("Drive(none): %v", err)
	}
	if _, err := w.client.Drive(ctx, "boom"); !errors.As(err, &e) || e.Problem.Code != api.CodeInternal {
		t.Errorf("Drive(boom): %v", err)
	}
	if c, err := w.client.Doctor(ctx); err != nil || len(c) != 1 {
		t.Errorf("Doctor = %v, %v", c, err)
	}
	if c, err := w.client.Treat(ctx, "a", "b"); err != nil || len(c) != 2 || c[1].Done != "b" {
		t.Errorf("Treat = %v, %v", c, err)
	}
	for what, err := range map[string]error{
		"Remove": w.client.Remove(ctx, "x"), "SetSecret": w.client.SetSecret(ctx, "x", "y"), "Stop": w.client.Stop(ctx, api.StopService{}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	if s, err := w.client.Secrets(ctx); err != nil || s.Keyring != api.KeyringLocked || len(s.Kept) != 1 {
		t.Errorf("Secrets: %+v, %v", s, err)
	}
	for what, err := range map[string]error{
		"forget": w.client.ForgetSecret(ctx, "a b"), "unlock": w.client.UnlockKeyring(ctx), "open": w.client.UnlockSecretFile(ctx, "right"),
		"create": w.client.CreateSecretFile(ctx, "new"), "change": w.client.ChangePassphrase(ctx, "old", "new"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.client.UnlockSecretFile(ctx, "wrong"); code(err) != api.CodePassphrase {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := w.client.ForgetSecret(ctx, "none"); code(err) != api.CodeNoSecret {
		t.Errorf("forget nothing: %v", err)
	}
}

func code(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Problem.Code
	}
	return fmt.Sprint(err)
}

func TestPins(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	if l, err := w.client.Pins(ctx, "a/b"); err != nil || len(l) != 1 || l[0].Path != "a/b" || l[0].State != api.PinKept {
		t.Errorf("Pins: %+v, %v", l, err)
	}
	if p, err := w.client.Pin(ctx, "a/b", "d/e f"); err != nil || p.Path != "a/b:d/e f" || p.State != api.PinFetching {
		t.Errorf("Pin: %+v, %v", p, err)
	}
	if err := w.client.Unpin(ctx, "x", "a b"); err != nil {
		t.Errorf("Unpin: %v", err)
	}
	var e *api.Error
	if err := w.client.Unpin(ctx, "x", "other"); !errors.As(err, &e) || e.Problem.Code != api.CodeNotPinned || e.Exit != api.ExitNotFound {
		t.Errorf("Unpin of what is not pinned: %v", err)
	}
}

func TestRevisions(t *testing.T) {
	w := start(t)
	day := time.Date(2026, 1, 31, 23, 59, 59, 0, time.FixedZone("", 3600))
	for want, q := range map[string]api.RevisionQuery{
		`a/b "" false ""  ""`:                             {},
		`a/b "x &?" false ""  ""`:                         {Find: "x &?"},
		`a/b "" true "n:1"  "feature/x"`:                  {Commits: true, Page: "n:1", Of: "feature/x"},
		`a/b "" false "" 2026-01-31T22:59:59Z "ünï#code"`: {At: day, Of: "ünï#code"},
	} {
		if r, err := w.client.Revisions(t.Context(), "a/b", q); err != nil || r.Next != want {
			t.Errorf("%+v arrived as %q, %v, want %q", q, r.Next, err, want)
		}
	}
}

func TestUploads(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	for limit, want := range map[int]int64{0: defaultUploads, 7: 7, 1 << 30: maxUploads} {
		if l, err := w.client.Uploads(ctx, "a/b", limit); err != nil || len(l) != 1 || l[0].Path != "a/b" || l[0].Total != want {
			t.Errorf("Uploads(%d) = %+v, %v", limit, l, err)
		}
	}
	if s, err := w.client.Sync(ctx, "a b", false); err != nil || s.Pending.Files != 1 || s.Failed != nil {
		t.Errorf("Sync = %+v, %v", s, err)
	}
	if s, err := w.client.Sync(ctx, "a b", true); err != nil || len(s.Failed) != 1 || s.Failed[0].Path != "a b" {
		t.Errorf("Sync that waits = %+v, %v", s, err)
	}
	var e *api.Error
	if err := w.client.Remove(ctx, "full"); !errors.As(err, &e) || e.Problem.Code != api.CodeUnpublished {
		t.Errorf("Remove: %v", err)
	}
	if err := w.client.Discard(ctx, "full"); err != nil {
		t.Errorf("Discard: %v", err)
	}
}

// A call that takes longer than a request may take to arrive is not cut off.
func TestLongCall(t *testing.T) {
	w := startWith(t, 50*time.Millisecond)
	got := make(chan error, 1)
	go func() {
		_, err := w.client.Mount(t.Context(), "a", true)
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("Mount returned before the drive was mounted: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(w.drives.block)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestNoService(t *testing.T) {
	if _, err := client.New(socketPath(t)).Service(t.Context()); !errors.Is(err, client.ErrNoService) {
		t.Fatalf("got %v, want ErrNoService", err)
	}
}

func TestRule12RefusedRequests(t *testing.T) {
	w := start(t)
	const ok = "POST /v1/drives HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n"
	post := func(head, body string) string {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok+head, len(body), body)
	}
	json := "Content-Type: application/json\r\n"
	for name, tt := range map[string]struct {
		raw  string
		want int
	}{
		"good":           {post(json, `{"url":"mem:"}`), 200},
		"origin":         {post(json+"Origin: http://evil.example\r\n", `{"url":"mem:"}`), 409},
		"null origin":    {post(json+"Origin: null\r\n", `{"url":"mem:"}`), 409},
		"referer":        {post(json+"Referer: http://localhost/\r\n", `{"url":"mem:"}`), 409},
		"foreign host":   {"GET /v1/service HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n", 409},
		"no host":        {"GET /v1/service HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		"form":           {post("Content-Type: application/x-www-form-urlencoded\r\n", `{"url":"mem:"}`), 400},
		"no type":        {post("", `{"url":"mem:"}`), 400},
		"unknown field":  {post(json, `{"url":"mem:","sudo":true}`), 400},
		"two values":     {post(json, `{"url":"mem:"}{}`), 400},
		"wrong type":     {post(json, `{"url":1}`), 400},
		"empty":          {post(json, ``), 400},
		"long":           {post(json, `{"url":"`+strings.Repeat("a", 70<<10)+`"}`), 400},
		"bad limit":      {"GET /v1/drives/x/uploads?limit=many HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n\r\n", 400},
		"bad time":       {"GET /v1/drives/x/revisions?at=yesterday HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n\r\n", 400},
		"bad choice":     {"GET /v1/drives/x/revisions?commits=perhaps HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n\r\n", 400},
		"bad discard":    {"DELETE /v1/drives/x?discard=maybe HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n\r\n", 400},
		"unknown path":   {"GET /v2/x HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n\r\n", 400},
		"unknown method": {"BREW /v1/drives HTTP/1.1\r\nHost: moorage\r\nConnection: close\r\n\r\n", 400},
		"long header":    {"GET /v1/service HTTP/1.1\r\nHost: moorage\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("unix", w.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			go io.WriteString(c, tt.raw)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.want {
				t.Errorf("status %d, want %d: %s", res.StatusCode, tt.want, body)
			}
			if name != "good" && res.Header.Get("Content-Type") == "application/json" && !strings.Contains(string(body), `"what":"`) {
				t.Errorf("no problem in %s", body)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	w := start(t)
	w.hub.Put(api.Drive{Name: "a", State: api.Stopped})
	s, err := w.client.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	next := func() api.Event {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		e, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := next(); e.Kind != api.DriveChanged || e.Drive.Name != "a" {
		t.Fatalf("first event %+v", e)
	}
	if e := next(); e.Kind != api.Ready {
		t.Fatalf("second event %+v", e)
	}
	w.hub.Put(api.Drive{Name: "a", State: api.Mounted})
	if e := next(); e.Drive.State != api.Mounted {
		t.Fatalf("third event %+v", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Next without an event: %v", err)
	}
}

// A program that watches and does not read holds up neither the service nor
// those who do read.
func TestEventsReaderThatSleeps(t *testing.T) {
	w := start(t)
	c, err := net.Dial("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /v1/events HTTP/1.1\r\nHost: moorage\r\n\r\n")
	s, err := w.client.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	big := strings.Repeat("x", 4096)
	for i := range 2000 { // 8 MiB: far more than socket buffers hold
		w.hub.Put(api.Drive{Name: "a", URL: big, Revision: fmt.Sprint(i)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		e, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Drive != nil && e.Drive.Revision == "1999" {
			return
		}
	}
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "run", "s.sock") }
