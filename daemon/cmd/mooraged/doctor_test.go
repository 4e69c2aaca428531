//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

// find is the check of that id.
func find(t *testing.T, checks []api.Check, id string) api.Check {
	t.Helper()
	for _, c := range checks {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no check %s in %+v", id, checks)
	return api.Check{}
}

// The service's doctor tries drives that are not mounted, by their own credentials and
// remotes, and reads through the mounts of others.
func TestDoctorOfDrives(t *testing.T) {
	h := newHome(t)
	h.service()
	repo := repository(t, "file", "hello")
	gone := filepath.Join(h.dir, "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"folder": t.TempDir(), "repo": "git+file://" + repo, "away": "git+http://127.0.0.1:1/a.git",
		"norev": "git+file://" + repo + "@nosuch", "gone": gone, "mem": "mem:"} {
		if _, err := h.client.Add(t.Context(), api.AddDrive{URL: url, Name: name, Remember: name != "mem"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	d, err := h.client.Mount(t.Context(), "folder", true)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := h.client.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]struct {
		state api.CheckState
		says  string
	}{
		"drive:folder": {api.CheckOK, "mounted"}, "drive:folder:mount": {api.CheckOK, d.Dir + " can be read"},
		"drive:repo": {api.CheckOK, "sign-in and listing work"}, "drive:norev": {api.CheckBad, "nosuch"}, "drive:mem": {api.CheckOK, ""},
		"drive:away": {api.CheckBad, "Nothing answers at port 1"}, "drive:gone": {api.CheckBad, "does not exist"},
	} {
		c := find(t, checks, id)
		if c.State != want.state || !strings.Contains(c.Detail, want.says) || c.State != api.CheckOK && c.Remedy == "" {
			t.Errorf("%+v", c)
		}
	}
	// Nothing of that stays.
	if l, err := os.ReadDir(filepath.Join(h.dir, "tmp")); err != nil || len(l) != 0 {
		t.Errorf("in the temporary folder are %v, %v", l, err)
	}
	if l, err := h.client.Drives(t.Context()); err != nil || len(l) != 6 || l[0].State != api.Stopped {
		t.Errorf("drives %+v, %v", l, err)
	}
}

// Without a service the program itself looks, and mends what keeps a service from
// starting.
func TestDoctorWithoutService(t *testing.T) {
	h := newHome(t)
	socket, err := client.DefaultSocket()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as kill -9 leaves it
	l.Close()
	if err := os.Chmod(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	doctor := func(args ...string) []api.Check {
		t.Helper()
		p := h.run("main", append([]string{"doctor"}, args...)...)
		text := p.rest()
		if status := p.wait(); status != 0 {
			t.Fatalf("status %d: %s", status, p.stderr.String())
		}
		var checks []api.Check
		if err := json.Unmarshal([]byte(text), &checks); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return checks
	}
	p := h.run("main", "--foreground")
	if p.wait() == 0 {
		t.Fatal("the service starts in an open folder, so that this test shows nothing")
	}
	checks := doctor()
	if c := find(t, checks, "folder-socket"); c.State != api.CheckBad || c.Fix == "" {
		t.Errorf("%+v", c)
	}
	if c := find(t, checks, "socket"); c.State != api.CheckNote || c.Fix == "" {
		t.Errorf("%+v", c)
	}
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("to look is not to mend: %v", err)
	}
	checks = doctor("--fix")
	for _, id := range []string{"folder-socket", "socket"} {
		if c := find(t, checks, id); c.State != api.CheckOK || c.Done == "" {
			t.Errorf("%+v", c)
		}
	}
	h.answers(h.run("main", "--foreground"))
	if c := find(t, doctor(), "socket"); c.State != api.CheckOK {
		t.Errorf("beside a service: %+v", c)
	}
}

func TestLookAt(t *testing.T) {
	dir := t.TempDir()
	if err := listAt(dir, true); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	for name, text := range map[string]string{"empty": "", "file": "hello"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := listAt(dir, true); err != nil {
		t.Error(err)
	}
	if err := listAt(filepath.Join(dir, "none"), false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if err := listAt(filepath.Join(dir, "file"), false); err == nil {
		t.Error("a file is no folder")
	}
}

// What hangs in the file system is killed with its process.
func TestLookByChild(t *testing.T) {
	t.Setenv(roleEnv, "main")
	dir := t.TempDir()
	if err := listByChild(t.Context(), dir, true); err != nil {
		t.Error(err)
	}
	if err := listByChild(t.Context(), filepath.Join(dir, "none"), false); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no folder: %v", err)
	}
	pipe := filepath.Join(dir, "pipe") // whose other end nobody opens
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := listByChild(ctx, pipe, false); err == nil || ctx.Err() == nil {
		t.Errorf("a folder that hangs: %v", err)
	}
}
