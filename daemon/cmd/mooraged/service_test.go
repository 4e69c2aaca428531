//go:build unix

package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// kernel is a connection of the system's client to a mounted drive.
func kernel(t *testing.T, address string) *nfstest.Client {
	t.Helper()
	c, err := nfstest.Dial(t.Context(), address, nfstest.Auth{UID: mounts.OwnUID(), GID: mounts.OwnGID()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (h *home) root() nfstest.Handle {
	h.t.Helper()
	b, err := os.ReadFile(h.table.Path + ".root")
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *home) mount(a api.AddDrive) api.Drive {
	h.t.Helper()
	d, err := h.client.Add(h.t.Context(), a)
	if err == nil {
		d, err = h.client.Mount(h.t.Context(), d.Name, true)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func read(t *testing.T, c *nfstest.Client, dir nfstest.Handle, name string) string {
	t.Helper()
	l, err := c.Lookup(t.Context(), dir, name)
	if err != nil || l.Status != 0 {
		t.Fatalf("LOOKUP %s: %v, %v", name, nfstest.Status(uint32(l.Status)), err)
	}
	r, err := c.Read(t.Context(), nfstest.Handle(l.Handle), 0, 1<<16)
	if err != nil || r.Status != 0 {
		t.Fatalf("READ %s: %v, %v", name, nfstest.Status(uint32(r.Status)), err)
	}
	return string(r.Data)
}

// kill -9 under a mounted folder: the next service goes on with the same mount,
// and a file that was open stays usable.
func TestServiceIsKilled(t *testing.T) { serviceIsKilled(t) }

func serviceIsKilled(t *testing.T) {
	h := newHome(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := h.service()
	before := h.mount(api.AddDrive{URL: folder, Name: "f"})
	c := kernel(t, before.Address)
	open, err := c.Lookup(t.Context(), h.root(), "file")
	if err != nil || open.Status != 0 {
		t.Fatalf("LOOKUP: %+v, %v", open, err)
	}
	p.end(syscall.SIGKILL)
	if _, err := h.client.Service(t.Context()); !errors.Is(err, client.ErrNoService) {
		t.Fatalf("after the kill: %v", err)
	}
	kept := os.Getenv(keepPorts) != ""
	if l, err := net.Listen("tcp", before.Address); (err == nil) == kept {
		t.Errorf("the port of a drive whose service was killed, kept %v: %v", kept, err)
	} else if err == nil {
		l.Close()
	}

	h.service()
	s, err := h.client.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var after api.Drive
	for after.State != api.Mounted {
		e, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == api.DriveChanged {
			after = *e.Drive
		}
	}
	if after.Name != "f" || after.Address != before.Address || after.Dir != before.Dir || after.Remembered {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	c = kernel(t, after.Address)
	w, err := c.Write(t.Context(), nfstest.Handle(open.Handle), 0, []byte("after!"), nfs.FileSync)
	if err != nil || w.Status != 0 {
		t.Errorf("WRITE to a file that was open: %+v, %v", w, err)
	}
	if got := read(t, c, h.root(), "file"); got != "after!" {
		t.Errorf("read %q", got)
	}
	if _, err := h.client.Unmount(t.Context(), "f", api.UnmountDrive{Wait: true}); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", before.Address)
	if err != nil {
		t.Fatalf("the port of a drive that is not mounted any more: %v", err)
	}
	l.Close()
}

func TestGitDrive(t *testing.T) {
	h := newHome(t)
	h.service()
	repo := repository(t, "hello", "hello, drive\n")
	d := h.mount(api.AddDrive{URL: "git+file://" + repo, Remember: true})
	if d.Name != "repo" || !d.ReadOnly || d.Revision == "" || d.Kind != "git" || d.Cache.Used == 0 {
		t.Errorf("mounted %+v", d)
	}
	if tab, err := h.table.List(t.Context()); err != nil || len(tab) != 1 || !tab[0].ReadOnly {
		t.Errorf("mount table %+v, %v", tab, err)
	}
	c := kernel(t, d.Address)
	if got := read(t, c, h.root(), "hello"); got != "hello, drive\n" {
		t.Errorf("read %q", got)
	}
	w, err := c.Create(t.Context(), h.root(), "x", nfs.Guarded, nfstest.Sattr{}, [8]byte{})
	if err != nil || nfstest.Status(uint32(w.Status)) != nfs.ErrROFS {
		t.Errorf("CREATE: %v, %v", w.Status, err)
	}
	for url, want := range map[string]string{
		"git+file://" + repo + "@nope":      api.CodeNoRevision,
		"git+file://" + repo + ".none":      api.CodeNoRemote,
		"git+http://127.0.0.1:1/none.git":   api.CodeOffline,
		filepath.Join(repo, "not", "there"): api.CodeNoFolder,
		filepath.Join(repo, "HEAD"):         api.CodeNoFolder,
	} {
		d, err := h.client.Add(t.Context(), api.AddDrive{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.client.Mount(t.Context(), d.Name, true); code(err) != want {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
		if err := h.client.Remove(t.Context(), d.Name); err != nil {
			t.Error(err)
		}
	}
	if _, err := h.client.Add(t.Context(), api.AddDrive{URL: "sftp://host/x"}); code(err) != api.CodeComing {
		t.Errorf("sftp: %v", err)
	}
	if l, err := h.client.Drives(t.Context()); err != nil || len(l) != 1 {
		t.Errorf("left are %+v, %v", l, err)
	}
	if ids, err := os.ReadDir(filepath.Join(h.dir, ".local/state/moorage/drives")); err != nil || len(ids) != 1 {
		t.Errorf("state is left: %v, %v", ids, err)
	}
}

// SIGTERM takes all mounts away, in the end those in use too: nobody would
// serve them.
func TestSIGTERMUnmounts(t *testing.T) {
	h := newHome(t)
	p := h.service()
	h.mount(api.AddDrive{URL: "mem:", Remember: true})
	h.mount(api.AddDrive{URL: t.TempDir()})
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if tab, err := h.table.List(t.Context()); err != nil || len(tab) != 0 {
		t.Errorf("mount table %+v, %v", tab, err)
	}
	if l, err := os.ReadDir(filepath.Join(h.dir, "Moorage")); err == nil {
		t.Errorf("mount folders are left: %v", l)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "run/moorage/service.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestStop(t *testing.T) {
	h := newHome(t)
	p := h.service()
	h.mount(api.AddDrive{URL: t.TempDir(), Name: "f", Remember: true})
	if err := h.client.Stop(t.Context(), api.StopService{}); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if tab, _ := h.table.List(t.Context()); len(tab) != 1 {
		t.Errorf("mount table %+v, want the mount to wait for the next service", tab)
	}
	p = h.service()
	if err := h.client.Stop(t.Context(), api.StopService{Unmount: true}); err != nil {
		t.Fatal(err)
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if tab, _ := h.table.List(t.Context()); len(tab) != 0 {
		t.Errorf("mount table %+v", tab)
	}
}

func TestSecondService(t *testing.T) {
	h := newHome(t)
	p := h.service()
	second := func(what string) {
		t.Helper()
		q := h.run("main", "--foreground")
		if status := q.wait(); status != api.ExitNotFound {
			t.Errorf("%s: exit status %d", what, status)
		}
		if want := "already running, pid " + strconv.Itoa(p.cmd.Process.Pid); !strings.Contains(q.stderr.String(), want) {
			t.Errorf("%s wrote %q, want %q in it", what, q.stderr.String(), want)
		}
		if said := q.stderr.String(); what == "a second service" && (!strings.Contains(said, "of version test; this is") || !strings.Contains(said, "mooraged service restart")) {
			t.Errorf("%s wrote %q, which does not say how another version takes over", what, said)
		}
	}
	second("a second service")
	t.Setenv(client.SocketEnv, filepath.Join(h.dir, "other", "s.sock"))
	second("one with another socket and the same drives")
	if _, err := h.client.Service(t.Context()); err != nil {
		t.Errorf("the first service suffered: %v", err)
	}
}

// The real program starts where nothing is there yet, and logs to its file.
func TestServiceInTheBackground(t *testing.T) {
	h := newHome(t)
	p := h.run("main")
	h.answers(p)
	if s, err := h.client.Service(t.Context()); err != nil || s.PID != p.cmd.Process.Pid || s.Problem != nil {
		t.Errorf("Service = %+v, %v", s, err)
	}
	checks, err := h.client.Doctor(t.Context())
	if err != nil || len(checks) < 5 {
		t.Errorf("Doctor = %+v, %v", checks, err)
	}
	for _, c := range checks {
		if c.ID == "" || c.Name == "" || c.Detail == "" || c.State != api.CheckOK && c.Remedy == "" {
			t.Errorf("a check that does not help: %+v", c)
		}
	}
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if out := p.rest() + p.stderr.String(); out != "" {
		t.Errorf("it wrote to the terminal: %q", out)
	}
	log, err := os.ReadFile(filepath.Join(h.dir, ".local/state/moorage/mooraged.log"))
	if err != nil || !strings.Contains(string(log), "the service is ready") {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestDamagedConfigIsTold(t *testing.T) {
	h := newHome(t)
	conf := filepath.Join(h.dir, ".config/moorage/config.toml")
	if err := os.MkdirAll(filepath.Dir(conf), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("version = 1\n[[drive]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.service()
	_, err := h.client.Drives(t.Context())
	if code(err) != api.CodeConfig || !strings.Contains(err.Error(), conf+", line 2, column") {
		t.Errorf("Drives: %v", err)
	}
	if s, err := h.client.Service(t.Context()); err != nil || s.Problem == nil || s.Problem.Code != api.CodeConfig {
		t.Errorf("Service = %+v, %v", s, err)
	}
}

// Programs of the same user start the service when they need it.
func TestClientStart(t *testing.T) {
	h := newHome(t)
	bin := filepath.Join(h.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if err := client.Start(t.Context()); !errors.Is(err, client.ErrNoMooraged) {
		t.Errorf("without the program: %v", err)
	}
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "mooraged")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(roleEnv, "main")
	started := make(chan error, 3)
	for range cap(started) {
		go func() { started <- client.Start(t.Context()) }()
	}
	for range cap(started) {
		if err := <-started; err != nil {
			t.Errorf("Start: %v", err)
		}
	}
	if err := h.client.Stop(t.Context(), api.StopService{Unmount: true}); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", filepath.Join(h.dir, "run/moorage/service.sock")); err != nil {
			break
		} else {
			c.Close()
		}
	}
	t.Setenv("XDG_STATE_HOME", "/proc/none")
	if err := client.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "/proc/none") {
		t.Errorf("a service that cannot start: %v", err)
	}
}
