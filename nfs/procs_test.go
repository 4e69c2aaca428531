package nfs_test

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// TestAttributes: every field arrives, and the server adds the FSID.
func TestAttributes(t *testing.T) {
	e := start(t, nil)
	want := nfstest.Fattr{
		Type: 1, Mode: 0o644, Nlink: 1, UID: 1000, GID: 100, Size: 10, Used: 4096, FSID: 0x1122, FileID: uint64(fileID),
		Atime: nfstest.TimeOf(fakeTime), Mtime: nfstest.TimeOf(fakeTime), Ctime: nfstest.TimeOf(fakeTime),
	}
	r := must(e.c.Getattr(e.ctx, e.handle("file")))(t)
	if r.Status != 0 || r.Attr != want {
		t.Errorf("%+v, want %+v", r, want)
	}
	l := must(e.c.Lookup(e.ctx, e.root, "file"))(t)
	if l.Attr.Attr != want || !l.Dir.Has || l.Dir.Attr.FileID != uint64(rootID) {
		t.Errorf("LOOKUP: %+v", l)
	}
}

// TestIdentity: the caller's uid, gid and groups reach the file system, and
// AUTH_NONE is nobody.
func TestIdentity(t *testing.T) {
	e := start(t, nil)
	e.handle("file")
	if c := e.fs.caller; c.UID != 1000 || c.GID != 100 || len(c.Groups) != 2 || c.Groups[0] != 7 || c.Groups[1] != 8 {
		t.Errorf("%+v", c)
	}
	reply := e.rawCall(rpcHeader(nfsProg, 3, 3, nil, nil), lookupArgs(e.root, "file"))
	if reply.accept != 0 || e.fs.caller.UID != 65534 || e.fs.caller.GID != 65534 || len(e.fs.caller.Groups) != 0 {
		t.Errorf("AUTH_NONE: %+v, %+v", reply, e.fs.caller)
	}
}

// checkWcc looks for the before and after that a fakeFS gives.
func checkWcc(t *testing.T, what string, w nfstest.Wcc) {
	t.Helper()
	if !w.HasBefore || w.Before.Ctime != nfstest.TimeOf(fakeTime) || !w.After.Has || w.After.Attr.Ctime != nfstest.TimeOf(fakeTime.Add(time.Second)) {
		t.Errorf("%s: wcc %+v", what, w)
	}
}

func TestSetattr(t *testing.T) {
	e := start(t, nil)
	h := e.handle("file")
	at := time.Unix(1_600_000_000, 5)
	guard := nfstest.TimeOf(fakeTime)
	r := must(e.c.Setattr(e.ctx, h, nfstest.Sattr{
		SetMode: true, Mode: 0o104755, SetUID: true, UID: 3, SetGID: true, GID: 4, SetSize: true, Size: 5,
		AtimeHow: nfstest.ClientTime, Atime: nfstest.TimeOf(at), MtimeHow: nfstest.ServerTime,
	}, &guard))(t)
	want(t, "SETATTR", r.Status, nfs.OK)
	checkWcc(t, "SETATTR", r.Wcc)
	set := e.fs.set
	if set.Valid != nfs.SetMode|nfs.SetUID|nfs.SetGID|nfs.SetSize|nfs.SetAtime|nfs.SetMtimeNow ||
		set.Mode != 0o4755 || set.UID != 3 || set.GID != 4 || set.Size != 5 || !set.Atime.Equal(at) {
		t.Errorf("%+v", set)
	}
	if e.fs.guard == nil || !e.fs.guard.Equal(fakeTime) {
		t.Errorf("guard %v", e.fs.guard)
	}
	// macOS sends changes of nothing and of atime alone; both reach the file system.
	want(t, "empty SETATTR", must(e.c.Setattr(e.ctx, h, nfstest.Sattr{}, nil))(t).Status, nfs.OK)
	if e.fs.set.Valid != 0 || e.fs.guard != nil {
		t.Errorf("%+v, guard %v", e.fs.set, e.fs.guard)
	}
	want(t, "size 2^63", must(e.c.Setattr(e.ctx, h, nfstest.Sattr{SetSize: true, Size: 1 << 63}, nil))(t).Status, nfs.ErrFBig)
	want(t, "10^9 ns", must(e.c.Setattr(e.ctx, h, nfstest.Sattr{MtimeHow: nfstest.ClientTime, Mtime: nfstest.Time{Nsec: 1e9}}, nil))(t).Status, nfs.ErrInval)
}

func TestNames(t *testing.T) {
	e := start(t, nil)
	long := strings.Repeat("x", 255)
	for _, tc := range []struct {
		name                              string
		lookup, create, remove, rmd, rena nfs.Status
	}{
		{"", nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess},
		{"a/b", nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess},
		{"../up", nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess},
		{"/abs", nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess},
		{"file/", nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess},
		{"a\x00b", nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess, nfs.ErrAccess},
		{long + "x", nfs.ErrNameTooLong, nfs.ErrNameTooLong, nfs.ErrNameTooLong, nfs.ErrNameTooLong, nfs.ErrNameTooLong},
		{strings.Repeat("y", 5000), nfs.ErrNameTooLong, nfs.ErrNameTooLong, nfs.ErrNameTooLong, nfs.ErrNameTooLong, nfs.ErrNameTooLong},
		{".", nfs.OK, nfs.ErrExist, nfs.ErrIsDir, nfs.ErrInval, nfs.ErrInval},
		{"..", nfs.OK, nfs.ErrExist, nfs.ErrIsDir, nfs.ErrNotEmpty, nfs.ErrInval},
		{long, nfs.ErrNoEnt, nfs.OK, nfs.OK, nfs.OK, nfs.OK},
		{"\xff\xfe not UTF-8", nfs.ErrNoEnt, nfs.OK, nfs.OK, nfs.OK, nfs.OK},
		{"...", nfs.ErrNoEnt, nfs.OK, nfs.OK, nfs.OK, nfs.OK},
	} {
		file := e.handle("file")
		e.fs.called("")
		n := tc.name
		want(t, "LOOKUP of a name", must(e.c.Lookup(e.ctx, e.root, n))(t).Status, tc.lookup)
		want(t, "CREATE of a name", must(e.c.Create(e.ctx, e.root, n, nfs.Unchecked, nfstest.Sattr{}, [8]byte{}))(t).Status, tc.create)
		want(t, "MKDIR of a name", must(e.c.Mkdir(e.ctx, e.root, n, nfstest.Sattr{}))(t).Status, tc.create)
		want(t, "SYMLINK of a name", must(e.c.Symlink(e.ctx, e.root, n, "to", nfstest.Sattr{}))(t).Status, tc.create)
		want(t, "MKNOD of a name", must(e.c.Mknod(e.ctx, e.root, n, nfs.TypeFIFO, nfstest.Sattr{}, 0, 0))(t).Status, tc.create)
		want(t, "LINK to a name", must(e.c.Link(e.ctx, file, e.root, n))(t).Status, tc.create)
		want(t, "REMOVE of a name", must(e.c.Remove(e.ctx, e.root, n))(t).Status, tc.remove)
		want(t, "RMDIR of a name", must(e.c.Rmdir(e.ctx, e.root, n))(t).Status, tc.rmd)
		want(t, "RENAME from a name", must(e.c.Rename(e.ctx, e.root, n, e.root, "b"))(t).Status, tc.rena)
		want(t, "RENAME to a name", must(e.c.Rename(e.ctx, e.root, "b", e.root, n))(t).Status, tc.rena)
		if t.Failed() {
			t.Fatalf("the name was %.300q", n)
		}
	}
}

func TestRead(t *testing.T) {
	e := start(t, nil)
	h := e.handle("file")
	for _, tc := range []struct {
		off   uint64
		count uint32
		want  string
		eof   bool
	}{
		{0, 10, fakeData, true}, // ends exactly at the end: eof all the same
		{0, 9, fakeData[:9], false},
		{0, 4096, fakeData, true},
		{3, 3, "345", false},
		{9, 1, "9", true},
		{10, 1, "", true},
		{11, 100, "", true},
		{0, 0, "", false},
		{10, 0, "", true},
		{0, math.MaxUint32, fakeData, true},
		{math.MaxInt64, 100, "", true},
		{math.MaxInt64 - 1, 100, "", true},
		{1 << 63, 100, "", true},
		{math.MaxUint64, math.MaxUint32, "", true},
	} {
		r := must(e.c.Read(e.ctx, h, tc.off, tc.count))(t)
		if r.Status != 0 || string(r.Data) != tc.want || r.EOF != tc.eof || int(r.Count) != len(r.Data) || !r.Attr.Has {
			t.Errorf("READ %d at %d: %+v, want %q, eof %v", tc.count, tc.off, r, tc.want, tc.eof)
		}
		if e.fs.count > 1<<20 || e.fs.off > math.MaxInt64 {
			t.Errorf("the file system was asked for %d at %d", e.fs.count, e.fs.off)
		}
	}
	// Without attributes the reply is laid out otherwise.
	e.fs.fail("GetAttr", nfs.ErrIO)
	if r := must(e.c.Read(e.ctx, h, 1, 5))(t); r.Attr.Has || string(r.Data) != "12345" {
		t.Errorf("without attributes: %+v", r)
	}
	// A file system that says nonsense is found out.
	e.fs.moreRead = 100
	want(t, "more than asked for", must(e.c.Read(e.ctx, h, 0, 5))(t).Status, nfs.ErrIO)
	e.fs.moreRead = -5
	want(t, "nothing, but not the end", must(e.c.Read(e.ctx, h, 0, 5))(t).Status, nfs.ErrIO)
}

func TestWrite(t *testing.T) {
	e := start(t, nil)
	h := e.handle("file")
	for _, stable := range []nfs.Stable{nfs.Unstable, nfs.DataSync, nfs.FileSync} {
		r := must(e.c.Write(e.ctx, h, 7, []byte("abc"), stable))(t)
		if r.Status != 0 || r.Count != 3 || nfs.Stable(r.Committed) != stable || string(e.fs.data) != "abc" || e.fs.off != 7 || e.fs.want != stable {
			t.Errorf("%v: %+v", stable, r)
		}
		checkWcc(t, "WRITE", r.Wcc)
	}
	e.fs.commit = nfs.FileSync
	if r := must(e.c.Write(e.ctx, h, 0, nil, nfs.Unstable))(t); r.Status != 0 || r.Count != 0 || nfs.Stable(r.Committed) != nfs.FileSync {
		t.Errorf("nothing, done better than asked: %+v", r)
	}
	for off, st := range map[uint64]nfs.Status{
		math.MaxInt64 - 3: nfs.OK, math.MaxInt64 - 2: nfs.ErrFBig, 1 << 63: nfs.ErrFBig, math.MaxUint64: nfs.ErrFBig, math.MaxUint64 - 2: nfs.ErrFBig,
	} {
		want(t, "WRITE near the end", must(e.c.Write(e.ctx, h, off, []byte("abc"), nfs.Unstable))(t).Status, st)
	}
	for _, count := range []uint32{0, 2, 4, math.MaxUint32} {
		reply := e.rawCall(e.c.Header(nfsProg, 3, 7), writeArgs(h, 0, count, 2, []byte("abc")))
		if reply.accept != 0 || reply.status() != nfs.ErrInval {
			t.Errorf("count %d of 3 bytes: %+v", count, reply)
		}
	}
	big := bytes.Repeat([]byte("x"), 1<<20)
	if r := must(e.c.Write(e.ctx, h, 0, big, nfs.Unstable))(t); r.Count != 1<<20 || !bytes.Equal(e.fs.data, big) {
		t.Errorf("1 MiB: %d, %v", r.Count, nfs.Status(r.Status))
	}
	// More than wtmax that still fits a record is written in part.
	if r := must(e.c.Write(e.ctx, h, 0, append(big, "yz"...), nfs.Unstable))(t); r.Count != 1<<20 || !bytes.Equal(e.fs.data, big) {
		t.Errorf("1 MiB and 2 bytes: %d, %v", r.Count, nfs.Status(r.Status))
	}
}

// TestVerifier: it is new at every start, stays while all goes well, and
// changes when data may be lost, but not when a commit is only slow or refused.
func TestVerifier(t *testing.T) {
	e := start(t, nil)
	h := e.handle("file")
	verf := func() [8]byte {
		t.Helper()
		w := must(e.c.Write(e.ctx, h, 0, []byte("x"), nfs.Unstable))(t)
		c := must(e.c.Commit(e.ctx, h, 0, 0))(t)
		if w.Status != 0 || c.Status != 0 || w.Verf != c.Verf {
			t.Fatalf("%+v, %+v", w, c)
		}
		checkWcc(t, "COMMIT", c.Wcc)
		return c.Verf
	}
	first := verf()
	if verf() != first {
		t.Error("it changes without need")
	}
	if again := start(t, nil); must(again.c.Commit(again.ctx, again.root, 0, 0))(t).Verf == first {
		t.Error("two servers have the same")
	}
	last := first
	for _, tc := range []struct {
		method string
		err    nfs.Status
		stable nfs.Stable
		change bool
	}{
		{"Commit", nfs.ErrIO, 0, true}, {"Commit", nfs.ErrNoSpace, 0, true}, {"Commit", nfs.ErrDQuot, 0, true},
		{"Commit", nfs.ErrJukebox, 0, false}, {"Commit", nfs.ErrAccess, 0, false}, {"Commit", nfs.ErrStale, 0, false},
		{"Write", nfs.ErrIO, nfs.FileSync, true}, {"Write", nfs.ErrIO, nfs.DataSync, true},
		{"Write", nfs.ErrAccess, nfs.FileSync, false}, {"Write", nfs.ErrNoSpace, nfs.Unstable, false},
	} {
		e.fs.fail(tc.method, tc.err)
		if tc.method == "Commit" {
			want(t, "COMMIT", must(e.c.Commit(e.ctx, h, 0, 0))(t).Status, tc.err)
		} else {
			want(t, "WRITE", must(e.c.Write(e.ctx, h, 0, []byte("x"), tc.stable))(t).Status, tc.err)
		}
		e.fs.fail(tc.method, nil)
		now := verf()
		if (now != last) != tc.change {
			t.Errorf("%s fails with %v: changed %v, want %v", tc.method, tc.err, now != last, tc.change)
		}
		last = now
	}
	// Ranges that cannot be commit everything.
	must(e.c.Commit(e.ctx, h, math.MaxUint64, 7))(t)
	if e.fs.off != 0 || e.fs.count != 0 {
		t.Errorf("COMMIT of %d at %d", e.fs.count, e.fs.off)
	}
}

func TestMaking(t *testing.T) {
	e := start(t, nil)
	check := func(what string, r nfstest.NewResult) {
		t.Helper()
		want(t, what, r.Status, nfs.OK)
		checkWcc(t, what, r.Dir)
		if !r.Handle.Has || !r.Attr.Has || r.Attr.Attr.FileID != uint64(newID) {
			t.Errorf("%s: %+v", what, r)
		} else if g := must(e.c.Getattr(e.ctx, r.Handle.Handle))(t); g.Attr.FileID != uint64(newID) {
			t.Errorf("%s: the handle leads to %d", what, g.Attr.FileID)
		}
	}
	mode := nfstest.Sattr{SetMode: true, Mode: 0o640}
	for _, m := range []nfs.CreateMode{nfs.Unchecked, nfs.Guarded} {
		check("CREATE", must(e.c.Create(e.ctx, e.root, "n", m, mode, [8]byte{}))(t))
		if h := e.fs.how; h.Mode != m || h.Set.Valid != nfs.SetMode || h.Set.Mode != 0o640 || e.fs.name != "n" {
			t.Errorf("%+v", h)
		}
	}
	verf := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	check("CREATE", must(e.c.Create(e.ctx, e.root, "n", nfs.Exclusive, nfstest.Sattr{}, verf))(t))
	if h := e.fs.how; h.Mode != nfs.Exclusive || h.Verifier != verf || h.Set.Valid != 0 {
		t.Errorf("%+v", h)
	}
	check("MKDIR", must(e.c.Mkdir(e.ctx, e.root, "d", mode))(t))
	if e.fs.set.Mode != 0o640 {
		t.Errorf("%+v", e.fs.set)
	}
	check("SYMLINK", must(e.c.Symlink(e.ctx, e.root, "l", "some/../where", mode))(t))
	if string(e.fs.data) != "some/../where" {
		t.Errorf("target %q", e.fs.data)
	}
	for target, st := range map[string]nfs.Status{"": nfs.ErrInval, "a\x00b": nfs.ErrInval, strings.Repeat("t", nfs.MaxTarget): nfs.OK, strings.Repeat("t", nfs.MaxTarget+1): nfs.ErrNameTooLong} {
		want(t, "SYMLINK", must(e.c.Symlink(e.ctx, e.root, "l", target, mode))(t).Status, st)
	}
	for _, typ := range []nfs.FileType{nfs.TypeBlock, nfs.TypeChar, nfs.TypeSocket, nfs.TypeFIFO} {
		check("MKNOD", must(e.c.Mknod(e.ctx, e.root, "n", typ, mode, 4, 5))(t))
		if dev := typ <= nfs.TypeChar; e.fs.typ != typ || dev && (e.fs.off != 4 || e.fs.count != 5) {
			t.Errorf("type %d: %d, %d, %d", typ, e.fs.typ, e.fs.off, e.fs.count)
		}
	}
	for _, typ := range []nfs.FileType{0, nfs.TypeRegular, nfs.TypeDirectory, nfs.TypeSymlink, 8, 99} {
		want(t, "MKNOD", must(e.c.Mknod(e.ctx, e.root, "n", typ, mode, 0, 0))(t).Status, nfs.ErrBadType)
	}
}

func TestUnmaking(t *testing.T) {
	e := start(t, nil)
	r := must(e.c.Remove(e.ctx, e.root, "x"))(t)
	checkWcc(t, "REMOVE", r.Wcc)
	checkWcc(t, "RMDIR", must(e.c.Rmdir(e.ctx, e.root, "x"))(t).Wcc)
	n := must(e.c.Rename(e.ctx, e.root, "a", e.handle("dir"), "b"))(t)
	checkWcc(t, "RENAME", n.From)
	checkWcc(t, "RENAME", n.To)
	if e.fs.name != "a>b" || n.From.After.Attr.FileID != uint64(rootID) || n.To.After.Attr.FileID != uint64(dirID) {
		t.Errorf("%q %+v", e.fs.name, n)
	}
	l := must(e.c.Link(e.ctx, e.handle("file"), e.root, "x"))(t)
	checkWcc(t, "LINK", l.Dir)
	if !l.Attr.Has || l.Attr.Attr.FileID != uint64(fileID) {
		t.Errorf("%+v", l)
	}
	rl := must(e.c.Readlink(e.ctx, e.handle("link")))(t)
	if rl.Status != 0 || string(rl.Target) != "target" || !rl.Attr.Has {
		t.Errorf("%+v", rl)
	}
	// A file system that does not know before and after: the server asks for after.
	e.fs.noWCC = true
	if w := must(e.c.Remove(e.ctx, e.root, "x"))(t).Wcc; w.HasBefore || !w.After.Has {
		t.Errorf("%+v", w)
	}
}

func TestConstants(t *testing.T) {
	e := start(t, nil)
	i := must(e.c.Fsinfo(e.ctx, e.root))(t)
	if i.Status != 0 || i.RtMax != 1<<20 || i.WtMax != 1<<20 || i.RtPref != 1<<20 || i.WtPref != 1<<20 || i.RtMult == 0 || i.WtMult == 0 ||
		i.DtPref == 0 || i.MaxFileSize != math.MaxInt64 || i.TimeDelta != (nfstest.Time{Nsec: 1}) || i.Properties != 0x1b || !i.Attr.Has {
		t.Errorf("FSINFO %+v", i)
	}
	p := must(e.c.Pathconf(e.ctx, e.root))(t)
	if p.Status != 0 || p.LinkMax < 1 || p.NameMax != 255 || !p.NoTrunc || !p.ChownRestricted || p.CaseInsensitive || !p.CasePreserving || !p.Attr.Has {
		t.Errorf("PATHCONF %+v", p)
	}
	s := must(e.c.Fsstat(e.ctx, e.root))(t)
	if s.Status != 0 || s.TotalBytes != 6 || s.FreeBytes != 5 || s.AvailBytes != 4 || s.TotalFiles != 3 || s.FreeFiles != 2 || s.AvailFiles != 1 || s.Invarsec != 0 {
		t.Errorf("FSSTAT %+v", s)
	}
	if err := e.c.Null(e.ctx); err != nil {
		t.Error(err)
	}
}

type described struct{ *fakeFS }

func (described) Properties() nfs.Properties {
	return nfs.Properties{MaxFileSize: 1 << 32, TimeDelta: 2 * time.Second, NameMax: 100, CaseInsensitive: true}
}

func (described) Access(_ context.Context, _ *nfs.Caller, id nfs.ID, want uint32) (uint32, nfs.Attr, error) {
	return want &^ nfs.AccessRead, fakeAttr(id), nil
}

func TestDescriberAndAccessChecker(t *testing.T) {
	e := start(t, described{&fakeFS{}})
	i := must(e.c.Fsinfo(e.ctx, e.root))(t)
	p := must(e.c.Pathconf(e.ctx, e.root))(t)
	if i.MaxFileSize != 1<<32 || i.TimeDelta != (nfstest.Time{Sec: 2}) || i.Properties != 0x18 || p.LinkMax != 1 || p.NameMax != 100 || !p.CaseInsensitive || p.CasePreserving {
		t.Errorf("%+v\n%+v", i, p)
	}
	a := must(e.c.Access(e.ctx, e.root, nfs.AccessRead|nfs.AccessModify))(t)
	if a.Status != 0 || a.Access != nfs.AccessModify || !a.Attr.Has {
		t.Errorf("%+v", a)
	}
}

func TestAccessByMode(t *testing.T) {
	e := start(t, nil)
	file, root := e.handle("file"), e.root // 0644 and 0755, owner 1000:100
	const r, l, m, x, d, exec = nfs.AccessRead, nfs.AccessLookup, nfs.AccessModify, nfs.AccessExtend, nfs.AccessDelete, nfs.AccessExecute
	for _, tc := range []struct {
		auth             nfstest.Auth
		onFile, onFolder uint32
	}{
		{nfstest.Auth{UID: 1000, GID: 1}, r | m | x, r | l | m | x | d},
		{nfstest.Auth{UID: 5, GID: 100}, r, r | l},
		{nfstest.Auth{UID: 5, GID: 1, Groups: []uint32{9, 100}}, r, r | l},
		{nfstest.Auth{UID: 5, GID: 1}, r, r | l},
		{nfstest.Auth{}, r | m | x, r | l | m | x | d},
	} {
		c := e.dial(tc.auth)
		f := must(c.Access(e.ctx, file, 0xffffffff))(t)
		g := must(c.Access(e.ctx, root, 0xffffffff))(t)
		if f.Access != tc.onFile || g.Access != tc.onFolder || !f.Attr.Has {
			t.Errorf("%+v: file %#x, want %#x; folder %#x, want %#x", tc.auth, f.Access, tc.onFile, g.Access, tc.onFolder)
		}
		if f := must(c.Access(e.ctx, file, r|exec))(t); f.Access != r {
			t.Errorf("%+v: asked for read and execute, got %#x", tc.auth, f.Access)
		}
	}
}
