package nfs_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

var testKey = bytes.Repeat([]byte{0x5a}, 32)

// env is a server with one export, "/drive", and a client of it.
type env struct {
	t    *testing.T
	ctx  context.Context
	srv  *nfs.Server
	addr string
	fs   *fakeFS
	c    *nfstest.Client
	root nfstest.Handle
}

type config struct {
	opts   nfs.Options
	export nfs.Export
	auth   nfstest.Auth
}

// start serves fs (nil: a fakeFS) until the test ends, and checks then that the
// server stops.
func start(t *testing.T, fs nfs.FileSystem, edit ...func(*config)) *env {
	t.Helper()
	e := &env{t: t, ctx: testContext(t)}
	if fs == nil {
		e.fs = &fakeFS{}
		fs = e.fs
	}
	cfg := config{
		export: nfs.Export{Path: "/drive", FS: fs, Key: testKey, FSID: 0x1122},
		auth:   nfstest.Auth{UID: 1000, GID: 100, Groups: []uint32{7, 8}},
	}
	cfg.opts.Limits.Penalty = time.Millisecond
	for _, f := range edit {
		f(&cfg)
	}
	e.srv, e.addr = serve(t, cfg.opts)
	if err := e.srv.Export(cfg.export); err != nil {
		t.Fatal(err)
	}
	e.c = e.dial(cfg.auth)
	var err error
	if e.root, err = e.srv.RootHandle(cfg.export.Path); err != nil {
		t.Fatal(err)
	}
	return e
}

// serve runs a server on a port of its own until the test ends.
func serve(t testing.TB, opts nfs.Options) (*nfs.Server, string) {
	t.Helper()
	s, err := nfs.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, nfs.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

func (e *env) dial(auth nfstest.Auth) *nfstest.Client {
	e.t.Helper()
	c, err := nfstest.Dial(e.ctx, e.addr, auth)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// handle is the handle of a name in the root.
func (e *env) handle(name string) nfstest.Handle {
	e.t.Helper()
	r := must(e.c.Lookup(e.ctx, e.root, name))(e.t)
	want(e.t, "LOOKUP "+name, r.Status, nfs.OK)
	return r.Handle
}

// must stops the test if a call failed. It is used as must(call)(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t testing.TB, what string, got uint32, status nfs.Status) {
	t.Helper()
	if nfs.Status(got) != status {
		t.Errorf("%s: %v, want %v", what, nfs.Status(got), status)
	}
}

// await waits until cond holds.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
