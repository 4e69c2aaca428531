package mounts_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/mounter"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers"
)

func me() nfstest.Auth { return nfstest.Auth{UID: mounts.OwnUID(), GID: mounts.OwnGID()} }

// A mount goes on when its service has gone and another one comes: the same
// handles, no MNT, no remount. Drives that are not remembered are no exception.
func TestMountsAreTakenUp(t *testing.T) {
	for _, remember := range []bool{true, false} {
		w := newWorld(t)
		k := &kernel{}
		w.mounter.OnMount = k.onMount
		w.start()
		w.add(api.AddDrive{URL: "fake:x", Remember: remember})
		before := w.mount("x")
		r, err := k.client.Create(t.Context(), k.root, "file", nfs.Guarded, nfstest.Sattr{}, [8]byte{})
		if err != nil || r.Status != 0 {
			t.Fatalf("create: %+v, %v", r, err)
		}
		w.leave()
		w.mounter.OnMount = func(context.Context, mounter.Spec) error { t.Error("mounted again"); return nil }
		w.start()
		after := w.until("x", in(api.Mounted))
		if after.Address != before.Address || after.Dir != before.Dir || after.Remembered != remember {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		c := k.dial(t, me())
		if l, err := c.Lookup(t.Context(), k.root, "file"); err != nil || l.Status != 0 {
			t.Errorf("LOOKUP by the old handle: %+v, %v", l, err)
		}
		if m, err := c.Mnt(t.Context(), k.spec.Export); err != nil || nfstest.Status(uint32(m.Status)) != nfs.ErrAccess {
			t.Errorf("MNT: %v, %v, want access denied", m.Status, err)
		}
		if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
			t.Errorf("Unmount: %v", err)
		}
		if _, err := os.Stat(before.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the mount folder is left: %v", err)
		}
		w.leave()
		if !remember {
			w.nothingLeft()
		}
	}
}

// A mount that waits for a remote which is away is served as soon as it is back.
func TestTakenUpWhenTheRemoteIsBack(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	w.leave()
	fails := 3
	w.opener.fail = func(mounts.Request) error {
		if fails--; fails >= 0 {
			return providers.ErrOffline
		}
		return nil
	}
	w.start()
	w.until("x", in(api.Mounted))
}

// A mount that cannot be served is taken away, since whoever touches it hangs.
func TestMountThatCannotBeServedIsTakenAway(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	w.leave()
	w.opener.fail = func(mounts.Request) error { return providers.ErrAuth }
	w.start()
	w.until("x", in(api.NeedsYou))
	if tab := w.table(); len(tab) != 0 {
		t.Errorf("mount table %+v", tab)
	}
	w.opener.set(func(o *opener) { o.fail = nil })
	w.mount("x")
}

// While no service ran, another program took the port: what it would show in
// the mount is not the owner's, so the mount goes.
func TestRule11PortTakenByAnotherProgram(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	d := w.mount("x")
	w.leave()
	l, err := net.Listen("tcp", d.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.start()
	d = w.until("x", in(api.Failed))
	if d.Problem.Code != api.CodePortTaken || d.Problem.Do == "" {
		t.Errorf("problem %+v", d.Problem)
	}
	if tab := w.table(); len(tab) != 0 {
		t.Errorf("the mount is still there: %+v", tab)
	}
	if again := w.mount("x"); again.Address == l.Addr().String() {
		t.Error("mounted on the port of the other program")
	}
}

func TestMountTakenAwayWhileNoServiceRan(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.add(api.AddDrive{URL: "fake:y"})
	w.mount("x")
	w.mount("y")
	w.leave()
	for _, m := range w.table() {
		if err := w.mounter.Take(m.Dir); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	if d := w.until("x", in(api.Stopped)); d.Problem != nil {
		t.Errorf("x: %+v", d)
	}
	if l, err := w.m.List(); err != nil || len(l) != 1 {
		t.Errorf("List: %+v, %v", l, err)
	}
	if l, err := os.ReadDir(filepath.Join(w.dir, "Moorage")); err == nil && len(l) > 0 {
		t.Errorf("mount folders are left: %v", l)
	}
}

// Mounts of ours whose drive is gone are dead and make everybody hang; those of
// others are none of our business.
func TestStaleMountsAreRemoved(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, alive, _ := net.SplitHostPort(l.Addr().String())
	alivePort, _ := strconv.Atoi(alive)
	token := strings.Repeat("ab", 16)
	place := filepath.Join(w.dir, "Moorage")
	put := func(dir, source, export string, port uint16) {
		if err := w.mounter.Put(mounter.Mount{Source: source + ":" + export, Dir: dir, Port: port, Export: export}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(place, "dead"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(place, "dead"), "127.0.0.1", "/"+token+"/dead", 1)
	put(filepath.Join(place, "alive"), "127.0.0.1", "/"+token+"/alive", uint16(alivePort))
	put(filepath.Join(place, "nas"), "192.0.2.1", "/"+token+"/nas", 1)
	put(filepath.Join(place, "rclone"), "127.0.0.1", "/rclone", 1)
	put("/mnt/elsewhere", "127.0.0.1", "/"+token+"/elsewhere", 1)
	w.start()
	w.leave()
	if tab := w.table(); len(tab) != 4 || tab[0].Dir != filepath.Join(place, "alive") {
		t.Errorf("mount table %+v", tab)
	}
	if _, err := os.Stat(filepath.Join(place, "dead")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
}

// A drive that was removed from the file by hand while it was mounted goes when
// it is unmounted.
func TestDriveTakenOutOfTheConfigByHand(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	w.leave()
	if err := os.Remove(w.config); err != nil {
		t.Fatal(err)
	}
	w.start()
	if d := w.until("x", in(api.Mounted)); d.Remembered {
		t.Errorf("%+v", d)
	}
	if _, err := w.m.Unmount(t.Context(), "x", api.UnmountDrive{Wait: true}); err != nil {
		t.Fatal(err)
	}
	w.leave()
	w.nothingLeft()
}

// Another URL in the file is another drive: old handles must not show its files.
func TestURLEditedByHand(t *testing.T) {
	w := newWorld(t)
	k := &kernel{}
	w.mounter.OnMount = k.onMount
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	w.mount("x")
	old := w.stateOf("x")
	w.leave()
	b, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(strings.Replace(string(b), "fake:x", "fake:z?secret=hunter2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	if d := w.until("x", in(api.Stopped)); d.URL != "fake:z" {
		t.Errorf("%+v", d)
	}
	if tab := w.table(); len(tab) != 0 {
		t.Errorf("the old mount is still there: %+v", tab)
	}
	if now := w.stateOf("x"); string(now.Key) == string(old.Key) || !now.Secret {
		t.Errorf("state %+v", now)
	}
	if b, err := os.ReadFile(w.config); err != nil || strings.Contains(string(b), "hunter2") || !strings.Contains(string(b), "fake:z") {
		t.Errorf("config after that:\n%s%v", b, err)
	}
	if n := w.secrets.len(); n != 1 {
		t.Errorf("%d secrets", n)
	}
}

func TestDamagedStateFile(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.add(api.AddDrive{URL: "fake:x", Remember: true})
	st := w.stateOf("x")
	w.leave()
	p := filepath.Join(w.state.Dir(st.ID), "drive.json")
	if err := os.WriteFile(p, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.mount("x")
	if b, err := os.ReadFile(p + ".damaged"); err != nil || string(b) != "{half" {
		t.Errorf("the damaged file: %q, %v", b, err)
	}
}
