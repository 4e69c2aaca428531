package doctor

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestSessionBus(t *testing.T) {
	look := func() api.Check {
		c := api.Check{ID: "session-bus", State: api.CheckOK}
		sessionBus(t.Context(), &c)
		return c
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if c := look(); c.State != api.CheckNote || c.Remedy == "" {
		t.Errorf("no bus: %+v", c)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	if c := look(); c.State != api.CheckNote || c.Remedy == "" {
		t.Errorf("a bus that has gone: %+v", c)
	}
	// One that takes connections and says nothing must not hang.
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
	}()
	defer l.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(dir, "s"))
	if c := look(); c.State != api.CheckNote {
		t.Errorf("a bus that hangs up: %+v", c)
	}
}

func TestClientLoaded(t *testing.T) {
	p := filepath.Join(t.TempDir(), "filesystems")
	for text, want := range map[string]bool{"nodev\tnfs\n\text4\n": true, "nodev\tnfsd\n\text4\n": false, "": false} {
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := clientLoaded(p); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
