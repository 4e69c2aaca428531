//go:build unix && !darwin

package secrets

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const inBus = "MOORAGE_TEST_IN_BUS"

// inSession runs the calling test again in a private D-Bus session, after the
// shell commands of prepare. It returns true in that second run.
func inSession(t *testing.T, prepare string) bool {
	t.Helper()
	if os.Getenv(inBus) == t.Name() {
		return true
	}
	for _, p := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is needed in CI: %v", p, err)
			}
			t.Skipf("%s is not installed (apt install dbus gnome-keyring)", p)
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

func TestRealKeyring(t *testing.T) {
	if !inSession(t, unlocked) {
		return
	}
	k := New(10 * time.Second)
	ctx := t.Context()
	if err := k.Check(ctx); err != nil {
		t.Fatalf("Check: %v", err)
	}
	if _, err := k.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Get of none: %v", err)
	}
	secret := strings.Repeat("ä\n\x01", 1000)
	if err := k.Set(ctx, "a", secret); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Get(ctx, "a"); err != nil || got != secret {
		t.Fatalf("Get: %d bytes, %v", len(got), err)
	}
	if _, err := k.Get(ctx, "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of another drive: %v", err)
	}
	for range 2 {
		if err := k.Delete(ctx, "a"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
}

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
	if err := New(10*time.Second).Set(t.Context(), "a", "x"); !errors.Is(err, ErrNone) {
		t.Fatalf("got %v, want ErrNone", err)
	}
}

func TestNoBus(t *testing.T) {
	if _, err := os.Stat("/run/user/" + strings.TrimSpace(uid(t)) + "/bus"); err == nil {
		t.Skip("this user has a session bus")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	path := t.TempDir()
	t.Setenv("PATH", path)
	ran := path + "/ran"
	if err := os.WriteFile(path+"/dbus-launch", []byte("#!/bin/sh\n: >"+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := New(time.Second).Set(t.Context(), "a", "x"); !errors.Is(err, ErrNone) {
		t.Errorf("got %v, want ErrNone", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("dbus-launch was run, which leaves a bus behind")
	}
}

func uid(t *testing.T) string {
	out, err := exec.Command("id", "-u").Output()
	if err != nil {
		t.Skip("no id command")
	}
	return string(out)
}

// A service that owns the keyring's name and never answers stands for one that
// waits for its password on a prompt that nobody sees.
func TestHangingKeyring(t *testing.T) {
	if !inSession(t, "") {
		return
	}
	c, err := dbus.ConnectSessionBus(dbus.WithHandler(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.RequestName("org.freedesktop.secrets", dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(r, err)
	}
	k := New(200 * time.Millisecond)
	for _, call := range []func() error{
		func() error { return k.Set(t.Context(), "a", "x") },
		func() error { _, err := k.Get(t.Context(), "a"); return err },
		func() error { return k.Delete(t.Context(), "a") },
	} {
		if err := call(); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(time.Hour).Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("with ctx done: %v", err)
	}
}

// silent takes every call and answers none.
type silent struct{}

func (silent) LookupObject(dbus.ObjectPath) (dbus.ServerObject, bool) { select {} }
