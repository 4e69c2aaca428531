package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/autostart"
	"github.com/moorage/moorage/daemon/internal/config"
	"github.com/moorage/moorage/daemon/internal/lockfile"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/secrets"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/daemon/places"
)

// patient is a person's computer where all is well, until a test changes it.
type patient struct {
	t       *testing.T
	o       Options
	keyring error
	login   loginManager
	table   []Mount
	drives  []api.Drive
	try     error
	look    func(ctx context.Context, dir string, read bool) error
	list    error
	removed []string
}

type loginManager struct {
	status    autostart.Status
	err       error
	installed bool
}

func (l *loginManager) Status() (autostart.Status, error) { return l.status, l.err }
func (l *loginManager) Install() error {
	l.status.AtLogin, l.installed = true, true
	return nil
}

// newPatient has a running service if runs.
func newPatient(t *testing.T, runs bool) *patient {
	dir, err := os.MkdirTemp("", "doctor") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	p := &patient{t: t, login: loginManager{status: autostart.Status{Manager: "test", AtLogin: true}},
		look: func(context.Context, string, bool) error { return nil }}
	at := places.Places{Config: filepath.Join(dir, "config", "config.toml"), State: filepath.Join(dir, "state"),
		Cache: filepath.Join(dir, "cache"), Log: filepath.Join(dir, "log"), Mounts: filepath.Join(dir, "Moorage")}
	p.o = Options{Places: at, Socket: filepath.Join(dir, "run", "s"), Config: config.New(at.Config), Login: &p.login,
		Logger: slog.New(slog.DiscardHandler),
		Probe: func(context.Context) []api.Check {
			return []api.Check{{ID: "nfs-client", Name: "nfs client", State: api.CheckOK, Detail: "There is one."}}
		},
		Table:   func(context.Context) ([]Mount, error) { return p.table, p.list },
		Keyring: func(context.Context) (string, error) { return "In the keyring.", p.keyring },
		Unmount: func(_ context.Context, dir string) error {
			p.removed, p.table = append(p.removed, dir), nil
			return nil
		},
		Try:  func(context.Context, api.Drive) error { return p.try },
		Look: func(ctx context.Context, dir string, read bool) error { return p.look(ctx, dir, read) },
	}
	if runs {
		p.o.Drives = func() ([]api.Drive, error) { return p.drives, nil }
		for _, d := range []string{at.State, filepath.Dir(p.o.Socket)} {
			if err := os.Mkdir(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	return p
}

// finds is the check of that id; it fails the test if there is none, or not in that state.
func (p *patient) finds(checks []api.Check, id string, want api.CheckState) api.Check {
	p.t.Helper()
	for _, c := range checks {
		if c.ID != id {
			continue
		}
		if c.State != want {
			p.t.Errorf("%s is %s, want %s: %+v", id, c.State, want, c)
		}
		if c.Detail == "" || c.State != api.CheckOK && c.Remedy == "" {
			p.t.Errorf("a check that does not help: %+v", c)
		}
		return c
	}
	p.t.Errorf("no check %s in %+v", id, checks)
	return api.Check{}
}

// is examines once and gives the check of that id.
func (p *patient) is(id string, want api.CheckState) api.Check {
	p.t.Helper()
	return p.finds(New(p.o).Examine(p.t.Context()), id, want)
}

func says(t *testing.T, c api.Check, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(c.Detail+" "+c.Remedy+" "+c.Done, w) {
			t.Errorf("%s does not say %q: %+v", c.ID, w, c)
		}
	}
}

func (p *patient) write(path, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func TestAllIsWell(t *testing.T) {
	for _, runs := range []bool{true, false} {
		p := newPatient(t, runs)
		ids := make(map[string]bool)
		for _, c := range New(p.o).Examine(t.Context()) {
			if c.State == api.CheckBad && c.ID != "space-state" && c.ID != "space-cache" || c.Name == "" || c.Detail == "" {
				t.Errorf("runs %v: %+v", runs, c)
			}
			if ids[c.ID] {
				t.Errorf("two checks are called %s", c.ID)
			}
			ids[c.ID] = true
		}
	}
}

func TestConfig(t *testing.T) {
	p := newPatient(t, true)
	p.is("config", api.CheckOK)
	p.write(p.o.Places.Config, "unknown = 1\n")
	says(t, p.is("config", api.CheckBad), "unknown")
	p.write(p.o.Places.Config, "[[[\n")
	p.is("config", api.CheckBad)
}

func TestKeyring(t *testing.T) {
	p := newPatient(t, true)
	p.is("keyring", api.CheckOK)
	p.keyring = secrets.ErrTimeout
	says(t, p.is("keyring", api.CheckBad), "does not answer", "behind another window")
	p.keyring = secrets.ErrLocked
	says(t, p.is("keyring", api.CheckBad), "locked", "Unlock")
	p.keyring = fmt.Errorf("%w: no bus", secrets.ErrNone)
	says(t, p.is("keyring", api.CheckNote), "gnome-keyring")
}

func TestLogin(t *testing.T) {
	p := newPatient(t, true)
	says(t, p.is("login", api.CheckOK), "by test")
	p.login.err = errors.New("no bus")
	p.is("login", api.CheckNote)
	p.login = loginManager{}
	if c := p.is("login", api.CheckNote); c.Fix != "start-at-login" {
		t.Errorf("%+v", c)
	}
	checks := New(p.o).Treat(t.Context(), nil)
	says(t, p.finds(checks, "login", api.CheckOK), "from now on")
	if !p.login.installed {
		t.Error("not installed")
	}
	p.o.Login = nil
	p.is("login", api.CheckNote)
}

func TestCrashesAreToldOnce(t *testing.T) {
	p := newPatient(t, true)
	p.is("crashes", api.CheckOK)
	report := filepath.Join(p.o.Places.Crashes(), "mooraged-20260102T030405.txt")
	p.write(report, "trace")
	p.login = loginManager{} // so that there is something to be mended, and a second look
	says(t, p.finds(New(p.o).Treat(t.Context(), nil), "crashes", api.CheckNote), report)
	p.is("crashes", api.CheckOK)
}

func TestFolders(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	p := newPatient(t, true)
	for _, id := range []string{"folder-state", "folder-cache", "folder-config", "folder-mounts", "folder-socket"} {
		p.is(id, api.CheckOK)
	}
	chmod := func(dir string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(p.o.Places.State, 0o755)
	chmod(filepath.Dir(p.o.Socket), 0o500)
	says(t, p.is("folder-state", api.CheckBad), "other users", "chmod 700")
	says(t, p.is("folder-socket", api.CheckBad), "keep you out")
	checks := New(p.o).Treat(t.Context(), []string{"dead-mounts"})
	if c := p.finds(checks, "folder-state", api.CheckBad); c.Done != "" {
		t.Errorf("done although not asked for: %+v", c)
	}
	checks = New(p.o).Treat(t.Context(), []string{"folders"})
	says(t, p.finds(checks, "folder-state", api.CheckOK), "Made these folders yours alone", p.o.Places.State)
	p.finds(checks, "folder-socket", api.CheckOK)

	if err := os.Remove(p.o.Places.State); err != nil {
		t.Fatal(err)
	}
	p.is("folder-state", api.CheckBad)
	p.finds(New(p.o).Treat(t.Context(), nil), "folder-state", api.CheckOK)
	if st, err := os.Stat(p.o.Places.State); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("made with %v, %v", st.Mode(), err)
	}

	// Not a folder, and another user's: a person has to.
	p.write(p.o.Places.Cache, "precious")
	c := p.is("folder-cache", api.CheckBad)
	says(t, c, "no folder")
	if c.Fix != "" {
		t.Errorf("a file would be taken for a folder: %+v", c)
	}
	p.o.Places.Cache = "/"
	if os.Geteuid() != 0 {
		says(t, p.is("folder-cache", api.CheckBad), "another user")
		p.o.Places.Cache = "/none/cache"
		says(t, p.is("folder-cache", api.CheckBad), "cannot be made", "Make / writable")
	}
	p.o.Places.Cache = filepath.Join(p.o.Places.Config, "below a file")
	p.write(p.o.Places.Config, "")
	p.is("folder-cache", api.CheckBad)
}

func TestSpace(t *testing.T) {
	p := newPatient(t, true)
	for _, c := range New(p.o).Examine(t.Context()) {
		if strings.HasPrefix(c.ID, "space-") {
			says(t, c, "free")
		}
	}
	p.o.Places.State = "bad\x00name"
	says(t, p.is("space-state", api.CheckBad), "permissions")
}

func TestSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a pipe goes with its process")
	}
	p := newPatient(t, false)
	says(t, p.is("socket", api.CheckOK), "No service")
	p.write(p.o.Socket, "precious")
	says(t, p.is("socket", api.CheckBad), "no socket")
	if err := os.Remove(p.o.Socket); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.o.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as kill -9 leaves it
	says(t, p.is("socket", api.CheckOK), "A service listens")
	l.Close()
	if c := p.is("socket", api.CheckNote); c.Fix != "stale-socket" {
		t.Errorf("%+v", c)
	}
	lock, err := lockfile.Acquire(p.o.Socket + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	says(t, p.is("socket", api.CheckBad), fmt.Sprint("kill ", os.Getpid()))
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	says(t, p.finds(New(p.o).Treat(t.Context(), nil), "socket", api.CheckOK), "Removed "+p.o.Socket)
	if _, err := os.Stat(p.o.Socket); err == nil {
		t.Error("it is there still")
	}
}

func TestMounts(t *testing.T) {
	const export = "/0123456789abcdef0123456789abcdef/x"
	served, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	port := uint16(served.Addr().(*net.TCPAddr).Port)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := uint16(gone.Addr().(*net.TCPAddr).Port)
	gone.Close()

	p := newPatient(t, true)
	at := func(name string) string { return filepath.Join(p.o.Places.Mounts, name) }
	p.drives = []api.Drive{{Name: "mine", Dir: at("mine"), State: api.Mounted, URL: "mem:"}}
	p.table = []Mount{
		{Dir: at("mine"), Host: "127.0.0.1", Port: free, Export: export},
		{Dir: at("anothers"), Host: "127.0.0.1", Port: port, Export: export},
		{Dir: at("far"), Host: "192.0.2.1", Port: free, Export: export},
		{Dir: at("notours"), Host: "127.0.0.1", Port: free, Export: "/srv"},
		{Dir: "/mnt/elsewhere", Host: "127.0.0.1", Port: free, Export: export},
	}
	p.is("mounts", api.CheckOK)
	if err := os.MkdirAll(at("dead"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.table = append(p.table, Mount{Dir: at("dead"), Host: "127.0.0.1", Port: free, Export: export})
	if c := p.is("mounts", api.CheckBad); c.Fix != "dead-mounts" || strings.Contains(c.Detail, "mine") {
		t.Errorf("%+v", c)
	}
	says(t, p.finds(New(p.o).Treat(t.Context(), nil), "mounts", api.CheckOK), "Unmounted "+at("dead"))
	if len(p.removed) != 1 || p.removed[0] != at("dead") {
		t.Errorf("unmounted %v", p.removed)
	}
	p.list = errors.New("no table")
	p.is("mounts", api.CheckBad)
}

// Without a service, mounts of its drives wait for it.
func TestMountsThatWait(t *testing.T) {
	p := newPatient(t, false)
	p.is("mounts", api.CheckOK)
	store, err := state.Open(p.o.Places.Drives())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(p.o.Places.Mounts, "x")
	st := state.Drive{ID: "0123456789abcdef", Name: "x", URL: "mem:", Key: make([]byte, state.KeySize), FSID: 1, Mount: &state.Mount{Dir: dir, Export: "/x"}}
	if err := store.Save(st); err != nil {
		t.Fatal(err)
	}
	p.table = []Mount{{Dir: dir, Host: "127.0.0.1", Port: 9, Export: "/0123456789abcdef0123456789abcdef/x"}}
	says(t, p.is("mounts", api.CheckNote), "1 drive", "moorage service start")
}

func TestDrives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	url := fmt.Sprintf("git+http://%s/x.git", l.Addr())
	p := newPatient(t, true)
	p.o.Table = func(context.Context) ([]Mount, error) { return nil, nil }
	away := &api.Problem{What: "The server is away.", Do: "Wait."}
	auth := &api.Problem{What: "It wants a sign-in.", Do: "Give one."}
	p.drives = []api.Drive{
		{Name: "well", State: api.Mounted, Dir: "/m/well", URL: url},
		{Name: "parked", State: api.Mounted, Dir: "/m/parked", URL: url, Problem: away},
		{Name: "away", State: api.Degraded, Dir: "/m/away", URL: "git+http://127.0.0.1:1/x.git", Problem: away},
		{Name: "auth", State: api.NeedsYou, URL: url, Problem: auth},
		{Name: "slow", State: api.Connecting, URL: url},
		{Name: "idle", State: api.Stopped, URL: url},
	}
	read := make(chan string, 10)
	p.look = func(_ context.Context, dir string, r bool) error {
		read <- fmt.Sprint(dir, " ", r)
		return nil
	}
	checks := New(p.o).Examine(t.Context())
	p.finds(checks, "drive:well", api.CheckOK)
	says(t, p.finds(checks, "drive:well:mount", api.CheckOK), "/m/well can be read")
	says(t, p.finds(checks, "drive:parked", api.CheckNote), "away", "Wait.")
	says(t, p.finds(checks, "drive:away", api.CheckBad), "The server is away. Nothing answers at port 1 of 127.0.0.1.", "Wait.")
	says(t, p.finds(checks, "drive:auth", api.CheckBad), "sign-in", "Give one.")
	p.finds(checks, "drive:slow", api.CheckNote)
	says(t, p.finds(checks, "drive:idle", api.CheckOK), "sign-in and listing work")
	close(read)
	got := map[string]bool{}
	for s := range read {
		got[s] = true
	}
	if len(got) != 3 || !got["/m/well true"] || !got["/m/away false"] {
		t.Errorf("looked at %v", got)
	}

	// What fails is told with what to do.
	p.drives = []api.Drive{{Name: "idle", State: api.Stopped, URL: "git+http://no-such-host.invalid/x.git"}, {Name: "well", State: api.Mounted, Dir: "/m", URL: "mem:"}}
	p.try = problem.New(api.ExitFailed, api.CodeOffline, "It is away.", "", "Try later.")
	p.look = func(context.Context, string, bool) error { return errors.New("input/output error") }
	checks = New(p.o).Examine(t.Context())
	says(t, p.finds(checks, "drive:idle", api.CheckBad), "It is away. This computer finds no address for the name no-such-host.invalid.", "Try later.")
	says(t, p.finds(checks, "drive:well:mount", api.CheckBad), "input/output error", "moorage unmount well --force")
}

// A look that hangs is given up, and not begun again while it hangs.
func TestLookThatHangs(t *testing.T) {
	p := newPatient(t, true)
	wake := make(chan struct{})
	begun := make(chan struct{}, 10)
	p.o.Table = func(context.Context) ([]Mount, error) {
		begun <- struct{}{}
		<-wake
		return nil, nil
	}
	d := New(p.o)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	p.finds(d.Examine(ctx), "mounts", api.CheckBad)
	says(t, p.finds(d.Examine(t.Context()), "mounts", api.CheckBad), "No answer")
	close(wake)
	for {
		d.mu.Lock()
		n := len(d.away)
		d.mu.Unlock()
		if n == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	p.finds(d.Examine(t.Context()), "mounts", api.CheckOK)
}

func TestEndpoint(t *testing.T) {
	for _, e := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"} {
		if os.Getenv(e) != "" {
			t.Skip("there is a proxy: " + e)
		}
	}
	for raw, want := range map[string]string{
		"https://github.com/golang/go": "github.com 443",
		"git+http://h/x.git":           "h 80",
		"git+https://h:8443/x.git":     "h 8443",
		"git@h:x.git":                  "h 22",
		"git+ssh://h:2222/x.git":       "h 2222",
		"git://h/x.git":                "h 9418",
		"s3://bucket":                  " 0",
		"s3://bucket?endpoint=http%3A%2F%2F127.0.0.1%3A9000": "127.0.0.1 9000",
		"s3://bucket?endpoint=https%3A%2F%2Fs3.example.org":  "s3.example.org 443",
		"/srv": " 0",
		"mem:": " 0",
		"?":    " 0",
	} {
		host, port := endpoint(http.ProxyFromEnvironment, raw)
		if got := fmt.Sprint(host, " ", port); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
