package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// outcome is what the results of all procedures have in common.
type outcome struct {
	status uint32
	wcc    []nfstest.Wcc
	post   []nfstest.PostAttr
}

// procedure is one procedure of NFSv3 in the words of RFC 1813 §3.3.
type procedure struct {
	name   string
	method string       // of the file system that decides
	errs   []nfs.Status // that the RFC lists, but for BADHANDLE; all may give JUKEBOX
	call   func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error)
}

var commonErrs = []nfs.Status{nfs.ErrIO, nfs.ErrStale, nfs.ErrServerFault, nfs.ErrJukebox}

func listed(errs ...nfs.Status) []nfs.Status { return append(errs, commonErrs...) }

// makeErrs are those of CREATE, MKDIR and SYMLINK.
var makeErrs = listed(nfs.ErrAccess, nfs.ErrExist, nfs.ErrNotDir, nfs.ErrNoSpace, nfs.ErrROFS, nfs.ErrNameTooLong, nfs.ErrDQuot, nfs.ErrNotSupp)

func wccOutcome(r nfstest.WccResult, err error) (outcome, error) {
	return outcome{r.Status, []nfstest.Wcc{r.Wcc}, nil}, err
}

func newOutcome(r nfstest.NewResult, err error) (outcome, error) {
	return outcome{r.Status, []nfstest.Wcc{r.Dir}, nil}, err
}

func dirOutcome(r nfstest.ReaddirResult, err error) (outcome, error) {
	return outcome{r.Status, nil, []nfstest.PostAttr{r.Attr}}, err
}

var procedures = []procedure{
	{"GETATTR", "GetAttr", listed(), func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		r, err := c.Getattr(ctx, h)
		return outcome{status: r.Status}, err
	}},
	{"SETATTR", "SetAttr", listed(nfs.ErrPerm, nfs.ErrAccess, nfs.ErrInval, nfs.ErrNoSpace, nfs.ErrROFS, nfs.ErrDQuot, nfs.ErrNotSync),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			return wccOutcome(c.Setattr(ctx, h, nfstest.Sattr{SetMode: true}, nil))
		}},
	{"LOOKUP", "Lookup", listed(nfs.ErrNoEnt, nfs.ErrAccess, nfs.ErrNotDir, nfs.ErrNameTooLong),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			r, err := c.Lookup(ctx, h, "file")
			return outcome{r.Status, nil, []nfstest.PostAttr{r.Dir}}, err
		}},
	{"ACCESS", "GetAttr", listed(), func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		r, err := c.Access(ctx, h, 63)
		return outcome{status: r.Status}, err
	}},
	{"READLINK", "Readlink", listed(nfs.ErrInval, nfs.ErrAccess, nfs.ErrNotSupp),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			r, err := c.Readlink(ctx, h)
			return outcome{r.Status, nil, []nfstest.PostAttr{r.Attr}}, err
		}},
	{"READ", "Read", listed(nfs.ErrNXIO, nfs.ErrAccess, nfs.ErrInval),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			r, err := c.Read(ctx, h, 0, 10)
			return outcome{r.Status, nil, []nfstest.PostAttr{r.Attr}}, err
		}},
	{"WRITE", "Write", listed(nfs.ErrAccess, nfs.ErrFBig, nfs.ErrDQuot, nfs.ErrNoSpace, nfs.ErrROFS, nfs.ErrInval),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			r, err := c.Write(ctx, h, 0, []byte("x"), nfs.Unstable)
			return outcome{r.Status, []nfstest.Wcc{r.Wcc}, nil}, err
		}},
	{"CREATE", "Create", makeErrs, func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		return newOutcome(c.Create(ctx, h, "x", nfs.Guarded, nfstest.Sattr{}, [8]byte{}))
	}},
	{"MKDIR", "Mkdir", makeErrs, func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		return newOutcome(c.Mkdir(ctx, h, "x", nfstest.Sattr{}))
	}},
	{"SYMLINK", "Symlink", makeErrs, func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		return newOutcome(c.Symlink(ctx, h, "x", "to", nfstest.Sattr{}))
	}},
	{"MKNOD", "Mknod", append(slices.Clone(makeErrs), nfs.ErrBadType, nfs.ErrPerm),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			return newOutcome(c.Mknod(ctx, h, "x", nfs.TypeFIFO, nfstest.Sattr{}, 0, 0))
		}},
	{"REMOVE", "Remove", listed(nfs.ErrNoEnt, nfs.ErrAccess, nfs.ErrNotDir, nfs.ErrNameTooLong, nfs.ErrROFS, nfs.ErrIsDir),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			return wccOutcome(c.Remove(ctx, h, "x"))
		}},
	{"RMDIR", "Rmdir", listed(nfs.ErrNoEnt, nfs.ErrAccess, nfs.ErrInval, nfs.ErrExist, nfs.ErrNotDir, nfs.ErrNameTooLong, nfs.ErrROFS, nfs.ErrNotEmpty, nfs.ErrNotSupp),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			return wccOutcome(c.Rmdir(ctx, h, "x"))
		}},
	{"RENAME", "Rename", listed(nfs.ErrNoEnt, nfs.ErrAccess, nfs.ErrExist, nfs.ErrXDev, nfs.ErrNotDir, nfs.ErrIsDir, nfs.ErrInval, nfs.ErrNoSpace,
		nfs.ErrROFS, nfs.ErrMLink, nfs.ErrNameTooLong, nfs.ErrNotEmpty, nfs.ErrDQuot, nfs.ErrNotSupp),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			r, err := c.Rename(ctx, h, "x", h, "y")
			return outcome{r.Status, []nfstest.Wcc{r.From, r.To}, nil}, err
		}},
	{"LINK", "Link", listed(nfs.ErrAccess, nfs.ErrExist, nfs.ErrXDev, nfs.ErrNotDir, nfs.ErrInval, nfs.ErrNoSpace, nfs.ErrROFS, nfs.ErrMLink,
		nfs.ErrNameTooLong, nfs.ErrDQuot, nfs.ErrNotSupp),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			r, err := c.Link(ctx, h, h, "x")
			return outcome{r.Status, []nfstest.Wcc{r.Dir}, []nfstest.PostAttr{r.Attr}}, err
		}},
	{"READDIR", "ReadDir", listed(nfs.ErrAccess, nfs.ErrNotDir, nfs.ErrTooSmall),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			return dirOutcome(c.Readdir(ctx, h, 0, [8]byte{}, 4096))
		}},
	{"READDIRPLUS", "ReadDir", listed(nfs.ErrAccess, nfs.ErrNotDir, nfs.ErrTooSmall, nfs.ErrNotSupp),
		func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
			return dirOutcome(c.Readdirplus(ctx, h, 0, [8]byte{}, 4096, 4096))
		}},
	{"FSSTAT", "StatFS", listed(), func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		r, err := c.Fsstat(ctx, h)
		return outcome{r.Status, nil, []nfstest.PostAttr{r.Attr}}, err
	}},
	{"FSINFO", "GetAttr", listed(), func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		r, err := c.Fsinfo(ctx, h)
		return outcome{status: r.Status}, err
	}},
	{"PATHCONF", "GetAttr", listed(), func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		r, err := c.Pathconf(ctx, h)
		return outcome{status: r.Status}, err
	}},
	{"COMMIT", "Commit", listed(), func(ctx context.Context, c *nfstest.Client, h nfstest.Handle) (outcome, error) {
		r, err := c.Commit(ctx, h, 0, 0)
		return outcome{r.Status, []nfstest.Wcc{r.Wcc}, nil}, err
	}},
}

// TestErrorsOfProcedures has each procedure give each error that RFC 1813 lists
// for it, and checks what the failed reply carries: a file system that changed
// nothing shows the same attributes before and after.
func TestErrorsOfProcedures(t *testing.T) {
	e := start(t, nil)
	for _, p := range procedures {
		ok := must(p.call(e.ctx, e.c, e.root))(t)
		want(t, p.name, ok.status, nfs.OK)
		for _, st := range p.errs {
			e.fs.fail(p.method, fmt.Errorf("wrapped: %w", st))
			got := must(p.call(e.ctx, e.c, e.root))(t)
			want(t, p.name, got.status, st)
			for i, w := range got.wcc {
				if !w.HasBefore || !w.After.Has || w.Before.Ctime != w.After.Attr.Ctime || w.Before.Size != w.After.Attr.Size {
					t.Errorf("%s with %v: wcc %d is %+v, want one snapshot", p.name, st, i, w)
				}
			}
			for i, a := range got.post {
				if !a.Has {
					t.Errorf("%s with %v: no attributes %d", p.name, st, i)
				}
			}
			e.fs.fail(p.method, nil)
		}
	}
}

// TestBadHandles gives every procedure a handle with a flipped bit, and others
// that this server never made.
func TestBadHandles(t *testing.T) {
	e := start(t, nil)
	other := start(t, nil, func(c *config) { c.export.Key = make([]byte, 32) })
	flipped := slices.Clone(e.root)
	flipped[20] ^= 4
	for name, h := range map[string]nfstest.Handle{
		"flipped": flipped, "of another key": other.root, "empty": {}, "short": e.root[:31], "long": make([]byte, 64), "zero": make([]byte, 32),
	} {
		for _, p := range procedures {
			got := must(p.call(e.ctx, e.c, h))(t)
			want(t, p.name+" with a handle "+name, got.status, nfs.ErrBadHandle)
		}
	}
	if e.fs.called("GetAttr") || e.fs.called("Read") {
		t.Error("the file system was asked")
	}
	// The second handle of the calls that have two.
	r := must(e.c.Rename(e.ctx, e.root, "a", flipped, "b"))(t)
	want(t, "RENAME to a bad handle", r.Status, nfs.ErrBadHandle)
	l := must(e.c.Link(e.ctx, e.handle("file"), flipped, "b"))(t)
	want(t, "LINK into a bad handle", l.Status, nfs.ErrBadHandle)
}

// TestOddErrors: whatever a file system returns, the client gets a status that
// it knows, never BAD_COOKIE, and STALE only if the file system says so.
func TestOddErrors(t *testing.T) {
	e := start(t, nil)
	for _, tc := range []struct {
		err  error
		want nfs.Status
	}{
		{errors.New("whatever"), nfs.ErrIO},
		{nfs.ErrBadCookie, nfs.ErrIO},
		{nfs.OK, nfs.ErrServerFault},
		{nfs.Status(4711), nfs.ErrIO},
		{context.DeadlineExceeded, nfs.ErrJukebox},
		{syscall.EMFILE, nfs.ErrJukebox},
		{syscall.ENOTEMPTY, nfs.ErrNotEmpty},
		{fs.ErrNotExist, nfs.ErrNoEnt},
		{nfs.ErrBadHandle, nfs.ErrBadHandle},
	} {
		for _, p := range procedures {
			e.fs.fail(p.method, tc.err)
			got := must(p.call(e.ctx, e.c, e.root))(t)
			want(t, fmt.Sprintf("%s with %v", p.name, tc.err), got.status, tc.want)
			e.fs.fail(p.method, nil)
		}
	}
}

// TestMissingInterfaces: a file system of six methods is a read-only drive.
func TestMissingInterfaces(t *testing.T) {
	e := start(t, readOnlyFS{&fakeFS{}})
	ro := start(t, nil, func(c *config) { c.export.ReadOnly = true })
	for _, p := range procedures {
		st := nfs.OK
		switch p.name {
		case "SETATTR", "WRITE", "CREATE", "MKDIR", "SYMLINK", "MKNOD", "REMOVE", "RMDIR", "RENAME", "LINK", "COMMIT":
			st = nfs.ErrROFS
		}
		want(t, p.name+" of a read-only export", must(p.call(ro.ctx, ro.c, ro.root))(t).status, st)
		if ro.fs.called(p.method) != (st == nfs.OK) && p.method != "GetAttr" {
			t.Errorf("%s of a read-only export: the file system's %s was called or not", p.name, p.method)
		}
		if p.name == "READLINK" {
			st = nfs.ErrNotSupp
		}
		want(t, p.name+" of six methods", must(p.call(e.ctx, e.c, e.root))(t).status, st)
	}
	for name, e := range map[string]*env{"six methods": e, "read-only export": ro} {
		a := must(e.c.Access(e.ctx, e.root, 63))(t)
		if nfs.OK != nfs.Status(a.Status) || a.Access != nfs.AccessRead|nfs.AccessLookup {
			t.Errorf("ACCESS of %s: %v, %#x", name, nfs.Status(a.Status), a.Access)
		}
	}
}

// onlyWriter can do one thing.
type onlyWriter struct {
	nfs.FileSystem
	nfs.Writer
}

func TestSomeInterfacesMissing(t *testing.T) {
	f := &fakeFS{}
	e := start(t, onlyWriter{f, f})
	for _, p := range procedures {
		st := nfs.OK
		switch p.name {
		case "SETATTR", "CREATE", "MKDIR", "SYMLINK", "MKNOD", "REMOVE", "RMDIR", "RENAME", "LINK", "READLINK":
			st = nfs.ErrNotSupp
		}
		want(t, p.name, must(p.call(e.ctx, e.c, e.root))(t).status, st)
	}
}

// TestRule05HandlesOnTheWire: a handle with any bit changed is none, and one export's
// handle opens nothing of another, whatever is written over it.
func TestRule05HandlesOnTheWire(t *testing.T) {
	e := start(t, nil)
	otherKey := bytes.Repeat([]byte{9}, 32)
	if err := e.srv.Export(nfs.Export{Path: "/other", FS: &fakeFS{}, Key: otherKey, FSID: 0x3344}); err != nil {
		t.Fatal(err)
	}
	other, err := e.srv.RootHandle("/other")
	if err != nil {
		t.Fatal(err)
	}
	asked := func(h nfstest.Handle) nfs.Status { return nfs.Status(must(e.c.Getattr(e.ctx, h))(t).Status) }
	if a, b := asked(e.root), asked(other); a != nfs.OK || b != nfs.OK {
		t.Fatalf("the handles themselves: %v, %v", a, b)
	}
	for bit := range len(e.root) * 8 {
		h := slices.Clone(e.root)
		h[bit/8] ^= 1 << (bit % 8)
		if got := asked(h); got != nfs.ErrBadHandle {
			t.Errorf("bit %d changed: %v", bit, got)
		}
	}
	// The head names the export; what follows is the object and the seal.
	moved := slices.Concat(other[:8], e.root[8:])
	if got := asked(moved); got != nfs.ErrBadHandle {
		t.Errorf("moved to another export: %v", got)
	}
	elsewhere := start(t, nil, func(c *config) { c.export.Key = otherKey })
	if got := nfs.Status(must(elsewhere.c.Getattr(e.ctx, e.root))(t).Status); got != nfs.ErrBadHandle {
		t.Errorf("on an export with the same number and another key: %v", got)
	}
}
