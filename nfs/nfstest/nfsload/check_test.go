package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// fakeConn is a connection whose window has one call, made by j.
func fakeConn(t *testing.T, j job) *conn {
	t.Helper()
	c := &conn{slots: make([]slot, 4), shift: 2}
	for i := range c.headers {
		for k := range c.headers[i] {
			c.headers[i][k] = []byte("head")
		}
	}
	if !j.next(c, 0, false) {
		t.Fatal("no call")
	}
	return c
}

// TestWrongAnswers: what a server may answer wrongly is noticed.
func TestWrongAnswers(t *testing.T) {
	p := newPattern(4096)
	data := p.at(0, 0, 4096)
	files := []object{{handle: []byte("h"), name: "file-000000", fileID: 7}}
	attr := wire.Fattr{Type: uint32(nfs.TypeRegular), FileID: 7}
	post := func(edit func(*wire.Fattr)) wire.PostAttr {
		a := attr
		edit(&a)
		return wire.PostAttr{Has: true, Attr: a}
	}
	same := func(*wire.Fattr) {}
	small := func(proc int) func() job { return func() job { return &smallJob{proc: proc, files: files} } }
	reading := func() job { return &readJob{p: p, handle: []byte("h"), blocks: 2, size: 4096} }
	writing := func(s nfs.Stable) func() job {
		return func() job { return &writeJob{p: p, handle: []byte("h"), stable: s, blocks: 2, size: 4096} }
	}
	naming := func(proc int) func() job { return func() job { return &nameJob{proc: proc, numbers: []int{1, 2}} } }
	for _, c := range []struct {
		name string
		job  func() job
		r    wire.Message
		good bool
	}{
		{"getattr", small(wire.ProcGetattr), &wire.GetattrResult{Attr: attr}, true},
		{"another file", small(wire.ProcGetattr), &wire.GetattrResult{Attr: wire.Fattr{Type: 1, FileID: 8}}, false},
		{"a status", small(wire.ProcGetattr), &wire.GetattrResult{Status: 70}, false},
		{"lookup", small(wire.ProcLookup), &wire.LookupResult{Handle: []byte("h"), Attr: post(same)}, true},
		{"lookup without attributes", small(wire.ProcLookup), &wire.LookupResult{Handle: []byte("h")}, true},
		{"no handle", small(wire.ProcLookup), &wire.LookupResult{Attr: post(same)}, false},
		{"a folder", small(wire.ProcLookup), &wire.LookupResult{Handle: []byte("h"), Attr: post(func(a *wire.Fattr) { a.Type = 2 })}, false},
		{"access", small(wire.ProcAccess), &wire.AccessResult{Access: 0x3f}, true},
		{"no access", small(wire.ProcAccess), &wire.AccessResult{Access: 2}, false},
		{"read", reading, &wire.ReadResult{Count: 4096, Data: data}, true},
		{"short read", reading, &wire.ReadResult{Count: 4092, Data: data[:4092]}, false},
		{"another count", reading, &wire.ReadResult{Count: 4092, Data: data}, false},
		{"early end", reading, &wire.ReadResult{Count: 4096, Data: data, EOF: true}, false},
		{"another block", reading, &wire.ReadResult{Count: 4096, Data: p.at(4096, 0, 4096)}, false},
		{"an old pass", reading, &wire.ReadResult{Count: 4096, Data: p.at(0, 1, 4096)}, false},
		{"results of another procedure", reading, &wire.GetattrResult{Attr: attr}, false},
		{"write", writing(nfs.Unstable), &wire.WriteResult{Count: 4096}, true},
		{"write more stable", writing(nfs.Unstable), &wire.WriteResult{Count: 4096, Committed: 2}, true},
		{"short write", writing(nfs.Unstable), &wire.WriteResult{Count: 4092}, false},
		{"less stable", writing(nfs.FileSync), &wire.WriteResult{Count: 4096, Committed: 1}, false},
		{"create", naming(wire.ProcCreate), &wire.NewResult{}, true},
		{"create again", naming(wire.ProcCreate), &wire.NewResult{Status: 17}, false},
		{"remove", naming(wire.ProcRemove), &wire.WccResult{}, true},
		{"remove again", naming(wire.ProcRemove), &wire.WccResult{Status: 2}, false},
		{"null", func() job { return new(nullJob) }, new(wire.Void), true},
		{"results of NULL", func() job { return new(nullJob) }, &wire.WccResult{}, false},
	} {
		j := c.job()
		err := j.done(fakeConn(t, j), 0, c.r.Append(nil))
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestVerifier: a verifier that changes between WRITE and COMMIT, or between
// writes, means that data may be lost.
func TestVerifier(t *testing.T) {
	for _, changes := range []string{"", "write", "commit"} {
		j := &writeJob{p: newPattern(4096), handle: []byte("h"), stable: nfs.Unstable, blocks: 2, size: 4096, passes: 1}
		c := fakeConn(t, j)
		var errs []error
		answer := func(s int, r wire.Message) { errs = append(errs, j.done(c, s, r.Append(nil))) }
		verf := func(step string) (v [wire.VerfSize]byte) {
			if step == changes {
				v[0] = 1
			}
			return v
		}
		if !j.next(c, 1, false) || j.next(c, 2, false) {
			t.Fatal("two writes and nothing more are wanted before the replies")
		}
		answer(0, &wire.WriteResult{Count: 4096})
		answer(1, &wire.WriteResult{Count: 4096, Verf: verf("write")})
		if !j.next(c, 0, true) {
			t.Fatal("no COMMIT")
		}
		answer(0, &wire.CommitResult{Verf: verf("commit")})
		if err := errors.Join(errs...); (err == nil) != (changes == "") {
			t.Errorf("%q: %v", changes, err)
		}
		if j.next(c, 0, false) {
			t.Error("a second pass")
		}
	}
}

func entries(names ...string) []wire.DirEntry {
	var v []wire.DirEntry
	for i, n := range names {
		v = append(v, wire.DirEntry{FileID: 9, Name: []byte(n), Cookie: uint64(i + 1)})
	}
	return v
}

// TestListings: a listing has every name once, no other, and no cookie twice.
func TestListings(t *testing.T) {
	full := entries(".", "..", "e-000000", "e-000001", "e-000002")
	edit := func(f func([]wire.DirEntry)) []wire.DirEntry {
		v := entries(".", "..", "e-000000", "e-000001", "e-000002")
		f(v)
		return v
	}
	for _, c := range []struct {
		name    string
		entries []wire.DirEntry
		good    bool
	}{
		{"full", full, true},
		{"without dots", full[2:], true},
		{"a cookie 0 of the first", edit(func(v []wire.DirEntry) { v[0].Cookie = 0 }), true},
		{"a cookie 0", edit(func(v []wire.DirEntry) { v[3].Cookie = 0 }), false},
		{"a cookie twice", edit(func(v []wire.DirEntry) { v[3].Cookie = 3 }), false},
		{"a name missing", full[:4], false},
		{"a name twice", entries("e-000000", "e-000001", "e-000001"), false},
		{"another name", entries("e-000000", "e-000001", "x"), false},
		{"a number too large", entries("e-000000", "e-000001", "e-000003"), false},
	} {
		for _, plus := range []bool{false, true} {
			j := (&listJob{plus: plus, format: "e-", want: 3, limit: 3, page: 4096}).init(1)
			r := wire.ReaddirResult{Plus: plus, Entries: c.entries, EOF: true}
			err := j.done(fakeConn(t, j), 0, r.Append(nil))
			if (err == nil) != c.good {
				t.Errorf("%s, plus %v: %v", c.name, plus, err)
			}
			if c.good && (j.complete != 1 || j.units != 3) {
				t.Errorf("%s, plus %v: %d listings, %d names", c.name, plus, j.complete, j.units)
			}
		}
	}
	j := (&listJob{format: "e-", want: 3, limit: 3, page: 4096}).init(1)
	if err := j.done(fakeConn(t, j), 0, (&wire.ReaddirResult{}).Append(nil)); err == nil {
		t.Error("an empty page that is not the last")
	}
	if err := j.done(fakeConn(t, j), 0, (&wire.ReaddirResult{Status: 70}).Append(nil)); !errors.Is(err, nfs.ErrStale) {
		t.Errorf("a status: %v", err)
	}
}

// FuzzListing: what the written-out decoder accepts, the decoder of package
// wire accepts too, and finds as many entries.
func FuzzListing(f *testing.F) {
	for _, plus := range []bool{false, true} {
		r := wire.ReaddirResult{Plus: plus, Attr: wire.PostAttr{Has: true, Attr: wire.Fattr{Type: 2}}, Entries: entries(".", "e-000000", "e-000017"), EOF: true}
		if plus {
			r.Entries[1].Attr = wire.PostAttr{Has: true, Attr: wire.Fattr{Type: 1}}
			r.Entries[2].Handle = wire.PostHandle{Has: true, Handle: []byte("handle")}
		}
		f.Add(plus, r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, plus bool, b []byte) {
		j := (&listJob{plus: plus, format: "e-", want: -1, limit: 100}).init(1)
		if err := j.take(&j.chains[0], b); err != nil {
			return
		}
		d := xdr.NewDecoder(b)
		r := wire.ReaddirResult{Plus: plus}
		r.Decode(&d)
		if errors.Is(d.Done(), xdr.ErrValue) {
			return // a value in attributes, which are skipped here
		}
		names := 0
		for _, e := range r.Entries {
			if n := string(e.Name); n != "." && n != ".." {
				names++
			}
		}
		if d.Err() != nil || r.Status != 0 || names != j.units {
			t.Errorf("%v, status %d, %d names, not %d", d.Err(), r.Status, names, j.units)
		}
	})
}

// TestReplies: replies in fragments and in any order find their calls; replies
// to calls that were not made, or were answered, are an error.
func TestReplies(t *testing.T) {
	record := func(b []byte, cut int) []byte {
		var r []byte
		if cut > 0 {
			r = append(xdr.AppendUint32(r, uint32(cut)), b[:cut]...)
			b = b[cut:]
		}
		return append(xdr.AppendUint32(r, uint32(len(b))|1<<31), b...)
	}
	ok := func(xid uint32) []byte { return rpc.AppendAccepted(nil, xid, rpc.Success) }
	for _, c := range []struct {
		name    string
		answers func(xids []uint32) [][]byte
		good    bool
	}{
		{"in order", func(x []uint32) [][]byte { return [][]byte{record(ok(x[0]), 0), record(ok(x[1]), 0)} }, true},
		{"in disorder", func(x []uint32) [][]byte { return [][]byte{record(ok(x[1]), 0), record(ok(x[0]), 0)} }, true},
		{"in fragments", func(x []uint32) [][]byte { return [][]byte{record(ok(x[0]), 5), record(ok(x[1]), 21)} }, true},
		{"in pieces", func(x []uint32) [][]byte {
			b := append(record(ok(x[0]), 0), record(ok(x[1]), 7)...)
			return [][]byte{b[:3], b[3:20], b[20:31], b[31:]}
		}, true},
		{"twice", func(x []uint32) [][]byte { return [][]byte{record(ok(x[0]), 0), record(ok(x[0]), 0)} }, false},
		{"another xid", func(x []uint32) [][]byte { return [][]byte{record(ok(x[0]+1<<8), 0)} }, false},
		{"not accepted", func(x []uint32) [][]byte { return [][]byte{record(rpc.AppendAuthError(nil, x[0], rpc.AuthTooWeak), 0)} }, false},
		{"not done", func(x []uint32) [][]byte { return [][]byte{record(rpc.AppendAccepted(nil, x[0], rpc.GarbageArgs), 0)} }, false},
		{"too short", func(x []uint32) [][]byte { return [][]byte{record(ok(x[0])[:12], 0)} }, false},
		{"too long", func(x []uint32) [][]byte { return [][]byte{{0xff, 0xff, 0xff, 0xff}} }, false},
		{"closed", func(x []uint32) [][]byte { return nil }, false},
	} {
		l := listen(t)
		answered := make(chan error, 1)
		go func() { answered <- answerTwo(l, c.answers) }()
		n, err := dial(l.Addr().String(), 2, 4096)
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.run(&limited{job: new(nullJob), left: 2}, 1<<62, time.Since(n.start)+10*time.Second)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.good && n.hist.n != 2 {
			t.Errorf("%s: %d latencies", c.name, n.hist.n)
		}
		n.close()
		l.Close()
		if err := <-answered; err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// answerTwo reads two calls off a connection and writes what answers makes of
// their xids, each piece by itself.
func answerTwo(l net.Listener, answers func([]uint32) [][]byte) error {
	nc, err := l.Accept()
	if err != nil {
		return err
	}
	defer nc.Close()
	r := rpc.NewRecordReader(nc, 4096)
	var xids []uint32
	for range 2 {
		size, last, err := r.Next()
		if err != nil {
			return err
		}
		b, err := r.Body(make([]byte, 0, size), size, last)
		if err != nil {
			return err
		}
		d := xdr.NewDecoder(b)
		var h rpc.Call
		if err := h.Decode(&d); err != nil || h.Prog != wire.NFSProgram || h.Proc != wire.ProcNull {
			return fmt.Errorf("%+v, %w", h, err)
		}
		xids = append(xids, h.XID)
	}
	for _, b := range answers(xids) {
		if _, err := nc.Write(b); err != nil {
			return nil // the client has had enough
		}
		time.Sleep(time.Millisecond) // so that pieces are read one by one
	}
	return nil
}

// TestXIDs: two clients do not begin with the same xid, lest a server takes the
// second for the first's repetition.
func TestXIDs(t *testing.T) {
	l := listen(t)
	defer l.Close()
	seen := map[uint32]bool{}
	for range 4 {
		c, err := dial(l.Addr().String(), 16, 4096)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		seen[c.turn] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d first xids of 4 clients", len(seen))
	}
}

// TestServerGone: a server that closes, or that keeps silent, is an error.
func TestServerGone(t *testing.T) {
	l := listen(t)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if nc, err := l.Accept(); err == nil {
			io.Copy(io.Discard, nc)
			nc.Close()
		}
	}()
	defer func() {
		l.Close()
		<-gone
	}()
	c, err := dial(l.Addr().String(), 1, 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close() // before the server is waited for
	_, err = c.run(new(nullJob), time.Second, time.Since(c.start)+50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v", err)
	}
}
