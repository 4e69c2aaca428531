package drive

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// revisions is a remote of which each revision is one in memory.
type revisions struct {
	mu   sync.Mutex
	all  map[string]*mem.Remote
	now  string
	hold func() // called in Turn, once the remote shows the other revision; nil: nothing
}

func (r *revisions) shown() (*mem.Remote, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[r.now], r.now
}

func (r *revisions) Info() providers.Info {
	m, _ := r.shown()
	return m.Info()
}

func (r *revisions) Stat(ctx context.Context, path string) (providers.Entry, error) {
	m, rev := r.shown()
	e, err := m.Stat(ctx, path)
	return of(rev, e), err
}

// of makes the versions of folders differ between revisions, as they are compared by
// what is in them.
func of(rev string, e providers.Entry) providers.Entry {
	e.ID = ""
	if e.Mode.IsDir() {
		e.Version = providers.Version(rev) + "/" + e.Version
	}
	return e
}

func (r *revisions) ReadDir(ctx context.Context, path, cursor string) (providers.Page, error) {
	m, rev := r.shown()
	p, err := m.ReadDir(ctx, path, cursor)
	for i, e := range p.Entries {
		p.Entries[i] = of(rev, e)
	}
	return p, err
}

func (r *revisions) Open(ctx context.Context, path string, v providers.Version) (providers.Object, error) {
	m, _ := r.shown()
	return m.Open(ctx, path, v)
}

func (r *revisions) Close() error { return nil }

func (r *revisions) Probe(context.Context) (providers.Version, error) {
	_, rev := r.shown()
	return providers.Version(rev), nil
}

func (r *revisions) Turn(_ context.Context, rev string) (providers.Version, error) {
	r.mu.Lock()
	if r.all[rev] == nil {
		r.mu.Unlock()
		return "", providers.ErrNoRevision
	}
	r.now = rev
	hold := r.hold
	r.mu.Unlock()
	if hold != nil {
		hold()
	}
	return providers.Version(rev), nil
}

func (r *revisions) Shown() providers.Shown { return providers.Shown{} }

func (r *revisions) Refs(context.Context) (providers.Refs, error) { return providers.Refs{}, nil }

func (r *revisions) Commits(context.Context, string, string) (providers.CommitPage, error) {
	return providers.CommitPage{}, nil
}

func (r *revisions) CommitAt(context.Context, string, time.Time) (providers.Commit, error) {
	return providers.Commit{}, nil
}

// turnBench is a drive at the later one of two revisions: "same" is in both, "text"
// differs, "early" and "late" are in one each.
func turnBench(t *testing.T) (*bench, *revisions) {
	r := &revisions{all: map[string]*mem.Remote{}, now: "late"}
	first, second := mem.New(mem.Options{}), mem.New(mem.Options{})
	b := newBench(t, first)
	b.put("d/same", "s")
	b.put("d/text", "first")
	b.put("d/early", "e")
	b.mem = second
	b.put("d/same", "s") // with the version that it has in the first
	b.clock.advance(time.Hour)
	b.put("d/text", "second")
	b.put("d/text", "second!") // with another one
	b.put("d/late", "l")
	r.all["early"], r.all["late"] = first, second
	b.o.Provider, b.o.ReadOnly = r, true
	b.o.Patience = time.Minute // what is older is no answer here, however busy this computer is
	return b, r
}

func (b *bench) listing(dir string) string {
	b.Helper()
	l, err := b.names(b.find(dir).ID)
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(l)
	return strings.Join(l, " ")
}

func TestTurn(t *testing.T) {
	b, _ := turnBench(t)
	b.open()
	same, text, dir := b.find("d/same"), b.find("d/text"), b.find("d")
	if got := b.listing("d"); got != "late same text" {
		t.Fatal(got)
	}
	b.holds(text.ID, "second!")
	last := text
	for i, rev := range []string{"early", "late", "early"} {
		b.clock.advance(time.Minute)
		if err := b.d.Turn(b.Context(), rev); err != nil {
			t.Fatal(err)
		}
		names, content := "early same text", "first"
		if rev == "late" {
			names, content = "late same text", "second!"
		}
		if got := b.listing("d"); got != names {
			t.Errorf("%d, %s: %q", i, rev, got)
		}
		b.holds(text.ID, content)
		now := b.find("d/text")
		if now.ID != text.ID {
			t.Errorf("%d, %s: text was %d and is %d", i, rev, text.ID, now.ID)
		}
		if !now.Mtime.After(last.Mtime) || !now.Ctime.After(last.Ctime) {
			t.Errorf("%d, %s: text went from %v to %v (changed %v to %v)", i, rev, last.Mtime, now.Mtime, last.Ctime, now.Ctime)
		}
		last = now
		if now := b.find("d/same"); now.ID != same.ID || !now.Mtime.Equal(same.Mtime) {
			t.Errorf("%d, %s: what is the same was %+v and is %+v", i, rev, same, now)
		}
		if now := b.find("d"); now.ID != dir.ID || !now.Mtime.After(dir.Mtime) {
			t.Errorf("%d, %s: the folder was %+v and is %+v", i, rev, dir, now)
		}
		if got := b.d.Status().Revision; got != rev {
			t.Errorf("the revision is %q, not %q", got, rev)
		}
	}
	if err := b.d.Turn(b.Context(), "nothing"); !errors.Is(err, providers.ErrNoRevision) {
		t.Errorf("no such revision: %v", err)
	}
	if got := b.listing("d"); got != "early same text" {
		t.Errorf("after a failure: %q", got)
	}
	b.reopen()
	if now := b.find("d/same"); now.ID != same.ID {
		t.Errorf("after a restart what is the same was %d and is %d", same.ID, now.ID)
	}
}

// What is listed while the remote turns may be of either revision, and must not be
// taken for either when that is shown again.
func TestListedWhileTurning(t *testing.T) {
	b, r := turnBench(t)
	b.open()
	_ = b.listing("")
	r.hold = func() {
		// The remote shows the early one by now, and nobody knows.
		if err := b.d.list(b.Context(), uint64(b.find("d").ID)); err != nil {
			t.Error(err)
		}
	}
	if err := b.d.Turn(b.Context(), "early"); err != nil {
		t.Fatal(err)
	}
	r.hold = nil
	if err := b.d.Turn(b.Context(), "late"); err != nil {
		t.Fatal(err)
	}
	if got := b.listing("d"); got != "late same text" {
		t.Errorf("after the way there and back: %q", got)
	}
}

// A probe that was on its way when the remote turned says nothing any more.
func TestProbeWhileTurning(t *testing.T) {
	b, r := turnBench(t)
	b.open()
	r.hold = func() {
		if err := b.d.probe(b.Context()); err != nil {
			t.Error(err)
		}
	}
	before := b.d.turned()
	if err := b.d.Turn(b.Context(), "early"); err != nil {
		t.Fatal(err)
	}
	if err := b.d.turnTo("late", before); err != nil {
		t.Fatal(err)
	}
	if got := b.d.Status().Revision; got != "early" {
		t.Errorf("the revision is %q", got)
	}
}

func TestTurnWithoutRevisions(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.open()
	if err := b.d.Turn(b.Context(), "x"); !errors.Is(err, providers.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}
