package tray

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

func TestWithoutASessionBusThereIsNoTray(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if _, err := Connect(t.Context()); !errors.Is(err, ErrNoDesktop) {
		t.Errorf("no address: %v", err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+t.TempDir()+"/nobody")
	if _, err := Connect(t.Context()); !errors.Is(err, ErrNoDesktop) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestABusThatSaysNothingIsNoBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path)
	start := time.Now()
	if _, err := Connect(t.Context()); !errors.Is(err, ErrNoDesktop) {
		t.Errorf("error %v", err)
	}
	if d := time.Since(start); d > 3*busTimeout {
		t.Errorf("it took %v", d)
	}
}

// privateBus starts a session bus that ends with the test.
func privateBus(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread() // Pdeathsig is about the thread, not the process
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("dbus-daemon is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

func TestTrayOfTheDesktopComesAndGoes(t *testing.T) {
	address := privateBus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	d, err := Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.ShowsTray() {
		t.Error("a tray where there is none")
	}
	panel, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer panel.Close()
	if _, err := panel.RequestName(watcher, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return d.ShowsTray() })
	late, err := Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !late.ShowsTray() {
		t.Error("the tray that is there is not seen")
	}
	late.Close()
	if _, err := panel.ReleaseName(watcher); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return !d.ShowsTray() })
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that within 10 seconds")
		}
	}
}
