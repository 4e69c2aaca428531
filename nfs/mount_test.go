package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/nfstest"
)

func TestMnt(t *testing.T) {
	e := start(t, nil, func(c *config) { c.export.Path = "/token/drive" })
	for _, tc := range []struct {
		path string
		want uint32
		id   nfs.ID
	}{
		{"/token/drive", 0, rootID},
		{"/token/drive/", 0, rootID},
		{"//token/./drive", 0, rootID},
		{"token/drive", 0, rootID}, // Windows names shares without the slash
		{"/token/drive/dir", 0, dirID},
		{"/token/drive/dir/dir", 0, dirID},
		{"/token/drive/file", wire.MntErrNotDir, 0},
		{"/token/drive/link", wire.MntErrNotDir, 0},
		{"/token/drive/none", wire.MntErrNoEnt, 0},
		{"/token/drive/..", wire.MntErrAccess, 0},
		{"/token/drive/dir/../dir", wire.MntErrAccess, 0},
		{"/token/drive/" + strings.Repeat("x", 256), wire.MntErrNameTooLong, 0},
		{"/token/drive/a\x00", wire.MntErrAccess, 0},
		{"/token/drives", wire.MntErrNoEnt, 0},
		{"/token", wire.MntErrNoEnt, 0},
		{"/", wire.MntErrNoEnt, 0},
		{"", wire.MntErrNoEnt, 0},
	} {
		r := must(e.c.Mnt(e.ctx, tc.path))(t)
		if r.Status != tc.want {
			t.Errorf("%.40q: %d, want %d", tc.path, r.Status, tc.want)
		}
		if r.Status != 0 {
			continue
		}
		if !slices.Equal(r.Flavors, []uint32{1, 0}) {
			t.Errorf("%q: flavors %v, want AUTH_SYS, AUTH_NONE", tc.path, r.Flavors)
		}
		if a := must(e.c.Getattr(e.ctx, r.Handle))(t); a.Attr.FileID != uint64(tc.id) {
			t.Errorf("%q is object %d, want %d", tc.path, a.Attr.FileID, tc.id)
		}
	}
	// A path of MNTPATHLEN is an answer, a longer one no argument.
	if r := must(e.c.Mnt(e.ctx, strings.Repeat("/x", 512)))(t); r.Status != wire.MntErrNoEnt {
		t.Errorf("1024 bytes: %d", r.Status)
	}
	var refused *nfstest.CallError
	if _, err := e.c.Mnt(e.ctx, strings.Repeat("/", 1025)); !errors.As(err, &refused) {
		t.Errorf("1025 bytes: %v", err)
	}
}

// TestMntErrors: MNT has fewer statuses than NFS; the others become IO.
func TestMntErrors(t *testing.T) {
	e := start(t, nil)
	for err, status := range map[nfs.Status]uint32{
		nfs.ErrPerm: wire.MntErrPerm, nfs.ErrNoEnt: wire.MntErrNoEnt, nfs.ErrIO: wire.MntErrIO, nfs.ErrAccess: wire.MntErrAccess,
		nfs.ErrNotDir: wire.MntErrNotDir, nfs.ErrInval: wire.MntErrInval, nfs.ErrNameTooLong: wire.MntErrNameTooLong,
		nfs.ErrNotSupp: wire.MntErrNotSupp, nfs.ErrServerFault: wire.MntErrServerFault,
		nfs.ErrJukebox: wire.MntErrIO, nfs.ErrStale: wire.MntErrNoEnt, nfs.ErrXDev: wire.MntErrIO,
	} {
		e.fs.fail("Lookup", err)
		if r := must(e.c.Mnt(e.ctx, "/drive/dir"))(t); r.Status != status {
			t.Errorf("%v: %d, want %d", err, r.Status, status)
		}
	}
}

func TestAllowMount(t *testing.T) {
	left := 1
	e := start(t, nil, func(c *config) {
		c.export.Path = "/secret/drive"
		c.export.AllowMount = func(_ context.Context, from net.Addr) error {
			if from == nil {
				t.Error("no address")
			}
			if left == 0 {
				return errors.New("used up")
			}
			left--
			return nil
		}
	})
	if r := must(e.c.Mnt(e.ctx, "/secret/drive"))(t); r.Status != 0 {
		t.Errorf("first: %d", r.Status)
	}
	if r := must(e.c.Mnt(e.ctx, "/secret/drive"))(t); r.Status != wire.MntErrAccess {
		t.Errorf("second: %d", r.Status)
	}
	if r := must(e.c.Export(e.ctx))(t); len(r.Exports) != 0 {
		t.Errorf("EXPORT shows it: %+v", r)
	}
	if r := must(e.c.Dump(e.ctx))(t); len(r.Mounts) != 0 {
		t.Errorf("DUMP shows it: %+v", r)
	}
}

// TestLists: EXPORT and DUMP tell what there is, and DUMP forgets.
func TestLists(t *testing.T) {
	e := start(t, nil)
	if err := e.srv.Export(nfs.Export{Path: "/another", FS: &fakeFS{}, Key: testKey, FSID: 9}); err != nil {
		t.Fatal(err)
	}
	x := must(e.c.Export(e.ctx))(t)
	if len(x.Exports) != 2 || string(x.Exports[0].Path) != "/another" || string(x.Exports[1].Path) != "/drive" || len(x.Exports[0].Groups) != 0 {
		t.Errorf("EXPORT: %s", x.Exports)
	}
	mounts := func(want ...string) {
		t.Helper()
		var got []string
		for _, m := range must(e.c.Dump(e.ctx))(t).Mounts {
			got = append(got, string(m.Host)+":"+string(m.Path))
		}
		if !slices.Equal(got, want) {
			t.Errorf("DUMP: %q, want %q", got, want)
		}
	}
	mounts()
	b := e.dial(nfstest.Auth{Machine: "b"})
	for range 3 {
		must(e.c.Mnt(e.ctx, "/drive"))(t)
	}
	must(e.c.Mnt(e.ctx, "/drive/dir/"))(t)
	must(e.c.Mnt(e.ctx, "/nothing"))(t)
	must(b.Mnt(e.ctx, "/drive"))(t)
	must(b.Mnt(e.ctx, "/another"))(t)
	mounts("nfstest:/drive", "nfstest:/drive/dir", "b:/drive", "b:/another")
	if err := e.c.Umnt(e.ctx, 3, "/drive/"); err != nil {
		t.Error(err)
	}
	mounts("nfstest:/drive/dir", "b:/drive", "b:/another")
	if err := b.Umntall(e.ctx); err != nil {
		t.Error(err)
	}
	mounts("nfstest:/drive/dir")
	// Version 1 has the same lists.
	for _, proc := range []uint32{wire.MountDump, wire.MountExport} {
		var replies [2][]byte
		for i, vers := range []uint32{wire.MountV1, wire.MountV3} {
			replies[i] = must(e.c.Call(e.ctx, mountProg, vers, proc, nil))(t)
		}
		if len(replies[0]) <= 4 || !bytes.Equal(replies[0], replies[1]) {
			t.Errorf("procedure %d: %x in version 1, %x in version 3", proc, replies[0], replies[1])
		}
	}
	// The list is bounded, and the oldest go.
	for i := range 300 {
		c := e.dial(nfstest.Auth{Machine: fmt.Sprint("host", i)})
		must(c.Mnt(e.ctx, "/drive"))(t)
		c.Close()
	}
	got := must(e.c.Dump(e.ctx))(t).Mounts
	if len(got) != 256 || string(got[255].Host) != "host299" {
		t.Errorf("%d mounts, the last of %s", len(got), got[len(got)-1].Host)
	}
	if err := e.srv.Unexport("/drive"); err != nil {
		t.Fatal(err)
	}
	mounts()
	if err := e.c.MountNull(e.ctx); err != nil {
		t.Error(err)
	}
}

// TestSquash: refused callers get ACCES, and ACCESS grants them nothing. Of the root
// they see the attributes, and nothing else.
func TestSquash(t *testing.T) {
	e := start(t, nil, func(c *config) {
		c.export.Squash = func(c nfs.Caller) (nfs.Caller, error) {
			switch c.UID {
			case 0:
				return nfs.Caller{UID: 65534, GID: 65534}, nil
			case 1000:
				return c, nil
			case 5:
				return c, errors.New("some reason")
			}
			return c, nfs.ErrPerm
		}
	})
	file := e.handle("file")
	for uid, st := range map[uint32]nfs.Status{5: nfs.ErrAccess, 6: nfs.ErrPerm} {
		c := e.dial(nfstest.Auth{UID: uid})
		attr, err := c.Getattr(e.ctx, e.root)
		if err != nil || nfs.Status(attr.Status) != nfs.OK {
			t.Errorf("GETATTR of the root: %v, %v", attr, err)
		}
		for _, p := range procedures {
			if p.name != "GETATTR" && p.name != "ACCESS" {
				want(t, p.name+" of the root", must(p.call(e.ctx, c, e.root))(t).status, st)
			}
		}
		e.fs.called("")
		for _, p := range procedures {
			got := must(p.call(e.ctx, c, file))(t)
			if p.name == "ACCESS" {
				want(t, p.name, got.status, nfs.OK)
				if r := must(c.Access(e.ctx, file, 63))(t); r.Access != 0 || r.Attr.Has {
					t.Errorf("ACCESS: %+v", r)
				}
				continue
			}
			want(t, p.name, got.status, st)
			for _, w := range got.wcc {
				if w.HasBefore || w.After.Has {
					t.Errorf("%s shows attributes", p.name)
				}
			}
			for _, a := range got.post {
				if a.Has {
					t.Errorf("%s shows attributes", p.name)
				}
			}
		}
		if len(e.fs.calls) != 0 {
			t.Errorf("the file system was asked: %v", e.fs.calls)
		}
		if r := must(c.Mnt(e.ctx, "/drive"))(t); r.Status != wire.MntErrAccess {
			t.Errorf("MNT: %d", r.Status)
		}
	}
	root := e.dial(nfstest.Auth{Groups: []uint32{1000}})
	want(t, "READ as root", must(root.Read(e.ctx, file, 0, 1))(t).Status, nfs.OK)
	if c := e.fs.caller; c.UID != 65534 || len(c.Groups) != 0 {
		t.Errorf("root is %+v", c)
	}
}
