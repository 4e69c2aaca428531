package nfs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// The tests of this file are about mistakes that other NFS servers of this kind
// were found to make.

func startMem(t *testing.T) *env {
	return start(t, memfs.New(memfs.Options{}), func(c *config) { c.auth = nfstest.Auth{} })
}

func (e *env) create(name string) nfstest.Handle {
	e.t.Helper()
	r := must(e.c.Create(e.ctx, e.root, name, nfs.Guarded, nfstest.Sattr{SetMode: true, Mode: 0o644}, [8]byte{}))(e.t)
	want(e.t, "CREATE "+name, r.Status, nfs.OK)
	return r.Handle.Handle
}

// TestOneReplyPerCall: each call has exactly one reply, in a record of its own,
// also when it fails; a guard that does not match is such a failure.
func TestOneReplyPerCall(t *testing.T) {
	e := startMem(t)
	file := e.create("f")
	nc := e.raw()
	var calls [][]byte
	add := func(prog, vers, proc uint32, args []byte) {
		message := binary.BigEndian.AppendUint32(nil, uint32(len(calls)))
		message = append(append(message, e.c.Header(prog, vers, proc)...), args...)
		calls = append(calls, message)
	}
	for p, args := range sampleArgs(file) {
		add(p[0], p[1], p[2], args)
		add(p[0], p[1], p[2], nil)
	}
	add(nfsProg, 3, wire.ProcSetattr, (&wire.SetattrArgs{Handle: file, Guard: true, Ctime: wire.Time{Sec: 1}}).Append(nil))
	for _, c := range calls {
		nc.Write(nfstest.Record(c))
	}
	nc.CloseWrite()
	b, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{}
	for len(b) > 0 {
		m := binary.BigEndian.Uint32(b)
		n := int(m &^ (1 << 31))
		if m>>31 != 1 || n > len(b)-4 {
			t.Fatalf("a record mark %#x with %d bytes left", m, len(b))
		}
		xid := binary.BigEndian.Uint32(b[4:])
		if seen[xid] || int(xid) >= len(calls) {
			t.Errorf("a second reply to call %d", xid)
		}
		seen[xid] = true
		b = b[4+n:]
	}
	if len(seen) != len(calls) {
		t.Errorf("%d replies to %d calls", len(seen), len(calls))
	}
}

// TestVoidReplies: UMNT, also in version 1 as macOS sends it, is answered with
// an accepted reply and not a byte more.
func TestVoidReplies(t *testing.T) {
	e := start(t, nil)
	path := (&wire.MountPath{Path: []byte("/drive")}).Append(nil)
	for _, p := range [][3]uint32{{nfsProg, 3, 0}, {mountProg, 3, 0}, {mountProg, 1, 0}, {mountProg, 3, 3}, {mountProg, 1, 3}, {mountProg, 3, 4}} {
		args := path
		if p[2] != wire.MountUmnt {
			args = nil
		}
		b := must(e.c.RawCall(e.ctx, append(e.c.Header(p[0], p[1], p[2]), args...)))(t)
		if len(b) != 24 {
			t.Errorf("%v: a reply of %d bytes", p, len(b))
		}
	}
}

// TestRepeatedCall: a call that was answered is answered again; who lost the
// reply and asks again with the same xid must not wait for ever.
func TestRepeatedCall(t *testing.T) {
	e := start(t, nil)
	nc := e.raw()
	for range 3 {
		nc.Write(nfstest.Record(nullCall()))
		if _, err := io.ReadFull(nc, make([]byte, 28)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHandlesOfManyExports: after a restart with the exports in another order,
// each handle leads to what it led to.
func TestHandlesOfManyExports(t *testing.T) {
	exports := make([]nfs.Export, 5)
	handles := make([]nfstest.Handle, len(exports))
	for i := range exports {
		exports[i] = nfs.Export{Path: fmt.Sprint("/drive", i), FS: &fakeFS{}, Key: bytes.Repeat([]byte{byte(i)}, 32), FSID: uint64(100 + i)}
	}
	for run := range 3 {
		s, addr := serve(t, nfs.Options{})
		for i := range exports {
			x := exports[(i+run)%len(exports)]
			if err := s.Export(x); err != nil {
				t.Fatal(err)
			}
		}
		c, err := nfstest.Dial(testContext(t), addr, nfstest.Auth{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i, x := range exports {
			if run == 0 {
				handles[i] = must(c.Mnt(testContext(t), x.Path))(t).Handle
			}
			r := must(c.Getattr(testContext(t), handles[i]))(t)
			if r.Status != 0 || r.Attr.FSID != x.FSID {
				t.Errorf("run %d: the handle of %s: %v, FSID %d", run, x.Path, nfs.Status(r.Status), r.Attr.FSID)
			}
		}
	}
	// Within one server, objects of two exports do not mix.
	e := start(t, nil)
	if err := e.srv.Export(exports[0]); err != nil {
		t.Fatal(err)
	}
	other, err := e.srv.RootHandle("/drive0")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "RENAME", must(e.c.Rename(e.ctx, e.root, "a", other, "b"))(t).Status, nfs.ErrXDev)
	want(t, "LINK", must(e.c.Link(e.ctx, e.handle("file"), other, "b"))(t).Status, nfs.ErrXDev)
}

// TestSaveByTruncation: editors truncate a file and write it again without
// opening it by CREATE; that must never be STALE.
func TestSaveByTruncation(t *testing.T) {
	e := startMem(t)
	h := e.create("f")
	for i := range 5 {
		want(t, "SETATTR", must(e.c.Setattr(e.ctx, h, nfstest.Sattr{SetSize: true}, nil))(t).Status, nfs.OK)
		text := []byte(fmt.Sprint("version ", i))
		want(t, "WRITE", must(e.c.Write(e.ctx, h, 0, text, nfs.Unstable))(t).Status, nfs.OK)
		want(t, "COMMIT", must(e.c.Commit(e.ctx, h, 0, 0))(t).Status, nfs.OK)
		if r := must(e.c.Read(e.ctx, h, 0, 100))(t); !bytes.Equal(r.Data, text) || !r.EOF {
			t.Errorf("%q, eof %v", r.Data, r.EOF)
		}
	}
}

// TestHandlesFollowObjects: a rename keeps the handle, a removal and a new file
// of the same name do not give it to another file.
func TestHandlesFollowObjects(t *testing.T) {
	e := startMem(t)
	h := e.create("a")
	want(t, "RENAME", must(e.c.Rename(e.ctx, e.root, "a", e.root, "b"))(t).Status, nfs.OK)
	want(t, "GETATTR", must(e.c.Getattr(e.ctx, h))(t).Status, nfs.OK)
	if l := must(e.c.Lookup(e.ctx, e.root, "b"))(t); !bytes.Equal(l.Handle, h) {
		t.Error("the handle has changed by a rename")
	}
	want(t, "REMOVE", must(e.c.Remove(e.ctx, e.root, "b"))(t).Status, nfs.OK)
	fresh := e.create("b")
	if bytes.Equal(fresh, h) {
		t.Error("a new file has the old handle")
	}
	must(e.c.Write(e.ctx, fresh, 0, []byte("new"), nfs.FileSync))(t)
	if r := must(e.c.Read(e.ctx, h, 0, 10))(t); r.Status == 0 && len(r.Data) > 0 {
		t.Errorf("the old handle reads %q", r.Data)
	}
}

// TestExclusiveCreate: the same verifier again is the same file, as a client
// that lost the reply needs it; another is EXIST.
func TestExclusiveCreate(t *testing.T) {
	e := startMem(t)
	verf := [8]byte{1, 2, 3}
	create := func(v [8]byte) nfstest.NewResult {
		return must(e.c.Create(e.ctx, e.root, "x", nfs.Exclusive, nfstest.Sattr{}, v))(t)
	}
	first := create(verf)
	again := create(verf)
	if first.Status != 0 || again.Status != 0 || !bytes.Equal(first.Handle.Handle, again.Handle.Handle) {
		t.Errorf("%v, %v", nfs.Status(first.Status), nfs.Status(again.Status))
	}
	want(t, "another verifier", create([8]byte{9}).Status, nfs.ErrExist)
	want(t, "SETATTR behind it", must(e.c.Setattr(e.ctx, first.Handle.Handle, nfstest.Sattr{SetMode: true, Mode: 0o644}, nil))(t).Status, nfs.OK)
}

// TestKinds: REMOVE and RMDIR are two procedures, symbolic links are not
// followed, and attributes make sense to a kernel.
func TestKinds(t *testing.T) {
	e := startMem(t)
	file := e.create("f")
	d := must(e.c.Mkdir(e.ctx, e.root, "d", nfstest.Sattr{SetMode: true, Mode: 0o755}))(t)
	l := must(e.c.Symlink(e.ctx, e.root, "l", "../../outside", nfstest.Sattr{}))(t)
	want(t, "MKDIR", d.Status, nfs.OK)
	want(t, "SYMLINK", l.Status, nfs.OK)
	want(t, "REMOVE of a directory", must(e.c.Remove(e.ctx, e.root, "d"))(t).Status, nfs.ErrIsDir)
	want(t, "RMDIR of a file", must(e.c.Rmdir(e.ctx, e.root, "f"))(t).Status, nfs.ErrNotDir)
	want(t, "LOOKUP in a file", must(e.c.Lookup(e.ctx, file, "x"))(t).Status, nfs.ErrNotDir)
	want(t, "LOOKUP through a link", must(e.c.Lookup(e.ctx, l.Handle.Handle, "x"))(t).Status, nfs.ErrNotDir)
	want(t, "READ of a link", must(e.c.Read(e.ctx, l.Handle.Handle, 0, 1))(t).Status, nfs.ErrInval)
	want(t, "READ of a directory", must(e.c.Read(e.ctx, d.Handle.Handle, 0, 1))(t).Status, nfs.ErrIsDir)
	want(t, "READLINK of a file", must(e.c.Readlink(e.ctx, file))(t).Status, nfs.ErrInval)
	want(t, "SETATTR of a dangling link", must(e.c.Setattr(e.ctx, l.Handle.Handle, nfstest.Sattr{MtimeHow: nfstest.ServerTime}, nil))(t).Status, nfs.OK)
	want(t, "a guard", must(e.c.Setattr(e.ctx, file, nfstest.Sattr{}, &nfstest.Time{Sec: 1}))(t).Status, nfs.ErrNotSync)
	r := must(e.c.Readdirplus(e.ctx, e.root, 0, [8]byte{}, 4096, 4096))(t)
	if len(r.Entries) != 5 {
		t.Errorf("%d entries", len(r.Entries))
	}
	for _, en := range r.Entries {
		a := must(e.c.Getattr(e.ctx, en.Handle.Handle))(t).Attr
		if en.FileID == 0 || en.FileID == 1<<64-1 || a.FileID != en.FileID || a.Nlink == 0 || a.FSID != 0x1122 {
			t.Errorf("%s: id %d, %+v", en.Name, en.FileID, a)
		}
	}
}

// TestBigDirectory lists 2500 names with both procedures by turns, as Linux
// does, while names go: what stays comes once, without a repeated cookie.
func TestBigDirectory(t *testing.T) {
	e := startMem(t)
	const n = 2500
	for i := range n {
		e.create(fmt.Sprint("name", i))
	}
	counts, cookies := map[string]int{}, map[uint64]bool{}
	var cookie uint64
	for round := 0; ; round++ {
		var r nfstest.ReaddirResult
		if round%2 == 0 {
			r = must(e.c.Readdir(e.ctx, e.root, cookie, [8]byte{}, 2048))(t)
		} else {
			r = must(e.c.Readdirplus(e.ctx, e.root, cookie, [8]byte{}, 2048, 8192))(t)
		}
		want(t, "page", r.Status, nfs.OK)
		for _, en := range r.Entries {
			counts[string(en.Name)]++
			if cookies[en.Cookie] {
				t.Fatalf("cookie %d twice", en.Cookie)
			}
			cookies[en.Cookie] = true
			cookie = en.Cookie
		}
		if r.EOF {
			break
		}
		if len(r.Entries) > 2 && round%3 == 0 {
			// The very entry that the next page starts behind.
			name := string(r.Entries[len(r.Entries)-1].Name)
			want(t, "REMOVE", must(e.c.Remove(e.ctx, e.root, name))(t).Status, nfs.OK)
		}
	}
	if len(counts) != n+2 {
		t.Errorf("%d names, want %d", len(counts), n+2)
	}
	for name, k := range counts {
		if k != 1 {
			t.Errorf("%s: %d times", name, k)
		}
	}
}

// TestDataAfterAttributes: the attributes that come with data are not newer than
// the data. Else a client would keep old data under the new mtime for good.
func TestDataAfterAttributes(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	for name, call := range map[string]func(){
		"Read":    func() { must(e.c.Read(e.ctx, file, 0, 10))(t) },
		"Lookup":  func() { must(e.c.Lookup(e.ctx, e.root, "file"))(t) },
		"ReadDir": func() { must(e.c.Readdir(e.ctx, e.root, 2, [8]byte{}, 4096))(t) },
	} {
		e.fs.called("")
		call()
		e.fs.mu.Lock()
		if len(e.fs.calls) != 2 || e.fs.calls[0] != "GetAttr" || e.fs.calls[1] != name {
			t.Errorf("%s: the file system was asked for %v", name, e.fs.calls)
		}
		e.fs.mu.Unlock()
	}
}

// TestVerifierOfWriteIsOlder: if a failure changes the verifier while a write
// runs, the write's reply has the old one, so that it is sent again.
func TestVerifierOfWriteIsOlder(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	old := must(e.c.Commit(e.ctx, file, 0, 0))(t).Verf
	writing, failed := make(chan struct{}), make(chan struct{})
	e.fs.on(func(_ context.Context, method string) error {
		switch method {
		case "Write":
			close(writing)
			<-failed
		case "Commit":
			return nfs.ErrIO
		}
		return nil
	})
	done := make(chan nfstest.WriteResult, 1)
	go func() {
		r, _ := e.c.Write(e.ctx, file, 0, []byte("x"), nfs.Unstable)
		done <- r
	}()
	<-writing
	want(t, "COMMIT", must(e.c.Commit(e.ctx, file, 0, 0))(t).Status, nfs.ErrIO)
	close(failed)
	if r := <-done; r.Status != 0 || r.Verf != old {
		t.Errorf("%v, verifier %x, want %x", nfs.Status(r.Status), r.Verf, old)
	}
	e.fs.on(nil)
	if r := must(e.c.Commit(e.ctx, file, 0, 0))(t); r.Verf == old {
		t.Error("the verifier has not changed")
	}
}

// TestVerifierAfterLoss: a file system that has lost unstable data by itself makes
// clients send it again, also what they wrote before and commit later.
func TestVerifierAfterLoss(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	w := must(e.c.Write(e.ctx, file, 0, []byte("x"), nfs.Unstable))(t)
	if r := must(e.c.Commit(e.ctx, file, 0, 0))(t); r.Status != 0 || r.Verf != w.Verf {
		t.Fatalf("with nothing lost: %v, verifier %x, want %x", nfs.Status(r.Status), r.Verf, w.Verf)
	}
	e.fs.lost.Add(1)
	r := must(e.c.Commit(e.ctx, file, 0, 0))(t)
	if r.Status != 0 || r.Verf == w.Verf {
		t.Errorf("after a loss: %v, verifier %x as before: %v", nfs.Status(r.Status), r.Verf, r.Verf == w.Verf)
	}
	if again := must(e.c.Write(e.ctx, file, 0, []byte("x"), nfs.Unstable))(t); again.Verf != r.Verf {
		t.Errorf("written again: verifier %x, want %x", again.Verf, r.Verf)
	}
}
