package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

type addrListener struct {
	net.Listener
	addr net.Addr
}

func (l addrListener) Addr() net.Addr { return l.addr }

// TestRule01ListensOnLoopbackOnly: only this computer may reach a server.
func TestRule01ListensOnLoopbackOnly(t *testing.T) {
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4zero}, &net.TCPAddr{IP: net.IPv6zero}, &net.TCPAddr{}, &net.TCPAddr{IP: net.IPv4(192, 168, 1, 2)},
		&net.TCPAddr{IP: net.ParseIP("fe80::1")}, &net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1")}, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)},
	} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(addrListener{inner, a}); !errors.Is(err, nfs.ErrNotLoopback) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%v: %v", a, err)
		}
		if _, err := inner.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: the listener stays open", a)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); !errors.Is(err, nfs.ErrServerClosed) {
		t.Errorf("after Shutdown: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	e := start(t, nil)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- e.srv.Serve(l) }()
	c, err := nfstest.Dial(e.ctx, path, nfstest.Auth{UID: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r := must(c.Mnt(e.ctx, "/drive"))(t); r.Status != 0 {
		t.Errorf("MNT: %d", r.Status)
	}
	if err := e.srv.Shutdown(e.ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, nfs.ErrServerClosed) {
		t.Error(err)
	}
}

func TestExports(t *testing.T) {
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	good := nfs.Export{Path: "/a", FS: &fakeFS{}, Key: testKey, FSID: 1}
	if err := s.Export(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*nfs.Export){
		"path taken":      func(x *nfs.Export) { x.FSID = 2 },
		"FSID taken":      func(x *nfs.Export) { x.Path = "/b" },
		"same low bits":   func(x *nfs.Export) { x.Path, x.FSID = "/b", 1<<56|1 },
		"no file system":  func(x *nfs.Export) { x.Path, x.FSID, x.FS = "/b", 2, nil },
		"short key":       func(x *nfs.Export) { x.Path, x.FSID, x.Key = "/b", 2, testKey[:31] },
		"no path":         func(x *nfs.Export) { x.Path, x.FSID = "", 2 },
		"relative":        func(x *nfs.Export) { x.Path, x.FSID = "b", 2 },
		"trailing slash":  func(x *nfs.Export) { x.Path, x.FSID = "/b/", 2 },
		"a NUL":           func(x *nfs.Export) { x.Path, x.FSID = "/b\x00", 2 },
		"1025 bytes path": func(x *nfs.Export) { x.Path, x.FSID = "/"+strings.Repeat("b", 1024), 2 },
	} {
		x := good
		edit(&x)
		if err := s.Export(x); !errors.Is(err, nfs.ErrExport) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.RootHandle("/b"); !errors.Is(err, nfs.ErrNotExported) {
		t.Error(err)
	}
	if err := s.Unexport("/b"); !errors.Is(err, nfs.ErrNotExported) {
		t.Error(err)
	}
	if err := s.Unexport("/a"); err != nil {
		t.Error(err)
	}
	if err := s.Export(good); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := nfs.NewServer(nfs.Options{Rand: strings.NewReader("")}); err != nil {
		t.Error(err)
	}
	noRand, _ := nfs.NewServer(nfs.Options{Rand: strings.NewReader("")})
	if err := noRand.Export(good); err == nil {
		t.Error("no randomness, no error")
	}
}

// TestUnexport: handles become stale, and the call waits for those in work.
func TestUnexport(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	hold, release := make(chan struct{}), make(chan struct{})
	e.fs.on(func(_ context.Context, method string) error {
		if method == "Read" {
			close(hold)
			<-release
		}
		return nil
	})
	read := make(chan nfstest.ReadResult, 1)
	go func() {
		r, _ := e.c.Read(e.ctx, file, 0, 4)
		read <- r
	}()
	<-hold
	done := make(chan error, 1)
	go func() { done <- e.srv.Unexport("/drive") }()
	await(t, "stale handle", func() bool {
		return nfs.Status(must(e.c.Getattr(e.ctx, file))(t).Status) == nfs.ErrStale
	})
	select {
	case err := <-done:
		t.Fatal("it did not wait:", err)
	default:
	}
	close(release)
	if r := <-read; string(r.Data) != "0123" {
		t.Errorf("the call in work: %+v", r)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if r := must(e.c.Mnt(e.ctx, "/drive"))(t); r.Status != 2 {
		t.Errorf("MNT: %d", r.Status)
	}
	// Another export with the same number does not revive them.
	if err := e.srv.Export(nfs.Export{Path: "/new", FS: &fakeFS{}, Key: make([]byte, 32), FSID: 0x1122}); err != nil {
		t.Fatal(err)
	}
	want(t, "old handle", must(e.c.Getattr(e.ctx, file))(t).Status, nfs.ErrStale)
	// The same one does: this is what a restart is.
	if err := e.srv.Unexport("/new"); err != nil {
		t.Fatal(err)
	}
	if err := e.srv.Export(nfs.Export{Path: "/drive", FS: &fakeFS{}, Key: testKey, FSID: 0x1122}); err != nil {
		t.Fatal(err)
	}
	want(t, "old handle", must(e.c.Getattr(e.ctx, file))(t).Status, nfs.OK)
}

// TestRestart: with the same key, FSID and ids, handles outlive the server.
func TestRestart(t *testing.T) {
	a := start(t, nil)
	file := a.handle("file")
	if err := a.srv.Shutdown(a.ctx); err != nil {
		t.Fatal(err)
	}
	b := start(t, nil)
	r := must(b.c.Read(b.ctx, file, 0, 10))(t)
	if r.Status != 0 || string(r.Data) != fakeData {
		t.Errorf("%+v", r)
	}
}

// TestShutdownAnswersFirst: calls in work are answered, new ones are not taken.
func TestShutdownAnswersFirst(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	var held = make(chan struct{}, 20)
	release := make(chan struct{})
	e.fs.on(func(_ context.Context, method string) error {
		if method == "Read" {
			held <- struct{}{}
			<-release
		}
		return nil
	})
	replies := make(chan error, 20)
	for range 20 {
		go func() {
			r, err := e.c.Read(e.ctx, file, 0, 10)
			if err == nil && string(r.Data) != fakeData {
				err = errors.New("wrong data")
			}
			replies <- err
		}()
	}
	for range 20 {
		<-held
	}
	done := make(chan error, 1)
	go func() { done <- e.srv.Shutdown(e.ctx) }()
	await(t, "the listener to close", func() bool {
		nc, err := net.Dial("tcp", e.addr)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	close(release)
	for range 20 {
		if err := <-replies; err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := e.c.Null(e.ctx); !errors.Is(err, nfstest.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestShutdownIsBounded: a call that does not come back on its own is told to,
// and cannot hold Shutdown longer than its context and a moment.
func TestShutdownIsBounded(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		e := start(t, nil)
		file := e.handle("file")
		held, release := make(chan struct{}), make(chan struct{})
		e.fs.on(func(ctx context.Context, method string) error {
			if method != "Read" {
				return nil
			}
			close(held)
			if obeys {
				<-ctx.Done()
				return ctx.Err()
			}
			<-release
			return nil
		})
		go e.c.Read(e.ctx, file, 0, 10)
		<-held
		ctx, cancel := context.WithTimeout(e.ctx, 50*time.Millisecond)
		start := time.Now()
		if err := e.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("it took %v", d)
		}
		cancel()
		close(release)
	}
}

// TestNothingIsLeft: no goroutine of the server lives on.
func TestNothingIsLeft(t *testing.T) {
	t.Run("work", func(t *testing.T) {
		e := start(t, nil)
		file := e.handle("file")
		for range 20 {
			c := e.dial(nfstest.Auth{})
			for range 5 {
				must(c.Read(e.ctx, file, 0, 10))(t)
			}
		}
		nc, err := net.Dial("tcp", e.addr) // never says a word
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
	})
	await(t, "goroutines of the server to end", func() bool {
		buf := make([]byte, 1<<20)
		stacks := buf[:runtime.Stack(buf, true)]
		return !bytes.Contains(stacks, []byte("nfs.(*conn)")) && !bytes.Contains(stacks, []byte("nfs.(*Server)"))
	})
}

// TestDeadline: a call that takes too long is answered JUKEBOX, in time, and
// with attributes if these can be had.
func TestDeadline(t *testing.T) {
	e := start(t, nil, func(c *config) { c.opts.Limits.Call = 50 * time.Millisecond })
	e.fs.on(func(ctx context.Context, method string) error {
		if method == "GetAttr" {
			return nil
		}
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > 50*time.Millisecond {
			t.Errorf("%s: deadline %v, %v", method, d, ok)
		}
		<-ctx.Done()
		return ctx.Err()
	})
	for _, p := range procedures {
		if p.method == "GetAttr" {
			continue
		}
		got := must(p.call(e.ctx, e.c, e.root))(t)
		want(t, p.name, got.status, nfs.ErrJukebox)
		for _, w := range got.wcc {
			if !w.HasBefore {
				t.Errorf("%s: no attributes", p.name)
			}
		}
	}
	// The default is below the 8 s at which clients lose patience.
	d := start(t, nil)
	d.fs.on(func(ctx context.Context, _ string) error {
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > 7*time.Second || time.Until(at) < 4*time.Second {
			t.Errorf("default deadline in %v", time.Until(at))
		}
		return nil
	})
	d.handle("file")
}

// TestConcurrency: calls of one connection run together; slow ones hold up
// neither others of their kind nor those of the other kind, however many.
func TestConcurrency(t *testing.T) {
	e := start(t, nil)
	file := e.handle("file")
	release := make(chan struct{})
	var reads = make(chan struct{}, 1000)
	e.fs.on(func(_ context.Context, method string) error {
		if method == "Read" {
			reads <- struct{}{}
			<-release
		}
		return nil
	})
	const n = 200 // more than run at a time
	got := make(chan nfstest.ReadResult, n)
	for range n {
		go func() {
			r, _ := e.c.Read(e.ctx, file, 0, 10)
			got <- r
		}()
	}
	for range 16 {
		<-reads
	}
	for range 10 {
		want(t, "GETATTR beside slow reads", must(e.c.Getattr(e.ctx, file))(t).Status, nfs.OK)
		want(t, "LOOKUP beside slow reads", must(e.c.Lookup(e.ctx, e.root, "file"))(t).Status, nfs.OK)
	}
	if len(got) != 0 {
		t.Error("a read came back")
	}
	close(release)
	for range n {
		if r := <-got; string(r.Data) != fakeData {
			t.Fatalf("%+v", r)
		}
	}
	if e.c.Strays() != 0 {
		t.Errorf("%d replies too many", e.c.Strays())
	}
}

// TestQueuedCallsAreAnsweredInTime: those whose turn does not come are told to
// ask again, without the file system.
func TestQueuedCallsAreAnsweredInTime(t *testing.T) {
	e := start(t, nil, func(c *config) { c.opts.Limits.Call = 200 * time.Millisecond })
	file := e.handle("file")
	release := make(chan struct{})
	e.fs.on(func(_ context.Context, method string) error {
		if method == "Read" {
			<-release // does not obey its context
		}
		return nil
	})
	const n = 100
	got := make(chan nfstest.ReadResult, n)
	for range n {
		go func() {
			r, _ := e.c.Read(e.ctx, file, 0, 10)
			got <- r
		}()
	}
	var early []nfs.Status
	for range n - 32 {
		early = append(early, nfs.Status((<-got).Status))
	}
	close(release)
	if slices.ContainsFunc(early, func(s nfs.Status) bool { return s != nfs.ErrJukebox }) {
		t.Errorf("%v", early)
	}
	for range 32 {
		if r := <-got; string(r.Data) != fakeData {
			t.Errorf("%+v", r)
		}
	}
}

// TestHalfClose: who closes his sending side after he was accepted still gets
// his replies.
func TestHalfClose(t *testing.T) {
	e := start(t, nil)
	nc, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	call := append([]byte{0, 0, 0, 1}, rpcHeader(nfsProg, 3, 0, nil, nil)...)
	nc.SetDeadline(time.Now().Add(testTimeout))
	nc.Write(nfstest.Record(call))
	if _, err := io.ReadFull(nc, make([]byte, 28)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		nc.Write(nfstest.Record(call))
	}
	nc.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(nc); err != nil || len(b) != 10*28 {
		t.Errorf("%d bytes, %v, want 10 replies of 28", len(b), err)
	}
}
