package reader

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errFull = errors.New("no space")

// A disk that takes nothing costs no request more, and no memory once the
// bytes were read or nobody reads on.
func TestStoreFull(t *testing.T) {
	const size = 64 << 20
	run1(t, size, Options{Budget: NewBudget(32 << 20)}, func(s *setup) {
		s.r.rate = 25e6
		s.store.breaks(errFull, nil)
		var wg sync.WaitGroup
		for i := range int64(4) {
			wg.Go(func() {
				for off := i * 128 << 10; off < size; off += 4 * 128 << 10 {
					s.read(off, 128<<10)
				}
			})
		}
		wg.Wait()
		if n := s.r.total(); n > size*105/100 {
			s.Errorf("%d bytes were asked for, %d read", n, size)
		}
		time.Sleep(5 * time.Second)
		if n := s.c.Stats().Memory; n != 0 {
			s.Errorf("%d bytes are held in memory", n)
		}
	})
	// Random reads go on for ever in little memory.
	run1(t, 1<<40, Options{Budget: NewBudget(1 << 20)}, func(s *setup) {
		s.store.breaks(errFull, nil)
		var wg sync.WaitGroup
		for i := range int64(32) {
			wg.Go(func() {
				for k := range int64(20) {
					s.read(i<<34+k<<28, 1000)
				}
			})
		}
		wg.Wait()
		if n := s.c.Stats().Memory; n > 1<<20 {
			s.Errorf("%d bytes are held in memory", n)
		}
	})
	// When there is room again, it is used.
	run1(t, 1<<30, Options{}, func(s *setup) {
		s.store.breaks(errFull, nil)
		s.read(0, 100)
		synctest.Wait()
		s.store.breaks(nil, nil)
		s.read(500<<20, 100)
		synctest.Wait()
		if s.store.stored() != Unit {
			s.Errorf("%d bytes are stored", s.store.stored())
		}
	})
}

// A store that loses what it has, or says so, is filled anew.
func TestStoreLoses(t *testing.T) {
	run1(t, 1<<30, Options{}, func(s *setup) {
		s.read(0, Unit)
		synctest.Wait()
		s.store.breaks(nil, errors.New("sum does not match"))
		s.read(100, 1000)
		s.store.breaks(nil, nil)
		s.read(100, 1000)
		synctest.Wait()
		if n := len(s.r.requests()); n != 2 {
			s.Errorf("%d requests", n)
		}
		s.store.lose(0)
		s.read(100, 1000)
		if n := len(s.r.requests()); n != 3 {
			s.Errorf("%d requests", n)
		}
	})
}

// When memory is short, windows shrink, readers wait for it as long as their
// ctx lasts, and other Controllers that share it get their turn.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(4 << 20)
		var cs []*Controller
		var fs []*File
		rs := []*remote{{size: 1 << 30, delay: rtt, rate: 25e6}, {size: 1 << 30, delay: rtt, rate: 25e6}}
		for _, r := range rs {
			c := New(Options{Budget: b})
			defer c.Close()
			cs, fs = append(cs, c), append(fs, c.File(newStore(r.size), r.size, r.fetch))
		}
		var mu sync.Mutex
		most := int64(0)
		var wg sync.WaitGroup
		for i, f := range fs {
			for k := range int64(2) {
				wg.Go(func() {
					s := &setup{T: t, c: cs[i], f: f}
					for off := k << 29; off < k<<29+12<<20; off += 512 << 10 {
						s.read(off, 512<<10)
						mu.Lock()
						most = max(most, b.inUse())
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		if most > 4<<20 {
			t.Errorf("%d bytes were in use of %d", most, 4<<20)
		}
		for i, r := range rs {
			if n := r.total(); n > 2*12<<20+4<<20 {
				t.Errorf("remote %d was asked for %d KiB", i, n>>10)
			}
		}

		// One that takes all holds the other up, until its ctx ends or the memory
		// is free.
		time.Sleep(10 * time.Second)
		rs[0].breaks(func(int, int64, int64) (*damage, error) { return &damage{delay: 10 * time.Second, stop: -1}, nil })
		go fs[0].ReadAt(context.Background(), make([]byte, 4<<20), 700<<20)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p := make([]byte, 100)
		if d := took(func() {
			if _, err := fs[1].ReadAt(ctx, p, 900<<20); !isDeadline(err) {
				t.Errorf("got %v", err)
			}
		}); d != time.Second {
			t.Errorf("a reader waited for memory for %v", d)
		}
		if d := took(func() {
			if _, err := fs[1].ReadAt(context.Background(), p, 950<<20); err != nil {
				t.Error(err)
			}
		}); d < 7*time.Second || d > 9*time.Second {
			t.Errorf("a reader waited for memory for %v", d)
		}
	})
	// A read larger than the budget works, alone.
	run1(t, 1<<30, Options{Budget: NewBudget(100 << 10)}, func(s *setup) {
		s.read(0, 3<<20)
		s.read(500<<20+5, 3<<20)
	})
}

// Prefetch fetches all that is missing, in large requests, with readers served
// before it.
func TestPrefetch(t *testing.T) {
	const size = 48<<20 + 1000
	run1(t, size, Options{}, func(s *setup) {
		s.r.rate = 25e6
		s.read(20<<20, 100)
		s.f.Prefetch(0, size)
		time.Sleep(300 * time.Millisecond)
		if d := took(func() { s.read(40<<20, 100) }); d > 2*rtt {
			s.Errorf("a read beside Prefetch took %v", d)
		}
		if err := s.f.Wait(context.Background()); err != nil {
			s.Error(err)
		}
		if n := s.store.stored(); n != size {
			s.Errorf("%d bytes of %d are stored", n, size)
		}
		s.twice()
		if n := len(s.r.requests()); n > 60 {
			s.Errorf("%d requests", n)
		}
		d := took(func() { s.read(0, size) })
		if d != 0 {
			s.Errorf("a read of all took %v", d)
		}
		s.f.Prefetch(0, size) // again: nothing to do
		if err := s.f.Wait(context.Background()); err != nil {
			s.Error(err)
		}
	})
	run1(t, size, options(), func(s *setup) {
		s.r.fault = func(i int, off, n int64) (*damage, error) {
			if off >= 30<<20 {
				return nil, errDenied
			}
			return nil, nil
		}
		s.f.Prefetch(0, size)
		if err := s.f.Wait(context.Background()); !errors.Is(err, errDenied) {
			s.Errorf("Wait: %v", err)
		}
		time.Sleep(time.Second) // what was under way fails
		s.r.breaks(nil)
		s.f.Prefetch(0, size)
		if err := s.f.Wait(context.Background()); err != nil || s.store.stored() != size {
			s.Errorf("Wait: %v; %d bytes are stored", err, s.store.stored())
		}
	})
	run1(t, size, options(), func(s *setup) {
		s.store.breaks(errFull, nil)
		s.f.Prefetch(0, size)
		if err := s.f.Wait(context.Background()); !errors.Is(err, errFull) {
			s.Errorf("Wait: %v", err)
		}
	})
	run1(t, size, options(), func(s *setup) {
		s.f.Prefetch(0, size)
		s.f.Close()
		if err := s.f.Wait(context.Background()); !errors.Is(err, ErrClosed) {
			s.Errorf("Wait: %v", err)
		}
		if n := s.r.open; n != 0 {
			s.Errorf("%d requests are open", n)
		}
	})
}

// Close ends readers that wait, and returns when nothing uses the store.
func TestClose(t *testing.T) {
	run1(t, 1<<30, Options{}, func(s *setup) {
		var wg sync.WaitGroup
		for i := range int64(40) {
			wg.Go(func() {
				if err := s.tryRead(context.Background(), i*20<<20, 200<<10); !errors.Is(err, ErrClosed) {
					s.Errorf("got %v", err)
				}
			})
		}
		time.Sleep(rtt / 2)
		s.f.Close()
		if s.r.open != 0 {
			s.Errorf("%d requests are open", s.r.open)
		}
		wg.Wait()
		if err := s.tryRead(context.Background(), 0, 1); !errors.Is(err, ErrClosed) {
			s.Errorf("got %v", err)
		}
		s.f.Close()
		s.c.Close()
		f := s.c.File(newStore(1), 1, s.r.fetch)
		if _, err := f.ReadAt(context.Background(), make([]byte, 1), 0); !errors.Is(err, ErrClosed) {
			s.Errorf("got %v", err)
		}
	})
}
