//go:build unix && !darwin

package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultSocket(t *testing.T) {
	t.Setenv(SocketEnv, "")
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	if s, err := DefaultSocket(); err != nil || s != "/run/user/7/moorage/service.sock" {
		t.Errorf("got %q, %v", s, err)
	}
	t.Setenv(SocketEnv, "/x/y.sock")
	if s, err := DefaultSocket(); err != nil || s != "/x/y.sock" {
		t.Errorf("with %s: %q, %v", SocketEnv, s, err)
	}
}

// Under the temporary folder anybody may have made the folder first.
func TestDefaultSocketInTemporaryFolder(t *testing.T) {
	t.Setenv(SocketEnv, "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	own := filepath.Join(tmp, fmt.Sprintf("moorage-%d", os.Geteuid()))
	want := filepath.Join(own, "service.sock")
	if s, err := DefaultSocket(); err != nil || s != want {
		t.Errorf("before there is one: %q, %v", s, err)
	}
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	if s, err := DefaultSocket(); err != nil || s != want {
		t.Errorf("a private one: %q, %v", s, err)
	}
	refused := func(what string) {
		t.Helper()
		if s, err := DefaultSocket(); err == nil || !strings.Contains(err.Error(), own) {
			t.Errorf("%s: %q, %v", what, s, err)
		}
	}
	if err := os.Chmod(own, 0o755); err != nil {
		t.Fatal(err)
	}
	refused("one that others can read")
	if os.Geteuid() == 0 {
		if err := os.Chmod(own, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(own, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		refused("one of another user")
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), own); err != nil {
		t.Fatal(err)
	}
	refused("a symbolic link")
}
