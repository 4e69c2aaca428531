package mounter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

func guestDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("/mnt", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantFile(t *testing.T, dir string) {
	t.Helper()
	if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(b) != "hello\n" {
		t.Errorf("read %q, %v", b, err)
	}
}

func wantMount(t *testing.T, m *Mounter, want Mount) {
	t.Helper()
	all, err := m.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, mt := range all {
		if mt == want {
			return
		}
	}
	t.Errorf("%+v is not in %+v", want, all)
}

func wantClean(t *testing.T, dir string) {
	t.Helper()
	if isMounted(dir) {
		t.Errorf("%s is still mounted", dir)
	}
}

func superOptions(t *testing.T, dir string) string {
	t.Helper()
	table, err := linuxnfs.Table()
	if err != nil {
		t.Fatal(err)
	}
	for _, mi := range table {
		if mi.Point == dir {
			return mi.Options + " " + mi.Super
		}
	}
	t.Fatalf("%s is not mounted", dir)
	return ""
}

func TestGuestEveryWayOfMounting(t *testing.T) {
	guestOnly(t)
	if findMountNFS() == "" {
		t.Fatal("no mount.nfs: apt install nfs-common")
	}
	m := new(Mounter)
	for _, tc := range []struct {
		name     string
		readOnly bool
		root     []byte
		direct   bool // mount(2) although there is a mount.nfs
	}{
		{name: "command"}, {name: "command-ro", readOnly: true},
		{name: "text", direct: true}, {name: "text-ro", direct: true, readOnly: true},
		{name: "root", root: guestRoot}, {name: "root-ro", root: guestRoot, readOnly: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := newGuestServer(t, false)
			dir := guestDir(t, "way "+tc.name)
			s := srv.spec(dir)
			s.ReadOnly, s.Root = tc.readOnly, tc.root
			var err error
			if tc.direct {
				err = mountBySyscall(s)
			} else {
				err = m.Mount(t.Context(), s)
			}
			if err != nil {
				t.Fatal(err)
			}
			wantMount(t, m, Mount{Source: s.source(), Dir: dir, Port: s.Port, Export: s.Export, ReadOnly: tc.readOnly})
			wantFile(t, dir)
			if n := srv.mnt.Load(); (n == 0) != (tc.root != nil) {
				t.Errorf("%d MNT calls", n)
			}
			how, opts := ",hard", superOptions(t, dir)
			if tc.readOnly {
				how = ",soft"
				if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
					t.Errorf("a write to a read-only drive: %v", err)
				}
			}
			for _, o := range []string{"nosuid", "nodev", how, ",vers=3", "acregmin=1", "noacl"} {
				if !strings.Contains(opts, o) {
					t.Errorf("no %s in %s", o, opts)
				}
			}
			if err := m.Mount(t.Context(), s); !errors.Is(err, ErrDir) {
				t.Errorf("mounted twice: %v", err)
			}
			if err := m.Unmount(t.Context(), dir, false); err != nil {
				t.Error(err)
			}
			wantClean(t, dir)
			if err := m.Unmount(t.Context(), dir, false); !errors.Is(err, ErrNotMounted) {
				t.Errorf("unmounted twice: %v", err)
			}
		})
	}
}

func TestGuestFolderBehindSymlink(t *testing.T) {
	guestOnly(t)
	m, srv := new(Mounter), newGuestServer(t, false)
	dir := guestDir(t, "real/drive")
	if err := os.Symlink("/mnt/real", "/mnt/alias"); err != nil {
		t.Fatal(err)
	}
	if err := m.Mount(t.Context(), srv.spec("/mnt/alias/drive")); err != nil {
		t.Fatal(err)
	}
	if !isMounted(dir) {
		t.Error("not in the table under its real name")
	}
	if err := m.Unmount(t.Context(), "/mnt/alias/drive", false); err != nil {
		t.Error(err)
	}
}

func TestGuestRefused(t *testing.T) {
	guestOnly(t)
	m, srv := new(Mounter), newGuestServer(t, false)
	srv.refuse.Store(true)
	s := srv.spec(guestDir(t, "refused"))
	for name, err := range map[string]error{"command": m.Mount(t.Context(), s), "syscall": mountBySyscall(s)} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	srv.die()
	for name, err := range map[string]error{"command": m.Mount(t.Context(), s), "syscall": mountBySyscall(s)} {
		var e *Error
		if !errors.Is(err, ErrRefused) || !errors.As(err, &e) || !strings.Contains(e.What, "Nothing listens") {
			t.Errorf("%s, nobody there: %v", name, err)
		}
	}
	wantClean(t, s.Dir)
}

// A server that takes the call and never answers: the attempt ends in its time,
// and when the server wakes up later nothing is mounted.
func TestGuestSilentServer(t *testing.T) {
	guestOnly(t)
	m := new(Mounter)
	for _, root := range [][]byte{nil, guestRoot} {
		srv := newGuestServer(t, true)
		s := srv.spec(guestDir(t, fmt.Sprintf("silent%d", len(root))))
		s.Root, s.Timeout = root, 2*time.Second
		start := time.Now()
		err := m.Mount(t.Context(), s)
		if !errors.Is(err, ErrTimeout) || time.Since(start) > s.Timeout+2*grace {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if root != nil {
			if err := m.Mount(t.Context(), s); !errors.Is(err, ErrBusy) {
				t.Errorf("a second attempt while the first hangs: %v", err)
			}
		}
		close(srv.hold)
		until(t, "the late mount is taken away", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.pending[s.Dir] == nil
		})
		until(t, "nothing is mounted", func() bool { return !isMounted(s.Dir) })
		s.Timeout = 0
		if err := m.Mount(t.Context(), s); err != nil {
			t.Errorf("after the server woke up: %v", err)
		}
		if err := m.Unmount(t.Context(), s.Dir, false); err != nil {
			t.Error(err)
		}
	}
}

// until polls what the kernel gives no event for.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Errorf("never: %s", what)
}

func TestGuestBusyAndForced(t *testing.T) {
	guestOnly(t)
	m, srv := new(Mounter), newGuestServer(t, false)
	dir := guestDir(t, "busy")
	if err := m.Mount(t.Context(), srv.spec(dir)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = m.Unmount(t.Context(), dir, false)
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("the user of the file is not named: %v", err)
	}
	wantFile(t, dir)
	if err := m.Unmount(t.Context(), dir, true); err != nil {
		t.Error(err)
	}
	wantClean(t, dir)
}

// A dead server under a hard mount with somebody stuck in it is what hangs
// desktops. Nothing of ours may.
func TestGuestDeadServer(t *testing.T) {
	guestOnly(t)
	m, srv := new(Mounter), newGuestServer(t, false)
	live := newGuestServer(t, false)
	dir, other := guestDir(t, "dead"), guestDir(t, "live")
	if err := m.Mount(t.Context(), srv.spec(dir)); err != nil {
		t.Fatal(err)
	}
	if err := m.Mount(t.Context(), live.spec(other)); err != nil {
		t.Fatal(err)
	}
	srv.die()
	stuck := exec.Command("busybox", "ls", "-l", dir)
	if err := stuck.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- stuck.Wait() }()
	until(t, "ls hangs", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", stuck.Process.Pid))
		return err == nil && strings.Contains(string(b), ") D ") // waits in the kernel
	})
	start := time.Now()
	wantMount(t, m, Mount{Source: srv.spec(dir).source(), Dir: dir, Port: srv.spec(dir).Port, Export: "/t0ken/My Drive"})
	if err := m.Mount(t.Context(), srv.spec(dir)); !errors.Is(err, ErrDir) {
		t.Errorf("mount over a dead mount: %v", err)
	}
	removed, err := m.RemoveStale(t.Context(), func(mt Mount) bool { return mt.Port == srv.spec(dir).Port })
	if err != nil || len(removed) != 1 || removed[0].Dir != dir {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("took %s", d)
	}
	wantClean(t, dir)
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("ls is stuck still")
		stuck.Process.Kill()
	}
	wantFile(t, other)
	if err := m.Unmount(t.Context(), other, false); err != nil {
		t.Error(err)
	}
}

// Written data that has nowhere to go must not keep a forced unmount, nor the
// writer for ever.
func TestGuestDeadServerWithDirtyData(t *testing.T) {
	guestOnly(t)
	m, srv := new(Mounter), newGuestServer(t, false)
	dir := guestDir(t, "dirty")
	if err := m.Mount(t.Context(), srv.spec(dir)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	srv.die()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }() // writes back first, so it hangs
	start := time.Now()
	until(t, "the unmount is refused", func() bool { return errors.Is(m.Unmount(t.Context(), dir, false), ErrBusy) })
	if err := m.Unmount(t.Context(), dir, true); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
	wantClean(t, dir)
	select {
	case err := <-closed:
		if err == nil {
			t.Error("the writer was told that all is well")
		}
	case <-time.After(10 * time.Second):
		t.Error("the writer hangs still")
	}
}

func TestGuestDeadServerUnused(t *testing.T) {
	guestOnly(t)
	m := new(Mounter)
	for _, force := range []bool{false, true} {
		srv := newGuestServer(t, false)
		dir := guestDir(t, fmt.Sprint("unused ", force))
		if err := m.Mount(t.Context(), srv.spec(dir)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, dir)
		srv.die()
		start := time.Now()
		if err := m.Unmount(t.Context(), dir, force); err != nil || time.Since(start) > 10*time.Second {
			t.Errorf("force %v: %v after %s", force, err, time.Since(start))
		}
		wantClean(t, dir)
	}
}

func TestGuestOrdinaryUser(t *testing.T) {
	guestOnly(t)
	if os.Geteuid() != 0 {
		dir := guestDir(t, "user/d")
		err := new(Mounter).Mount(t.Context(), Spec{Address: "127.0.0.1", Port: 1, Export: "/x", Dir: dir})
		if !errors.Is(err, ErrPermission) {
			t.Errorf("an ordinary user: %v", err)
		}
		return
	}
	home := guestDir(t, "user")
	if err := os.Chown(home, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestGuestOrdinaryUser$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestGuestOrdinaryUser") {
		t.Errorf("%v\n%s", err, out)
	}
}
