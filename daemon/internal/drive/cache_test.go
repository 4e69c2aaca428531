package drive

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

// noise is n bytes that no two places have in common.
func noise(n int) string {
	b := make([]byte, n)
	s := [32]byte{1}
	rand.NewChaCha8(s).Read(b)
	return string(b)
}

// roomy is a folder on a disk that does not get full.
type roomy struct {
	disk.FS
	disk.Mover
}

func newRoomy(t *testing.T) roomy {
	dir, err := disk.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return roomy{dir, dir.(disk.Mover)}
}

func (roomy) Free() (free, total int64, err error) { return 1 << 40, 1 << 41, nil }

// reads is how often the remote was asked for anything of a file.
func (b *bench) reads() int {
	return b.faults.Calls(providertest.OpOpen) + b.faults.Calls(providertest.OpRead)
}

// A large file comes with few requests, and once: a later process has it.
func TestReadFromStartToEnd(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache = disktest.New(1)
	data := noise(64 << 20)
	b.put("f", data)
	b.faults.Delay(2 * time.Millisecond)
	b.open()
	f := b.find("f")
	if got, err := b.read(f.ID); err != nil || got != data {
		t.Fatalf("read %d bytes, as they are: %v, %v", len(got), got == data, err)
	}
	if n, limit := b.d.Status().Fetched, int64(len(data))*105/100; n < int64(len(data)) || n > limit {
		t.Errorf("%d bytes were fetched for %d", n, len(data))
	}
	if n := b.reads(); n > 80 {
		t.Errorf("it took %d requests", n)
	}
	if s := b.d.Status(); s.CacheUsed < int64(len(data)) || s.CacheLimit != 10<<30 {
		t.Errorf("the cache has %d bytes of at most %d", s.CacheUsed, s.CacheLimit)
	}
	b.reopen()
	calls := b.reads()
	if got, err := b.read(f.ID); err != nil || got != data {
		t.Fatalf("after a restart %d bytes, as they are: %v, %v", len(got), got == data, err)
	}
	if n := b.reads() - calls; n != 0 {
		t.Errorf("after a restart the remote was asked %d times for what was here", n)
	}
}

// What was read can be read while the remote is away, also by a later process.
func TestReadWhileTheRemoteIsAway(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache = disktest.New(1)
	data := noise(3 << 20)
	b.put("f", data)
	b.put("far", "away")
	b.open()
	f, far := b.find("f"), b.find("far")
	b.holds(f.ID, data)
	b.faults.Fail(providers.ErrOffline)
	b.holds(f.ID, data)
	b.reopen()
	b.await("the drive to be offline", func() bool { return !b.d.Status().Online })
	b.holds(f.ID, data)
	_, err := b.read(far.ID)
	b.wantStatus("what was never read", err, nfs.ErrIO)
	b.faults.Fail(nil)
	b.await("the drive to be online", func() bool { return b.d.Status().Online })
	b.holds(far.ID, "away")
}

// A person may delete the cache at any time.
func TestCacheIsDeleted(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.CacheDir = filepath.Join(t.TempDir(), "cache")
	names := []string{"a", "b", "c"}
	data := noise(5 << 20)
	for i, name := range names {
		b.put(name, data[i:])
	}
	b.open()
	check := func() {
		for i, name := range names {
			b.holds(b.find(name).ID, data[i:])
		}
	}
	check()
	for range 3 {
		if err := os.RemoveAll(b.o.CacheDir); err != nil {
			t.Logf("on this system the folder cannot be removed while it is in use: %v", err)
		}
		check()
	}
	b.reopen()
	check()
}

// A cache that outlives the nodes, whose ids it has, is of no use and does no
// harm.
func TestCacheOfOtherNodes(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache = disktest.New(1)
	b.put("a", strings.Repeat("a", 1000))
	b.open()
	a := b.find("a")
	b.holds(a.ID, strings.Repeat("a", 1000))
	if err := b.d.Close(); err != nil {
		t.Fatal(err)
	}
	other := mem.New(mem.Options{})
	b.mem, b.faults = other, providertest.NewFaults(other)
	b.o.Provider, b.o.StateDir = b.faults, t.TempDir()
	b.put("b", strings.Repeat("b", 1000)) // the same id, size, time and version
	b.open()
	if n := b.find("b"); n.ID != a.ID {
		t.Fatalf("the first file has id %d, and then %d", a.ID, n.ID)
	}
	b.holds(a.ID, strings.Repeat("b", 1000))
}

// nameless is a remote that tells no ids: what is gone cannot have moved.
type nameless struct{ *providertest.Faults }

func (p nameless) Stat(ctx context.Context, name string) (providers.Entry, error) {
	e, err := p.Faults.Stat(ctx, name)
	e.ID = ""
	return e, err
}

func (p nameless) ReadDir(ctx context.Context, dir, cursor string) (providers.Page, error) {
	page, err := p.Faults.ReadDir(ctx, dir, cursor)
	for i := range page.Entries {
		page.Entries[i].ID = ""
	}
	return page, err
}

// What the remote has no more takes no room here.
func TestRemovedFilesLeaveTheCache(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache, b.o.Provider = disktest.New(1), nameless{b.faults}
	for _, p := range []string{"keep", "f", "d/g", "d/h"} {
		b.put(p, noise(1<<20))
	}
	b.open()
	for _, p := range []string{"keep", "f", "d/g", "d/h"} {
		b.holds(b.find(p).ID, noise(1<<20))
	}
	b.await("the cache to have it all", func() bool { return b.d.Status().CacheUsed >= 4<<20 })
	for _, p := range []string{"f", "d/g", "d/h"} {
		b.remove(p)
	}
	if err := b.mem.Rmdir(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Hour)
	b.probe()
	b.list(b.d.Root(), "keep")
	b.await("what was removed to leave the cache", func() bool { return b.d.Status().CacheUsed < 2<<20 })
	calls := b.reads()
	b.holds(b.find("keep").ID, noise(1<<20))
	if n := b.reads() - calls; n != 0 {
		t.Errorf("the file that stays was fetched %d times", n)
	}
}

// While a file is replaced on the remote again and again, each read gives bytes
// of one version. In the end it is the last.
func TestReplacedWhileItIsRead(t *testing.T) {
	b := newBench(t, mem.New(mem.Options{}))
	b.o.Cache = disktest.New(1)
	b.o.OpenFiles = 2
	const size = 3 << 20
	b.put("f", strings.Repeat("a", size))
	b.open()
	id := b.find("f").ID
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			p := make([]byte, 200<<10)
			for off := int64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				n, eof, err := b.d.Read(t.Context(), owner, id, p, uint64(off))
				if err != nil && nfs.StatusOf(err) != nfs.ErrJukebox {
					t.Errorf("read at %d: %v", off, err)
					return
				}
				if n > 0 && bytes.Count(p[:n], p[:1]) != n {
					t.Errorf("%d bytes at %d are of several versions", n, off)
					return
				}
				if off += int64(n); eof || rng.IntN(8) == 0 {
					off = rng.Int64N(size)
				}
			}
		})
	}
	for v := byte('b'); v < 'p'; v++ {
		b.put("f", strings.Repeat(string(v), size+int(v)))
		b.clock.advance(time.Minute)
		b.probe()
		b.find("f")
	}
	close(stop)
	wg.Wait()
	b.clock.advance(time.Hour)
	b.probe()
	if a := b.find("f"); a.Size != size+'o' {
		t.Errorf("in the end it has %d bytes", a.Size)
	}
	b.holds(id, strings.Repeat("o", size+'o'))
	b.reopen()
	b.holds(id, strings.Repeat("o", size+'o'))
}

// What was written here and published is not fetched to be read.
func TestPublishedFileStaysHere(t *testing.T) {
	for _, c := range []struct {
		name string
		disk bool
	}{{"a folder of this computer", true}, {"folders that cannot exchange files", false}} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, mem.New(mem.Options{}))
			b.o.Provider, b.o.Quiet = b.mem, time.Millisecond
			b.o.Cache = disktest.New(1)
			if c.disk {
				b.o.Cache = newRoomy(t)
			}
			b.open()
			data := noise(3<<20 + 5)
			a, _, err := b.d.Create(t.Context(), owner, b.d.Root(), "f", nfs.CreateHow{})
			if err != nil {
				t.Fatal(err)
			}
			for off := 0; off < len(data); off += 1 << 20 {
				if _, _, err := b.d.Write(t.Context(), owner, a.ID, []byte(data[off:min(off+1<<20, len(data))]), uint64(off), nfs.FileSync); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.d.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.await("the change to be published", func() bool { return b.d.Status().Pending == 0 })
			b.holds(a.ID, data)
			b.reopen()
			b.holds(a.ID, data)
			if n := b.d.Status().Fetched; n != 0 {
				t.Errorf("%d bytes were fetched that were here", n)
			}
			if s := b.d.Status(); s.Saved != 0 || s.CacheUsed < int64(len(data)) {
				t.Errorf("%d bytes are kept for the remote, and %d in the cache", s.Saved, s.CacheUsed)
			}
		})
	}
}
