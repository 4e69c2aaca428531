package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// mount is a drive of a store, served and connected to.
type mount struct {
	export
	drive *drive.Drive
	end   func() error
}

// options say how a drive is mounted.
type options struct {
	state string            // folder; what it has is taken over
	over  http.RoundTripper // nil: the provider's own
	quiet time.Duration     // 0: the usual
	ttl   time.Duration     // likewise
}

// mount makes a drive of the store and connects to it. The caller calls end.
func (f *far) mount(t testing.TB, o options) *mount {
	t.Helper()
	remote, err := s3.Open(f.url(t), s3.Options{Transport: o.over, Credentials: func(context.Context) (s3.Credentials, error) {
		return s3.Credentials{AccessKeyID: s3test.AccessKeyID, SecretAccessKey: s3test.SecretAccessKey}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := drive.Open(t.Context(), drive.Options{Provider: remote, StateDir: o.state, Quiet: o.quiet, TTL: o.ttl})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	if err := srv.Export(nfs.Export{Path: "/drive", FS: d, Key: key, FSID: 1}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	m := &mount{drive: d}
	m.end = sync.OnceValue(func() error {
		err := m.close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, srv.Shutdown(ctx))
		serving.Wait()
		return errors.Join(err, d.Close(), remote.Close())
	})
	t.Cleanup(func() {
		if err := m.end(); err != nil {
			t.Error(err)
		}
	})
	if m.export, err = connect(t.Context(), l.Addr().String(), "/drive"); err != nil {
		t.Fatal(err)
	}
	return m
}

// export is a file system that an NFS server exports, and a client of it.
type export struct {
	c    *nfstest.Client
	root nfstest.Handle
}

func connect(ctx context.Context, addr, path string) (export, error) {
	c, err := nfstest.Dial(ctx, addr, nfstest.Auth{})
	if err != nil {
		return export{}, err
	}
	m, err := c.Mnt(ctx, path)
	if err == nil && m.Status != 0 {
		err = fmt.Errorf("MNT of %s: status %d", path, m.Status)
	}
	if err != nil {
		return export{}, errors.Join(err, c.Close())
	}
	return export{c: c, root: m.Handle}, nil
}

func (e export) close() error {
	if e.c == nil {
		return nil
	}
	return e.c.Close()
}

// jukebox is how long a client waits that was told to ask again.
const jukebox = 100 * time.Millisecond

// ask makes a call until the answer is another one than "ask again".
func ask[R any](ctx context.Context, what string, call func() (R, error), status func(*R) uint32) (R, error) {
	for {
		r, err := call()
		if err != nil {
			return r, fmt.Errorf("%s: %w", what, err)
		}
		switch s := nfstest.Status(status(&r)); s {
		case nfs.OK:
			return r, nil
		case nfs.ErrJukebox:
		default:
			return r, fmt.Errorf("%s: %w", what, s)
		}
		select {
		case <-time.After(jukebox):
		case <-ctx.Done():
			return r, fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}

func (e export) lookup(ctx context.Context, dir nfstest.Handle, name string) (nfstest.LookupResult, error) {
	return ask(ctx, "LOOKUP of "+name, func() (nfstest.LookupResult, error) { return e.c.Lookup(ctx, dir, name) }, func(r *nfstest.LookupResult) uint32 { return r.Status })
}

// entry is what a listing tells.
type entry struct {
	name   string
	handle nfstest.Handle
	dir    bool
	size   uint64
}

// list reads a directory as a client does: a page, then the next one.
func (e export) list(ctx context.Context, dir nfstest.Handle) (all []entry, err error) {
	var cookie uint64
	var verf [8]byte
	for {
		r, err := ask(ctx, "READDIRPLUS", func() (nfstest.ReaddirResult, error) {
			return e.c.Readdirplus(ctx, dir, cookie, verf, 32<<10, 128<<10)
		}, func(r *nfstest.ReaddirResult) uint32 { return r.Status })
		if err != nil {
			return nil, err
		}
		for _, d := range r.Entries {
			cookie = d.Cookie
			if name := string(d.Name); name != "." && name != ".." {
				all = append(all, entry{name, d.Handle.Handle, d.Attr.Attr.Type == 2, d.Attr.Attr.Size})
			}
		}
		if verf = r.Verf; r.EOF {
			return all, nil
		}
	}
}

// find lists a directory and all below it.
func (e export) find(ctx context.Context, dir nfstest.Handle) (n int, err error) {
	all, err := e.list(ctx, dir)
	for _, x := range all {
		n++
		if x.dir && err == nil {
			var below int
			below, err = e.find(ctx, x.handle)
			n += below
		}
	}
	return n, err
}

// open finds a file of the export.
func (e export) open(ctx context.Context, dir nfstest.Handle, name string) (*file, error) {
	r, err := e.lookup(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	return &file{e.c, r.Handle}, nil
}

// file is a file that is read and written by NFS.
type file struct {
	c *nfstest.Client
	h nfstest.Handle
}

// ReadAt reads by one READ, if the server gives all.
func (f *file) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	for n < len(p) {
		r, err := ask(ctx, "READ", func() (nfstest.ReadResult, error) { return f.c.Read(ctx, f.h, uint64(off)+uint64(n), uint32(len(p)-n)) }, func(r *nfstest.ReadResult) uint32 { return r.Status })
		if err != nil {
			return n, err
		}
		n += copy(p[n:], r.Data)
		if r.EOF && n < len(p) {
			return n, io.EOF
		}
	}
	return n, nil
}

// create makes a file in a directory and writes it, unstable, in blocks of a
// megabyte of which several are under way, and has it committed.
func (e export) create(ctx context.Context, dir nfstest.Handle, name string, size int64, depth int, block func(off, n int64) []byte) error {
	made, err := ask(ctx, "CREATE of "+name, func() (nfstest.NewResult, error) {
		return e.c.Create(ctx, dir, name, nfs.Unchecked, nfstest.Sattr{SetMode: true, Mode: 0o644}, [8]byte{})
	}, func(r *nfstest.NewResult) uint32 { return r.Status })
	if err != nil {
		return err
	}
	h := made.Handle.Handle
	err = blocks(ctx, size, 1<<20, depth, func(ctx context.Context, off, n int64) error {
		_, err := ask(ctx, "WRITE", func() (nfstest.WriteResult, error) {
			return e.c.Write(ctx, h, uint64(off), block(off, n), nfs.Unstable)
		}, func(r *nfstest.WriteResult) uint32 { return r.Status })
		return err
	})
	if err != nil {
		return err
	}
	_, err = ask(ctx, "COMMIT", func() (nfstest.CommitResult, error) { return e.c.Commit(ctx, h, 0, 0) }, func(r *nfstest.CommitResult) uint32 { return r.Status })
	return err
}

// blocks has something done for each block of a file, in their order, by so many
// at a time.
func blocks(ctx context.Context, size, block int64, depth int, do func(ctx context.Context, off, n int64) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var next int64
	var wg sync.WaitGroup
	for range depth {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				off := next
				next += block
				mu.Unlock()
				if off >= size {
					return
				}
				if err := do(ctx, off, min(block, size-off)); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
