package blocks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// clock is a clock that a test moves.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time         { return time.Unix(1_700_000_000+c.at.Load(), 0) }
func (c *clock) move(d time.Duration)   { c.at.Add(int64(d / time.Second)) }
func (c *clock) tick(cache *Cache)      { c.move(time.Minute); cache.tickNow() }
func usedNow(c *Cache) (used int64)     { used, _ = c.Usage(); return used }
func within(c *Cache, limit int64) bool { return usedNow(c) <= limit }

func TestLimit(t *testing.T) {
	d := disktest.New(1)
	const limit = 64 * (Unit + page)
	c := openCache(t, d, Options{Limit: limit}, manual())
	last := func(n uint64) bool {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		defer f.Close()
		return get(t, f, 0, Unit)
	}
	for n := range uint64(300) {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		put(t, f, 0, 1)
		f.Close()
		if !within(c, limit) {
			t.Fatalf("it takes %d bytes of %d", usedNow(c), limit)
		}
		if !last(n) {
			t.Fatalf("version %d is gone at once", n)
		}
	}
	if got := used(t, d); got > limit+page {
		t.Errorf("the disk says that %d bytes are taken of %d", got, limit)
	}
	n := 0
	for i := range uint64(300) {
		if last(i) {
			n++
		}
	}
	if n < 50 {
		t.Errorf("%d versions are there where 64 have room", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	// A smaller limit at the next start.
	c = openCache(t, d, Options{Limit: limit / 2}, manual())
	wait(t, func() bool { c.mu.Lock(); s := c.scanned; c.mu.Unlock(); return s && within(c, limit/2) })
	if got := used(t, d); got > limit/2+page {
		t.Errorf("the disk says that %d bytes are taken of %d", got, limit/2)
	}
}

// What is used again and again outlives a pass over much that is used once.
func TestUsedOftenStays(t *testing.T) {
	var now clock
	c := openCache(t, disktest.New(1), Options{Limit: 100 * 2 * page, Clock: now.now}, manual())
	one := func(n uint64) bool {
		f := openFileOf(t, c, Key{n, "v"}, 100)
		defer f.Close()
		if get(t, f, 0, 100) {
			return true
		}
		put(t, f, 0, 1)
		return false
	}
	for range 3 {
		for n := range uint64(50) {
			one(n)
		}
		now.tick(c)
	}
	for n := range uint64(1000) {
		one(1000 + n)
		one(1000 + n) // reading what was just fetched is not using it again
	}
	there := 0
	for n := range uint64(50) {
		if one(n) {
			there++
		}
	}
	if there < 45 {
		t.Errorf("of 50 versions that were used often %d are left", there)
	}
}

func TestEvictExtents(t *testing.T) {
	d := disktest.New(1)
	const limit = 40 << 20
	c := openCache(t, d, Options{Limit: limit}, manual())
	k := Key{1, "v"}
	f := openFileOf(t, c, k, 5*extentSize)
	for u := int64(0); u < 5*256; u += 16 {
		put(t, f, u, 16)
		if !within(c, limit) {
			t.Fatalf("it takes %d bytes of %d", usedNow(c), limit)
		}
		if !get(t, f, u*Unit, 16*Unit) {
			t.Fatalf("unit %d is gone at once", u)
		}
	}
	if got := used(t, d); got > limit+64<<10 {
		t.Errorf("the disk says that %d bytes are taken of %d", got, limit)
	}
	have := f.Have(0, 5*extentSize)
	if total(have) < extentSize {
		t.Errorf("only %v is left", have)
	}
	for _, r := range have {
		if !get(t, f, r.Off, r.N) {
			t.Errorf("%v is said to be there", r)
		}
	}
	// What was evicted can be put again.
	put(t, f, 0, 4)
	if !get(t, f, 0, 4*Unit) {
		t.Error("what was put again is missing")
	}
	f.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCache(t, d, Options{}, manual())
	waitScan(t, c)
	f = openFileOf(t, c, k, 5*extentSize)
	if !get(t, f, 0, 4*Unit) {
		t.Error("what was put again is missing after a restart")
	}
	for c.evict() {
	}
	if f.Have(0, 5*extentSize) != nil || usedNow(c) > 2*page {
		t.Errorf("after everything was evicted %d bytes are taken", usedNow(c))
	}
	f.Close()
	if list, _ := d.List(folder(1)); len(list) != 0 {
		t.Errorf("a file of which nothing is left is there: %v", list)
	}
}

// noHoles is a folder on a file system without holes.
type noHoles struct{ disk.FS }

type noHolesFile struct{ disk.File }

func (d noHoles) Open(name string, create bool) (disk.File, error) {
	f, err := d.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return noHolesFile{f}, nil
}

func (noHolesFile) PunchHole(off, n int64) error { return disk.ErrUnsupported }

func TestEvictWithoutHoles(t *testing.T) {
	c := openCache(t, noHoles{disktest.New(1)}, Options{Limit: 40 << 20}, manual())
	for n := range uint64(6) {
		f := openFileOf(t, c, Key{n, "v"}, 2*extentSize)
		put(t, f, 0, 8)
		put(t, f, 256, 100)
		if !get(t, f, 0, 8*Unit) || !get(t, f, extentSize, 100*Unit) || !within(c, 40<<20) {
			t.Errorf("version %d: it takes %d bytes", n, usedNow(c))
		}
		f.Close()
	}
}

func TestPinned(t *testing.T) {
	var now clock
	var pins sync.Map
	const limit = 32 * (Unit + page)
	c := openCache(t, disktest.New(1), Options{Limit: limit, Clock: now.now, Pinned: func(o uint64) bool { _, ok := pins.Load(o); return ok }}, manual())
	one := func(n uint64) error {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		defer f.Close()
		return tryPut(f, 0, 1)
	}
	has := func(n uint64) bool {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		defer f.Close()
		return get(t, f, 0, Unit)
	}
	for n := range uint64(16) {
		pins.Store(n, true)
		if err := one(n); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(200) {
		if err := one(100 + n); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(16) {
		if !has(n) {
			t.Errorf("pinned version %d was evicted", n)
		}
	}
	for n := range uint64(1000) {
		pins.Store(n, true)
	}
	for n := range uint64(40) {
		if err := one(400 + n); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		} else if n == 39 {
			t.Error("more was pinned than has room")
		}
	}
	pins.Clear()
	now.tick(c)
	for n := range uint64(200) {
		if err := one(2000 + n); err != nil {
			t.Fatalf("when nothing is pinned any more: %v", err)
		}
	}
	if n := c.index.queues[queuePinned].n; n > 0 {
		t.Errorf("%d are thought to be pinned", n)
	}
}

func TestSetLimit(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	for n := range uint64(200) {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		put(t, f, 0, 1)
		f.Close()
	}
	c.SetLimit(50 * Unit)
	wait(t, func() bool { return within(c, 50*Unit) })
	if got := used(t, d); got > 51*Unit {
		t.Errorf("the disk says that %d bytes are taken", got)
	}
	if _, limit := c.Usage(); limit != 50*Unit {
		t.Errorf("limit %d", limit)
	}
}

func TestFloor(t *testing.T) {
	d := disktest.New(1)
	d.SetFree(100 << 20)
	c := openCache(t, d, Options{Floor: 90 << 20}, manual())
	for n := range uint64(400) {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		if err := tryPut(f, 0, 1); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if free, _, _ := d.Free(); free < 90<<20-2*page {
			t.Fatalf("%d bytes are left free", free)
		}
	}
	if usedNow(c) < 8<<20 {
		t.Errorf("it takes %d bytes where 10 MiB are free", usedNow(c))
	}
	// Somebody else fills the disk.
	d.SetFree(88 << 20)
	c.measure()
	c.trim()
	if free, _, _ := d.Free(); free < 90<<20 {
		t.Errorf("%d bytes are left free", free)
	}
	d.SetFree(1 << 20)
	c.measure()
	c.trim()
	if usedNow(c) > 0 {
		t.Errorf("on a disk that is nearly full it takes %d bytes", usedNow(c))
	}
	f := openFileOf(t, c, Key{1, "v"}, Unit)
	if err := tryPut(f, 0, 1); !errors.Is(err, ErrFull) {
		t.Errorf("putting: %v", err)
	}
}

// The free space that is left when the folder was looked through is what counts,
// not what was when the cache was opened.
func TestFloorAfterRestart(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	for n := range uint64(100) {
		f := openFileOf(t, c, Key{n, "v"}, Unit)
		put(t, f, 0, 1)
		f.Close()
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	d.SetFree(3 << 20)
	before := used(t, d)
	c = openCache(t, d, Options{Floor: 2 << 20}, manual())
	waitScan(t, c)
	c.trim()
	if after := used(t, d); after < before {
		t.Errorf("%d bytes of %d are left, though more than the floor is free", after, before)
	}
}

// A disk without room: what is old makes place, or nothing can be kept, but what
// is read is right.
func TestNoSpace(t *testing.T) {
	d := disktest.New(1)
	c := openCache(t, d, Options{}, manual())
	d.SetFree(50 * Unit)
	var files []*File
	for n := range uint64(200) {
		f := openFileOf(t, c, Key{n, "v"}, 2*Unit)
		if err := tryPut(f, 0, 2); err != nil {
			t.Fatalf("version %d: %v", n, err)
		}
		if !get(t, f, 0, 2*Unit) {
			t.Fatalf("version %d is gone at once", n)
		}
		files = append(files, f)
	}
	d.SetFree(0)
	for c.evict() {
	}
	d.SetFree(0)
	for _, f := range files {
		if err := tryPut(f, 0, 2); !errors.Is(err, ErrFull) {
			t.Fatalf("on a full disk: %v", err)
		}
		if get(t, f, 0, Unit) {
			t.Fatal("a unit is there that could not be written")
		}
	}
	d.SetFree(1 << 30)
	c.measure()
	put(t, files[0], 0, 2)
	if !get(t, files[0], 0, 2*Unit) {
		t.Error("when there is room again, nothing is kept")
	}
	if got := usedNow(c); got > 3*Unit {
		t.Errorf("it says it takes %d bytes", got)
	}
}

func TestSpan(t *testing.T) {
	d, err := disk.Dir(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	k := Key{1, "v"}
	for restart := range 2 {
		c := openCache(t, d, Options{}, manual())
		waitScan(t, c)
		f := openFileOf(t, c, k, 2*extentSize)
		if restart == 0 {
			put(t, f, 250, 12)
		}
		if _, _, ok := f.Span(250*Unit, Unit); ok && restart == 1 {
			t.Error("a Span of what was not verified")
		}
		if !get(t, f, 250*Unit, 12*Unit) {
			t.Fatal("it is missing")
		}
		for _, r := range []Range{{250*Unit - 1, 2}, {262*Unit - 1, 2}, {-1, 1}, {0, 0}, {2*extentSize - 1, 2}, {0, 1}} {
			if _, _, ok := f.Span(r.Off, r.N); ok {
				t.Errorf("a Span of %v", r)
			}
		}
		file, at, ok := f.Span(250*Unit+5, 12*Unit-5)
		if !ok {
			t.Fatal("no Span of what is there")
		}
		f.Span(251*Unit, Unit)
		// Nothing changes its bytes until the File is closed.
		for c.evict() {
		}
		if err := f.WriteAt(content(Key{2, "x"}, 0, Unit), 250*Unit); err != nil {
			t.Fatal(err)
		}
		c.Drop(1)
		p := make([]byte, 12*Unit-5)
		if _, err := file.ReadAt(p, at); err != nil || !same(p, k, 250*Unit+5) {
			t.Errorf("the bytes of a Span changed: %v", err)
		}
		g := openFileOf(t, c, k, 2*extentSize) // it is wanted again
		f.Close()
		if !get(t, g, 250*Unit, 12*Unit) {
			t.Error("it is gone with the Span")
		}
		g.Close()
		if restart == 1 {
			for c.evict() {
			}
			if usedNow(c) != 0 {
				t.Errorf("it takes %d bytes when nobody uses anything", usedNow(c))
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Many read and write more than has room, in a real folder.
func TestManyUnderLimit(t *testing.T) {
	d, err := disk.Dir(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	const limit = 24 << 20
	tune := manual()
	tune.files, tune.flush, tune.unflush = 5, 20*time.Millisecond, 4<<20
	c := openCache(t, d, Options{Limit: limit}, tune)
	sizes := []int64{100, Unit, 5 * Unit, 1 << 20, extentSize + 5, 3 * extentSize}
	var missing, found atomic.Int64
	var g sync.WaitGroup
	steps := 60
	if long() {
		steps = 20000
	}
	for i := range uint64(8) {
		g.Go(func() {
			rng := rand.New(rand.NewPCG(1, i))
			for range steps {
				n := rng.Uint64N(30)
				size := sizes[n%uint64(len(sizes))]
				f, err := c.File(Key{n, "v"}, size)
				if err != nil {
					t.Error(err)
					return
				}
				for range 4 {
					first := rng.Int64N((size + Unit - 1) / Unit)
					off := first * Unit
					n := min(1+rng.Int64N(2*Unit), size-off)
					ok, err := tryGet(f, off, n)
					if ok {
						found.Add(1)
						if file, at, is := f.Span(off, n); is {
							p := make([]byte, n)
							if _, err := file.ReadAt(p, at); err != nil || !same(p, f.v.key, off) {
								t.Errorf("a Span has other bytes: %v", err)
							}
						}
					} else if err == nil {
						missing.Add(1)
						err = tryPut(f, first, 3)
					}
					if err != nil && !errors.Is(err, ErrFull) {
						t.Error(err)
						return
					}
					if !within(c, limit) {
						t.Errorf("it takes %d bytes of %d", usedNow(c), limit)
						return
					}
				}
				f.Close()
			}
		})
	}
	g.Wait()
	if missing.Load() == 0 || found.Load() == 0 {
		t.Error(fmt.Sprint("found ", found.Load(), ", missing ", missing.Load()))
	}
	if err := c.Flush(); err != nil {
		t.Error(err)
	}
}
