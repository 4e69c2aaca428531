package drive

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// pin pins a path and waits until it is as far as ok wants it.
func (b *bench) pin(path string, ok func(Pin) bool) Pin {
	b.Helper()
	if err := b.d.Pin(b.Context(), path); err != nil {
		b.Fatal(err)
	}
	return b.pinned(path, ok)
}

func (b *bench) pinned(path string, ok func(Pin) bool) (p Pin) {
	b.Helper()
	defer func() {
		if b.Failed() {
			b.Logf("the pins are %+v, of a cache with %+v", b.d.Pins(), b.d.Status())
		}
	}()
	b.await(fmt.Sprintf("the pin of %q", path), func() bool {
		for _, p = range b.d.Pins() {
			if p.Path == path && ok(p) {
				return true
			}
		}
		return false
	})
	return p
}

func kept(p Pin) bool { return p.State == PinKept && p.Here == p.Total }

func (b *bench) offline() {
	b.Helper()
	b.faults.Fail(providers.ErrOffline)
	for b.d.Status().Online { // calls are made until it is noticed
		_ = b.d.probe(b.Context())
	}
}

func (b *bench) online() {
	b.Helper()
	b.faults.Fail(nil)
	b.await("the drive to be online", func() bool { return b.d.Status().Online })
}

func newPinBench(t *testing.T) *bench {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache = disktest.New(2)
	return b
}

// What is pinned can be read while the remote is away, also after a restart, and
// so can what came to be in a pinned folder later.
func TestPinnedFolder(t *testing.T) {
	b := newPinBench(t)
	big := noise(3<<20 + 77)
	b.put("d/a", "first")
	b.put("d/e/f/big", big)
	b.put("d/empty", "")
	b.put("other", strings.Repeat("o", 1<<20))
	b.open()
	p := b.pin("d", kept)
	if !p.Dir || p.Files != 3 || p.Total != int64(len(big))+5 {
		t.Errorf("the pin: %+v", p)
	}
	if n := b.d.Status().Fetched; n > int64(len(big))+10 {
		t.Errorf("%d bytes were fetched for %d", n, p.Total)
	}
	if s := b.d.Status().Pinned; s.Pins != 1 || s.Here != p.Here || s.Total != p.Total || s.NoRoom {
		t.Errorf("the sum: %+v", s)
	}
	check := func(when string) {
		t.Helper()
		a := b.find("d/a")
		b.holds(a.ID, "first")
		b.holds(b.find("d/e/f/big").ID, big)
		b.holds(b.find("d/empty").ID, "")
		b.list(b.find("d/e").ID, "f")
		if _, err := b.lookup("d/none"); nfs.StatusOf(err) != nfs.ErrNoEnt {
			t.Errorf("%s: a name that is not there: %v", when, err)
		}
	}
	b.offline()
	check("offline")
	b.reopen()
	check("offline after a restart")
	b.pinned("d", kept)
	b.online()

	b.put("d/e/new", "new")
	b.put("d/a", "second")
	b.probe()
	b.pinned("d", func(p Pin) bool { return kept(p) && p.Total == int64(len(big))+6+3 })
	b.offline()
	b.holds(b.find("d/e/new").ID, "new")
	b.holds(b.find("d/a").ID, "second")
	b.online()

	if err := b.d.Unpin(t.Context(), "d/e"); !errors.As(err, new(*CoveredError)) {
		t.Errorf("unpin of what is pinned with its folder: %v", err)
	}
	if err := b.d.Unpin(t.Context(), "other"); !errors.Is(err, ErrNotPinned) {
		t.Errorf("unpin of what is not pinned: %v", err)
	}
	if err := b.d.Pin(t.Context(), "none"); nfs.StatusOf(err) != nfs.ErrNoEnt {
		t.Errorf("pin of what is not there: %v", err)
	}
	if err := b.d.Unpin(t.Context(), "d"); err != nil {
		t.Error(err)
	}
	b.reopen()
	if l := b.d.Pins(); len(l) != 0 {
		t.Errorf("after unpin: %+v", l)
	}
}

// A pin that is made while the remote is away, or whose remote goes away, says so,
// and goes on when it is back.
func TestPinWaitsForTheRemote(t *testing.T) {
	b := newPinBench(t)
	b.put("d/a", "data")
	b.open()
	b.list(b.find("d").ID, "a")
	b.offline()
	p := b.pin("d", func(p Pin) bool { return p.State == PinOffline })
	if p.Here != 0 || p.Total != 4 {
		t.Errorf("offline: %+v", p)
	}
	b.online()
	b.pinned("d", kept)
}

// However much is read, what is pinned stays; when it is not pinned any more, it
// goes as all else.
func TestPinnedIsNotEvicted(t *testing.T) {
	b := newPinBench(t)
	b.o.CacheLimit = 16 << 20
	want := noise(4 << 20)
	b.put("d/f", want)
	for i := range 16 {
		b.put(fmt.Sprintf("x/%d", i), strings.Repeat(string(rune('a'+i)), 4<<20))
	}
	b.open()
	b.pin("d", kept)
	readAll := func() {
		for i := range 16 {
			b.holds(b.find(fmt.Sprintf("x/%d", i)).ID, strings.Repeat(string(rune('a'+i)), 4<<20))
		}
	}
	readAll()
	b.offline()
	b.holds(b.find("d/f").ID, want)
	b.online()
	if used := b.d.Status().CacheUsed; used > b.o.CacheLimit {
		t.Errorf("the cache takes %d bytes", used)
	}
	if err := b.d.Unpin(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	id := b.find("d/f").ID
	n, err := b.d.node(uint64(id))
	if err != nil {
		t.Fatal(err)
	}
	b.await("what is not pinned any more to be evicted", func() bool {
		b.clock.advance(time.Minute)
		readAll()
		here, err := b.d.bytesHere(n, n.Size)
		return err == nil && here == 0
	})
}

// What does not fit is said, and nothing is fetched again and again for it.
func TestPinsWithoutRoom(t *testing.T) {
	b := newPinBench(t)
	b.o.CacheLimit = 10 << 20
	for i := range 5 {
		b.put(fmt.Sprintf("d/%d", i), strings.Repeat(string(rune('a'+i)), 4<<20))
	}
	b.put("x", "small")
	b.open()
	p := b.pin("d", func(p Pin) bool { return p.State == PinNoRoom })
	p = b.pinned("d", func(p Pin) bool { return p.State == PinNoRoom && p.Here == 8<<20 })
	if p.Total != 20<<20 || !b.d.Status().Pinned.NoRoom {
		t.Errorf("without room: %+v", p)
	}
	fetched := b.d.Status().Fetched
	for range 3 {
		b.d.pins.wake()
		time.Sleep(2 * pinPause)
	}
	if n := b.d.Status().Fetched; n != fetched {
		t.Errorf("%d bytes were fetched that do not fit", n-fetched)
	}
	b.holds(b.find("x").ID, "small")
	b.holds(b.find("d/4").ID, strings.Repeat("e", 4<<20))
	for i := 2; i < 5; i++ {
		b.remove(fmt.Sprintf("d/%d", i))
	}
	b.probe()
	b.pinned("d", kept)
}

// A pin stays with what it is of when that is renamed, and with its name when
// another file is put in its place, as programs do that save.
func TestPinsAreKeptByRenames(t *testing.T) {
	b := newPinBench(t)
	b.o.Provider, b.o.Quiet = b.mem, time.Hour
	b.put("d/f", "data")
	b.put("file", "old")
	b.open()
	b.pin("d", kept)
	b.pin("file", kept)
	if _, _, err := b.d.Rename(t.Context(), owner, b.d.Root(), "d", b.d.Root(), "e"); err != nil {
		t.Fatal(err)
	}
	b.pinned("e", kept)
	if err := b.d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.put("e/later", "came later")
	b.probe()
	b.pinned("e", func(p Pin) bool { return kept(p) && p.Files == 2 })
	id := b.create("temp")
	b.write(id, "new bytes", 0, nfs.FileSync)
	if _, _, err := b.d.Rename(t.Context(), owner, b.d.Root(), "temp", b.d.Root(), "file"); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if p := b.pinned("file", kept); p.Total != 9 {
		t.Errorf("%+v", p)
	}
	// What was written in part needs the rest.
	b.write(b.find("e/f").ID, "DA", 0, nfs.FileSync)
	b.pinned("e", kept)
	if _, err := b.d.Remove(t.Context(), owner, b.d.Root(), "file"); err != nil {
		t.Fatal(err)
	}
	b.d.pins.wake()
	b.await("the pin of a file that was removed to go", func() bool { return len(b.d.Pins()) == 1 })
}

// When the power fails in the midst of fetching, it goes on where it was.
func TestPinGoesOnAfterPowerFailure(t *testing.T) {
	b := newPinBench(t)
	state, cache := disktest.New(3), disktest.New(4)
	b.o.StateDir, b.o.Disk, b.o.Nodes, b.o.Cache = "state", state, state.Pebble(), cache
	var want []string
	for i := range 6 {
		want = append(want, noise(4<<20+i))
		b.put(fmt.Sprintf("d/%d", i), want[i])
	}
	b.open()
	b.pin("d", func(p Pin) bool { return p.Here > 4<<20 })
	s, c := state.Crash(nil), cache.Crash(nil)
	_ = b.d.Close()
	b.o.Disk, b.o.Nodes, b.o.Cache = s, s.Pebble(), c
	b.open()
	b.pinned("d", kept)
	b.offline()
	for i := range want {
		b.holds(b.find(fmt.Sprintf("d/%d", i)).ID, want[i])
	}
}
