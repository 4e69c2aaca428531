package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Readers of all kinds, in files that come and go, of a remote that fails in all
// ways it can, over stores that are full and lose things, with little memory:
// whatever is read is right, whatever is stored is right, and in the end all is
// at rest. MOORAGE_TEST_LONG=1 tries 120 seeds.
func TestChaos(t *testing.T) {
	seeds := uint64(6)
	if os.Getenv("MOORAGE_TEST_LONG") == "1" {
		seeds = 120
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 99))
	budget := NewBudget(1<<20 + rng.Int64N(16<<20))
	o := options()
	o.Budget, o.Parallel = budget, 1+rng.IntN(16)
	o.Preferred = rng.Int64N(2) * 4 << 20
	c := New(o)
	var wg sync.WaitGroup
	for i := range 3 {
		size := 1 + rng.Int64N(int64(1)<<(10+rng.IntN(16)))
		r := &remote{size: size, delay: time.Duration(rng.Int64N(int64(100 * time.Millisecond))), rate: float64(1<<20 + rng.Int64N(50<<20))}
		r.breaks(mishaps(seed, uint64(i)))
		store := newStore(size)
		f := c.File(store, size, r.fetch)
		s := &setup{T: t, c: c, f: f, store: store, r: r}
		for k := range 6 {
			rng := rand.New(rand.NewPCG(seed, uint64(i*100+k)))
			wg.Go(func() { s.roam(rng) })
		}
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i*100+50)))
			for range 20 {
				time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
				switch rng.IntN(5) {
				case 0:
					store.breaks(errFull, nil)
				case 1:
					store.breaks(nil, errMissing)
				case 2:
					store.lose(rng.Int64N(size/Unit + 1))
				case 3:
					f.Prefetch(rng.Int64N(size), rng.Int64N(size)+1)
				default:
					store.breaks(nil, nil)
				}
			}
			if rng.IntN(4) == 0 {
				f.Close()
			}
		})
	}
	wg.Wait()
	time.Sleep(10 * time.Minute) // for what runs on
	synctest.Wait()
	if s := c.Stats(); s.InFlight != 0 || s.Memory != 0 || s.Queued != 0 {
		t.Errorf("at rest: %+v", s)
	}
	if len(c.residents)+len(c.active)+len(c.live) != 0 {
		t.Errorf("at rest: %d parts in memory, %d under way, %d streams", len(c.residents), len(c.active), len(c.live))
	}
	for f := range c.files {
		if len(f.parts) != 0 {
			t.Errorf("at rest, there are %d parts", len(f.parts))
		}
		store := f.store.(*memStore)
		for u, b := range store.units {
			want := make([]byte, len(b))
			content(want, u*Unit)
			if string(want) != string(b) {
				t.Errorf("unit %d is stored wrong", u)
			}
		}
	}
	c.Close()
	if n := budget.inUse(); n != 0 {
		t.Errorf("%d bytes of the budget are never given back", n)
	}
}

// roam reads in one of the ways of applications.
func (s *setup) roam(rng *rand.Rand) {
	off := rng.Int64N(s.f.size)
	style := rng.IntN(4)
	n := int64(1) << rng.IntN(21)
	for range 30 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.Int64N(int64(10*time.Second))))
		err := s.tryRead(ctx, off, n)
		cancel()
		switch {
		case err == nil, isDeadline(err), errors.Is(err, errFlaky), errors.Is(err, errDenied), errors.Is(err, ErrLength), errors.Is(err, ErrClosed), errors.Is(err, ErrInactive), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(*limitedError)):
		default:
			s.Error(err)
		}
		switch style {
		case 0:
			off, n = rng.Int64N(s.f.size), rng.Int64N(200<<10)+1
		case 1, 2:
			off += n
			if off >= s.f.size {
				off = 0
			}
		case 3:
			off = max(off-n, 0)
		}
		if rng.IntN(8) == 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Second))))
		}
	}
}

// mishaps are what can go wrong with requests, but for wrong bytes, which a
// reader of a body that is too long may see.
func mishaps(seed, file uint64) func(int, int64, int64) (*damage, error) {
	rng := rand.New(rand.NewPCG(seed, 1000+file))
	return func(i int, off, n int64) (*damage, error) {
		switch rng.IntN(24) {
		case 0:
			return nil, errFlaky
		case 1:
			return nil, errDenied
		case 2:
			return nil, &limitedError{time.Duration(rng.Int64N(int64(3 * time.Second)))}
		case 3:
			return nil, &limitedError{}
		case 4:
			return &damage{stop: rng.Int64N(n), err: io.ErrUnexpectedEOF}, nil
		case 5:
			return &damage{stop: rng.Int64N(n), err: io.EOF}, nil
		case 6:
			return &damage{stop: rng.Int64N(n)}, nil
		case 7:
			return &damage{stop: -1, more: rng.Int64N(100)}, nil
		case 8:
			return &damage{stop: -1, delay: time.Duration(rng.Int64N(int64(40 * time.Second)))}, nil
		}
		return nil, nil
	}
}
