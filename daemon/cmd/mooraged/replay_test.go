//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs/nfstest"
)

// lane is a client's thread: one call after the other, in a folder of its own.
type lane struct {
	walk    *nfstest.Walk
	pending *nfstest.Step // sent, not answered
	calls   int
	repeats int
}

// run makes calls until the connection ends. The call that has no answer then
// is the first of the next connection, with its xid.
func (l *lane) run(ctx context.Context, c *nfstest.Client) error {
	for {
		if l.pending == nil {
			l.pending = l.walk.Next(c)
		} else {
			l.repeats++
		}
		reply, err := c.Resend(ctx, l.pending.XID, l.pending.Message)
		if errors.Is(err, nfstest.ErrClosed) {
			return nil
		}
		if err == nil {
			err = l.walk.Done(reply)
		}
		if err != nil {
			return fmt.Errorf("call %d: %w", l.calls, err)
		}
		l.pending = nil
		l.calls++
	}
}

// TestKilledBetweenCallAndReply kills the program at any moment while clients
// change a folder through it, and starts it again: each call that they repeat
// is done once, is answered as it went, and the handles that they hold lead to
// the same objects. It is killed 40 times; 1,000 times with MOORAGE_TEST_LONG=1
// in the environment, which takes some minutes.
func TestKilledBetweenCallAndReply(t *testing.T) {
	kills := 40
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		kills = 1000
	}
	h := newHome(t)
	folder := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	all := make([]*lane, 8)
	listen := "127.0.0.1:0"
	round := func(t *testing.T, n int) {
		here := *h
		here.t = t // its program ends with the round
		p := here.run("main", "serve", folder, "--cache", filepath.Join(h.dir, "cache"), "--export", "/folder", "--listen", listen)
		address := p.ready().Address
		c := kernel(t, address)
		if n == 0 {
			listen = address
			begin(ctx, t, all, c, mntRoot(t, kernel(t, address), "/folder"), seed)
		}
		if n%20 == 19 || n == kills {
			checkLanes(ctx, t, c, folder, all)
		}
		// From before the first call to after some hundred.
		delay := time.Duration(r.ExpFloat64() * float64(8*time.Millisecond))
		errs := make([]error, len(all))
		var wg sync.WaitGroup
		for i, l := range all {
			wg.Go(func() { errs[i] = l.run(ctx, c) })
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		p.end(syscall.SIGKILL)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	for n := range kills + 1 {
		if !t.Run(fmt.Sprintf("run %d", n), func(t *testing.T) { round(t, n) }) {
			return
		}
	}
	calls, repeats := 0, 0
	for _, l := range all {
		calls, repeats = calls+l.calls, repeats+l.repeats
	}
	t.Logf("%d calls, %d repetitions", calls, repeats)
	if repeats < kills {
		t.Errorf("%d calls were repeated after %d kills: the test did nothing", repeats, kills)
	}
}

// begin makes the folders of the lanes.
func begin(ctx context.Context, t *testing.T, all []*lane, c *nfstest.Client, root nfstest.Handle, seed uint64) {
	t.Helper()
	for i := range all {
		d, err := c.Mkdir(ctx, root, fmt.Sprintf("lane%d", i), nfstest.Sattr{SetMode: true, Mode: 0o755})
		if err != nil || d.Status != 0 {
			t.Fatalf("MKDIR: %v, %v", nfstest.Status(d.Status), err)
		}
		all[i] = &lane{walk: nfstest.NewWalk(d.Handle.Handle, rand.New(rand.NewPCG(seed, uint64(i+1))))}
	}
}

// checkLanes answers what is pending, and compares what clients see, and what
// is in the folder, with the models.
func checkLanes(ctx context.Context, t *testing.T, c *nfstest.Client, folder string, all []*lane) {
	t.Helper()
	for i, l := range all {
		if s := l.pending; s != nil {
			reply, err := c.Resend(ctx, s.XID, s.Message)
			if err == nil {
				err = l.walk.Done(reply)
			}
			if err != nil {
				t.Errorf("lane %d: repeated: %v", i, err)
				continue
			}
			l.pending = nil
			l.calls++
			l.repeats++
		}
		if err := l.walk.Check(ctx, c); err != nil {
			t.Errorf("lane %d: %v", i, err)
		}
		got, err := hostTree(filepath.Join(folder, fmt.Sprintf("lane%d", i)))
		if err != nil {
			t.Error(err)
		}
		if want := l.walk.Tree(); !maps.Equal(got, want) {
			t.Errorf("lane %d: the folder has %v, want %v", i, got, want)
		}
	}
}

// hostTree describes what is in dir in the words of nfstest.Walk.
func hostTree(dir string) (map[string]string, error) {
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		links := info.Sys().(*syscall.Stat_t).Nlink
		switch info.Mode().Type() {
		case fs.ModeDir:
			tree[name] = "dir"
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			tree[name] = "link " + target
		case fs.ModeNamedPipe:
			tree[name] = fmt.Sprintf("fifo %o %d", info.Mode().Perm(), links)
		default:
			tree[name] = fmt.Sprintf("file %o %d", info.Mode().Perm(), links)
		}
		return nil
	})
	return tree, err
}
