package drive

import (
	"fmt"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// missBench is a drive over a remote that cannot be probed, with a folder in
// which names are asked for one by one.
func missBench(t *testing.T) (*bench, nfs.ID) {
	b := newBench(t, mem.New(mem.Options{}))
	b.put("d/f", "x")
	b.o.Provider = plain{b.faults}
	b.open()
	return b, b.find("d").ID
}

func (b *bench) absent(dir nfs.ID, name string) {
	b.Helper()
	_, err := b.d.Lookup(b.Context(), owner, dir, name)
	b.wantStatus("look up "+name, err, nfs.ErrNoEnt)
}

// An absent name is asked for once in five seconds.
func TestAbsentNames(t *testing.T) {
	b, d := missBench(t)
	stats := b.faults.Calls(providertest.OpStat)
	asked := func(want int, what string) {
		t.Helper()
		if n := b.faults.Calls(providertest.OpStat) - stats; n != want {
			t.Errorf("%s: the remote was asked %d times, want %d", what, n, want)
		}
		stats = b.faults.Calls(providertest.OpStat)
	}
	for range 10 {
		b.absent(d, "new")
	}
	asked(1, "ten times the same name")
	b.d.forgetMissing(uint64(d), "new")
	b.put("d/new", "y")
	if a := b.find("d/new"); a.Size != 1 {
		t.Errorf("a name that was made here: %+v", a)
	}
	asked(1, "after the name was made here")
}

func TestAbsentNamesAreForgotten(t *testing.T) {
	b, d := missBench(t)
	b.absent(d, "new")
	b.put("d/new", "y")
	b.absent(d, "new")
	b.clock.advance(5 * time.Second)
	if a := b.find("d/new"); a.Size != 1 {
		t.Errorf("after five seconds: %+v", a)
	}
}

func TestAbsentNamesShowInListings(t *testing.T) {
	b, d := missBench(t)
	b.absent(d, "late")
	b.put("d/late", "y")
	names, err := b.names(d)
	if err != nil || fmt.Sprint(names) != "[f late]" {
		t.Errorf("listing: %q, %v", names, err)
	}
	if a := b.find("d/late"); a.Size != 1 {
		t.Errorf("after a listing that has it: %+v", a)
	}
}

func TestAbsentNamesTakeBoundedMemory(t *testing.T) {
	m := newMissing()
	for i := range 3 * missingLimit {
		m.add(7, fmt.Sprint(i), time.Time{}, 0)
	}
	if len(m.m) != missingLimit || m.order.Len() != missingLimit {
		t.Errorf("%d names are remembered, want %d", len(m.m), missingLimit)
	}
	if _, ok := m.get(7, fmt.Sprint(3*missingLimit-1)); !ok {
		t.Error("the last name is not remembered")
	}
}

// A client believes that a name is absent until the directory's times move, so
// they move for a while, and without a listing.
func TestClientsAskAgainForAbsentNames(t *testing.T) {
	b, d := missBench(t)
	b.faults.EditListing(func(dir string, es []providers.Entry) []providers.Entry {
		if dir == "d" {
			t.Error("the directory was listed")
		}
		return es
	})
	before := b.getattr(d)
	b.absent(d, "new")
	if a := b.getattr(d); a != before {
		t.Errorf("at once the directory is %+v, was %+v", a, before)
	}
	moved := 0
	for range 20 {
		b.clock.advance(4 * time.Second)
		a := b.getattr(d)
		if a.Mtime.After(before.Mtime) {
			moved++
		}
		if a.Mtime.Sub(before.Mtime) > time.Millisecond {
			t.Errorf("the time that people see moves by %v", a.Mtime.Sub(before.Mtime))
		}
		before = a
	}
	if moved < 2 || moved > 3 { // one more for an answer that was under way
		t.Errorf("after one absent name the times moved %d times", moved)
	}
	b.absent(d, "new")
	before = b.getattr(d)
	b.reopen() // it is not known any more when the client was told
	if a := b.getattr(d); !a.Mtime.After(before.Mtime) {
		t.Error("after a restart a client that was told before is not made to ask again")
	}
}
