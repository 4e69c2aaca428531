package faults

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
)

const (
	before = "0123456789 as it was before" // what the file holds at first
	theirs = "what somebody else made of it, and longer"
)

// change is what somebody else does to a file, and what the remote has of it then.
type change struct {
	name string
	do   func(w *world, p string)
	left func(p string) tree
}

func changes() []change {
	return []change{
		{"edit", func(w *world, p string) { w.must(w.remote.Edit(p, []byte(theirs))) }, func(p string) tree { return tree{p: theirs} }},
		{"delete", func(w *world, p string) { w.must(w.remote.Delete(p)) }, func(string) tree { return tree{} }},
		{"replace by a directory", func(w *world, p string) {
			w.must(w.remote.Delete(p))
			w.must(w.remote.Mkdir(p))
			w.must(w.remote.Edit(p+"/in", []byte(theirs)))
		}, func(p string) tree { return tree{p + "/": "", p + "/in": theirs} }},
		{"same size and mtime", func(w *world, p string) {
			e, err := w.remote.Inner().Stat(context.Background(), p)
			w.must(err)
			w.must(w.remote.EditAt(p, []byte(strings.ToUpper(before)), e.ModTime))
		}, func(p string) tree { return tree{p: strings.ToUpper(before)} }},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

// TestRemoteChange has somebody else change a file on the remote while it is in
// some state here.
func TestRemoteChange(t *testing.T) {
	t.Parallel()
	const p = "d/f.txt"
	mine := "what was written here"
	at := func(step string, c change) func(w *world) {
		return func(w *world) {
			once := false
			w.mu.Lock()
			w.cut = func(_ int, name string) bool {
				if name == step && !once {
					once = true
					c.do(w, p)
				}
				return false
			}
			w.mu.Unlock()
			w.write(p, mine, 0)
			w.truncate(p, len(mine))
		}
	}
	states := []struct {
		name string
		play func(w *world, c change)
		ours bool // what was written here is there as well, then
	}{
		{"clean", func(w *world, c change) { w.holds(p, before); c.do(w, p) }, false},
		{"clean and not read", func(w *world, c change) { w.attr(p); c.do(w, p) }, false},
		{"dirty", func(w *world, c change) { w.write(p, mine, 0); w.truncate(p, len(mine)); c.do(w, p) }, true},
		{"uploading, before it arrives", func(w *world, c change) { at("put", c)(w) }, true},
		{"uploading, after it arrived", func(w *world, c change) { at("put done", c)(w) }, false},
		{"mid-read", midRead, false},
	}
	for _, kind := range []rough.Kind{rough.Full, rough.Objects} {
		for _, s := range states {
			for _, c := range changes() {
				t.Run(fmt.Sprintf("%s %s %s", c.name, s.name, kind), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, rough.Options{Kind: kind})
						w.has(tree{"d/": "", p: before})
						w.know(tree{p: mine})
						w.o.Quiet = 10 * time.Second
						w.open()
						w.holds(p, before)
						if s.name == "clean and not read" {
							w.reopenEmpty()
						}
						w.know(tree{p: laid(before, mine, 0)})
						s.play(w, c)
						w.must(w.settle())
						time.Sleep(time.Minute) // it is seen by then
						w.must(w.settle())
						want := tree{"d/": ""}
						for q, content := range c.left(p) {
							want[q] = content
						}
						got := w.remoteTree()
						if s.ours {
							if c.name == "delete" {
								want[p] = mine // an edit beats a removal
							}
							for q := range got {
								if strings.HasPrefix(q, "d/f (conflict host ") && c.name != "delete" {
									want[q] = mine
								}
							}
							if want[p] != mine && len(want) == len(c.left(p))+1 {
								t.Errorf("what was written here is nowhere: %q", got)
							}
						}
						if why := differ(got, want); why != "" {
							t.Errorf("the remote: %s", why)
						}
						w.acked = got
						w.verify()
					})
				})
			}
		}
	}
}

// midRead reads a file in two halves, between which it is changed.
func midRead(w *world, c change) {
	const p = "d/f.txt"
	id := w.attr(p).ID
	half := make([]byte, 10)
	w.must(patient(func(ctx context.Context) error {
		_, _, err := w.d.Read(ctx, owner, id, half, 0)
		return err
	}))
	if string(half) != before[:10] {
		w.t.Errorf("the first half is %q", half)
	}
	c.do(w, p)
	for range 3 {
		rest := make([]byte, len(before)-10)
		n := 0
		err := patient(func(ctx context.Context) (err error) {
			n, _, err = w.d.Read(ctx, owner, id, rest, 10)
			return err
		})
		now := c.left(p)[p]
		switch {
		case err == nil && bytes.Equal(rest[:n], []byte(before[10:])):
		case err == nil && len(now) > 10 && bytes.HasPrefix([]byte(now[10:]), rest[:n]):
		case nfs.StatusOf(err) == nfs.ErrStale && c.left(p)[p] == "":
		default:
			w.t.Errorf("the second half is %q, %v", rest[:n], err)
		}
		time.Sleep(10 * time.Second)
	}
}

// reopenEmpty starts the process again without what it had read.
func (w *world) reopenEmpty() {
	w.t.Helper()
	w.close()
	w.cache = newWorld(w.t, rough.Options{}).cache
	w.open()
}

// TestRestIsGone changes a file in part, of which somebody else replaces the rest
// before it was fetched. Nothing whole can be made of it: it waits for a person, who
// is told why, and nobody who reads it waits.
func TestRestIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{})
		long := noise(1, 300<<10)
		w.has(tree{"f": long})
		w.o.Quiet = 10 * time.Second
		w.open()
		w.write("f", "mine", 100<<10)
		w.must(w.remote.Edit("f", []byte(theirs)))
		w.until("it to be parked", func() bool { return w.d.Status().Parked == 1 })
		if got := w.remoteTree()["f"]; got != theirs {
			t.Errorf("the remote has %.40q", got)
		}
		id := w.attr("f").ID
		b := make([]byte, 4)
		w.must(patient(func(ctx context.Context) error {
			_, _, err := w.d.Read(ctx, owner, id, b, 100<<10)
			return err
		}))
		if string(b) != "mine" {
			t.Errorf("what was written reads %q", b)
		}
		err := patient(func(ctx context.Context) error {
			_, _, err := w.d.Read(ctx, owner, id, b, 0)
			return err
		})
		if nfs.StatusOf(err) != nfs.ErrIO {
			t.Errorf("what is nowhere any more reads %q, %v", b, err)
		}
		w.truncate("f", 0) // the person writes it anew
		w.acked["f"] = ""
		w.know(tree{"f": "anew"})
		w.write("f", "anew", 0)
		if err := w.settle(); err != nil {
			t.Error(err)
		}
		got := w.remoteTree()
		found := false
		for p, content := range got {
			found = found || strings.HasPrefix(p, "f (conflict host ") && content == "anew"
		}
		if !found || got["f"] != theirs {
			t.Errorf("in the end the remote has %q", got)
		}
	})
}
