package nfs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// The replies of calls that are not idempotent are kept: a client that did not
// get one sends the call again, with its xid, often on a new connection.

// replayEnv is a server whose file system counts, with callers of any kind.
type replayEnv struct {
	*env
	fs *countedFS
}

func startReplay(t *testing.T) *replayEnv {
	fs := &countedFS{FS: memfs.New(memfs.Options{Mode: 0o777})}
	return &replayEnv{env: start(t, fs, func(c *config) { c.auth = nfstest.Auth{} }), fs: fs}
}

// message is a call without its xid.
func message(c *nfstest.Client, proc uint32, args wire.Message) []byte {
	return args.Append(c.Header(nfsProg, 3, proc))
}

func (e *replayEnv) op(name string) wire.DirOp {
	return wire.DirOp{Dir: e.root, Name: []byte(name)}
}

func (e *replayEnv) mkdir(name string) []byte {
	return message(e.c, wire.ProcMkdir, &wire.MkdirArgs{Where: e.op(name)})
}

func (e *replayEnv) send(c *nfstest.Client, xid uint32, message []byte) []byte {
	e.t.Helper()
	return must(c.Resend(e.ctx, xid, message))(e.t)
}

// expect sends a call and checks its status, and how often something was
// changed since the last look.
func (e *replayEnv) expect(what string, c *nfstest.Client, xid uint32, message []byte, status nfs.Status, changes int64) []byte {
	e.t.Helper()
	b := e.send(c, xid, message)
	if got := nfs.Status(binary.BigEndian.Uint32(b[24:])); got != status {
		e.t.Errorf("%s: %v, want %v", what, got, status)
	}
	if n := e.fs.changes.Swap(0); n != changes {
		e.t.Errorf("%s: %d changes, want %d", what, n, changes)
	}
	return b
}

// notIdempotent are calls whose second execution has another result, in an
// order in which all of them succeed.
func (e *replayEnv) notIdempotent() []struct {
	name string
	proc uint32
	args wire.Message
} {
	file := e.create("file")
	attr := must(e.c.Getattr(e.ctx, file))(e.t)
	e.fs.changes.Store(0)
	guard := wire.SetattrArgs{Handle: file, Set: wire.Sattr{SetMode: true, Mode: 0o640}, Guard: true, Ctime: attr.Attr.Ctime}
	c, d, l, n, f := e.op("c"), e.op("d"), e.op("l"), e.op("n"), e.op("f2")
	return []struct {
		name string
		proc uint32
		args wire.Message
	}{
		{"SETATTR", wire.ProcSetattr, &guard},
		{"CREATE", wire.ProcCreate, &wire.CreateArgs{Where: c, Mode: uint32(nfs.Guarded)}},
		{"MKDIR", wire.ProcMkdir, &wire.MkdirArgs{Where: d}},
		{"SYMLINK", wire.ProcSymlink, &wire.SymlinkArgs{Where: l, Target: []byte("to")}},
		{"MKNOD", wire.ProcMknod, &wire.MknodArgs{Where: n, Type: uint32(nfs.TypeFIFO)}},
		{"LINK", wire.ProcLink, &wire.LinkArgs{Handle: file, To: f}},
		{"RENAME", wire.ProcRename, &wire.RenameArgs{From: c, To: e.op("c2")}},
		{"REMOVE", wire.ProcRemove, &l},
		{"RMDIR", wire.ProcRmdir, &d},
	}
}

// TestReplay: a call of each procedure that comes again, on its connection or
// on another, is answered with the same bytes and does nothing, also when it
// failed the first time.
func TestReplay(t *testing.T) {
	e := startReplay(t)
	for i, tc := range e.notIdempotent() {
		xid, m := uint32(1000+i), message(e.c, tc.proc, tc.args)
		first := e.expect(tc.name, e.c, xid, m, nfs.OK, 1)
		for where, c := range map[string]*nfstest.Client{"its connection": e.c, "another": e.dial(nfstest.Auth{}), "a third": e.dial(nfstest.Auth{})} {
			again := e.expect(tc.name+" again on "+where, c, xid, m, nfs.OK, 0)
			if !bytes.Equal(first, again) {
				t.Errorf("%s again on %s: %x, was %x", tc.name, where, again, first)
			}
		}
	}
	m := e.mkdir("file") // exists
	first := e.expect("a failure", e.c, 2000, m, nfs.ErrExist, 1)
	remove := e.op("file")
	e.expect("REMOVE", e.c, 2001, message(e.c, wire.ProcRemove, &remove), nfs.OK, 1)
	if again := e.expect("a failure again", e.dial(nfstest.Auth{}), 2000, m, nfs.ErrExist, 0); !bytes.Equal(first, again) {
		t.Errorf("a failure again: %x, was %x", again, first)
	}
}

// TestReplayKey: what is not the same call of the same caller is done.
func TestReplayKey(t *testing.T) {
	e := startReplay(t)
	const xid = 7
	e.expect("MKDIR", e.c, xid, e.mkdir("d"), nfs.OK, 1)
	e.expect("other xid", e.c, xid+1, e.mkdir("d"), nfs.ErrExist, 1)
	e.expect("other arguments", e.c, xid, e.mkdir("d2"), nfs.OK, 1)
	for what, auth := range map[string]nfstest.Auth{"uid": {UID: 5}, "gid": {GID: 5}, "machine": {Machine: "other"}} {
		c := e.dial(auth)
		e.expect("other "+what, c, xid, message(c, wire.ProcMkdir, &wire.MkdirArgs{Where: e.op("d")}), nfs.ErrExist, 1)
	}
	anonymous := append(rpcHeader(nfsProg, 3, wire.ProcMkdir, nil, nil), (&wire.MkdirArgs{Where: e.op("d")}).Append(nil)...)
	e.expect("without identity", e.c, xid, anonymous, nfs.ErrExist, 1)
	// REMOVE and RMDIR have the same arguments.
	d := e.op("d")
	e.expect("REMOVE", e.c, xid, message(e.c, wire.ProcRemove, &d), nfs.ErrIsDir, 1)
	e.expect("RMDIR", e.c, xid, message(e.c, wire.ProcRmdir, &d), nfs.OK, 1)
	// All of them are still known by themselves.
	e.expect("MKDIR again", e.c, xid, e.mkdir("d"), nfs.OK, 0)
	e.expect("REMOVE again", e.c, xid, message(e.c, wire.ProcRemove, &d), nfs.ErrIsDir, 0)
	e.expect("RMDIR again", e.c, xid, message(e.c, wire.ProcRmdir, &d), nfs.OK, 0)
}

// TestReplayNot: what is idempotent is done each time, so that the answer is
// of now, and refusals of RPC are not in the way of the call that is in order.
func TestReplayNot(t *testing.T) {
	e := startReplay(t)
	file := e.create("file")
	const xid = 9
	getattr := message(e.c, wire.ProcGetattr, &wire.HandleArgs{Handle: file})
	lookup := e.op("new")
	lookupCall := message(e.c, wire.ProcLookup, &lookup)
	write := message(e.c, wire.ProcWrite, &wire.WriteArgs{Handle: file, Count: 4, Stable: uint32(nfs.FileSync), Data: []byte("data")})
	before := e.send(e.c, xid, getattr)
	if b := e.send(e.c, xid, lookupCall); nfs.Status(binary.BigEndian.Uint32(b[24:])) != nfs.ErrNoEnt {
		t.Errorf("LOOKUP: %x", b)
	}
	e.send(e.c, xid, write)
	e.create("new")
	if after := e.send(e.c, xid, getattr); bytes.Equal(before, after) {
		t.Error("GETATTR was answered as before a change")
	}
	if b := e.send(e.c, xid, lookupCall); nfs.Status(binary.BigEndian.Uint32(b[24:])) != nfs.OK {
		t.Errorf("LOOKUP of what came in between: %x", b)
	}
	want(t, "WRITE", must(e.c.Write(e.ctx, file, 0, []byte("DATA"), nfs.FileSync))(t).Status, nfs.OK)
	e.send(e.c, xid, write)
	if r := must(e.c.Read(e.ctx, file, 0, 10))(t); string(r.Data) != "data" {
		t.Errorf("WRITE was not done again: %q", r.Data)
	}
	cut := e.mkdir("d")
	e.send(e.c, xid, cut[:len(cut)-4]) // garbage arguments
	e.fs.changes.Store(0)
	e.expect("MKDIR", e.c, xid, cut, nfs.OK, 1)
}

// TestReplayOfNewClient: a connection that mounts belongs to a client that has
// just begun, whose xids may repeat those of the one before it.
func TestReplayOfNewClient(t *testing.T) {
	e := startReplay(t)
	want(t, "MNT", must(e.c.Mnt(e.ctx, "/drive"))(t).Status, nfs.OK)
	const xid = 11
	m := e.mkdir("d")
	e.expect("MKDIR", e.c, xid, m, nfs.OK, 1)
	e.expect("again", e.c, xid, m, nfs.OK, 0)
	e.expect("on a new connection", e.dial(nfstest.Auth{}), xid, m, nfs.OK, 0)
	// MNT does not cut a client off from its own calls.
	want(t, "MNT", must(e.c.Mnt(e.ctx, "/drive"))(t).Status, nfs.OK)
	e.expect("after a second MNT", e.c, xid, m, nfs.OK, 0)

	fresh := e.dial(nfstest.Auth{})
	want(t, "MNT", must(fresh.Mnt(e.ctx, "/drive"))(t).Status, nfs.OK)
	first := e.expect("by a new client", fresh, xid, m, nfs.ErrExist, 1)
	if again := e.expect("by a new client again", fresh, xid, m, nfs.ErrExist, 0); !bytes.Equal(first, again) {
		t.Errorf("%x, was %x", again, first)
	}
	// Whatever else MOUNT is asked, it is no new client.
	asks := e.dial(nfstest.Auth{})
	e.expect("MKDIR", e.c, xid+1, e.mkdir("d2"), nfs.OK, 1)
	must(asks.Export(e.ctx))(t)
	must(asks.Dump(e.ctx))(t)
	e.expect("by one who asked for exports", asks, xid+1, e.mkdir("d2"), nfs.OK, 0)
}

// gatedFS holds MKDIR up.
type gatedFS struct {
	*countedFS
	entered, release chan struct{}
	err              error // of the next call, which does nothing then
}

func (f *gatedFS) Mkdir(ctx context.Context, c *nfs.Caller, dir nfs.ID, name string, set nfs.SetAttr) (nfs.Attr, nfs.WCC, error) {
	f.entered <- struct{}{}
	<-f.release
	if err := f.err; err != nil {
		f.err = nil
		f.count()
		return nfs.Attr{}, nfs.WCC{}, err
	}
	return f.countedFS.Mkdir(ctx, c, dir, name, set)
}

func startGated(t *testing.T) (*replayEnv, *gatedFS) {
	fs := &gatedFS{
		countedFS: &countedFS{FS: memfs.New(memfs.Options{Mode: 0o777})},
		entered:   make(chan struct{}, 100), release: make(chan struct{}),
	}
	return &replayEnv{env: start(t, fs, func(c *config) { c.auth = nfstest.Auth{} }), fs: fs.countedFS}, fs
}

// TestReplayInProgress: a duplicate of a call that is under way waits for it,
// on whatever connection, and a client whose connection ends meanwhile finds
// its reply on the next one.
func TestReplayInProgress(t *testing.T) {
	e, fs := startGated(t)
	const xid = 13
	m := e.mkdir("d")
	first := e.dial(nfstest.Auth{})
	if err := first.Send(nfstest.Record(append([]byte{0, 0, 0, xid}, m...))); err != nil {
		t.Fatal(err)
	}
	<-fs.entered
	first.Close()
	replies := make([][]byte, 6)
	var wg sync.WaitGroup
	for i := range replies {
		c := e.c // three on one connection
		if i%2 == 0 {
			c = e.dial(nfstest.Auth{})
		}
		wg.Go(func() { replies[i], _ = c.Resend(e.ctx, xid, m) })
	}
	// Other calls do not wait behind them, and when these are answered the
	// duplicates were read.
	for range 3 {
		if err := e.c.Null(e.ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(fs.release)
	wg.Wait()
	for i, b := range replies {
		if len(b) == 0 || !bytes.Equal(b, replies[0]) || nfs.Status(binary.BigEndian.Uint32(b[24:])) != nfs.OK {
			t.Errorf("duplicate %d: %x, the first %x", i, b, replies[0])
		}
	}
	if n := e.fs.changes.Load(); n != 1 {
		t.Errorf("done %d times", n)
	}
}

// TestReplayJukebox: "ask again" is not kept, since that is what the client is
// going to do, with the same xid.
func TestReplayJukebox(t *testing.T) {
	e, fs := startGated(t)
	close(fs.release)
	fs.err = fmt.Errorf("not yet: %w", nfs.ErrJukebox)
	m := e.mkdir("d")
	e.expect("MKDIR", e.c, 17, m, nfs.ErrJukebox, 1)
	e.expect("MKDIR again", e.c, 17, m, nfs.OK, 1)
	e.expect("MKDIR a third time", e.c, 17, m, nfs.OK, 0)
	fs.err = context.DeadlineExceeded
	m = e.mkdir("d2")
	e.expect("too late", e.c, 18, m, nfs.ErrJukebox, 1)
	e.expect("too late, again", e.c, 18, m, nfs.OK, 1)
}

// TestReplayBound: the newest replies are kept, and no more than a number of
// them, however many there were: 4096 by default.
func TestReplayBound(t *testing.T) {
	const kept = 4096
	e := startReplay(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// These fail, so that the file system does not grow: "d" exists.
	e.expect("MKDIR", e.c, 1, e.mkdir("d"), nfs.OK, 1)
	many := func(from, n int) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for x := from + i; x < from+n; x += 16 {
					if _, err := e.c.Resend(ctx, uint32(x), e.mkdir("d")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	many(100, kept/2)
	e.fs.changes.Store(0)
	e.expect("one of the last", e.c, 1, e.mkdir("d"), nfs.OK, 0)
	many(10_000, 4*kept)
	before := heap()
	many(100_000, 4*kept)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes kept for %d more replies", grown, 4*kept)
	}
	e.fs.changes.Store(0)
	e.expect("long ago", e.c, 1, e.mkdir("d"), nfs.ErrExist, 1)
	for x := 100_000 + 4*kept - kept/2; x < 100_000+4*kept; x += 97 {
		e.expect("one of the last", e.c, uint32(x), e.mkdir("d"), nfs.ErrExist, 0)
	}
}
