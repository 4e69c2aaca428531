package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

func (b *bench) move(from, to string) {
	b.Helper()
	if _, err := b.mem.Move(b.Context(), from, to, providers.Cond{}); err != nil {
		b.Fatal(err)
	}
}

// same checks that what is at a path is the object with that id, whole.
func (b *bench) same(p string, was nfs.Attr, data string) {
	b.Helper()
	a, err := b.lookup(p)
	if err != nil || a.ID != was.ID {
		b.Errorf("%s is id %d, %v, want %d", p, a.ID, err, was.ID)
		return
	}
	if was.Type == nfs.TypeRegular {
		b.holds(was.ID, data)
	}
}

func TestRenamedThere(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("d/f", "data")
		b.put("d/other", "o")
		b.put("d/sub/deep/x", "deep")
		b.open()
		d := b.find("d")
		if _, err := b.names(d.ID); err != nil {
			t.Fatal(err)
		}
		f, sub, x := b.find("d/f"), b.find("d/sub"), b.find("d/sub/deep/x")
		before := b.getattr(d.ID)
		b.move("d/f", "d/g")
		b.move("d/sub", "d/renamed")
		renew()
		b.list(d.ID, "other", "g", "renamed")
		b.same("d/g", f, "data")
		b.same("d/renamed", sub, "")
		b.same("d/renamed/deep/x", x, "deep")
		if a := b.getattr(f.ID); !a.Ctime.After(f.Ctime) {
			b.Errorf("a file that was renamed has the ctime %v, had %v", a.Ctime, f.Ctime)
		}
		if a := b.getattr(d.ID); !a.Mtime.After(before.Mtime) || a.Nlink != before.Nlink {
			b.Errorf("the directory: %+v, was %+v", a, before)
		}
		for _, p := range []string{"d/f", "d/sub"} {
			_, err := b.lookup(p)
			b.wantStatus("look up "+p, err, nfs.ErrNoEnt)
		}
		b.reopen()
		b.same("d/g", f, "data")
	})
}

// A name that replaces another one is that name's object, as if it had been
// written anew; one that was moved there with others keeps its id.
func TestRenamedOverAnother(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("d/f", "old")
		b.put("d/tmp", "new")
		b.open()
		d, f, tmp := b.find("d"), b.find("d/f"), b.find("d/tmp")
		b.list(d.ID, "f", "tmp")
		b.move("d/tmp", "d/f")
		renew()
		b.list(d.ID, "f")
		b.same("d/f", f, "new")
		_, err := b.d.GetAttr(t.Context(), owner, tmp.ID)
		b.wantStatus("the name that is gone", err, nfs.ErrStale)
		b.move("d/f", "d/g")
		renew()
		b.list(d.ID, "g")
		b.same("d/g", f, "new")
	})
}

func TestMovedToAnotherFolder(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		bothWays(t, func(b *bench, renew func()) {
			b.put("a/f", "data")
			b.put("a/sub/x", "deep")
			b.put("b/other", "o")
			b.open()
			for _, p := range []string{"a", "a/sub", "b"} {
				if _, err := b.names(b.find(p).ID); err != nil {
					t.Fatal(err)
				}
			}
			f, sub, x := b.find("a/f"), b.find("a/sub"), b.find("a/sub/x")
			nlinks := b.find("a").Nlink
			b.move("a/f", "b/g")
			b.move("a/sub", "b/sub")
			renew()
			for _, p := range order {
				if _, err := b.names(b.find(p).ID); err != nil {
					b.Fatal(err)
				}
			}
			b.list(b.find("a").ID)
			b.same("b/g", f, "data")
			b.same("b/sub", sub, "")
			b.same("b/sub/x", x, "deep")
			if a := b.find("a"); a.Nlink != nlinks-1 {
				b.Errorf("after a folder has left there are %d links, were %d", a.Nlink, nlinks)
			}
		})
	}
}

// The object that a name shows that is asked for by itself is known, too.
func TestRenamedThereAndLookedUp(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Provider, b.o.Patience = plain{b.faults}, time.Minute
	b.put("d/f", "data")
	b.open()
	f := b.find("d/f")
	b.move("d/f", "d/g")
	b.same("d/g", f, "data")
	b.clock.advance(time.Hour)
	_, err := b.lookup("d/f")
	b.wantStatus("the name that it had", err, nfs.ErrNoEnt)
}

// Two names of which the remote says that they have one id are both there, so
// they stay two objects.
func TestOneIDTwice(t *testing.T) {
	bothWays(t, func(b *bench, renew func()) {
		b.put("a/f", "data")
		b.put("a/g", "data")
		b.put("b/h", "data")
		twin := map[string]bool{"f": true, "g": true, "h": true, "i": true}
		b.faults.EditListing(func(_ string, es []providers.Entry) []providers.Entry {
			for i := range es {
				if twin[es[i].Name] {
					es[i].ID = "twin"
				}
			}
			return es
		})
		if _, ok := b.o.Provider.(plain); ok {
			b.o.Provider = plain{twins{b.faults}}
		} else {
			b.o.Provider = twins{b.faults}
		}
		b.open()
		check := func() {
			b.Helper()
			b.list(b.find("a").ID, "f", "g")
			seen := map[nfs.ID]string{}
			for _, p := range []string{"a/f", "a/g", "b/h"} {
				a := b.find(p)
				if was, ok := seen[a.ID]; ok {
					b.Errorf("%s and %s are both id %d", was, p, a.ID)
				}
				seen[a.ID] = p
			}
		}
		check()
		renew()
		check()
		b.put("b/i", "data")
		renew()
		b.list(b.find("b").ID, "h", "i")
		check()
	})
}

// twins is a remote that says of every file that it has the id twin.
type twins struct{ *providertest.Faults }

func (p twins) Stat(ctx context.Context, name string) (providers.Entry, error) {
	e, err := p.Faults.Stat(ctx, name)
	if e.Mode.IsRegular() {
		e.ID = "twin"
	}
	return e, err
}

// What seems to have moved is not looked for without end.
func TestManyMoved(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Provider, b.o.Patience = plain{b.faults}, time.Minute
	const n = 3 * maxVacant
	for i := range n {
		b.put(fmt.Sprintf("a/%03d", i), "x")
	}
	b.put("b/other", "x")
	b.open()
	for _, p := range []string{"a", "b"} {
		if _, err := b.names(b.find(p).ID); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		b.move(fmt.Sprintf("a/%03d", i), fmt.Sprintf("b/%03d", i))
	}
	b.clock.advance(time.Hour)
	bID := b.find("b").ID
	stats := b.faults.Calls(providertest.OpStat)
	names, err := b.names(bID)
	if err != nil || len(names) != n+1 {
		t.Errorf("%d names are listed, %v, want %d", len(names), err, n+1)
	}
	if asked := b.faults.Calls(providertest.OpStat) - stats; asked > maxVacant+2 {
		t.Errorf("the remote was asked for %d objects", asked)
	}
	if _, err := b.mem.Stat(t.Context(), "a/000"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}
