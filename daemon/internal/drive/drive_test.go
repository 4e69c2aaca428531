package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/local"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

const (
	uid = 1000
	gid = 1001
)

var owner = &nfs.Caller{UID: uid, GID: gid}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is a drive over a remote in memory that goes wrong on demand.
type bench struct {
	*testing.T
	mem    *mem.Remote
	faults *providertest.Faults
	clock  *clock
	dir    string
	o      Options
	d      *Drive
}

// plain hides every power of a provider but reading.
type plain struct{ providers.Provider }

// Info says nothing of versions of trees.
func (p plain) Info() providers.Info {
	i := p.Provider.Info()
	i.TreeVersion = false
	return i
}

func newBench(t *testing.T, m *mem.Remote) *bench {
	b := &bench{T: t, mem: m, clock: newClock(), dir: t.TempDir()}
	b.faults = providertest.NewFaults(m)
	b.o = Options{
		Provider: b.faults, UID: uid, GID: gid, StateDir: b.dir, Logger: slog.New(slog.DiscardHandler), Clock: b.clock.Now,
		ProbeInterval: time.Hour, RefreshInterval: time.Hour, RetryMin: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond, Patience: 50 * time.Millisecond,
	}
	t.Cleanup(func() {
		if b.d != nil {
			b.d.Close()
		}
	})
	return b
}

func (b *bench) open() {
	b.Helper()
	var err error
	if b.d, err = Open(b.Context(), b.o); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) reopen() {
	b.Helper()
	if err := b.d.Close(); err != nil {
		b.Fatal(err)
	}
	b.d = nil
	b.open()
}

func (b *bench) put(p, data string) {
	b.Helper()
	if dir := path.Dir(p); dir != "." {
		b.mkdir(dir)
	}
	if _, err := b.mem.Put(b.Context(), p, strings.NewReader(data), providers.PutOptions{ModTime: b.clock.Now()}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) mkdir(p string) {
	b.Helper()
	if dir := path.Dir(p); dir != "." {
		b.mkdir(dir)
	}
	if _, err := b.mem.Mkdir(b.Context(), p); err != nil && !errors.Is(err, fs.ErrExist) {
		b.Fatal(err)
	}
}

func (b *bench) remove(p string) {
	b.Helper()
	if err := b.mem.Remove(b.Context(), p, providers.Cond{}); err != nil {
		b.Fatal(err)
	}
}

// probe lets the drive see what the remote has now.
func (b *bench) probe() {
	b.Helper()
	if err := b.d.probe(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) lookup(p string) (nfs.Attr, error) {
	return walk(b.Context(), b.d, p)
}

func walk(ctx context.Context, d *Drive, p string) (nfs.Attr, error) {
	a, err := d.GetAttr(ctx, owner, d.Root())
	for _, name := range strings.Split(p, "/") {
		if err != nil || p == "" {
			break
		}
		a, err = d.Lookup(ctx, owner, a.ID, name)
	}
	return a, err
}

func (b *bench) find(p string) nfs.Attr {
	b.Helper()
	a, err := b.lookup(p)
	if err != nil {
		b.Fatalf("look up %q: %v", p, err)
	}
	return a
}

func (b *bench) getattr(id nfs.ID) nfs.Attr {
	b.Helper()
	a, err := b.d.GetAttr(b.Context(), owner, id)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// read reads a whole file in pieces, as a client does.
func (b *bench) read(id nfs.ID) (string, error) {
	var out []byte
	p := make([]byte, 64<<10)
	for {
		n, eof, err := b.d.Read(b.Context(), owner, id, p, uint64(len(out)))
		if err != nil {
			return string(out), err
		}
		out = append(out, p[:n]...)
		if eof {
			return string(out), nil
		}
	}
}

func (b *bench) holds(id nfs.ID, want string) {
	b.Helper()
	if got, err := b.read(id); err != nil || got != want {
		b.Errorf("id %d holds %.40q (%d bytes), %v, want %.40q (%d bytes)", id, got, len(got), err, want, len(want))
	}
}

// names lists a directory as a client does.
func (b *bench) names(id nfs.ID) ([]string, error) {
	var out []string
	for cookie := uint64(0); ; {
		eof, err := b.d.ReadDir(b.Context(), owner, id, cookie, false, func(e nfs.DirEntry) bool {
			out = append(out, e.Name)
			cookie = e.Cookie
			return true
		})
		if err != nil || eof {
			return out, err
		}
	}
}

func (b *bench) list(id nfs.ID, want ...string) {
	b.Helper()
	got, err := b.names(id)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("listing %q, %v, want %q", got, err, want)
	}
}

func (b *bench) wantStatus(what string, err error, want nfs.Status) {
	b.Helper()
	if nfs.StatusOf(err) != want {
		b.Errorf("%s: %v (%v), want %v", what, err, nfs.StatusOf(err), want)
	}
}

// await waits for something that the drive does by itself.
func (b *bench) await(what string, ok func() bool) {
	b.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-b.d.Changes():
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			b.Fatal("waited in vain for: ", what)
		}
	}
}

// tree fills a provider with what the suites read.
func tree(t *testing.T, p providers.Provider) []nfstest.Node {
	var out []nfstest.Node
	made := map[string]bool{".": true}
	var mkdir func(string)
	mkdir = func(dir string) {
		if made[dir] {
			return
		}
		mkdir(path.Dir(dir))
		if _, err := p.(providers.Writer).Mkdir(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		made[dir] = true
		out = append(out, nfstest.Node{Path: dir, Type: nfs.TypeDirectory, Mode: 0o555})
	}
	for _, f := range providertest.Tree() {
		mkdir(path.Dir(f.Path))
		var err error
		if f.Mode&fs.ModeSymlink != 0 {
			_, err = p.(providers.Symlinker).Symlink(t.Context(), f.Path, f.Data)
			out = append(out, nfstest.Node{Path: f.Path, Type: nfs.TypeSymlink, Target: f.Data})
		} else {
			_, err = p.(providers.Writer).Put(t.Context(), f.Path, strings.NewReader(f.Data), providers.PutOptions{Mode: f.Mode})
			n := nfstest.Node{Path: f.Path, Type: nfs.TypeRegular, Mode: 0o444, Data: f.Data}
			if f.Mode&0o111 != 0 {
				n.Mode = 0o555
			}
			out = append(out, n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestFileSystem runs the suite of the server over every way to get at a remote.
func TestFileSystem(t *testing.T) {
	m := mem.New(mem.Options{})
	nodes := tree(t, m)
	l, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tree(t, l)
	for _, c := range []struct {
		name string
		p    providers.Provider
	}{
		{"ranges", m},
		{"no tree versions", plain{m}},
		{"sizes later", &lazySizes{Faults: providertest.NewFaults(m), inner: m}},
		{"sizes by opening", plain{noSizes(m)}},
		{"files on this computer", l},
	} {
		t.Run(c.name, func(t *testing.T) {
			nfstest.TestFS(t, func(t *testing.T) nfs.FileSystem {
				d, err := Open(t.Context(), Options{Provider: c.p, StateDir: t.TempDir(), UID: uid, GID: gid, ReadOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				})
				return struct { // without what a drive needs to be changed
					nfs.FileSystem
					nfs.LinkReader
					nfs.Describer
				}{d, d, d}
			}, nfstest.Prepared(nodes), nfstest.Unprivileged(uid, gid), nfstest.UTF8Names())
		})
	}
}

// noSizes is m with listings that tell no size.
func noSizes(m *mem.Remote) *providertest.Faults {
	f := providertest.NewFaults(m)
	f.EditListing(func(_ string, es []providers.Entry) []providers.Entry {
		for i := range es {
			es[i].Size = -1
		}
		return es
	})
	return f
}

// lazySizes tells sizes when they are asked for only, a folder at a time.
type lazySizes struct {
	*providertest.Faults
	inner *mem.Remote

	mu    sync.Mutex
	calls []int // entries in each call of Sizes
}

func (l *lazySizes) Stat(ctx context.Context, p string) (providers.Entry, error) {
	e, err := l.Faults.Stat(ctx, p)
	e.Size = -1
	return e, err
}

func (l *lazySizes) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	page, err := l.Faults.ReadDir(ctx, p, cursor)
	for i := range page.Entries {
		page.Entries[i].Size = -1
	}
	return page, err
}

func (l *lazySizes) Sizes(ctx context.Context, dir string, es []providers.Entry) error {
	l.mu.Lock()
	l.calls = append(l.calls, len(es))
	l.mu.Unlock()
	for i := range es {
		e, err := l.inner.Stat(ctx, path.Join(dir, es[i].Name))
		if err != nil {
			return err
		}
		es[i].Size = e.Size
	}
	return nil
}

func TestSizesComeByTheFolder(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range 100 {
		b.put(fmt.Sprintf("d/%02d", i), strings.Repeat("x", i))
	}
	lazy := &lazySizes{Faults: b.faults, inner: b.mem}
	b.o.Provider = lazy
	b.open()
	for i := range 100 {
		if a := b.find(fmt.Sprintf("d/%02d", i)); a.Size != uint64(i) {
			t.Errorf("d/%02d has size %d", i, a.Size)
		}
	}
	if fmt.Sprint(lazy.calls) != "[100]" {
		t.Errorf("sizes were asked for in batches of %d, want one of 100", lazy.calls)
	}
}

func TestOpenLooksAtTheRootOnly(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("a/b", "x")
	b.open()
	if n := b.faults.Calls(providertest.OpList); n != 0 {
		t.Errorf("Open listed %d times", n)
	}
	if n := b.faults.Calls(providertest.OpStat); n != 1 {
		t.Errorf("Open asked for attributes %d times, want once", n)
	}
}

func TestOpenOfNothing(t *testing.T) {
	for _, want := range []error{providers.ErrOffline, providers.ErrAuth, providers.ErrNoRemote} {
		b := newBench(t, mem.New(mem.Options{}))
		b.faults.Fail(want)
		if _, err := Open(t.Context(), b.o); !errors.Is(err, want) {
			t.Errorf("Open gives %v, want %v", err, want)
		}
	}
}
