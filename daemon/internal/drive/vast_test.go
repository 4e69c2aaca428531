package drive

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// vastFilesEnv says how many files a vast folder has, where that is not a number
// for every day.
const vastFilesEnv = "MOORAGE_TEST_FILES"

func vastFiles(t testing.TB, usual int) int {
	t.Helper()
	s := os.Getenv(vastFilesEnv)
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// vast is a remote with one folder of very many files, made up from their
// numbers, which it lists by the thousand.
type vast struct {
	files int
	calls atomic.Int64                              // of all kinds
	pages atomic.Int64                              // of the folder that were asked for
	hold  func(ctx context.Context, page int) error // called before a page is given; nil: nothing
}

const (
	vastFolder = "folder"
	vastPage   = 1000
)

func (v *vast) Info() providers.Info {
	return providers.Info{Kind: "vast", StrongVersion: true, MaxParallel: 4, TimePrecision: time.Second}
}

func (v *vast) entry(i int) providers.Entry {
	return providers.Entry{Name: fmt.Sprintf("file-%07d.dat", i), Mode: 0o644, Size: int64(i),
		ModTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: providers.Version(fmt.Sprintf("%032x", i))}
}

func (v *vast) Stat(_ context.Context, p string) (providers.Entry, error) {
	v.calls.Add(1)
	switch name, ok := strings.CutPrefix(p, vastFolder+"/file-"); {
	case p == "" || p == vastFolder:
		return providers.Entry{Name: p, Mode: fs.ModeDir | 0o755}, nil
	case ok:
		if i, err := strconv.Atoi(strings.TrimSuffix(name, ".dat")); err == nil && i < v.files {
			return v.entry(i), nil
		}
	}
	return providers.Entry{}, fs.ErrNotExist
}

func (v *vast) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	v.calls.Add(1)
	switch p {
	case "":
		return providers.Page{Entries: []providers.Entry{{Name: vastFolder, Mode: fs.ModeDir | 0o755}}}, nil
	case vastFolder:
	default:
		return providers.Page{}, fs.ErrNotExist
	}
	page, _ := strconv.Atoi(cursor)
	v.pages.Add(1)
	if v.hold != nil {
		if err := v.hold(ctx, page); err != nil {
			return providers.Page{}, err
		}
	}
	first := page * vastPage
	out := providers.Page{Entries: make([]providers.Entry, 0, vastPage)}
	for i := first; i < min(first+vastPage, v.files); i++ {
		out.Entries = append(out.Entries, v.entry(i))
	}
	if first+vastPage < v.files {
		out.Next = strconv.Itoa(page + 1)
	}
	return out, nil
}

func (v *vast) Open(context.Context, string, providers.Version) (providers.Object, error) {
	return nil, providers.ErrUnsupported
}

func (v *vast) Close() error { return nil }

// openVast opens a drive of a vast folder. Its clock stands still, so that what is
// known counts however slow this computer is.
func openVast(t testing.TB, v *vast, dir string) *Drive {
	t.Helper()
	d, err := Open(t.Context(), Options{Provider: v, UID: uid, GID: gid, StateDir: dir, Logger: slog.New(slog.DiscardHandler), Clock: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// vastClient lists the vast folder as an NFS client does.
type vastClient struct {
	testing.TB
	d      *Drive
	id     nfs.ID
	cookie uint64
	eof    bool
	names  map[string]int // how often each was listed
}

func newVastClient(t testing.TB, d *Drive) *vastClient {
	t.Helper()
	if _, err := d.ReadDir(t.Context(), owner, d.Root(), 0, true, func(nfs.DirEntry) bool { return true }); err != nil {
		t.Fatal(err)
	}
	a, err := d.Lookup(t.Context(), owner, d.Root(), vastFolder)
	if err != nil {
		t.Fatal(err)
	}
	return &vastClient{TB: t, d: d, id: a.ID, names: map[string]int{}}
}

// page lists up to n names more.
func (c *vastClient) page(n int) {
	c.Helper()
	got := 0
	eof, err := c.d.ReadDir(c.Context(), owner, c.id, c.cookie, true, func(e nfs.DirEntry) bool {
		if got == n {
			return false
		}
		if e.Attr.ID == 0 {
			c.Errorf("%s has no attributes", e.Name)
		}
		got++
		c.names[e.Name]++
		c.cookie = e.Cookie
		return true
	})
	if err != nil {
		c.Fatalf("list behind %d: %v", c.cookie, err)
	}
	c.eof = eof
}

// rest lists what is left.
func (c *vastClient) rest() {
	c.Helper()
	for !c.eof {
		c.page(512)
	}
}

// whole checks that all names were listed, once.
func (c *vastClient) whole(v *vast) {
	c.Helper()
	if len(c.names) != v.files {
		c.Errorf("%d names were listed, of %d", len(c.names), v.files)
	}
	for name, n := range c.names {
		if n != 1 {
			c.Errorf("%s was listed %d times", name, n)
			return
		}
	}
}

// again begins anew.
func (c *vastClient) again() {
	c.cookie, c.eof = 0, false
	clear(c.names)
}

// A folder shows its first names when the first page of the remote is there, and
// the others as they come, to clients that are slow or begin again, too.
func TestVastFolderIsShownAsItComes(t *testing.T) {
	first := make(chan struct{})
	var came time.Time
	v := &vast{files: vastFiles(t, 50_000)}
	v.hold = func(ctx context.Context, page int) error {
		if page == 0 {
			came = time.Now()
			return nil
		}
		select {
		case <-first:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d := openVast(t, v, t.TempDir())
	defer d.Close()
	slow, hasty, fast := newVastClient(t, d), newVastClient(t, d), newVastClient(t, d)
	slow.page(64) // the remote's second page is held back until it returns
	t.Logf("%d names of %d are shown %v after the first page of the remote came", len(slow.names), v.files, time.Since(came).Round(time.Microsecond))
	if len(slow.names) != 64 {
		t.Errorf("%d names are shown of the first page, want 64", len(slow.names))
	}
	close(first)
	for range 8 {
		hasty.page(512)
		slow.page(1)
	}
	hasty.again()
	fast.rest()
	fast.whole(v)
	if !fast.eof || v.pages.Load() != int64(v.files/vastPage) {
		t.Errorf("%d pages of the remote were asked for, of %d", v.pages.Load(), v.files/vastPage)
	}
	hasty.rest()
	hasty.whole(v)
	slow.rest()
	slow.whole(v)
	if n := v.pages.Load(); n != int64(v.files/vastPage) {
		t.Errorf("after all clients %d pages of the remote were asked for, of %d", n, v.files/vastPage)
	}
}

// What was listed is there after a restart, without the remote.
func TestVastFolderAfterRestart(t *testing.T) {
	v, dir := &vast{files: vastFiles(t, 50_000)}, t.TempDir()
	d := openVast(t, v, dir)
	c := newVastClient(t, d)
	c.rest()
	c.whole(v)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openVast(t, v, dir)
	defer d.Close()
	calls := v.calls.Load()
	c = newVastClient(t, d)
	began := time.Now()
	c.page(512)
	page := time.Since(began)
	c.rest()
	took := time.Since(began)
	c.whole(v)
	t.Logf("after a restart the first of %d names come in %v, all at %.0f a second", v.files, page.Round(time.Microsecond), float64(v.files)/took.Seconds())
	if n := v.calls.Load() - calls; n != 0 {
		t.Errorf("the remote was asked %d times", n)
	}
}

// scrambled lists names out of their order, and some twice.
type scrambled struct{ *vast }

func (s scrambled) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	page, err := s.vast.ReadDir(ctx, p, cursor)
	if p == vastFolder && err == nil {
		rand.New(rand.NewPCG(1, uint64(s.pages.Load()))).Shuffle(len(page.Entries), func(i, j int) {
			page.Entries[i], page.Entries[j] = page.Entries[j], page.Entries[i]
		})
		page.Entries = append(page.Entries, page.Entries[7], s.entry(3))
	}
	return page, err
}

// A remote that gives names in no order, and some of them again, has each shown
// once, also those that were there before the listing began.
func TestVastFolderInNoOrder(t *testing.T) {
	v := &vast{files: 5 * vastPage}
	d, err := Open(t.Context(), Options{Provider: scrambled{v}, StateDir: t.TempDir(), UID: uid, GID: gid, Clock: newClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := newVastClient(t, d)
	if _, err := d.Lookup(t.Context(), owner, c.id, "file-0002500.dat"); err != nil {
		t.Fatal(err)
	}
	c.rest()
	c.whole(v)
}

func BenchmarkListVast(b *testing.B) {
	v := &vast{files: 100_000}
	b.ReportAllocs()
	for b.Loop() {
		d := openVast(b, v, b.TempDir())
		c := newVastClient(b, d)
		c.rest()
		c.whole(v)
		d.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(v.files), "ns/entry")
}
