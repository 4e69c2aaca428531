//go:build linux || darwin

package dirfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

// fakeClock is a clock that a test moves.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *fakeClock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *fakeClock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// TestNamelessFilesGiveTheirSpaceBack: a file that lost its name is usable for
// a while, and does not hold its space for ever.
func TestNamelessFilesGiveTheirSpaceBack(t *testing.T) {
	dir, clock := t.TempDir(), &fakeClock{t: time.Now()}
	f := open(t, dir, Options{Clock: clock.now})
	ours := create(t, f, f.Root(), "ours", "x")
	theirs := create(t, f, f.Root(), "theirs", "x")
	named := create(t, f, f.Root(), "named", "x")
	if _, err := f.Remove(t.Context(), me(), f.Root(), "ours"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "theirs")); err != nil {
		t.Fatal(err)
	}
	clock.pass(orphanLimit / 2)
	f.fds.sweep()
	for _, a := range []nfs.Attr{ours, theirs} {
		if got := read(t, f, a.ID); got != "x" {
			t.Errorf("read %q", got)
		}
	}
	clock.pass(orphanLimit + time.Second)
	f.fds.sweep()
	for _, a := range []nfs.Attr{ours, theirs} {
		_, err := f.GetAttr(t.Context(), me(), a.ID)
		wantErr(t, "attributes after a minute without use", err, nfs.ErrStale)
	}
	if d, _ := f.fds.pin(named.ID); d == nil {
		t.Error("a file with a name was closed")
	} else {
		f.fds.release(d)
	}
	clock.pass(idleLimit + time.Second)
	f.fds.sweep()
	if d, _ := f.fds.pin(named.ID); d != nil {
		t.Error("a file that nobody uses is kept open")
	}
	if got := read(t, f, named.ID); got != "x" {
		t.Errorf("read %q", got)
	}
}

// TestManyNamelessFiles: their number is bounded, too.
func TestManyNamelessFiles(t *testing.T) {
	f := open(t, t.TempDir(), Options{MaxOpen: 40})
	for i := range 100 {
		create(t, f, f.Root(), "f", strconv.Itoa(i))
		if _, err := f.Remove(t.Context(), me(), f.Root(), "f"); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.fds.orphans.Len(); n > 10 {
		t.Errorf("%d nameless files are open", n)
	}
}

// TestOwnerHasTheData: a client opened the file while its mode let it, or made
// it with a mode that does not (git does). NFS has no open to remember that by.
func TestOwnerHasTheData(t *testing.T) {
	f := open(t, t.TempDir(), Options{})
	for _, mode := range []uint32{0o444, 0o400, 0o200, 0} {
		a, _, err := f.Create(t.Context(), me(), f.Root(), fmt.Sprintf("%o", mode),
			nfs.CreateHow{Mode: nfs.Guarded, Set: nfs.SetAttr{Valid: nfs.SetMode, Mode: mode}})
		if err != nil {
			t.Fatal(err)
		}
		f.fds.close() // as after a restart
		if _, _, _, err := writeTo(f, a.ID, "data"); err != nil {
			t.Errorf("write, mode %#o: %v", mode, err)
		}
		f.fds.close()
		if got := read(t, f, a.ID); got != "data" {
			t.Errorf("read %q, mode %#o", got, mode)
		}
		f.fds.close()
		if _, err := f.Commit(t.Context(), me(), a.ID, 0, 0); err != nil {
			t.Errorf("commit, mode %#o: %v", mode, err)
		}
		if _, err := f.SetAttr(t.Context(), me(), a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: 1}, nil); err != nil {
			t.Errorf("truncate, mode %#o: %v", mode, err)
		}
		if got := lookup(t, f, a.ID, ""); got.Mode != mode || got.Size != 1 {
			t.Errorf("mode %#o became %#o, size %d", mode, got.Mode, got.Size)
		}
	}
}

// TestListingGoesOnAfterRestart: a client goes on with the cookie it has, while
// names come and go.
func TestListingGoesOnAfterRestart(t *testing.T) {
	dir, o := t.TempDir(), Options{StateDir: t.TempDir()}
	var stay []string
	for i := range 1000 {
		writeFile(t, filepath.Join(dir, "stay"+strconv.Itoa(i)), "")
		writeFile(t, filepath.Join(dir, "go"+strconv.Itoa(i)), "")
		stay = append(stay, "stay"+strconv.Itoa(i))
	}
	f := first(t, dir, o)
	var got []string
	for cookie, page, eof := uint64(0), 0, false; !eof; page++ {
		n := 0
		var err error
		eof, err = f.ReadDir(t.Context(), me(), f.Root(), cookie, false, func(e nfs.DirEntry) bool {
			if n++; n > 100 {
				return false
			}
			cookie = e.Cookie
			if e.Name[0] == 's' {
				got = append(got, e.Name)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := page * 40; i < page*40+40; i++ {
			if err := os.Remove(filepath.Join(dir, "go"+strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "new"+strconv.Itoa(i)), "")
		}
		if page%3 == 1 {
			f = f.again(t, dir, o)
		}
	}
	f.Close()
	slices.Sort(got)
	slices.Sort(stay)
	if !slices.Equal(got, stay) {
		t.Errorf("%d names of %d were listed", len(got), len(stay))
	}
}

// TestLargeDirectory: pages of a large directory come quickly, and removing
// what a page lists does not make the next one slow.
func TestLargeDirectory(t *testing.T) {
	n := 10000
	if testing.Short() {
		n = 2 * listingExact
	}
	dir := t.TempDir()
	for i := range n {
		writeFile(t, filepath.Join(dir, strconv.Itoa(i)), "")
	}
	f := open(t, dir, Options{})
	begin := time.Now()
	if got := len(names(t, f, f.Root())); got != n {
		t.Errorf("%d of %d names", got, n)
	}
	t.Logf("%d entries in %v", n, time.Since(begin))
	removed := 0
	for cookie, eof := uint64(0), false; !eof; {
		var page []string
		var err error
		eof, err = f.ReadDir(t.Context(), me(), f.Root(), cookie, true, func(e nfs.DirEntry) bool {
			if len(page) == 1000 {
				return false
			}
			page, cookie = append(page, e.Name), e.Cookie
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range page {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			removed++
		}
	}
	if removed != n {
		t.Errorf("%d of %d removed", removed, n)
	}
}

func TestSyncsAreShared(t *testing.T) {
	var s syncs
	var mu sync.Mutex
	begun, hold := make(chan struct{}), make(chan struct{})
	calls := 0
	fsync := func() error {
		mu.Lock()
		calls++
		first := calls == 1
		mu.Unlock()
		if first {
			close(begun)
			<-hold
		}
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.do(syncKey{id: 1}, fsync) })
	<-begun
	for range 20 {
		wg.Go(func() { _ = s.do(syncKey{id: 1}, fsync) })
	}
	for waiting := false; !waiting; { // until one of them leads the others
		s.mu.Lock()
		waiting = s.running[syncKey{id: 1}].next != nil
		s.mu.Unlock()
	}
	close(hold)
	wg.Wait()
	if calls < 2 || calls > 21 || len(s.running) != 0 {
		t.Errorf("%d calls, %d left", calls, len(s.running))
	}
	t.Logf("21 callers, %d syncs", calls)
}
