package drive

import (
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// TestWritableFileSystem runs the suite of the server over drives that are
// changed, while it is published, and while nothing is.
func TestWritableFileSystem(t *testing.T) {
	for _, c := range []struct {
		name  string
		quiet time.Duration
		open  func(*testing.T) providers.Provider
	}{
		{"published later", time.Hour, func(t *testing.T) providers.Provider { return mem.New(mem.Options{}) }},
		{"published soon", 20 * time.Millisecond, func(t *testing.T) providers.Provider { return mem.New(mem.Options{}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			nfstest.TestFS(t, func(t *testing.T) nfs.FileSystem {
				p := c.open(t)
				d, err := Open(t.Context(), Options{Provider: p, StateDir: t.TempDir(), UID: uid, GID: gid, Quiet: c.quiet})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				})
				return d
			}, nfstest.Unprivileged(uid, gid), nfstest.UTF8Names())
		})
	}
}

// A client that asks again after a restart, because it got no answer, is told
// what became of its call, and nothing is done twice.
func TestRepeatedCallsAfterRestart(t *testing.T) {
	m := mem.New(mem.Options{})
	dir := t.TempDir()
	open := func() *Drive {
		d, err := Open(t.Context(), Options{Provider: m, StateDir: dir, UID: uid, GID: gid, Quiet: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ctx := t.Context()
	call := func(d *Drive, key byte, repeat bool) *nfs.Caller {
		c := &nfs.Caller{UID: uid, GID: gid, Call: nfs.CallKey{key}}
		if repeat {
			if _, ok := d.KeptReply(c.Call); ok {
				t.Fatal("a reply was kept")
			}
		}
		return c
	}
	d := open()
	a, _, err := d.Create(ctx, call(d, 1, false), d.Root(), "a", nfs.CreateHow{Mode: nfs.Guarded})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Mkdir(ctx, call(d, 2, false), d.Root(), "dir", nfs.SetAttr{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Symlink(ctx, call(d, 3, false), d.Root(), "link", "a", nfs.SetAttr{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Rename(ctx, call(d, 4, false), d.Root(), "a", d.Root(), "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Remove(ctx, call(d, 5, false), d.Root(), "link"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open()
	defer d.Close()
	if _, err := d.Remove(ctx, call(d, 5, true), d.Root(), "link"); err != nil {
		t.Errorf("remove again: %v", err)
	}
	if _, _, err := d.Rename(ctx, call(d, 4, true), d.Root(), "a", d.Root(), "b"); err != nil {
		t.Errorf("rename again: %v", err)
	}
	if a, _, err := d.Mkdir(ctx, call(d, 2, true), d.Root(), "dir", nfs.SetAttr{}); err != nil || a.Type != nfs.TypeDirectory {
		t.Errorf("mkdir again: %+v, %v", a, err)
	}
	if got, err := d.Lookup(ctx, call(d, 0, false), d.Root(), "b"); err != nil || got.ID != a.ID {
		t.Errorf("the file is %+v, %v", got, err)
	}
	if _, err := d.Remove(ctx, call(d, 99, true), d.Root(), "link"); err == nil {
		t.Error("a call that was never made is said to be done")
	}
}
