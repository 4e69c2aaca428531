package drive

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// usedBench is a drive over a remote that cannot be probed, with folders.
func usedBench(t *testing.T, n int) *bench {
	b := newBench(t, mem.New(mem.Options{}))
	for i := range n {
		b.put(fmt.Sprintf("d%03d/f", i), "x")
	}
	b.o.Provider = plain{b.faults}
	return b
}

func (b *bench) use(p string) nfs.ID {
	b.Helper()
	id := b.find(p).ID
	if _, err := b.names(id); err != nil {
		b.Fatal(err)
	}
	return id
}

// round does what the drive does from time to time, and gives the number of
// listings that it took.
func (b *bench) round() int {
	lists := b.faults.Calls(providertest.OpList)
	b.d.refreshFolders(context.WithValue(b.Context(), backgroundKey{}, true))
	return b.faults.Calls(providertest.OpList) - lists
}

// What changes in a folder that is in use is known without anybody who asks.
func TestFoldersInUseAreKeptFresh(t *testing.T) {
	b := usedBench(t, 1)
	b.o.Clock = time.Now
	b.o.TTL, b.o.RefreshInterval = 20*time.Millisecond, 5*time.Millisecond
	b.open()
	id := uint64(b.use("d000"))
	b.put("d000/new", "y")
	b.await("the new name", func() bool {
		_, _, err := b.d.store.Child(id, "new")
		return err == nil
	})
}

func TestHowOftenFoldersAreListed(t *testing.T) {
	b := usedBench(t, 3)
	b.open()
	b.use("")
	b.use("d000")
	b.use("d001")
	if n := b.round(); n != 0 {
		t.Errorf("while all is fresh %d folders were listed", n)
	}
	b.clock.advance(b.o.TTL + 31*time.Second)
	if n := b.round(); n != 3 {
		t.Errorf("of 3 folders in use %d were listed", n)
	}
	if n := b.round(); n != 0 {
		t.Errorf("at once %d folders were listed again", n)
	}
	total := 0
	for range 12 * 60 { // an hour without use
		b.clock.advance(5 * time.Second)
		total += b.round()
	}
	if total < 6 || total > 3*8 {
		t.Errorf("in an hour in which nobody used them, 3 folders were listed %d times", total)
	}
	if b.round() != 0 || len(b.d.folders.m) != 0 {
		t.Error("folders are in use for ever")
	}
}

// However many folders are used, few are listed in the background, and few at a
// time.
func TestNoStorm(t *testing.T) {
	b := usedBench(t, 3*maxFolders)
	b.o.RetryMin, b.o.RetryMax = time.Hour, time.Hour // whether it is back is not asked meanwhile
	var on, most atomic.Int32
	b.o.Provider = counted{plain{b.faults}, func() func() {
		n := on.Add(1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		time.Sleep(100 * time.Microsecond)
		return func() { on.Add(-1) }
	}}
	b.open()
	for i := range 3 * maxFolders {
		b.use(fmt.Sprintf("d%03d", i))
	}
	b.clock.advance(b.o.TTL + 31*time.Second)
	most.Store(0)
	if n := b.round(); n > maxFolders {
		t.Errorf("%d folders were listed, want at most %d", n, maxFolders)
	}
	if n := most.Load(); n > maxRefreshes {
		t.Errorf("%d folders were listed at a time, want at most %d", n, maxRefreshes)
	}
	b.faults.Fail(providers.ErrOffline)
	b.clock.advance(b.o.TTL + 31*time.Second)
	if n := b.round(); n > maxFailures*maxRefreshes+maxRefreshes*attempts {
		t.Errorf("a remote that is away was asked %d times", n)
	}
}

// counted calls before with every listing, and what that gives after it.
type counted struct {
	plain
	before func() func()
}

func (c counted) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	defer c.before()()
	return c.plain.ReadDir(ctx, p, cursor)
}

// Close does not wait for a folder that is being listed in the background.
func TestCloseWhileRefreshing(t *testing.T) {
	b := usedBench(t, 3)
	b.o.Clock = time.Now
	b.o.TTL, b.o.RefreshInterval = 20*time.Millisecond, 5*time.Millisecond
	b.open()
	b.use("d000")
	b.faults.Hang(providertest.OpList)
	lists := b.faults.Calls(providertest.OpList)
	b.await("a listing that hangs", func() bool { return b.faults.Calls(providertest.OpList) > lists })
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.d.Close(); err != nil {
			t.Error(err)
		}
	})
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("Close waits")
	}
}
