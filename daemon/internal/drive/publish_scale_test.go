package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// queue makes n small files in a new folder.
func (c *crowd) queue(folder string, n int) {
	c.Helper()
	a, _, err := c.d.Mkdir(c.Context(), owner, c.d.Root(), folder, nfs.SetAttr{})
	if err != nil {
		c.Fatal(err)
	}
	c.each(n, func(i int) error {
		name := fmt.Sprintf("file-%06d", i)
		f, _, err := c.d.Create(c.Context(), owner, a.ID, name, nfs.CreateHow{})
		if err == nil {
			_, _, err = c.d.Write(c.Context(), owner, f.ID, []byte(name), 0, nfs.FileSync)
		}
		return err
	})
}

// crowd is a drive that is changed in very many places.
type crowd struct {
	*testing.T
	o Options
	d *Drive
}

func newCrowd(t *testing.T, p providers.Provider) *crowd {
	c := &crowd{T: t, o: Options{Provider: p, UID: uid, GID: gid, StateDir: t.TempDir(), Quiet: time.Hour, RetryMin: time.Hour, RetryMax: time.Hour}}
	c.open()
	t.Cleanup(func() { c.d.Close() })
	return c
}

func (c *crowd) open() {
	c.Helper()
	var err error
	if c.d, err = Open(c.Context(), c.o); err != nil {
		c.Fatal(err)
	}
}

// reopen ends the drive and opens it again.
func (c *crowd) reopen() {
	c.Helper()
	if err := c.d.Close(); err != nil {
		c.Fatal(err)
	}
	c.open()
}

// each calls change for 0 to n-1, many at a time, since each waits for the disk.
func (c *crowd) each(n int, change func(i int) error) {
	c.Helper()
	const many = 64
	var wg sync.WaitGroup
	for w := range many {
		wg.Go(func() {
			for i := w; i < n; i += many {
				if err := change(i); err != nil {
					c.Errorf("change %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if c.Failed() {
		c.FailNow()
	}
}

// looks is how many tasks the publisher has looked at.
func (c *crowd) looks() int {
	c.d.pub.mu.Lock()
	defer c.d.pub.mu.Unlock()
	return int(c.d.pub.turn)
}

// published publishes all, and checks that few looks were enough for each of n
// changes.
func (c *crowd) published(what string, n, few int) {
	c.Helper()
	before, began := c.looks(), time.Now()
	if err := c.d.Sync(c.Context()); err != nil {
		c.Fatalf("%s: %v", what, err)
	}
	took := time.Since(began)
	if s := c.d.Status(); s.Pending != 0 || s.Parked != 0 {
		c.Errorf("%s: %+v", what, s)
	}
	looks := c.looks() - before
	c.Logf("%s: %d changes published with %d looks, %v each", what, n, looks, took/time.Duration(n))
	if most := few*n + n/4 + 100; looks > most {
		c.Errorf("%s: %d tasks were looked at for %d changes", what, looks, n)
	}
}

// slow is a remote that makes no folder before it is let to.
type slow struct {
	*mem.Remote
	let chan struct{}
}

func (s *slow) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	select {
	case <-s.let:
		return s.Remote.Mkdir(ctx, p)
	case <-ctx.Done():
		return providers.Entry{}, ctx.Err()
	}
}

// Very many changes are published with about one look at each, also after a
// restart, and when they wait for a folder.
func TestPublishMany(t *testing.T) {
	n := vastFiles(t, 4000)
	m := &slow{mem.New(mem.Options{}), make(chan struct{})}
	c := newCrowd(t, m)
	c.queue("folder", n)
	c.reopen()
	if s := c.d.Status(); s.Pending != n+1 {
		t.Errorf("after a restart %d changes wait, of %d", s.Pending, n+1)
	}
	if l := c.d.Ledger(10); len(l) != 10 || l[0].Path != "folder" {
		t.Errorf("the ledger begins with %v", l)
	}
	close(m.let)
	// A file may be looked at before its folder is made, and then.
	c.published("made", n+1, 2)
	page, err := m.ReadDir(t.Context(), "folder", "")
	if err != nil || len(page.Entries) != n && page.Next == "" {
		t.Errorf("%d files are on the remote, %v", len(page.Entries), err)
	}

	a, err := walk(t.Context(), c.d, "folder")
	if err != nil {
		t.Fatal(err)
	}
	c.each(n, func(i int) error {
		_, err := c.d.Remove(t.Context(), owner, a.ID, fmt.Sprintf("file-%06d", i))
		return err
	})
	if _, err := c.d.Rmdir(t.Context(), owner, c.d.Root(), "folder"); err != nil {
		t.Fatal(err)
	}
	// A file that was removed is looked at twice more: as soon as it is, and when
	// nobody can have it open any more.
	c.published("removed", n+1, 3)
	if _, err := m.Stat(t.Context(), "folder"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder that was removed: %v", err)
	}
}

// closed is a remote where one folder cannot be made.
type closed struct {
	*mem.Remote
	folder string
}

func (c *closed) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	if p == c.folder {
		return providers.Entry{}, providers.ErrPermission
	}
	return c.Remote.Mkdir(ctx, p)
}

// What waits for something that does not come to pass is not looked at whenever
// something else ends.
func TestPublishBesideManyThatWait(t *testing.T) {
	n := vastFiles(t, 2000)
	r := &closed{mem.New(mem.Options{}), "shut"}
	c := newCrowd(t, r)
	c.queue("shut", n)
	c.queue("folder", n)
	before := c.looks()
	if err := c.d.Sync(t.Context()); !errors.Is(err, providers.ErrPermission) {
		t.Errorf("a folder that cannot be made: %v", err)
	}
	looks := c.looks() - before
	if s := c.d.Status(); s.Pending != n+1 || s.Parked != 1 {
		t.Errorf("%+v, %d should wait", s, n+1)
	}
	t.Logf("%d changes published beside %d that wait, with %d looks", n, n, looks)
	if most := 6*n + 100; looks > most {
		t.Errorf("%d tasks were looked at for %d changes", looks, 2*n)
	}
	r.folder = ""
	c.published("shut no more", n+1, 2)
}
