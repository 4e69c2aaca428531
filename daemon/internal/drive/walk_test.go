package drive

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// walker is a remote that lists trees in the order of its keys, as object stores
// do. It has neither a revision nor versions of trees.
type walker struct {
	plain
	mem  *mem.Remote
	page int

	mu    sync.Mutex
	walks int                                               // pages
	lists map[string]int                                    // pages, by directory
	fail  error                                             // of every Walk
	edit  func([]providers.WalkEntry) []providers.WalkEntry // of a whole walk
	gate  func(page int)
	dirs  bool // directories have entries of their own
}

func newWalker(b *bench, page int) *walker {
	b.o.Patience = time.Minute // what is older is no answer here, however busy this computer is
	w := &walker{plain: plain{b.faults}, mem: b.mem, page: page, lists: map[string]int{}}
	b.o.Provider = w
	return w
}

func (w *walker) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	w.mu.Lock()
	w.lists[p]++
	w.mu.Unlock()
	return w.plain.ReadDir(ctx, p, cursor)
}

// calls is how many pages of walks and listings were asked for.
func (w *walker) calls() (walks, lists int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.lists {
		lists += n
	}
	return w.walks, lists
}

func (w *walker) tree(ctx context.Context, dir string) ([]providers.WalkEntry, error) {
	var out []providers.WalkEntry
	var below func(p, rel string) error
	below = func(p, rel string) error {
		for cursor := ""; ; {
			page, err := w.mem.ReadDir(ctx, p, cursor)
			if err != nil {
				return err
			}
			for _, e := range page.Entries {
				e.ID = ""
				here := path.Join(rel, e.Name)
				if !e.Mode.IsDir() || w.dirs {
					out = append(out, providers.WalkEntry{Path: here, Entry: e})
				}
				if e.Mode.IsDir() {
					if err := below(path.Join(p, e.Name), here); err != nil {
						return err
					}
				}
			}
			if cursor = page.Next; cursor == "" {
				return nil
			}
		}
	}
	if err := below(dir, ""); err != nil {
		return nil, err
	}
	key := func(e providers.WalkEntry) string {
		if e.Entry.Mode.IsDir() {
			return e.Path + "/"
		}
		return e.Path
	}
	slices.SortFunc(out, func(a, b providers.WalkEntry) int { return cmp.Compare(key(a), key(b)) })
	return out, nil
}

func (w *walker) Walk(ctx context.Context, p, cursor string) (providers.WalkPage, error) {
	w.mu.Lock()
	w.walks++
	fail, edit, gate := w.fail, w.edit, w.gate
	w.mu.Unlock()
	from := 0
	if cursor != "" {
		if _, err := fmt.Sscan(cursor, &from); err != nil {
			return providers.WalkPage{}, err
		}
	}
	if gate != nil {
		gate(from / w.page)
	}
	if fail != nil {
		return providers.WalkPage{}, fail
	}
	all, err := w.tree(ctx, p)
	if err != nil {
		return providers.WalkPage{}, err
	}
	if edit != nil {
		all = edit(all)
	}
	to := min(len(all), from+w.page)
	page := providers.WalkPage{Entries: all[min(from, to):to]}
	if to < len(all) {
		page.Next = fmt.Sprint(to)
	}
	return page, nil
}

// finder goes through a tree as find does, and gives all paths.
func finder(t *testing.T, b *bench) []string {
	t.Helper()
	var out []string
	var down func(p string, id nfs.ID)
	down = func(p string, id nfs.ID) {
		type sub struct {
			p  string
			id nfs.ID
		}
		var subs []sub
		b.getattr(id)
		for cookie := uint64(0); ; {
			r, err := b.readdir(t.Context(), id, cookie, 300)
			if err != nil {
				t.Fatalf("list %q: %v", p, err)
			}
			for _, e := range r.entries {
				here := path.Join(p, e.Name)
				cookie = e.Cookie
				out = append(out, here)
				if e.Attr.Type == nfs.TypeDirectory {
					subs = append(subs, sub{here, e.ID})
				}
			}
			if r.eof {
				break
			}
		}
		for _, s := range subs {
			down(s.p, s.id)
		}
	}
	down("", b.d.Root())
	slices.Sort(out)
	return out
}

func TestFindByWalking(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("directories with entries %v", own), func(t *testing.T) {
			b := newBench(t, mem.New(mem.Options{}))
			var want []string
			for i := range 20 {
				for k := range 20 {
					dir := fmt.Sprintf("t%02d/s-%02d", i, k)
					want = append(want, dir)
					for f := range 3 {
						p := fmt.Sprintf("%s/f%d", dir, f)
						b.put(p, strings.Repeat("x", f))
						want = append(want, p)
					}
				}
				p := fmt.Sprintf("t%02d/s", i)
				b.put(p, "")
				want = append(want, p, fmt.Sprintf("t%02d", i))
			}
			slices.Sort(want)
			w := newWalker(b, 100)
			w.dirs = own
			b.open()
			check := func() {
				t.Helper()
				if got := finder(t, b); !slices.Equal(got, want) {
					t.Errorf("found %d paths, want %d", len(got), len(want))
				}
			}
			check()
			walks, lists := w.calls()
			t.Logf("%d directories were found with %d pages of walks and %d of listings", 421, walks, lists)
			if walks+lists > 60 {
				t.Errorf("for 421 directories the remote was asked %d times for trees and %d times for listings", walks, lists)
			}
			check()
			if w, l := w.calls(); w != walks || l != lists {
				t.Errorf("a second time it was asked %d times for trees and %d times for listings", w-walks, l-lists)
			}
			before := ids(t, b.d)
			times := map[string]nfs.Attr{}
			for p, id := range before {
				times[p] = b.getattr(id)
			}

			// Listings that are old are renewed in the same way.
			b.clock.advance(time.Hour)
			b.remove("t05/s-05/f1")
			b.put("t06/s-06/new", "y")
			b.remove("t07/s-07/f0")
			b.remove("t07/s-07/f1")
			b.remove("t07/s-07/f2")
			if err := b.mem.Rmdir(t.Context(), "t07/s-07"); err != nil {
				t.Fatal(err)
			}
			want = slices.DeleteFunc(want, func(p string) bool { return p == "t05/s-05/f1" || strings.HasPrefix(p, "t07/s-07") })
			want = append(want, "t06/s-06/new")
			slices.Sort(want)
			check()
			again, more := w.calls()
			t.Logf("again: %d pages of walks and %d of listings", again-walks, more-lists)
			if n := again - walks + more - lists; n > 80 {
				t.Errorf("when all was old the remote was asked %d times", n)
			}
			for p, id := range ids(t, b.d) {
				if was, ok := before[p]; ok && was != id {
					t.Errorf("%s was id %d and is %d", p, was, id)
				}
			}
			for p, was := range times {
				a, err := b.d.GetAttr(t.Context(), owner, was.ID)
				changed := p == "t05/s-05" || p == "t06/s-06" || p == "t07"
				if err == nil && was.Type == nfs.TypeDirectory && a.Mtime.Equal(was.Mtime) == changed {
					t.Errorf("the mtime of %s was %v and is %v", p, was.Mtime, a.Mtime)
				}
			}
		})
	}
}

// A walk of which nobody makes use ends soon.
func TestWalkThatNobodyFollows(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range 300 {
		b.put(fmt.Sprintf("t%03d/f", i), "x")
	}
	w := newWalker(b, 2)
	b.open()
	names, err := b.names(b.d.Root())
	if err != nil || len(names) != 300 {
		t.Fatal(len(names), err)
	}
	for _, p := range []string{"t000", "t299"} {
		if _, err := b.names(b.find(p).ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"t298", "t297", "t296"} {
		b.list(b.find(p).ID, "f") // which the walk does not come to
	}
	walks, lists := w.calls()
	if walks == 0 || walks > firstCredit+4*walkPatience {
		t.Errorf("for six directories %d pages of a walk were asked for", walks)
	}
	if lists != 6 {
		t.Errorf("six directories far away were listed with %d calls", lists)
	}
}

// Who waits for a directory that a walk takes long for gets it by itself.
func TestBigFolderInAWalk(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range 400 {
		b.put(fmt.Sprintf("b/f%03d", i), "x")
	}
	for _, p := range []string{"a/x", "c/x", "d/x"} {
		b.put(p, "x")
	}
	w := newWalker(b, 10)
	b.open()
	want := []string{"a", "a/x", "b", "c", "c/x", "d", "d/x"}
	for i := range 400 {
		want = append(want, fmt.Sprintf("b/f%03d", i))
	}
	slices.Sort(want)
	if got := finder(t, b); !slices.Equal(got, want) {
		t.Errorf("found %d paths, want %d", len(got), len(want))
	}
	walks, lists := w.calls()
	if walks > 30 || lists > 6 {
		t.Errorf("five directories took %d pages of walks and %d of listings", walks, lists)
	}
}

// Walks that go wrong are made up for by listings.
func TestWalksThatFail(t *testing.T) {
	at := func(i int, e providers.WalkEntry) func([]providers.WalkEntry) []providers.WalkEntry {
		return func(all []providers.WalkEntry) []providers.WalkEntry { return slices.Insert(all, min(i, len(all)), e) }
	}
	file := func(p string) providers.WalkEntry {
		return providers.WalkEntry{Path: p, Entry: providers.Entry{Name: path.Base(p), Mode: 0o644, Version: "v"}}
	}
	for _, c := range []struct {
		name string
		set  func(*walker)
		most int // pages of walks
	}{
		{"not possible here", func(w *walker) { w.fail = providers.ErrUnsupported }, 1},
		{"forbidden", func(w *walker) { w.fail = providers.ErrPermission }, 2},
		{"names that lead elsewhere", func(w *walker) {
			w.edit = func(all []providers.WalkEntry) []providers.WalkEntry {
				for _, p := range []string{"../up", "/abs", "t00/../../x", ".", "..", "t00//b", strings.Repeat("n", 300), "t00/" + strings.Repeat("d/", 5000) + "f"} {
					all = slices.Insert(all, 0, file(p))
				}
				return all
			}
		}, 1000},
		{"coming back to a directory", func(w *walker) { w.edit = at(60, file("t00/s/late")) }, 1000},
		{"a file that is a directory, too", func(w *walker) { w.edit = at(0, file("t01")) }, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, mem.New(mem.Options{}))
			var want []string
			for i := range 30 {
				for _, dir := range []string{"s", "u"} {
					b.put(fmt.Sprintf("t%02d/%s/f", i, dir), "x")
					want = append(want, fmt.Sprintf("t%02d/%s", i, dir), fmt.Sprintf("t%02d/%s/f", i, dir))
				}
				want = append(want, fmt.Sprintf("t%02d", i))
			}
			slices.Sort(want)
			w := newWalker(b, 5)
			c.set(w)
			b.open()
			id := func() nfs.ID { return b.find("t01/s/f").ID }
			was := id()
			for range 2 {
				got := slices.DeleteFunc(finder(t, b), func(p string) bool {
					return p == "t00/s/late" // shown if the remote says so
				})
				if !slices.Equal(got, want) {
					t.Errorf("found %d paths, want %d: %q", len(got), len(want), got)
				}
				if now := id(); now != was {
					t.Errorf("an id was %d and is %d", was, now)
				}
				b.clock.advance(time.Hour)
			}
			if walks, _ := w.calls(); walks == 0 || walks > c.most {
				t.Errorf("%d pages of walks were asked for", walks)
			}
		})
	}
}

// Close does not wait for a walk that hangs or has nobody who follows.
func TestCloseWhileWalking(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range 300 {
		b.put(fmt.Sprintf("t%03d/f", i), "x")
	}
	w := newWalker(b, 2)
	b.open()
	if _, err := b.names(b.d.Root()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"t000", "t299"} {
		if _, err := b.names(b.find(p).ID); err != nil {
			t.Fatal(err)
		}
	}
	b.await("the walk to wait", func() bool { walks, _ := w.calls(); return walks == firstCredit })
	began := time.Now()
	if err := b.d.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
}

var _ providers.Walker = (*walker)(nil)
