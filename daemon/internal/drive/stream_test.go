package drive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// The tests of this file are longer with MOORAGE_TEST_LONG=1: a folder of a
// million names instead of 50,000, and one of 100,000 names with 50 ms for each
// page, whose time is measured.

func long() bool { return os.Getenv("MOORAGE_TEST_LONG") != "" }

// bigFolder is a remote whose folder "big" has n files, made up page by page. It
// has neither a revision nor versions of trees.
type bigFolder struct {
	providers.Provider
	n, page int
	rtt     time.Duration

	mu     sync.Mutex
	gate   func(ctx context.Context, page int) error // what a page waits for; nil: nothing
	begun  int                                       // pages that were asked for
	stats  int
	absent map[int]bool
}

func newBigFolder(b *bench, n, page int) *bigFolder {
	b.mkdir("big")
	f := &bigFolder{Provider: plain{b.faults}, n: n, page: page, absent: map[int]bool{}}
	b.o.Provider = f
	return f
}

func bigName(i int) string { return fmt.Sprintf("name-%07d", i) }

func (f *bigFolder) entry(i int) providers.Entry {
	return providers.Entry{Name: bigName(i), Mode: 0o644, Size: int64(i), ModTime: time.Unix(1e9+int64(i), 0), Version: providers.Version(strconv.Itoa(i))}
}

func (f *bigFolder) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *bigFolder) counts() (pages, stats int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun, f.stats
}

func (f *bigFolder) Stat(ctx context.Context, p string) (providers.Entry, error) {
	dir, name := path.Split(p)
	if dir != "big/" {
		return f.Provider.Stat(ctx, p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats++
	i, err := strconv.Atoi(strings.TrimPrefix(name, "name-"))
	if err != nil || i >= f.n || f.absent[i] {
		return providers.Entry{}, providers.ErrNotExist
	}
	return f.entry(i), nil
}

func (f *bigFolder) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	if p != "big" {
		return f.Provider.ReadDir(ctx, p, cursor)
	}
	from := 0
	if cursor != "" {
		from, _ = strconv.Atoi(cursor)
	}
	f.mu.Lock()
	gate, n, absent := f.gate, f.n, len(f.absent)
	f.begun++
	f.mu.Unlock()
	if f.rtt > 0 {
		select {
		case <-time.After(f.rtt):
		case <-ctx.Done():
			return providers.Page{}, ctx.Err()
		}
	}
	if gate != nil {
		if err := gate(ctx, from/f.page); err != nil {
			return providers.Page{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return providers.Page{}, err
	}
	var page providers.Page
	to := min(n, from+f.page)
	for i := from; i < to; i++ {
		if absent > 0 {
			f.mu.Lock()
			gone := f.absent[i]
			f.mu.Unlock()
			if gone {
				continue
			}
		}
		page.Entries = append(page.Entries, f.entry(i))
	}
	if to < n {
		page.Next = strconv.Itoa(to)
	}
	return page, nil
}

// reply is what one READDIR gave.
type reply struct {
	entries []nfs.DirEntry
	eof     bool
}

func (r reply) last() uint64 { return r.entries[len(r.entries)-1].Cookie }

// readdir makes one call with room for so many entries.
func (b *bench) readdir(ctx context.Context, id nfs.ID, cookie uint64, room int) (reply, error) {
	var r reply
	var err error
	r.eof, err = b.d.ReadDir(ctx, owner, id, cookie, true, func(e nfs.DirEntry) bool {
		if len(r.entries) == room {
			return false
		}
		r.entries = append(r.entries, e)
		return true
	})
	return r, err
}

// readAll reads a directory from a cookie to its end, and gives the names.
func (b *bench) readAll(id nfs.ID, cookie uint64) []string {
	b.Helper()
	var out []string
	for {
		r, err := b.readdir(b.Context(), id, cookie, 700)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range r.entries {
			out = append(out, e.Name)
			cookie = e.Cookie
		}
		if r.eof {
			return out
		}
	}
}

// wantBig checks that names are those of a big folder from i on, each once.
func (b *bench) wantBig(names []string, from, to int) {
	b.Helper()
	if len(names) != to-from {
		b.Errorf("%d names were listed, want %d", len(names), to-from)
	}
	for i, name := range names {
		if name != bigName(from+i) {
			b.Fatalf("%s is listed where %s should be", name, bigName(from+i))
		}
	}
}

// steps lets the pages of a listing through one by one.
type steps struct {
	asked chan int // pages that wait
	let   chan error
}

func newSteps(f *bigFolder) *steps {
	s := &steps{make(chan int, 1000), make(chan error)}
	f.set(func() {
		f.gate = func(ctx context.Context, page int) error {
			s.asked <- page
			select {
			case err := <-s.let:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return s
}

// A client that lists a folder gets the names that have arrived, and all that it
// asks about them is answered, while others are still to come.
func TestNamesAreServedWhileTheyArrive(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	f := newBigFolder(b, 2500, 1000)
	s := newSteps(f)
	b.open()
	before := b.find("big")
	if n := before.Nlink; n >= 2 {
		t.Errorf("a directory that nobody has listed claims %d links", n)
	}
	got := make(chan reply)
	go func() {
		r, err := b.readdir(t.Context(), before.ID, 0, 5000)
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	<-s.asked
	s.let <- nil
	first := <-got
	if first.eof || len(first.entries) != 1000 {
		t.Fatalf("after one page: %d entries, the end: %v", len(first.entries), first.eof)
	}
	<-s.asked // the next page was asked for by itself
	e := first.entries[500]
	if a := b.getattr(e.ID); a.Size != 500 || e.Attr != a {
		t.Errorf("attributes of a name that has arrived: %+v, in the listing: %+v", a, e.Attr)
	}
	if a, err := b.d.Lookup(t.Context(), owner, before.ID, bigName(999)); err != nil || a.Size != 999 {
		t.Errorf("look up a name that has arrived: %+v, %v", a, err)
	}
	if _, stats := f.counts(); stats != 0 {
		t.Errorf("the remote was asked for %d names that had arrived", stats)
	}
	if a, err := b.d.Lookup(t.Context(), owner, before.ID, bigName(2222)); err != nil || a.Size != 2222 {
		t.Errorf("look up a name that is still to come: %+v, %v", a, err)
	}
	_, err := b.d.Lookup(t.Context(), owner, before.ID, "name-x")
	b.wantStatus("look up a name that is not there", err, nfs.ErrNoEnt)
	if _, stats := f.counts(); stats != 2 {
		t.Errorf("the remote was asked %d times for two names", stats)
	}
	if a := b.getattr(before.ID); !a.Mtime.Equal(before.Mtime) || !a.Ctime.Equal(before.Ctime) {
		t.Errorf("while names arrive the times move from %v, %v to %v, %v: clients would begin again", before.Mtime, before.Ctime, a.Mtime, a.Ctime)
	}
	r, err := b.readdir(t.Context(), before.ID, first.last(), 5000)
	if err != nil || r.eof || len(r.entries) != 1 || r.entries[0].Name != bigName(2222) {
		t.Errorf("behind the first page: %+v, %v, want the name that was looked up", r, err)
	}
	_, err = b.readdir(short(t), before.ID, r.last(), 5000)
	b.wantStatus("names that have not come in time", err, nfs.ErrJukebox)
	s.let <- nil
	<-s.asked
	s.let <- nil
	rest := b.readAll(before.ID, r.last())
	i := slices.Index(rest, bigName(2222))
	if i >= 0 {
		t.Error("a name was listed twice")
	}
	b.wantBig(slices.Insert(rest, 1222, bigName(2222)), 1000, 2500)
	if pages, _ := f.counts(); pages != 3 {
		t.Errorf("3 pages were asked for with %d calls", pages)
	}
	// A client was told that a name is absent, so the times move now, once.
	after := b.getattr(before.ID)
	if !after.Mtime.After(before.Mtime) {
		t.Error("after the listing the times show nothing of the names that came")
	}
	b.wantBig(b.readAll(before.ID, 0)[:1000], 0, 1000)
	if a := b.getattr(before.ID); a != after || a.Nlink != 2 {
		t.Errorf("listed from what is known the attributes become %+v, were %+v", a, after)
	}
	if pages, _ := f.counts(); pages != 3 {
		t.Errorf("the second listing asked for %d pages", pages-3)
	}
}

// Nobody who has listed a folder to its end has a cache to drop afterwards.
func TestTimesStayAfterTheFirstListing(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	newBigFolder(b, 2500, 1000)
	b.open()
	before := b.find("big")
	b.wantBig(b.readAll(before.ID, 0), 0, 2500)
	if a := b.getattr(before.ID); !a.Mtime.Equal(before.Mtime) || !a.Ctime.Equal(before.Ctime) {
		t.Errorf("the times move from %v, %v to %v, %v", before.Mtime, before.Ctime, a.Mtime, a.Ctime)
	}
}

// known opens a drive over a big folder that was listed and is old by now.
func known(t *testing.T, n int) (*bench, *bigFolder, nfs.Attr) {
	b := newBench(t, mem.New(mem.Options{}))
	f := newBigFolder(b, n, 1000)
	b.open()
	d := b.find("big")
	b.wantBig(b.readAll(d.ID, 0), 0, n)
	d = b.getattr(d.ID)
	b.clock.advance(time.Hour)
	return b, f, d
}

// idle waits until a folder is not being listed.
func (b *bench) idle(id nfs.ID) {
	b.Helper()
	b.await("the listing to end", func() bool { return b.d.lists.get(uint64(id)) == nil })
}

func TestTimesStayWithTheNames(t *testing.T) {
	b, _, before := known(t, 2500)
	b.getattr(before.ID)
	b.idle(before.ID)
	if a := b.getattr(before.ID); a != before {
		t.Errorf("listed again with the same names: %+v, was %+v", a, before)
	}
}

// A listing after the first one moves the times once, when it is whole.
func TestTimesMoveOnce(t *testing.T) {
	b, f, before := known(t, 2500)
	f.set(func() { f.absent[3], f.n = true, 3500 })
	s := newSteps(f)
	for range 4 {
		if a := b.getattr(before.ID); a != before {
			t.Errorf("in the midst: %+v, was %+v", a, before)
		}
		<-s.asked
		s.let <- nil
	}
	b.idle(before.ID)
	after := b.getattr(before.ID)
	if !after.Mtime.After(before.Mtime) {
		t.Errorf("names came and went, but the mtime stays %v", after.Mtime)
	}
	b.wantBig(slices.Insert(b.readAll(before.ID, 0), 3, bigName(3)), 0, 3500)
	if a := b.getattr(before.ID); a != after {
		t.Errorf("the attributes move from %+v to %+v", after, a)
	}
}

// A listing that fails takes nothing away, and shows what it has found.
func TestHalfAListing(t *testing.T) {
	b, f, before := known(t, 2500)
	f.set(func() { f.absent[3], f.n = true, 3500 })
	s := newSteps(f)
	b.getattr(before.ID)
	for i, err := range []error{nil, nil, nil, providers.ErrPermission} {
		if page := <-s.asked; page != i {
			t.Fatalf("page %d was asked for, not %d", page, i)
		}
		s.let <- err
	}
	b.idle(before.ID)
	n, err := b.d.store.Get(uint64(before.ID))
	if err != nil || !n.Mtime.After(before.Mtime) {
		t.Errorf("names came, but the mtime stays %v, %v", n.Mtime, err)
	}
	s = newSteps(f)
	b.wantBig(b.readAll(before.ID, 0), 0, 3000)
	<-s.asked // the next try
}

// A first listing that fails leaves what has come, and the next one goes on with
// the same cookies and ids.
func TestHalfAFirstListing(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	f := newBigFolder(b, 2500, 1000)
	b.open()
	d := b.find("big")
	f.set(func() {
		f.gate = func(_ context.Context, page int) error {
			if page == 2 {
				return providers.ErrPermission
			}
			return nil
		}
	})
	var names []string
	var cookie uint64
	for {
		r, err := b.readdir(t.Context(), d.ID, cookie, 700)
		if err != nil {
			b.wantStatus("names behind those that came", err, nfs.ErrAccess)
			break
		}
		for _, e := range r.entries {
			names = append(names, e.Name)
			cookie = e.Cookie
		}
	}
	b.wantBig(names, 0, 2000)
	id := b.find("big/" + bigName(1500)).ID
	f.set(func() { f.gate = nil })
	b.wantBig(b.readAll(d.ID, cookie), 2000, 2500)
	b.wantBig(b.readAll(d.ID, 0), 0, 2500)
	if a := b.find("big/" + bigName(1500)); a.ID != id {
		t.Errorf("id %d became %d", id, a.ID)
	}
}

// A drive that is killed in the midst of a listing tells clients afterwards that
// names came before.
func TestKilledInTheMidst(t *testing.T) {
	b, f, before := known(t, 2500)
	f.set(func() { f.n = 5500 })
	s := newSteps(f)
	b.getattr(before.ID)
	for page := range 5 {
		if <-s.asked; page < 4 {
			s.let <- nil
		}
	}
	b.await("new names", func() bool {
		_, _, err := b.d.store.Child(uint64(before.ID), bigName(3999))
		return err == nil
	})
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	if err := b.d.Close(); err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.gate, f.n = nil, 4000 }) // all that the remote has was stored before
	b.o.StateDir = copied
	b.open()
	b.getattr(before.ID)
	b.idle(before.ID)
	if a := b.getattr(before.ID); !a.Mtime.After(before.Mtime) {
		t.Errorf("the mtime stays %v, though names came before the end", a.Mtime)
	}
	b.wantBig(b.readAll(before.ID, 0), 0, 4000)
}

// What is found of a million names goes to the disk: memory does not grow with
// them, and the first ones are there as soon as they have come.
func TestAMillionNames(t *testing.T) {
	n := 50_000
	if long() {
		n = 1_000_000
	}
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Clock = time.Now
	f := newBigFolder(b, n, 1000)
	b.open()
	d := b.find("big")
	var m runtime.MemStats
	runtime.GC() // what earlier tests have left is not of this one
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, m.HeapAlloc
	began := time.Now()
	var first time.Duration
	for count, cookie := 0, uint64(0); ; {
		var names []string
		eof, err := b.d.ReadDir(t.Context(), owner, d.ID, cookie, false, func(e nfs.DirEntry) bool {
			if len(names) == 700 {
				return false
			}
			names = append(names, e.Name)
			cookie = e.Cookie
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = time.Since(began)
		}
		b.wantBig(names, count, count+len(names))
		count += len(names)
		if count%(n/50) < 1000 { // it stops the world
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		if eof {
			if count != n {
				t.Errorf("%d names were listed, want %d", count, n)
			}
			break
		}
	}
	took := time.Since(began)
	t.Logf("first names after %v, all after %v, the heap grew by %d MiB", first, took, (peak-before)>>20)
	if pages, _ := f.counts(); pages != (n+999)/1000 {
		t.Errorf("%d names were asked for with %d calls", n, pages)
	}
	if limit := uint64(128 << 20); peak-before > limit {
		t.Errorf("the heap grew by %d MiB, more than %d MiB", (peak-before)>>20, limit>>20)
	}
	if first > took/2 {
		t.Errorf("the first names came after %v of %v", first, took)
	}
}

// A page is asked for while the one before is stored, so that a listing takes
// little more than its round trips.
func TestFetchingAndStoringOverlap(t *testing.T) {
	fetched := make(chan int, 10)
	n := 0
	err := pipe(t.Context(), func(_ context.Context, cursor string) ([]int, string, error) {
		i, _ := strconv.Atoi(cursor)
		fetched <- i
		if i == 3 {
			return []int{i}, "", nil
		}
		return []int{i}, strconv.Itoa(i + 1), nil
	}, func(items []int, last bool) error {
		for i := range n + len(items) {
			if i < n {
				continue
			}
			if items[i-n] != i {
				t.Errorf("item %d is %d", i, items[i-n])
			}
		}
		if n == 0 {
			for i := range 3 { // the page being stored, and two more
				if got := <-fetched; got != i {
					t.Errorf("page %d was asked for, not %d", got, i)
				}
			}
		}
		if n += len(items); last != (n == 4) {
			t.Errorf("after %d items: last is %v", n, last)
		}
		return nil
	})
	if err != nil || n != 4 {
		t.Errorf("%d items were stored, %v", n, err)
	}
}

func TestPipeEnds(t *testing.T) {
	fail := errors.New("no")
	one := func(context.Context, string) ([]int, string, error) { return []int{1}, "again", nil }
	for _, c := range []struct {
		name  string
		fetch func(context.Context, string) ([]int, string, error)
		store error
		want  error
	}{
		{"a cursor that stands still", one, nil, providers.ErrProtocol},
		{"no room", one, fail, fail},
		{"a page that fails", func(_ context.Context, cursor string) ([]int, string, error) {
			if cursor != "" {
				return nil, "", fail
			}
			return []int{1}, "next", nil
		}, nil, fail},
	} {
		stored := 0
		err := pipe(t.Context(), c.fetch, func(items []int, last bool) error {
			if last {
				t.Errorf("%s: the last page was stored", c.name)
			}
			stored += len(items)
			return c.store
		})
		if !errors.Is(err, c.want) || stored == 0 {
			t.Errorf("%s: %v after %d items, want %v", c.name, err, stored, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := pipe(ctx, func(ctx context.Context, cursor string) ([]int, string, error) {
		cancel()
		<-ctx.Done()
		return nil, "", ctx.Err()
	}, func([]int, bool) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
