package mounts_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers"
)

// kernel keeps what a client of the system would keep of a mount.
type kernel struct {
	spec   mounter.Spec
	client *nfstest.Client
	root   nfstest.Handle
}

// mountAs makes the MNT call of the mount, and keeps the connection and the handle.
func (k *kernel) onMount(ctx context.Context, s mounter.Spec) error {
	k.spec = s
	c, err := nfstest.Dial(ctx, net.JoinHostPort(s.Address, strconv.Itoa(int(s.Port))), nfstest.Auth{UID: mounts.OwnUID(), GID: mounts.OwnGID()})
	if err != nil {
		return err
	}
	r, err := c.Mnt(ctx, s.Export)
	if err != nil || r.Status != 0 {
		c.Close()
		return errors.Join(err, errors.New("MNT was refused"))
	}
	k.client, k.root = c, nfstest.Handle(r.Handle)
	return nil
}

// dial connects again, with another identity if asked.
func (k *kernel) dial(t *testing.T, a nfstest.Auth) *nfstest.Client {
	t.Helper()
	c, err := nfstest.Dial(t.Context(), net.JoinHostPort(k.spec.Address, strconv.Itoa(int(k.spec.Port))), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLifeOfADrive(t *testing.T) {
	w := newWorld(t)
	k := &kernel{}
	w.mounter.OnMount = k.onMount
	w.start()
	told := make(chan []string, 1)
	sub := w.hub.Subscribe()
	go func() {
		defer sub.Close()
		var states []string
		for {
			e, err := sub.Next(t.Context())
			switch {
			case err != nil || e.Kind == api.DriveRemoved:
				told <- append(states, "removed")
				return
			case e.Drive != nil && (len(states) == 0 || states[len(states)-1] != string(e.Drive.State)):
				states = append(states, string(e.Drive.State))
			}
		}
	}()

	d := w.add(api.AddDrive{URL: "fake:x", Remember: true})
	if d.State != api.Stopped || d.Dir != filepath.Join(w.dir, "Moorage", "x") {
		t.Fatalf("added %+v", d)
	}
	d = w.mount("x")
	if d.State != api.Mounted || d.Address == "" || d.Problem != nil || d.Step != "" {
		t.Fatalf("mounted %+v", d)
	}
	if st, err := os.Stat(d.Dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the mount folder: %v, %v", st, err)
	}
	if tab := w.table(); len(tab) != 1 || tab[0].Dir != d.Dir {
		t.Fatalf("mount table %+v", tab)
	}
	r, err := k.client.Create(t.Context(), k.root, "file", nfs.Guarded, nfstest.Sattr{}, [8]byte{})
	if err != nil || r.Status != 0 {
		t.Fatalf("create in the drive: %+v, %v", r, err)
	}
	if again := w.mount("x"); again.Since != d.Since {
		t.Errorf("mounting a mounted drive changed it: %+v", again)
	}

	d, err = w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true})
	if err != nil || d.State != api.Stopped {
		t.Fatalf("unmounted %+v, %v", d, err)
	}
	if _, err := os.Stat(d.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mount folder that was made is still there: %v", err)
	}
	if st := w.stateOf("x"); st.Mount != nil || st.Port != k.spec.Port {
		t.Errorf("state after unmounting: %+v", st)
	}
	if _, err := net.Dial("tcp", net.JoinHostPort(k.spec.Address, strconv.Itoa(int(k.spec.Port)))); err == nil {
		t.Error("the port is still open")
	}
	port, export := k.spec.Port, k.spec.Export
	w.mount("x")
	if k.spec.Port != port {
		t.Errorf("port %d, was %d", k.spec.Port, port)
	}
	if k.spec.Export == export {
		t.Error("the token of the export path was used again")
	}
	if err := w.m.Remove(t.Context(), "x", false); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft()

	// Slow readers may miss states in between.
	states := <-told
	if last := states[len(states)-1]; last != "removed" || !slices.Contains(states, "mounted") {
		t.Errorf("told states %v", states)
	}
}

func TestStepsAreShown(t *testing.T) {
	w := newWorld(t)
	step := make(chan string, 10)
	look := func() {
		d, _ := w.m.Get("x")
		step <- string(d.State) + " " + d.Step
	}
	w.opener.fail = func(mounts.Request) error { look(); return nil }
	w.mounter.OnMount = func(ctx context.Context, s mounter.Spec) error { look(); return mnt(ctx, s) }
	w.start()
	w.add(api.AddDrive{URL: "fake:x"})
	w.mount("x")
	if a, b := <-step, <-step; a != "connecting sign-in" || b != "connecting mount" {
		t.Errorf("steps %q, %q", a, b)
	}
}

// The export path is good for one MNT while the mount is made; afterwards the
// handle is what counts.
func TestRule04OneMNT(t *testing.T) {
	w := newWorld(t)
	k := &kernel{}
	var second nfs.Status
	w.mounter.OnMount = func(ctx context.Context, s mounter.Spec) error {
		if err := k.onMount(ctx, s); err != nil {
			return err
		}
		r, err := k.client.Mnt(ctx, s.Export)
		second = nfstest.Status(uint32(r.Status))
		return err
	}
	w.start()
	w.add(api.AddDrive{URL: "fake:x"})
	w.mount("x")
	if second != nfs.ErrAccess {
		t.Errorf("a second MNT meanwhile: %v, want access denied", second)
	}
	r, err := k.client.Mnt(t.Context(), k.spec.Export)
	if err != nil || nfstest.Status(uint32(r.Status)) != nfs.ErrAccess {
		t.Errorf("MNT later: %v, %v, want access denied", r.Status, err)
	}
	if e, err := k.client.Export(t.Context()); err != nil || len(e.Exports) != 0 {
		t.Errorf("EXPORT tells %+v, %v", e, err)
	}
	if g, err := k.client.Getattr(t.Context(), k.root); err != nil || g.Status != 0 {
		t.Errorf("the handle: %+v, %v", g, err)
	}
	// The mount goes on by its handle when its connection broke: it needs no MNT.
	k.client.Close()
	if g, err := k.dial(t, me()).Getattr(t.Context(), k.root); err != nil || g.Status != 0 {
		t.Errorf("on a new connection: %+v, %v", g, err)
	}
}

func TestRule07OnlyTheOwnerGetsIn(t *testing.T) {
	w := newWorld(t)
	k := &kernel{}
	w.mounter.OnMount = k.onMount
	w.start()
	w.add(api.AddDrive{URL: "fake:x"})
	w.mount("x")
	other := k.dial(t, nfstest.Auth{UID: mounts.OwnUID() + 1, GID: mounts.OwnGID()})
	if r, err := other.Lookup(t.Context(), k.root, "file"); err != nil || nfstest.Status(uint32(r.Status)) != nfs.ErrAccess {
		t.Errorf("LOOKUP by another user: %v, %v, want access denied", r.Status, err)
	}
	if r, err := other.Access(t.Context(), k.root, 0x3f); err != nil || r.Access != 0 {
		t.Errorf("ACCESS by another user: %+v, %v", r, err)
	}
}

func TestMountOfAnUnrememberedDriveIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.start()
	d := w.add(api.AddDrive{URL: "fake:x?secret=hunter2", Name: "My photos (2)"})
	if w.secrets.len() != 1 {
		t.Error("the secret of the URL is not in the keyring")
	}
	w.mount(d.Name)
	if _, err := w.m.Unmount(t.Context(), d.Name, api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	w.untilGone(d.Name)
	w.leave() // waits until its traces are gone
	w.nothingLeft()
}

func TestUnmountOfABusyDrive(t *testing.T) {
	w := newWorld(t)
	w.start()
	d := w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	w.mounter.SetBusy(d.Dir, true)
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); code(err) != api.CodeBusy {
		t.Errorf("Unmount: %v", err)
	}
	if err := w.m.Remove(t.Context(), "x", false); code(err) != api.CodeBusy {
		t.Errorf("Remove: %v", err)
	}
	if err := w.m.UnmountAll(t.Context(), false); code(err) != api.CodeBusy {
		t.Errorf("UnmountAll: %v", err)
	}
	if d, _ := w.m.Get("x"); d.State != api.Mounted {
		t.Errorf("the drive is %s", d.State)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true, Force: true}); err != nil {
		t.Errorf("forced: %v", err)
	}
}

func TestExternalUnmount(t *testing.T) {
	for _, remember := range []bool{true, false} {
		w := newWorld(t)
		w.start()
		w.add(api.AddDrive{URL: "fake:x", Remember: remember})
		d := w.mount("x")
		if err := w.mounter.Take(d.Dir); err != nil {
			t.Fatal(err)
		}
		if !remember {
			w.untilGone("x")
			continue
		}
		w.until("x", in(api.Stopped))
		if n := w.opener.open(); n != 0 {
			t.Errorf("%d file systems are open", n)
		}
		w.mount("x")
	}
}

func TestRetryUntilTheRemoteIsThere(t *testing.T) {
	w := newWorld(t)
	fails := 2
	w.opener.fail = func(mounts.Request) error {
		if fails--; fails >= 0 {
			return providers.ErrOffline
		}
		return nil
	}
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	if d, err := w.m.Mount(t.Context(), "x", false); err != nil || d.State != api.Connecting {
		t.Fatalf("Mount: %+v, %v", d, err)
	}
	w.until("x", in(api.Mounted))
	if fails != -1 {
		t.Errorf("opened %d times more or less", fails)
	}
}

func TestWaitingDriveSaysWhyAndCanBeCalledOff(t *testing.T) {
	w := newWorld(t)
	w.opener.fail = func(mounts.Request) error { return providers.ErrOffline }
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	if _, err := w.m.Mount(t.Context(), "x", false); err != nil {
		t.Fatal(err)
	}
	d := w.until("x", func(d api.Drive) bool { return d.Step == "wait" })
	if d.State != api.Connecting || d.Problem == nil || d.Problem.Code != api.CodeOffline || d.Problem.Time.IsZero() {
		t.Errorf("waiting drive: %+v", d)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if d, _ := w.m.Get("x"); d.State != api.Stopped || d.Problem != nil {
		t.Errorf("after that: %+v", d)
	}
}

func TestUnmountCutsAMountShort(t *testing.T) {
	w := newWorld(t)
	w.opener.block = true
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	failed := make(chan error, 1)
	go func() {
		_, err := w.m.Mount(t.Context(), "x", true)
		failed <- err
	}()
	w.until("x", func(d api.Drive) bool { return d.Step == "sign-in" })
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; code(err) != api.CodeStopping {
		t.Errorf("the mount: %v", err)
	}
	if d, _ := w.m.Get("x"); d.State != api.Stopped {
		t.Errorf("the drive is %s", d.State)
	}
	if err := w.m.Remove(t.Context(), "x", false); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft()
}

func TestSecretMakesAWaitingDriveGo(t *testing.T) {
	w := newWorld(t)
	w.opener.fail = func(r mounts.Request) error {
		if s, err := r.Secret(t.Context()); err != nil || s != "token" {
			return providers.ErrAuth
		}
		return nil
	}
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Auto: true, Secret: "old"})
	if _, err := w.m.Mount(t.Context(), "x", true); code(err) != api.CodeAuth {
		t.Fatalf("Mount: %v", err)
	}
	if d, _ := w.m.Get("x"); d.State != api.NeedsYou || d.Problem.Do == "" {
		t.Errorf("the drive is %+v", d)
	}
	if err := w.m.SetSecret(t.Context(), "x", "token"); err != nil {
		t.Fatal(err)
	}
	w.until("x", in(api.Mounted))
}

func TestDegraded(t *testing.T) {
	w := newWorld(t)
	h := mounts.Health{Online: true, Revision: "r1", CacheUsed: 5}
	waves := make(chan struct{}, 1)
	w.opener.waves = waves
	w.opener.well = func() mounts.Health {
		w.opener.mu.Lock()
		defer w.opener.mu.Unlock()
		return h
	}
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	if d := w.mount("x"); d.State != api.Mounted || d.Revision != "r1" || d.Cache.Used != 5 {
		t.Errorf("mounted: %+v", d)
	}
	w.opener.set(func(*opener) { h.CacheUsed, h.CacheLimit = 6, 7 }) // reading changes nothing else
	w.until("x", func(d api.Drive) bool { return d.Cache == api.Cache{Used: 6, Limit: 7} })
	w.opener.set(func(*opener) { h = mounts.Health{Err: providers.ErrOffline, Revision: "r1"} })
	waves <- struct{}{}
	d := w.until("x", in(api.Degraded))
	if d.Problem == nil || d.Problem.Code != api.CodeOffline {
		t.Errorf("degraded: %+v", d)
	}
	w.opener.set(func(*opener) { h = mounts.Health{Online: true, Revision: "r2"} })
	waves <- struct{}{}
	if d := w.until("x", in(api.Mounted)); d.Problem != nil || d.Revision != "r2" {
		t.Errorf("mounted again: %+v", d)
	}
	for err, code := range map[error]string{syscall.ENOSPC: api.CodeDiskFull, syscall.EIO: api.CodeDisk} {
		w.opener.set(func(*opener) { h.Disk = err })
		waves <- struct{}{}
		d := w.until("x", in(api.Degraded))
		if d.Problem == nil {
			t.Fatalf("with a disk that takes nothing: %+v", d)
		}
		problem(t, &api.Error{Exit: api.ExitFailed, Problem: *d.Problem}, code, api.ExitFailed)
		w.opener.set(func(*opener) { h.Disk = nil })
		waves <- struct{}{}
		w.until("x", in(api.Mounted))
	}
}

func TestEdit(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.add(api.AddDrive{URL: "fake:other", Remember: true})
	name, taken, dir, yes := "new", "other", filepath.Join(w.dir, "place"), true
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.mount("x")
	if _, err := w.m.Edit(t.Context(), "x", api.EditDrive{Name: &name}); code(err) != api.CodeMounted {
		t.Errorf("a new name while mounted: %v", err)
	}
	if d, err := w.m.Edit(t.Context(), "x", api.EditDrive{Auto: &yes}); err != nil || !d.Auto {
		t.Errorf("auto while mounted: %+v, %v", d, err)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Edit(t.Context(), "x", api.EditDrive{Name: &taken}); code(err) != api.CodeExists {
		t.Errorf("a name that is taken: %v", err)
	}
	d, err := w.m.Edit(t.Context(), "x", api.EditDrive{Name: &name, Dir: &dir, ReadOnly: &yes})
	if err != nil || d.Name != name || d.Dir != dir || !d.ReadOnly {
		t.Fatalf("Edit: %+v, %v", d, err)
	}
	w.leave()
	w.start() // auto
	d = w.until(name, in(api.Mounted))
	if d.Dir != dir || !d.ReadOnly || !w.table()[0].ReadOnly {
		t.Errorf("after a restart: %+v, %+v", d, w.table())
	}
	if _, err := w.m.Get("x"); code(err) != api.CodeNoDrive {
		t.Errorf("the old name: %v", err)
	}
	if _, err := w.m.Unmount(t.Context(), name, api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a folder that was not made for the mount is gone: %v", err)
	}
}

// A person who asks twice gets two drives, not an error.
func TestDefaultNamesAreUnique(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, want := range []string{"x", "x-2", "x-3"} {
		if d := w.add(api.AddDrive{URL: "fake:x"}); d.Name != want {
			t.Errorf("got %q, want %q", d.Name, want)
		}
	}
	if l, err := w.m.List(); err != nil || len(l) != 3 || l[1].Name != "x-2" {
		t.Errorf("List: %+v, %v", l, err)
	}
}

func TestServiceEndsWithinBounds(t *testing.T) {
	w := newWorld(t)
	w.opener.block = true
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Auto: true})
	if _, err := w.m.Mount(t.Context(), "x", false); err != nil {
		t.Fatal(err)
	}
	w.until("x", func(d api.Drive) bool { return d.Step == "sign-in" })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.m.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := w.m.Mount(t.Context(), "x", true); code(err) != api.CodeStopping {
		t.Errorf("Mount after the end: %v", err)
	}
}

// A secret that comes while its drive is being removed stays nowhere.
func TestSecretOfARemovedDrive(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x"})
	w.secrets.onSet = func() {
		if err := w.m.Remove(t.Context(), "x", false); err != nil {
			t.Error(err)
		}
	}
	problem(t, w.m.SetSecret(t.Context(), "x", "token"), api.CodeNoDrive, api.ExitNotFound)
	if n := w.secrets.len(); n != 0 {
		t.Errorf("%d secrets of drives that are gone", n)
	}
	w.nothingLeft()
}

// Whoever asks something of a drive that is just going does not bring it back:
// neither to those who watch, nor to the disk, nor to the keyring.
func TestRacesWithTheEnd(t *testing.T) {
	w := newWorld(t)
	w.start()
	for range 50 {
		w.add(api.AddDrive{URL: "fake:x"})
		w.mount("x")
		var wg sync.WaitGroup
		for _, f := range []func() error{
			func() error { _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); return err },
			func() error { _, err := w.m.Mount(t.Context(), "x", false); return err },
			func() error { return w.m.SetSecret(t.Context(), "x", "token") },
		} {
			wg.Go(func() {
				var e *api.Error
				if err := f(); err != nil && (!errors.As(err, &e) || e.Problem.Code != api.CodeNoDrive) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := w.m.Remove(t.Context(), "x", false); err != nil {
			problem(t, err, api.CodeNoDrive, api.ExitNotFound)
		}
		w.untilGone("x")
	}
	if n := w.secrets.len(); n != 0 {
		t.Errorf("%d secrets of drives that are gone", n)
	}
	s := w.hub.Subscribe()
	defer s.Close()
	if e, err := s.Next(t.Context()); err != nil || e.Kind != api.Ready {
		t.Errorf("told of a drive that is gone: %+v, %v", e.Drive, err)
	}
	w.nothingLeft()
}
