package faults

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// wall is the clock on the wall of a computer, which can be set.
type wall struct{ off atomic.Int64 }

func (w *wall) now() time.Time { return time.Now().Add(time.Duration(w.off.Load())).Round(0) }

func (w *wall) set(by time.Duration) { w.off.Add(int64(by)) }

// TestClockIsSet sets the clock of the computer while files are changed here and
// there.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour, -time.Second} {
		for _, kind := range []rough.Kind{rough.Full, rough.Objects} {
			t.Run(fmt.Sprintf("%v %v", by, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, rough.Options{Kind: kind})
					w.has(tree{"r": before, "f": before, "a": "one", "b": "two", "d/": ""})
					var clock wall
					w.o.Clock = clock.now
					w.open()
					w.verify()
					w.write("f", "first", 0)
					was := w.attr("f")
					dir := w.attr("")
					clock.set(by)
					w.write("f", "again", 0)
					if now := w.attr("f"); !now.Mtime.After(was.Mtime) || !now.Ctime.After(was.Ctime) {
						t.Errorf("the times of a file that was changed went from %v to %v", was.Mtime, now.Mtime)
					}
					w.save("new", "text")
					if now := w.attr(""); !now.Mtime.After(dir.Mtime) {
						t.Errorf("the time of a folder that has a new name went from %v to %v", dir.Mtime, now.Mtime)
					}
					w.rename("a", ".nfs1") // it is about to be replaced, and stays here
					w.rename("b", "a")
					w.must(w.remote.Edit("r", []byte(theirs)))
					w.know(tree{"r": theirs})
					w.acked["r"] = theirs
					w.until("the change of somebody else to be seen", func() bool { return w.attr("r").Size == uint64(len(theirs)) })
					if took := time.Since(epoch(t)); took > 10*time.Minute {
						t.Errorf("with a clock that is set by %v, it took %v until a change was seen", by, took)
					}
					w.remove(".nfs1")
					began := time.Now()
					w.ends()
					if took := time.Since(began); took > 30*time.Minute {
						t.Errorf("with a clock that is set by %v, it took %v until all was published", by, took)
					}
				})
			})
		}
	}
}

// epoch is when bubbles begin.
func epoch(*testing.T) time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// TestClockIsWrong has a clock that is a day off from that of a store which signs
// no request that is so old or so new.
func TestClockIsWrong(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t)
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			files := tree{"d/": "", "d/r": noise(1, 100<<10), "m": "text"}
			atShopAt(t, time.Now().Add(by), newShop(t, srv), files, s3.Options{}, func(w *world, _ *line) {
				w.know(files)
				w.verify()
				w.save("new", "text")
				w.write("d/r", "changed", 0)
				w.rename("m", "d/m")
				w.ends()
			})
		})
	}
}

// coarse is a remote that knows no versions, and times of whole seconds.
type coarse struct {
	providers.Provider
	w providers.Writer
}

func (c coarse) Info() providers.Info {
	i := c.Provider.Info()
	i.StrongVersion, i.TreeVersion, i.TimePrecision = false, false, time.Second
	return i
}

func (c coarse) shown(e providers.Entry) providers.Entry {
	e.Version, e.ID = "", ""
	e.ModTime = e.ModTime.Truncate(time.Second)
	return e
}

func (c coarse) Stat(ctx context.Context, p string) (providers.Entry, error) {
	e, err := c.Provider.Stat(ctx, p)
	return c.shown(e), err
}

func (c coarse) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	page, err := c.Provider.ReadDir(ctx, p, cursor)
	for i, e := range page.Entries {
		page.Entries[i] = c.shown(e)
	}
	return page, err
}

func (c coarse) Open(ctx context.Context, p string, _ providers.Version) (providers.Object, error) {
	o, err := c.Provider.Open(ctx, p, "")
	if err != nil {
		return nil, err
	}
	return coarseObject{o, c.shown(o.Entry())}, nil
}

type coarseObject struct {
	providers.Object
	e providers.Entry
}

func (o coarseObject) Entry() providers.Entry { return o.e }

func (c coarse) Put(ctx context.Context, p string, src providers.Source, o providers.PutOptions) (providers.Entry, error) {
	o.ModTime = o.ModTime.Truncate(time.Second)
	e, err := c.w.Put(ctx, p, src, o)
	return c.shown(e), err
}

func (c coarse) Remove(ctx context.Context, p string, cond providers.Cond) error {
	return c.w.Remove(ctx, p, cond)
}

func (c coarse) Mkdir(ctx context.Context, p string) (providers.Entry, error) {
	e, err := c.w.Mkdir(ctx, p)
	return c.shown(e), err
}

func (c coarse) Rmdir(ctx context.Context, p string) error { return c.w.Rmdir(ctx, p) }

// TestCoarseTimes is about a remote that has nothing but sizes and whole seconds to
// tell one state of a file from another.
func TestCoarseTimes(t *testing.T) {
	t.Parallel()
	play := func(t *testing.T, run func(w *world)) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, rough.Options{Kind: rough.Still})
			w.provide = func(s *rough.Session) providers.Provider { return coarse{s, s} }
			w.has(tree{"f.txt": before})
			w.know(tree{"f.txt": theirs})
			w.open()
			w.verify()
			run(w)
		})
	}
	t.Run("what was published is no news", func(t *testing.T) {
		play(t, func(w *world) {
			time.Sleep(300 * time.Millisecond)
			w.write("f.txt", "mine", 0)
			w.must(w.settle())
			was := w.attr("f.txt")
			time.Sleep(time.Minute)
			if now := w.attr("f.txt"); now.Mtime != was.Mtime || now.ID != was.ID {
				t.Errorf("a file that was published and not changed went from %v to %v", was.Mtime, now.Mtime)
			}
			w.ends()
		})
	})
	t.Run("saved twice within a second", func(t *testing.T) {
		play(t, func(w *world) {
			w.write("f.txt", "mine", 0)
			w.must(w.settle())
			w.write("f.txt", "MINE", 0)
			w.ends()
		})
	})
	t.Run("another size in the same second", func(t *testing.T) {
		play(t, func(w *world) {
			w.write("f.txt", "mine", 0)
			w.edit("f.txt", theirs)
			w.ends()
		})
	})
	t.Run("the same size in another second", func(t *testing.T) {
		play(t, func(w *world) {
			time.Sleep(2 * time.Second)
			w.write("f.txt", "mine", 0)
			w.edit("f.txt", strings.ToUpper(before))
			w.ends()
		})
	})
	t.Run("seen in another second", func(t *testing.T) {
		play(t, func(w *world) {
			time.Sleep(2 * time.Second)
			w.must(w.remote.Edit("f.txt", []byte(strings.ToUpper(before))))
			w.acked["f.txt"] = strings.ToUpper(before)
			time.Sleep(time.Minute)
			w.verify()
		})
	})
}

// waking is a remote that counts how often it is told of a sleep.
type waking struct {
	*rough.Session
	n *atomic.Int32
}

func (p waking) Woke() { p.n.Add(1) }

// TestSleep has a computer stand still for some minutes: the clock on the wall goes
// on, and nothing else does.
func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{Kind: rough.Objects})
		var clock wall
		var woke atomic.Int32
		w.o.Clock = clock.now
		w.o.RetryMax = 10 * time.Hour // the next try would be much later
		w.o.RetryMin = 5 * time.Hour
		w.provide = func(s *rough.Session) providers.Provider { return waking{s, &woke} }
		w.has(tree{"f": before, "g": before})
		w.open()
		w.verify()
		time.Sleep(time.Hour)
		if n := woke.Load(); n != 0 {
			t.Errorf("a computer that is awake woke %d times", n)
		}
		w.remote.Away(true)
		w.write("f", "mine", 0)
		w.until("the remote to count as away", func() bool { return !w.d.Status().Online })
		clock.set(10 * time.Minute)
		w.remote.Away(false)
		began := time.Now()
		for s := w.d.Status(); !s.Online || s.Pending > 0; s = w.d.Status() {
			if time.Since(began) > 2*time.Minute {
				t.Fatalf("two minutes after a sleep the drive is %+v", s)
			}
			time.Sleep(time.Second)
		}
		if n := woke.Load(); n != 1 {
			t.Errorf("the remote was told of %d sleeps", n)
		}
		w.ends()
	})
}
