package doctor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/moorage/moorage/daemon/api"
)

// sessionBus is what the keyring and the tray need.
func sessionBus(ctx context.Context, c *api.Check) {
	address := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if address == "" {
		// Not by the library's own search, which starts a bus that nobody ends.
		p := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
		if _, err := os.Stat(p); err == nil && filepath.IsAbs(p) {
			address = "unix:path=" + dbus.EscapeBusAddressValue(p)
		}
	}
	c.State, c.Remedy = api.CheckNote, "Log in to a desktop, or start one: dbus-run-session. Only passwords in a keyring and the tray need it."
	if address == "" {
		c.Detail = "This session has none."
		return
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		c.Detail = fmt.Sprintf("It cannot be used: %v.", err)
		return
	}
	conn.Close()
	c.State, c.Detail, c.Remedy = api.CheckOK, "It answers.", ""
}

// lingers says whether the user's services run without a session, too.
func lingers() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join("/var/lib/systemd/linger", u.Username)); err != nil {
		return ", and ends with your last session; loginctl enable-linger changes that"
	}
	return ", and runs without a session, too"
}

// offerClient offers to load the kernel's NFS client where this process may do that.
func offerClient(c *api.Check) {
	if os.Geteuid() == 0 && c.State == api.CheckOK && !clientLoaded("/proc/filesystems") {
		c.State, c.Fix, c.Remedy = api.CheckNote, fixClient, "Nothing, or load it now: modprobe nfs"
	}
}

// clientLoaded reads a table as that of proc(5).
func clientLoaded(table string) bool {
	b, err := os.ReadFile(table)
	if err != nil {
		return true // unknown
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == "nfs" {
			return true
		}
	}
	return false
}

func loadClient(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "/sbin/modprobe", "nfs") // often not on a user's PATH
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("modprobe nfs: %w: %s", err, bytes.TrimSpace(out))
	}
	return "Loaded the kernel's NFS client.", nil
}
