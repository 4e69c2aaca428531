package reader

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/blocks"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
)

// With the store that the engine has: what was fetched once is not fetched
// again, not after a restart either; and what the disk has no room for is read
// all the same.
func TestBlocks(t *testing.T) { synctest.Test(t, testBlocks) }

func testBlocks(t *testing.T) {
	const size = 12<<20 + 12345
	d := disktest.New(1)
	d.SetFree(1 << 40)
	key := blocks.Key{Object: 7, Version: "v1"}
	r := &remote{size: size, delay: time.Millisecond}
	use := func(fn func(s *setup)) {
		t.Helper()
		cache, err := blocks.Open(d, blocks.Options{Floor: -1})
		if err != nil {
			t.Fatal(err)
		}
		store, err := cache.File(key, size)
		if err != nil {
			t.Fatal(err)
		}
		c := New(Options{})
		fn(&setup{T: t, c: c, f: c.File(store, size, r.fetch), r: r})
		c.Close()
		store.Close()
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	}
	all := func(s *setup) {
		var wg sync.WaitGroup
		for i := range 4 {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			wg.Go(func() {
				for range 30 {
					s.read(rng.Int64N(size), rng.Int64N(300<<10))
				}
				for off := int64(i) << 20; off < size; off += 4 << 20 {
					s.read(off, 1<<20)
				}
			})
		}
		wg.Wait()
	}
	use(func(s *setup) {
		all(s)
		s.twice()
		all(s)
		if n := r.total(); n != size {
			t.Errorf("asked for %d bytes of %d", n, size)
		}
	})
	use(func(s *setup) {
		all(s)
		if n := r.total(); n != size {
			t.Errorf("asked for %d bytes more after a restart", n-size)
		}
	})
	key.Version = "v2"
	d.SetFree(6 << 20)
	use(all)
}
