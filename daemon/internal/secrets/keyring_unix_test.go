//go:build unix && !darwin

package secrets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"
)

const inBus = "MOORAGE_TEST_IN_BUS"

// inSession runs the calling test again in a private D-Bus session, after the
// shell commands of prepare. It returns true in that second run.
func inSession(t *testing.T, prepare string) bool {
	t.Helper()
	if os.Getenv(inBus) == t.Name() {
		return true
	}
	for _, p := range []string{"dbus-run-session", "gnome-keyring-daemon", "secret-tool"} {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is needed in CI: %v", p, err)
			}
			t.Skipf("%s is not installed (apt install dbus gnome-keyring libsecret-tools)", p)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, "dbus-run-session", "--", "sh", "-c",
		prepare+` exec "$0" -test.run="^$1\$" -test.v`, os.Args[0], t.Name())
	cmd.Env = append(os.Environ(), inBus+"="+t.Name(), "HOME="+home, "XDG_RUNTIME_DIR="+home,
		"XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "DISPLAY=", "WAYLAND_DISPLAY=")
	// The whole family ends with the test, also if the daemon hangs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("the test did not run in the session:\n%s", out)
	}
	return false
}

// The keyring daemon is started and unlocked, as a login does it; a call that
// comes before it owns its name would start a second, locked one.
const unlocked = `printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null;
	until dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets | grep -q 'boolean true'; do sleep 0.05; done;`

func store(t *testing.T, k Keyring, timeout time.Duration) *Store {
	s := New(Options{Keyring: k, Dir: filepath.Join(t.TempDir(), "secrets"), Timeout: timeout, Rand: rand.Reader})
	t.Cleanup(s.Close)
	return s
}

func TestRealKeyring(t *testing.T) {
	if !inSession(t, unlocked) {
		return
	}
	s := store(t, System(), 20*time.Second)
	ctx := t.Context()
	if st := s.Status(ctx); st.Keyring != nil || !errors.Is(st.File, ErrNoFile) || !st.Listed || len(st.Kept) > 0 {
		t.Fatalf("Status: %+v", st)
	}
	if _, err := s.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Get of none: %v", err)
	}
	secret := strings.Repeat("ä\n\x01", 1000)
	for _, word := range []string{"first", secret} { // the second replaces the first
		if err := s.Set(ctx, "a", word); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Get(ctx, "a"); err != nil || got != secret {
		t.Fatalf("Get: %d bytes, %v", len(got), err)
	}
	if _, err := s.Get(ctx, "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of another drive: %v", err)
	}
	// What an earlier version stored by go-keyring is found, and other programs find ours.
	if err := keyring.Set(service, "old", "word"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "old"); err != nil || got != "word" {
		t.Errorf("what go-keyring stored: %q, %v", got, err)
	}
	if out, err := exec.Command("secret-tool", "lookup", attrService, service, attrID, "a").Output(); err != nil || string(out) != secret {
		t.Errorf("secret-tool finds %d bytes, %v", len(out), err)
	}
	whileLocked(t, s)
	tellsWhenUnlocked(t, s)
	if got, err := s.Get(ctx, "a"); err != nil || got != secret {
		t.Errorf("unlocked again: %d bytes, %v", len(got), err)
	}
	for range 2 {
		if err := s.Delete(ctx, "a"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	if st := s.Status(ctx); len(st.Kept) != 1 || st.Kept[0] != (Kept{ID: "old"}) {
		t.Errorf("kept after Delete: %v", st.Kept)
	}

	// What is too long for the keyring goes to a file whose key is in it.
	small := store(t, limited{System()}, 20*time.Second)
	if err := small.Set(ctx, "big", secret); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(small.large.path)
	if err != nil || strings.Contains(string(data), secret[:100]) {
		t.Errorf("the file: %v, or it has the secret as it is", err)
	}
	again := New(Options{Keyring: limited{System()}, Dir: filepath.Dir(small.large.path), Timeout: 20 * time.Second, Rand: rand.Reader})
	defer again.Close()
	if got, err := again.Get(ctx, "big"); err != nil || got != secret {
		t.Errorf("after a restart: %d bytes, %v", len(got), err)
	}
	if got, err := again.Get(ctx, "old"); err != nil || got != "word" {
		t.Errorf("a short one beside it: %q, %v", got, err)
	}
	if err := again.Set(ctx, "big", "short now"); err != nil {
		t.Fatal(err)
	}
	if got, err := small.Get(ctx, "big"); err != nil || got != "short now" {
		t.Errorf("replaced by a short one: %q, %v", got, err)
	}
	if l, err := small.large.ids(); err != nil || len(l) > 0 {
		t.Errorf("the file still has %v, %v", l, err)
	}
}

// whileLocked locks the keyring, sees that nobody is asked and each call says so at
// once, and unlocks it.
func whileLocked(t *testing.T, s *Store) {
	ctx := t.Context()
	lock(t)
	_, err := s.Get(ctx, "a")
	for what, err := range map[string]error{"Get": err, "Set": s.Set(ctx, "a", "x"), "Delete": s.Delete(ctx, "a"), "Status": s.Status(ctx).Keyring} {
		if !errors.Is(err, ErrLocked) || errors.Is(err, ErrDismissed) {
			t.Errorf("%s of a locked keyring: %v", what, err)
		}
	}
	// There is no screen to ask on, which is as if the person closed the prompt.
	if err := s.UnlockKeyring(ctx); !errors.Is(err, ErrDismissed) {
		t.Errorf("Unlock: %v", err)
	}
	unlock(t)
}

// tellsWhenUnlocked makes sure that nobody has to look for it.
func tellsWhenUnlocked(t *testing.T, s *Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	for told := false; !told; { // it may not listen at once
		lock(t)
		unlock(t)
		select {
		case <-changed:
			told = true
		case err := <-ended:
			t.Fatalf("Watch: %v", err)
		case <-time.After(time.Second):
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended: %v", err)
	}
}

// keyringConn is a connection to the keyring, and the place where its secrets are.
func keyringConn(t *testing.T) (*ssConn, dbus.ObjectPath) {
	t.Helper()
	c, err := dialSecrets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	where, err := c.collection()
	if err != nil {
		t.Fatal(err)
	}
	return c, where
}

func lock(t *testing.T) {
	t.Helper()
	c, where := keyringConn(t)
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := c.call(ssPath, ssService+".Lock", []dbus.ObjectPath{where}).Store(&locked, &prompt); err != nil {
		t.Fatal(err)
	}
}

// unlock does what the desktop does at login.
func unlock(t *testing.T) {
	t.Helper()
	c, where := keyringConn(t)
	session, err := c.session()
	if err != nil {
		t.Fatal(err)
	}
	master := ssSecret{Session: session, Parameters: []byte{}, Value: []byte("pw"), ContentType: "text/plain"}
	if err := c.call(ssPath, "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", where, master).Err; err != nil {
		t.Fatal(err)
	}
}

// limited is a keyring that takes as much as that of Windows.
type limited struct{ Keyring }

func (limited) Limit() int { return 2560 }

func TestNoSecretService(t *testing.T) {
	// A bus that starts nothing by itself: its configuration names no folder of services.
	const bare = `cat >"$HOME/bus.conf" <<EOF
<busconfig><type>session</type><listen>unix:dir=$HOME</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
EOF
	if [ -z "$BARE" ]; then BARE=1 exec dbus-run-session --config-file="$HOME/bus.conf" -- "$0" -test.run="^$1\$" -test.v; fi;`
	if !inSession(t, bare) {
		return
	}
	if err := store(t, System(), 10*time.Second).Set(t.Context(), "a", "x"); !errors.Is(err, ErrNoProvider) || !errors.Is(err, ErrNone) {
		t.Fatalf("got %v, want ErrNoProvider", err)
	}
}

func TestNoBus(t *testing.T) {
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("this user has a session bus")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	path := t.TempDir()
	t.Setenv("PATH", path)
	ran := path + "/ran"
	if err := os.WriteFile(path+"/dbus-launch", []byte("#!/bin/sh\n: >"+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := store(t, System(), time.Minute).Set(t.Context(), "a", "x"); !errors.Is(err, ErrNoBus) {
		t.Errorf("got %v, want ErrNoBus", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("dbus-launch was run, which leaves a bus behind")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path+"/none")
	if _, err := store(t, System(), time.Minute).Get(t.Context(), "a"); !errors.Is(err, ErrNoBus) {
		t.Errorf("of a bus that has gone: %v, want ErrNoBus", err)
	}
}

// standIn owns the keyring's name.
func standIn(t *testing.T, opts ...dbus.ConnOption) *dbus.Conn {
	c, err := dbus.ConnectSessionBus(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if r, err := c.RequestName(ssName, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(r, err)
	}
	return c
}

// A service that owns the keyring's name and never answers.
func TestHangingKeyring(t *testing.T) {
	if !inSession(t, "") {
		return
	}
	c := standIn(t, dbus.WithHandler(silent{}))
	s := store(t, System(), 200*time.Millisecond)
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	// Nobody waits behind it, and nothing piles up.
	before := runtime.NumGoroutine()
	for range 300 {
		for _, call := range []func() error{
			func() error { return s.Set(t.Context(), "a", "x") },
			func() error { _, err := s.Get(t.Context(), "a"); return err },
			func() error { return s.Delete(t.Context(), "a") },
		} {
			if err := call(); !errors.Is(err, ErrTimeout) {
				t.Fatalf("got %v, want ErrTimeout", err)
			}
		}
	}
	if n := runtime.NumGoroutine(); n > before+20 {
		t.Errorf("%d goroutines after 900 calls, %d before", n, before)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store(t, System(), time.Hour).Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("with ctx done: %v", err)
	}
	// When it ends, what hung comes back, and the keyring is asked again; the bus may
	// start the real one then.
	c.Close()
	deadline := time.Now().Add(20 * time.Second)
	for err := ErrTimeout; errors.Is(err, ErrTimeout); _, err = s.Get(t.Context(), "a") {
		if time.Now().After(deadline) {
			t.Fatal("the keyring is not asked again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// silent takes every call and answers none.
type silent struct{}

func (silent) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { select {} }

// A person answers a prompt, or closes it, in her own time.
func TestPrompt(t *testing.T) {
	if !inSession(t, "") {
		return
	}
	p := &prompting{c: standIn(t), locked: true, asked: make(chan struct{}, 1), answers: make(chan bool, 1)}
	for path, methods := range map[dbus.ObjectPath]map[string]map[string]any{
		ssPath:    {ssService: {"ReadAlias": p.readAlias, "Unlock": p.unlock}, "org.freedesktop.DBus.Properties": {"Get": p.property}},
		"/c":      {"org.freedesktop.DBus.Properties": {"Get": p.property}},
		"/prompt": {ssPrompt: {"Prompt": p.prompt}},
	} {
		for iface, m := range methods {
			if err := p.c.ExportMethodTable(m, path, iface); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := store(t, System(), 20*time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	twice := make(chan error, 1)
	go func() {
		<-p.asked
		twice <- s.UnlockKeyring(ctx)
		cancel()
	}()
	if err := s.UnlockKeyring(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	if err := <-twice; !errors.Is(err, ErrLocked) {
		t.Errorf("asked twice at a time: %v", err)
	}
	for _, dismissed := range []bool{true, false} {
		p.answers <- dismissed
		s := store(t, System(), 20*time.Second) // the one before may not have ended
		if err := s.UnlockKeyring(t.Context()); errors.Is(err, ErrDismissed) != dismissed || !dismissed && err != nil {
			t.Errorf("dismissed %v: %v", dismissed, err)
		}
	}
}

// prompting is a keyring that has one collection, /c, and asks for its password.
type prompting struct {
	c       *dbus.Conn
	asked   chan struct{}
	answers chan bool // whether the next prompt is dismissed; one without answer stays

	mu     sync.Mutex
	locked bool
}

func (p *prompting) readAlias(string) (dbus.ObjectPath, *dbus.Error) { return "/c", nil }

func (p *prompting) unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return nil, "/prompt", nil
}

func (p *prompting) property(_, name string) (dbus.Variant, *dbus.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name == "Locked" {
		return dbus.MakeVariant(p.locked), nil
	}
	return dbus.MakeVariant([]dbus.ObjectPath{"/c"}), nil
}

func (p *prompting) prompt(string) *dbus.Error {
	select {
	case dismissed := <-p.answers:
		p.mu.Lock()
		p.locked = dismissed
		p.mu.Unlock()
		if err := p.c.Emit("/prompt", ssPrompt+".Completed", dismissed, dbus.MakeVariant([]dbus.ObjectPath{"/c"})); err != nil {
			return dbus.MakeFailedError(err)
		}
	default:
		p.asked <- struct{}{}
	}
	return nil
}
